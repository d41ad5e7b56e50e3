#include "report/bundle.h"

#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { PATH_BYTES = 4096, BLOCK = 512, FILES_MAX = 1 << 17 };
static const int64_t file_limit = INT64_C(1) << 32;

/* --- what may be given away ----------------------------------------------- */

static bool path_letter(char c) { return c && !strchr(" \t\n\"'=,:;()[]{}", c); }

char *bundle_scrub(const char *text)
{
    char *out = malloc(strlen(text) + 1), *to = out;
    for (const char *at = text; out && *at;) {
        const char *end = at;
        while (path_letter(*end)) end++;
        /* a word with a slash is a path: its last part stays */
        const char *from = end;
        while (from > at && from[-1] != '/') from--;
        if (from == end && end > at && end[-1] == '/') {
            from = end - 1;
            while (from > at && from[-1] != '/') from--;
        }
        /* somebody's home has no other name than theirs */
        static const char *const homes[] = {"home", "Users"};
        for (size_t k = 0; k < sizeof homes / sizeof *homes; k++) {
            const ptrdiff_t n = (ptrdiff_t)strlen(homes[k]);
            if (from - at >= n + 2 && from[-n - 2] == '/' &&
                strncmp(from - n - 1, homes[k], (size_t)n) == 0) {
                *to++ = '~';
                from = end;
            }
        }
        while (from < end) *to++ = *from++;
        if (*end) *to++ = *end++;
        at = end;
    }
    if (out) *to = 0;
    return out;
}

/* A slash makes a path of a text, but for those of people and makers, where "nats/token" is none
 * and a path is what begins at a root. */
static bool holds_paths(const char *key)
{
    static const char *const other[] = {"note", "processor", "version", "arithmetic_id"};
    for (size_t k = 0; k < sizeof other / sizeof *other; k++)
        if (strcmp(other[k], key) == 0) return false;
    return true;
}

static bool rooted(const char *text)
{
    for (const char *at = text; (at = strchr(at, '/')); at++)
        if (at == text || !path_letter(at[-1]) || strchr(".~", at[-1])) return true;
    return false;
}

/* "host", "worst_host", the list of nodes that a job has; and what an event or a meter says in
 * words, which may name anything and is in no report. */
static bool names_host(const char *key, const json_t *value)
{
    static const char *const keys[] = {"host", "nodes", "nodelist", "detail"};
    const size_t n = strlen(key);
    if (!json_is_string(value)) return false;
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
        if (strcmp(keys[k], key) == 0) return true;
    return n > 5 && strcmp(key + n - 5, "_host") == 0;
}

/* Texts below this value scrubbed, hosts left out. ERR_MEMORY. */
static status scrub_value(json_t *value, const char *name)
{
    const char *key;
    json_t *child;
    size_t index;
    void *next;
    if (json_is_object(value)) {
        json_object_foreach_safe(value, next, key, child)
        {
            if (names_host(key, child))
                (void)json_object_del(value, key);
            else
                TRY(scrub_value(child, key));
        }
    }
    json_array_foreach(value, index, child) TRY(scrub_value(child, name));
    const char *text = json_string_value(value);
    if (!text || !strchr(text, '/') || (!holds_paths(name) && !rooted(text))) return OK;
    char *clean = bundle_scrub(text);
    const int failed = clean ? json_string_set(value, clean) : -1;
    free(clean);
    REQUIRE(!failed, ERR_MEMORY, "no memory for a bundle");
    return OK;
}

/* One JSON text without what must not leave; NULL for what is no JSON. */
static status scrub_json(char **out, const char *text, size_t flags)
{
    json_t *value = json_loads(text, 0, NULL);
    *out = NULL;
    if (!value) return OK;
    status s = scrub_value(value, "");
    if (s == OK) *out = json_dumps(value, flags | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17));
    json_decref(value);
    if (s == OK && !*out) s = status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for a bundle");
    return s;
}

/* --- packing -------------------------------------------------------------- */

typedef struct pack {
    gzFile to;
    const char *name; /* the folder inside */
} pack;

static status put(const pack *p, const void *bytes, size_t count)
{
    REQUIRE(!count || gzwrite(p->to, bytes, (unsigned)count) == (int)count, ERR_IO,
            "cannot write the bundle");
    return OK;
}

