#include "config/files.h"
#include "config/models.h"

#include "base/file.h"
#include "base/nearest.h"
#include "config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

int32_t files_roots(char out[FILES_ROOTS][FILES_PATH])
{
    const char *const roots[FILES_ROOTS] = {getenv("ISOFLOP_CONFIGS"), CONFIGS_SOURCE,
                                            CONFIGS_INSTALLED};
    int32_t n = 0;
    for (int32_t i = 0; i < FILES_ROOTS; i++)
        if (roots[i] && *roots[i] && strlen(roots[i]) < FILES_PATH)
            (void)snprintf(out[n++], FILES_PATH, "%s", roots[i]);
    return n;
}

/* folder/name or folder/name.yaml; folder "" = as given. False if neither is a file. */
static bool try_folder(char *path, size_t bytes, const char *folder, const char *name)
{
    static const char *const endings[] = {"", ".yaml"};
    for (int32_t i = 0; i < 2; i++) {
        const int n =
            snprintf(path, bytes, "%s%s%s%s", folder, *folder ? "/" : "", name, endings[i]);
        if (n > 0 && (size_t)n < bytes && is_file(path)) return true;
    }
    return false;
}

/* root/kind/name, or root/name. False if neither is a file. */
static bool try_root(char *path, size_t bytes, const char *root, const char *kind, const char *name)
{
    char folder[FILES_PATH + 32];
    if (try_folder(path, bytes, root, name)) return true;
    (void)snprintf(folder, sizeof folder, "%.1024s/%.30s", root, kind);
    return *kind && try_folder(path, bytes, folder, name);
}

/* "; nearest: NAME" of what lies where config_find looks, "" if nothing is near. */
static nearest_text suggest(const char *kind, const char *name, const char *inside)
{
    char path[FILES_PATH + 32], roots[FILES_ROOTS][FILES_PATH];
    nearest_text t = nearest_file(name);
    (void)snprintf(path, sizeof path, "%s.yaml", name);
    if (!*t.text) t = nearest_file(path);
    const int32_t n = files_roots(roots);
    for (int32_t i = 0; i < 2 * n && !*t.text; i++) {
        const char *sub = i % 2 ? "" : kind;
        if (i % 2 == 0 && !*kind) continue;
        if (snprintf(path, sizeof path, "%s/%s%s%s.yaml", roots[i / 2], sub, *sub ? "/" : "",
                     inside) < (int)sizeof path)
            t = nearest_file(path);
        /* only its name: it is found by that */
        char *last = strrchr(t.text, '/'), *ending = strstr(t.text, ".yaml");
        if (!last || !ending || strchr(inside, '/')) continue;
        *ending = '\0';
        memmove(t.text + sizeof "; nearest: " - 1, last + 1, strlen(last + 1) + 1);
    }
    return t;
}

status config_find(char *path, size_t bytes, const char *kind, const char *name)
{
    REQUIRE(*name != '\0', ERR_CONFIG, "the config's file name is empty");
    if (try_folder(path, bytes, "", name)) return OK;

    /* a name without a fixed place is looked for in the folders of configs */
    const bool placed = *name == '/' || strncmp(name, "./", 2) == 0 || strncmp(name, "../", 3) == 0;
    TRY(file_reach(name));
    REQUIRE(!placed, ERR_CONFIG, "%s: no such file%s", name, nearest_file(name).text);
    const char *inside = strncmp(name, "configs/", 8) == 0 ? name + 8 : name;
    char roots[FILES_ROOTS][FILES_PATH], looked[FILES_ROOTS * 128] = "";
    const int32_t n = files_roots(roots);
    for (int32_t i = 0; i < n; i++) {
        if (try_root(path, bytes, roots[i], kind, inside)) return OK;
        const size_t used = strlen(looked);
        (void)snprintf(looked + used, sizeof looked - used, ", %.120s", roots[i]);
    }
    struct stat st;
    REQUIRE(stat(name, &st) != 0, ERR_CONFIG, "%.200s: a folder, not a config file", name);
    FAIL(ERR_CONFIG,
         "%.200s: no such file, with .yaml or without%s; looked in the current folder%s", name,
         suggest(kind, name, inside).text, looked);
}

/* Reads until the end or the limit; the file's size is only a hint, it may change. */
static status read_all(FILE *in, char **out, int64_t *size, const char *path)
{
    int64_t capacity = 1 << 16, used = 0;
    char *bytes = malloc((size_t)capacity);
    while (bytes) {
        used += (int64_t)fread(bytes + used, 1, (size_t)(capacity - used), in);
        if (used < capacity || used > CONFIG_BYTES_MAX) break;
        capacity *= 2;
        char *more = realloc(bytes, (size_t)capacity);
        if (!more) free(bytes);
        bytes = more;
    }
    REQUIRE(bytes, ERR_MEMORY, "no memory to read %s", path);
    *out = bytes;
    *size = used;
    if (ferror(in)) FAIL(ERR_IO, "%s: cannot read: %s", path, strerror(errno));
    REQUIRE(used <= CONFIG_BYTES_MAX, ERR_CONFIG, "%s: larger than a config can be (%d MiB)", path,
            CONFIG_BYTES_MAX >> 20);
    return OK;
}

status files_read(char **out, int64_t *size, const char *path)
{
    struct stat st;
    REQUIRE(stat(path, &st) == 0, ERR_CONFIG, "%s: %s", path, strerror(errno));
    REQUIRE(S_ISREG(st.st_mode), ERR_CONFIG, "%s: not a regular file", path);
    FILE *in = fopen(path, "rb");
    REQUIRE(in, ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    *out = NULL;
    const status s = read_all(in, out, size, path);
    (void)fclose(in);
    if (s != OK) free(*out);
    return s;
}

status config_load(config *out, const char *name, int override_count, const char *const *overrides)
{
    return config_load_among(out, NULL, name, override_count, overrides);
}

status config_load_among(config *out, config_models *models, const char *name, int override_count,
                         const char *const *overrides)
{
    char path[FILES_PATH];
    char *bytes = NULL;
    int64_t size = 0;
    TRY(config_find(path, sizeof path, "", name));
    TRY(files_read(&bytes, &size, path));
    const status s = config_parse_among(out, models, path, bytes, size, override_count, overrides);
    free(bytes);
    return s;
}
