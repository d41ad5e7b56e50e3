/* Runs a fuzz target over files and folders of files: `fuzz_config_replay corpus/config`. */
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int replay_file(const char *path, long *count)
{
    FILE *in = fopen(path, "rb");
    if (!in) return 1;
    uint8_t *bytes = NULL;
    size_t size = 0;
    for (size_t got = 1; got > 0; size += got) {
        uint8_t *more = realloc(bytes, size + 65536);
        if (!more) break;
        bytes = more;
        got = fread(bytes + size, 1, 65536, in);
    }
    (void)fclose(in);
    if (!bytes) return 1;
    (void)LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
    (*count)++;
    return 0;
}

static int replay(const char *path, long *count)
{
    struct stat st;
    if (stat(path, &st) != 0) return 1;
    if (!S_ISDIR(st.st_mode)) return replay_file(path, count);
    struct dirent **entries = NULL;
    const int n = scandir(path, &entries, NULL, alphasort);
    int failed = n < 0;
    for (int i = 0; i < n; i++) {
        char inside[4096];
        (void)snprintf(inside, sizeof inside, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.') failed |= replay(inside, count);
        free(entries[i]);
    }
    free(entries);
    return failed;
}

int main(int argc, char **argv)
{
    long count = 0;
    for (int i = 1; i < argc; i++) {
        if (replay(argv[i], &count) == 0) continue;
        (void)fprintf(stderr, "%s: cannot read\n", argv[i]);
        return 1;
    }
    (void)printf("%ld inputs\n", count);
    return count > 0 ? 0 : 1;
}
