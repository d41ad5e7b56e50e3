#include "base/nearest.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* what it costs to turn one text into the other; a letter too many says less than a wrong one */
enum { LETTER = 8, WRONG = 10, CASE = 1, LONGEST = 80, FAR = 1 << 20 };

static int32_t replaced(char a, char b)
{
    if (a == b) return 0;
    return tolower((unsigned char)a) == tolower((unsigned char)b) ? CASE : WRONG;
}

static int32_t distance(const char *a, const char *b)
{
    const size_t n = strlen(a), m = strlen(b);
    if (n > LONGEST || m > LONGEST) return FAR;
    int32_t row[LONGEST + 1];
    for (size_t j = 0; j <= m; j++) row[j] = (int32_t)j * LETTER;
    for (size_t i = 1; i <= n; i++) {
        int32_t diagonal = row[0];
        row[0] = (int32_t)i * LETTER;
        for (size_t j = 1; j <= m; j++) {
            const int32_t above = row[j];
            int32_t best = diagonal + replaced(a[i - 1], b[j - 1]);
            if (above + LETTER < best) best = above + LETTER;
            if (row[j - 1] + LETTER < best) best = row[j - 1] + LETTER;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[m];
}

nearest nearest_any(const char *to) { return (nearest){.to = to, .cost = INT32_MAX}; }

nearest nearest_slip(const char *to)
{
    const size_t n = strlen(to);
    return (nearest){.to = to, .cost = (int32_t)(n < LONGEST ? n / 3 + 1 : 0) * WRONG + 1};
}

bool nearest_offer(nearest *n, const char *name)
{
    const int32_t cost = distance(n->to, name);
    if (cost >= n->cost) return false;
    n->cost = cost;
    n->found = name;
    return true;
}

/* The name in the folder nearest to the missing one; of equals the first by its bytes, because
 * folders have no order. False if none is near. */
static bool nearest_in_folder(char *out, size_t bytes, const char *folder, const char *missing)
{
    enum { ENTRIES = 10000 };
    DIR *list = opendir(folder);
    if (!list) return false;
    nearest best = nearest_slip(missing);
    int32_t count = 0;
    out[0] = '\0';
    for (struct dirent *entry; count < ENTRIES && (entry = readdir(list)); count++) {
        const char *name = entry->d_name;
        if (name[0] == '.') continue;
        nearest more = best;
        if (*out && strcmp(name, out) < 0) more.cost++;
        if (!nearest_offer(&more, name)) continue;
        best.cost = more.cost;
        (void)snprintf(out, bytes, "%s", name);
    }
    (void)closedir(list);
    return *out != '\0';
}

/* Where the path leaves what exists: its missing name is path[*begin..*end). False if all exists.
 */
static bool leaves(size_t *begin, size_t *end, const char *path)
{
    char above[384];
    for (*end = 0;;) {
        *begin = *end + strspn(path + *end, "/");
        *end = *begin + strcspn(path + *begin, "/");
        if (*end == *begin || *end >= sizeof above) return false;
        (void)snprintf(above, sizeof above, "%.*s", (int)*end, path);
        if (access(above, F_OK) != 0) return true;
    }
}

static void suggest(nearest_text *out, const char *path)
{
    static const char say[] = "; nearest: ";
    char folder[384], missing[384], name[256];
    size_t begin, end;
    if (!leaves(&begin, &end, path)) return;
    (void)snprintf(missing, sizeof missing, "%.*s", (int)(end - begin), path + begin);
    (void)snprintf(folder, sizeof folder, "%.*s", (int)begin, path);
    if (!nearest_in_folder(name, sizeof name, begin ? folder : ".", missing)) return;
    /* with the rest of the path, if it exists there */
    const int most = (int)sizeof out->text;
    int n = snprintf(out->text, sizeof out->text, "%s%s%s%s", say, folder, name, path + end);
    if (n < most && access(out->text + sizeof say - 1, F_OK) == 0) return;
    n = snprintf(out->text, sizeof out->text, "%s%s%s", say, folder, name);
    if (n >= most) out->text[0] = '\0'; /* half a path helps nobody */
}

nearest_text nearest_file(const char *path)
{
    nearest_text out = {""};
    const int reason = errno;
    suggest(&out, path);
    errno = reason;
    return out;
}