/* One file of the archive: everyone's, of no time. */
static status put_file(const pack *p, const char *path, const char *text, size_t bytes)
{
    static const char zeros[BLOCK] = {0};
    char header[BLOCK] = {0};
    const int length = snprintf(header, 100, "%s/%s", p->name, path);
    REQUIRE(length < 100, ERR_CONFIG, "bundle: the name %s/%s is longer than 99 bytes", p->name,
            path);
    (void)memcpy(header + 100, "0000644\0000000000\0000000000", 23);
    (void)snprintf(header + 124, 12, "%011llo", (unsigned long long)bytes);
    (void)memcpy(header + 136, "00000000000", 11);
    (void)memcpy(header + 148, "        ", 8);
    header[156] = '0';
    (void)memcpy(header + 257, "ustar\00000", 8);
    unsigned sum = 0;
    for (int i = 0; i < BLOCK; i++) sum += (unsigned char)header[i];
    (void)snprintf(header + 148, 8, "%06o", sum);
    TRY(put(p, header, BLOCK));
    for (size_t done = 0; done < bytes; done += 1 << 20)
        TRY(put(p, text + done, bytes - done < 1 << 20 ? bytes - done : 1 << 20));
    return put(p, zeros, (BLOCK - bytes % BLOCK) % BLOCK);
}

/* A small JSON file, if it is there. */
static status put_json(const pack *p, const char *folder, const char *name)
{
    char path[PATH_BYTES], *text, *clean;
    int64_t bytes;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!file_exists(path)) return OK;
    TRY(file_read_text(&text, &bytes, path, file_limit));
    status s = scrub_json(&clean, text, JSON_INDENT(1));
    free(text);
    if (s == OK && clean) s = put_file(p, name, clean, strlen(clean));
    free(clean);
    return s;
}

/* Lines of JSON; steps go as they are, they hold numbers alone. A damaged line stays one. */
static status scrub_lines(FILE *out, char *text)
{
    for (char *at = text, *next; *at; at = next) {
        next = strchr(at, '\n');
        if (!next) break;
        *next++ = 0;
        if (strncmp(at, "{\"type\":\"step\",", 15) == 0 && !strchr(at, '/')) {
            json_t *line = json_loads(at, 0, NULL);
            (void)fprintf(out, "%s\n", line ? at : "damaged");
            json_decref(line);
            continue;
        }
        char *clean;
        TRY(scrub_json(&clean, at, JSON_COMPACT));
        (void)fprintf(out, "%s\n", clean ? clean : "damaged");
        free(clean);
    }
    return OK;
}

static status put_lines(const pack *p, const char *folder, const char *name, const char *as)
{
    char path[PATH_BYTES], *text, *clean = NULL;
    int64_t bytes;
    size_t size = 0;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!file_exists(path)) return OK;
    TRY(file_read_text(&text, &bytes, path, file_limit));
    for (int64_t i = 0; i < bytes; i++)
        if (!text[i]) text[i] = 1;
    FILE *out = open_memstream(&clean, &size);
    status s = out ? scrub_lines(out, text) : ERR_MEMORY;
    if (!out || fclose(out) != 0)
        s = status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for a bundle");
    if (s == OK) s = put_file(p, as, clean, size);
    free(text);
    free(clean);
    return s;
}

static status put_run(const pack *p, const run_record *r, bool alone)
{
    static const char *const small[] = {"summary.json", "test.json"};
    char name[PATH_BYTES], prefix[PATH_BYTES] = "";
    if (!alone) (void)snprintf(prefix, sizeof prefix, "runs/%s/", r->name);
    (void)snprintf(name, sizeof name, "%.2000srecord.jsonl", prefix);
    TRY(put_lines(p, r->folder, "record.jsonl", name));
    for (size_t k = 0; k < sizeof small / sizeof *small; k++) {
        char path[PATH_BYTES], *text, *clean;
        int64_t bytes;
        (void)snprintf(path, sizeof path, "%.4000s/%s", r->folder, small[k]);
        if (!file_exists(path)) continue;
        TRY(file_read_text(&text, &bytes, path, file_limit));
        status s = scrub_json(&clean, text, JSON_INDENT(1));
        free(text);
        (void)snprintf(name, sizeof name, "%.2000s%s", prefix, small[k]);
        if (s == OK && clean) s = put_file(p, name, clean, strlen(clean));
        free(clean);
        TRY(s);
    }
    return OK;
}

static int is_json(const struct dirent *e)
{
    const size_t length = strlen(e->d_name);
    return e->d_name[0] != '.' && length > 5 && strcmp(e->d_name + length - 5, ".json") == 0;
}

/* The study's own files: its table as JSON, laws, the ledger. */
static status put_study(const pack *p, const char *folder)
{
    struct dirent **entry = NULL;
    const int count = scandir(folder, &entry, is_json, alphasort);
    status s = OK;
    for (int i = 0; i < count; i++) {
        if (s == OK) s = put_json(p, folder, entry[i]->d_name);
        free(entry[i]);
    }
    free(entry);
    return s == OK ? put_lines(p, folder, "ledger.jsonl", "ledger.jsonl") : s;
}

