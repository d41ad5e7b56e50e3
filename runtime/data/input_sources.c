#include "data/input_sources.h"

#include "base/file.h"
#include "base/nearest.h"
#include "data/byte_stream.h"
#include "data/gcide.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

static status append(source_list *list, const char *path, source_kind kind, int64_t bytes)
{
    if (list->count == list->room) {
        int64_t room = 2 * list->room + 64;
        source *more = realloc(list->source, (size_t)room * sizeof *more);
        REQUIRE(more, ERR_MEMORY, "no memory for %lld inputs", (long long)room);
        list->source = more;
        list->room = room;
    }
    char *copy = strdup(path);
    REQUIRE(copy, ERR_MEMORY, "no memory for %s", path);
    list->source[list->count++] = (source){.path = copy, .kind = kind, .bytes = bytes};
    return OK;
}

static bool ends_in(const char *path, int64_t n, const char *ending)
{
    const int64_t m = (int64_t)strlen(ending);
    return n > m && memcmp(path + n - m, ending, (size_t)m) == 0;
}

static source_kind kind_of(const char *path)
{
    static const char *const endings[] = {".jsonl", ".ndjson"};
    int64_t n = byte_stream_stem(path);
    for (int i = 0; i < 2; i++)
        if (ends_in(path, n, endings[i])) return SOURCE_JSONL;
    return SOURCE_TEXT;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* names of a folder in the order of their bytes, without those that begin with a dot */
static status list_folder(char ***out, int64_t *count, const char *path)
{
    DIR *folder = opendir(path);
    REQUIRE(folder, ERR_IO, "cannot list %s: %s", path, strerror(errno));
    char **names = NULL;
    int64_t n = 0, room = 0;
    bool memory = true;
    for (struct dirent *entry; memory && (entry = readdir(folder));) {
        if (entry->d_name[0] == '.') continue;
        if (n == room) {
            room = 2 * room + 64;
            char **more = realloc(names, (size_t)room * sizeof *more);
            if (more) names = more;
            memory = more != NULL;
        }
        if (memory) memory = (names[n] = strdup(entry->d_name)) != NULL;
        if (memory) n++;
    }
    (void)closedir(folder);
    if (n > 0) qsort(names, (size_t)n, sizeof *names, by_name);
    *out = names;
    *count = n;
    REQUIRE(memory, ERR_MEMORY, "no memory to list %s", path);
    return OK;
}

static status add_path(source_list *list, const char *path, int depth);

static status add_folder(source_list *list, const char *path, int depth)
{
    char **names = NULL;
    int64_t count = 0;
    status s = list_folder(&names, &count, path);
    for (int64_t i = 0; i < count; i++) {
        char below[PATH_BYTES];
        int n = snprintf(below, sizeof below, "%s/%s", path, names[i]);
        if (s == OK && n >= PATH_BYTES)
            s = status_set(ERR_IO, __FILE__, __LINE__, "%s/%s: the path is too long", path,
                           names[i]);
        if (s == OK) s = add_path(list, below, depth + 1);
        free(names[i]);
    }
    free(names);
    return s;
}

static status add_path(source_list *list, const char *path, int depth)
{
    struct stat about;
    REQUIRE(stat(path, &about) == 0, ERR_IO, "cannot open %s: %s%s", path, strerror(errno),
            nearest_file(path).text);
    REQUIRE(depth < 64, ERR_IO, "%s: more than 64 folders deep (a link to a folder above?)", path);
    if (S_ISDIR(about.st_mode)) return add_folder(list, path, depth);
    REQUIRE(S_ISREG(about.st_mode), ERR_IO, "%s is neither a file nor a folder", path);
    /* in a folder of source code it is text like the rest */
    REQUIRE(depth > 0 || !ends_in(path, byte_stream_stem(path), ".json"), ERR_CONFIG,
            "%s: are its lines the documents? Then let its name end in .jsonl. (One array: jq -c "
            "'.[]' F.json > F.jsonl)",
            path);
    return append(list, path, kind_of(path), about.st_size);
}

/* An open file without a name, so that it goes with this process, however that ends. Where the file
 * system has none such, its name goes first thing. */
static status open_nameless(int *out, char path[PATH_BYTES])
{
    const char *folder = getenv("TMPDIR");
    if (!folder || !folder[0]) folder = "/tmp";
    *out = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    (void)snprintf(path, PATH_BYTES, "%s/isoflop-stdin-XXXXXX", folder);
    if (*out >= 0) return OK;
    *out = mkostemp(path, O_CLOEXEC);
    REQUIRE(*out >= 0, ERR_IO, "cannot create %s: %s", path, strerror(errno));
    (void)unlink(path);
    return OK;
}

/* stdin can be read once only: what came is kept */
static status add_stdin(source_list *list, bool json)
{
    char path[PATH_BYTES];
    int fd;
    TRY(open_nameless(&fd, path));
    uint8_t buffer[1 << 16];
    int64_t at = 0;
    status s = OK;
    for (ssize_t n = 1; s == OK && n != 0;) {
        n = read(STDIN_FILENO, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            s = status_set(ERR_IO, __FILE__, __LINE__, "cannot read stdin: %s", strerror(errno));
        if (n > 0) s = file_write_at(fd, path, at, buffer, n);
        if (n < 0) break;
        at += n;
    }
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    char *again = strdup(path);
    if (s == OK && !again) s = status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for stdin");
    if (s == OK) s = append(list, "-", json ? SOURCE_JSONL : SOURCE_TEXT, at);
    if (s != OK) {
        free(again);
        (void)close(fd);
        return s;
    }
    source *last = &list->source[list->count - 1];
    last->temporary = again;
    last->copy = fd;
    return OK;
}

status source_list_add(source_list *list, const char *name, bool json_stdin)
{
    if (strcmp(name, "-") == 0) return add_stdin(list, json_stdin);
    bool dictionary = strcmp(name, "gcide") == 0;
    size_t n = strlen(name);
    if (n > 13 && strcmp(name + n - 13, "gcide.dict.dz") == 0) dictionary = true;
    if (!dictionary) {
        int64_t before = list->count;
        TRY(add_path(list, name, 0));
        REQUIRE(list->count > before, ERR_IO, "%s holds no files", name);
        return OK;
    }
    char path[PATH_BYTES];
    struct stat about;
    if (strcmp(name, "gcide") == 0)
        TRY(gcide_find(path, sizeof path));
    else
        (void)snprintf(path, sizeof path, "%s", name);
    REQUIRE(stat(path, &about) == 0, ERR_IO, "cannot open %s: %s", path, strerror(errno));
    return append(list, path, SOURCE_GCIDE, about.st_size);
}

void source_list_deinit(source_list *list)
{
    for (int64_t i = 0; i < list->count; i++) {
        if (list->source[i].temporary) (void)close(list->source[i].copy);
        free(list->source[i].temporary);
        free(list->source[i].path);
    }
    free(list->source);
    *list = (source_list){0};
}
