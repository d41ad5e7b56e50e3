#include "train/checkpoint.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 1400 };

int64_t checkpoint_list(const char *folder, int64_t **steps)
{
    int64_t count = 0, capacity = 0;
    *steps = NULL;
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char *end;
        if (strncmp(e->d_name, "step-", 5) != 0) continue;
        int64_t step = strtoll(e->d_name + 5, &end, 10);
        if (*end != '\0' || end == e->d_name + 5) continue;
        if (count == capacity) {
            capacity = 2 * capacity + 16;
            int64_t *more = realloc(*steps, (size_t)capacity * sizeof **steps);
            if (!more) break;
            *steps = more;
        }
        int64_t i = count++;
        for (; i > 0 && (*steps)[i - 1] < step; i--) (*steps)[i] = (*steps)[i - 1];
        (*steps)[i] = step;
    }
    if (dir) (void)closedir(dir);
    return count;
}

static bool unfinished(const char *name)
{
    const size_t length = strlen(name);
    return strncmp(name, ".step-", 6) == 0 && strcmp(name + length - 4, ".tmp") == 0;
}

static status remove_unfinished(const char *folder)
{
    char path[PATH_BYTES];
    status s = OK;
    DIR *dir = opendir(folder);
    for (struct dirent *e; s == OK && dir && (e = readdir(dir));) {
        if (!unfinished(e->d_name)) continue;
        (void)snprintf(path, sizeof path, "%.1000s/%s", folder, e->d_name);
        s = file_remove_folder(path);
    }
    if (dir) (void)closedir(dir);
    return s;
}

status checkpoint_set_aside(const char *folder, int64_t step)
{
    int64_t *steps;
    const int64_t count = checkpoint_list(folder, &steps);
    status s = remove_unfinished(folder);
    for (int64_t i = 0; s == OK && i < count && steps[i] > step; i++) {
        char from[PATH_BYTES], to[PATH_BYTES + 10];
        (void)snprintf(from, sizeof from, "%.1000s/step-%" PRId64, folder, steps[i]);
        (void)snprintf(to, sizeof to, "%s.skipped", from);
        s = file_remove_folder(to);
        if (s == OK && rename(from, to) != 0)
            s = status_set(ERR_IO, __FILE__, __LINE__, "cannot rename %s to %s: %s", from, to,
                           strerror(errno));
    }
    free(steps);
    return s;
}