static status put_all(const pack *p, const char *folder, const run_set *set)
{
    static const char end[2 * BLOCK] = {0};
    const bool alone = run_record_is(folder);
    if (!alone) TRY(put_study(p, folder));
    for (int32_t i = 0; i < set->count; i++) TRY(put_run(p, &set->run[i], alone));
    return put(p, end, sizeof end);
}

status bundle_write(const char *path, const char *folder, const char *name, const run_set *set)
{
    int fd;
    TRY(file_open_write(&fd, path, O_TRUNC));
    pack p = {gzdopen(fd, "wb9"), name};
    if (!p.to) (void)close(fd);
    REQUIRE(p.to, ERR_MEMORY, "no memory to write %s", path);
    status s = put_all(&p, folder, set);
    if (gzclose(p.to) != Z_OK && s == OK)
        s = status_set(ERR_IO, __FILE__, __LINE__, "cannot write %s", path);
    if (s != OK) (void)unlink(path);
    return s;
}

/* --- unpacking ------------------------------------------------------------ */

bool bundle_is(const char *path)
{
    unsigned char magic[2] = {0, 0};
    int fd;
    if (file_open(&fd, path) != OK) return false;
    const bool full = read(fd, magic, 2) == 2;
    (void)close(fd);
    return full && magic[0] == 0x1f && magic[1] == 0x8b;
}

/* Size in octal, up to 8 GiB; -1 for anything else. */
static int64_t octal(const char *text, int length)
{
    int64_t value = 0;
    for (int i = 0; i < length && text[i] && text[i] != ' '; i++) {
        if (text[i] < '0' || text[i] > '7') return -1;
        value = 8 * value + (text[i] - '0');
    }
    return value;
}

static status unpack_file(gzFile from, const char *bundle, const char *path, int64_t bytes)
{
    char *text = malloc((size_t)bytes + BLOCK), folder[PATH_BYTES + BLOCK];
    REQUIRE(text, ERR_MEMORY, "no memory for a bundle");
    const int64_t padded = (bytes + BLOCK - 1) / BLOCK * BLOCK;
    int64_t done = 0;
    while (done < padded) {
        const int64_t rest = padded - done < 1 << 20 ? padded - done : 1 << 20;
        const int got = gzread(from, text + done, (unsigned)rest);
        if (got <= 0) break;
        done += got;
    }
    status s = OK;
    if (done < padded) s = status_set(ERR_CONFIG, __FILE__, __LINE__, "%s: cut off", bundle);
    (void)snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    if (s == OK) s = file_make_folder(folder);
    if (s == OK) s = file_write_text(path, text, bytes);
    free(text);
    return s;
}

/* All files below the temporary folder; top receives the name of the first one's folder. */
static status unpack_all(gzFile from, const char *temporary, char *top, const char *path)
{
    char header[BLOCK], file[PATH_BYTES + BLOCK];
    for (int32_t i = 0; i < FILES_MAX; i++) {
        REQUIRE(gzread(from, header, BLOCK) == BLOCK, ERR_CONFIG, "%s: no bundle, or cut off",
                path);
        if (!header[0]) return OK;
        const int64_t bytes = octal(header + 124, 12);
        header[99] = 0;
        REQUIRE(memcmp(header + 257, "ustar", 5) == 0 && header[156] == '0' && bytes >= 0 &&
                    bytes < file_limit,
                ERR_CONFIG, "%s: no bundle of isoflop", path);
        REQUIRE(header[0] != '/' && !strstr(header, "..") && strchr(header, '/'), ERR_CONFIG,
                "%s: holds the name %s, which leaves its folder", path, header);
        if (!*top) (void)snprintf(top, 100, "%.*s", (int)strcspn(header, "/"), header);
        (void)snprintf(file, sizeof file, "%.3900s/%s", temporary, header);
        TRY(unpack_file(from, path, file, bytes));
    }
    FAIL(ERR_CONFIG, "%s: more than %d files", path, FILES_MAX);
}

status bundle_unpack(char *folder, char *temporary, size_t bytes, const char *path)
{
    const char *base = getenv("TMPDIR");
    char top[100] = "";
    (void)snprintf(temporary, bytes, "%s/isoflop-bundle-XXXXXX", base && *base ? base : "/tmp");
    REQUIRE(mkdtemp(temporary), ERR_IO, "cannot make a folder like %s", temporary);
    int fd;
    status s = file_open(&fd, path);
    gzFile from = s == OK ? gzdopen(fd, "rb") : NULL;
    if (from) s = unpack_all(from, temporary, top, path);
    if (from) (void)gzclose(from);
    if (s == OK && !from) {
        (void)close(fd);
        s = status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory to read %s", path);
    }
    if (s == OK && !*top) s = status_set(ERR_CONFIG, __FILE__, __LINE__, "%s: empty", path);
    (void)snprintf(folder, bytes, "%.3900s/%s", temporary, top);
    if (s != OK) (void)file_remove_folder(temporary);
    return s;
}
