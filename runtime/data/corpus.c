#include "data/corpus.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/nearest.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 1200 };
static const char nanogpt[] = "nanogpt:";
static const int64_t whole_check_bytes = 256 << 20; /* up to here every byte is checked at open */

typedef struct part {
    char *path;
    uint8_t *map;
    int64_t bytes;
    token_layout layout;
    int64_t first; /* number of its first token in the corpus */
} part;

struct corpus {
    corpus_info info;
    part *part;
    int64_t room;
};

/* ---- files ---- */

static status map_file(uint8_t **out, int64_t *bytes, const char *path)
{
    struct stat about;
    int fd;
    TRY(file_open(&fd, path));
    int bad = fstat(fd, &about) != 0;
    void *map = NULL;
    if (!bad && about.st_size > 0)
        map = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_SHARED, fd, 0);
    int why = errno;
    (void)close(fd);
    REQUIRE(!bad, ERR_IO, "cannot stat %s", path);
    REQUIRE(map != MAP_FAILED, ERR_IO, "cannot map %s: %s", path, strerror(why));
    *out = map; /* NULL for an empty file */
    *bytes = about.st_size;
    return OK;
}

static void unmap_file(uint8_t *map, int64_t bytes)
{
    if (map) (void)munmap(map, (size_t)bytes);
}

/* maps one more file; its layout is for the caller to find */
static status add_part(corpus *c, part **out, const char *path)
{
    if (c->info.files == c->room) {
        int64_t room = 2 * c->room + 8;
        part *more = realloc(c->part, (size_t)room * sizeof *more);
        REQUIRE(more, ERR_MEMORY, "no memory for %lld token files", (long long)room);
        c->part = more;
        c->room = room;
    }
    part p = {.first = c->info.tokens};
    TRY(map_file(&p.map, &p.bytes, path));
    p.path = strdup(path);
    c->part[c->info.files++] = p;
    REQUIRE(p.path, ERR_MEMORY, "no memory for %s", path);
    *out = &c->part[c->info.files - 1];
    return OK;
}

static status add_llmc(corpus *c, const char *path)
{
    part *p = NULL;
    TRY(add_part(c, &p, path));
    TRY(token_file_llmc(&p->layout, p->map, p->bytes, p->bytes, path));
    c->info.tokens += p->layout.tokens;
    return OK;
}

static status add_nanogpt(corpus *c, const char *path)
{
    part *p = NULL;
    TRY(add_part(c, &p, path));
    TRY(token_file_nanogpt(&p->layout, p->map, p->bytes, p->bytes, path));
    c->info.tokens += p->layout.tokens;
    c->info.format = "nanogpt";
    return OK;
}

static status add_megatron(corpus *c, const char *bin, const char *idx)
{
    part *p = NULL;
    uint8_t *map = NULL;
    int64_t bytes = 0;
    TRY(map_file(&map, &bytes, idx));
    status s = add_part(c, &p, bin);
    if (s == OK) s = token_file_megatron(&p->layout, map, bytes, p->bytes, idx);
    unmap_file(map, bytes);
    TRY(s);
    c->info.tokens += p->layout.tokens;
    c->info.format = "megatron";
    return OK;
}

/* ---- prepared folders ---- */

/* a shard against its row of the manifest: size first, then as much of the content as `whole` says
 */
static status check_shard(const part *p, const shard_row *row, bool whole)
{
    REQUIRE(p->bytes == row->bytes && p->layout.tokens == row->tokens, ERR_IO,
            "%s has %lld tokens in %lld bytes; manifest.json says %lld in %lld", p->path,
            (long long)p->layout.tokens, (long long)p->bytes, (long long)row->tokens,
            (long long)row->bytes);
    uint64_t found =
        whole ? digest_bytes(p->map, p->bytes) : token_manifest_probe(p->map, p->bytes);
    uint64_t wanted = whole ? row->digest : row->probe;
    REQUIRE(found == wanted, ERR_IO,
            "%s was changed after it was written: fingerprint %016llx, manifest.json says %016llx",
            p->path, (unsigned long long)found, (unsigned long long)wanted);
    return OK;
}

static status add_prepared(corpus *c, const char *folder, const char *split)
{
    token_manifest *m = &c->info.manifest;
    TRY(token_manifest_read(m, folder));
    c->info.has_manifest = true;
    c->info.format = "prepared";
    REQUIRE(strcmp(m->split, split) == 0, ERR_IO,
            "%s/manifest.json is the %s split; %s was asked for", folder, m->split, split);
    int64_t bytes = 0;
    for (int64_t i = 0; i < m->shards; i++) bytes += m->shard[i].bytes;
    for (int64_t i = 0; i < m->shards; i++) {
        char path[PATH_BYTES + sizeof m->shard[i].name];
        (void)snprintf(path, sizeof path, "%s/%s", folder, m->shard[i].name);
        TRY(add_llmc(c, path));
        TRY(check_shard(&c->part[c->info.files - 1], &m->shard[i], bytes <= whole_check_bytes));
    }
    return OK;
}

/* ---- what a source names ---- */

static bool is_folder(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

static bool ends_with(const char *text, const char *tail)
{
    size_t n = strlen(text), m = strlen(tail);
    return n >= m && strcmp(text + n - m, tail) == 0;
}

static void folder_of(char *out, size_t bytes, const char *file)
{
    (void)snprintf(out, bytes, "%s", file);
    char *slash = strrchr(out, '/');
    if (slash)
        slash[slash == out] = '\0';
    else
        (void)snprintf(out, bytes, ".");
}

void corpus_folder(char *out, size_t bytes, const char *source, const char *split)
{
    char own[PATH_BYTES], below[PATH_BYTES];
    if (strncmp(source, nanogpt, strlen(nanogpt)) == 0) source += strlen(nanogpt);
    (void)snprintf(own, sizeof own, "%s/manifest.json", source);
    (void)snprintf(below, sizeof below, "%s/%s/manifest.json", source, split);
    if (!is_folder(source))
        folder_of(out, bytes, source);
    else if (!file_exists(own) && file_exists(below))
        (void)snprintf(out, bytes, "%s/%s", source, split);
    else
        (void)snprintf(out, bytes, "%s", source);
}

/* every llm.c shard that matches, in the order of names; train and validation shards must not mix
 */
static status add_pattern(corpus *c, const char *pattern)
{
    char folder[PATH_BYTES];
    glob_t found;
    int failed = glob(pattern, 0, NULL, &found);
    if (failed) {
        globfree(&found);
        REQUIRE(failed != GLOB_NOSPACE, ERR_MEMORY, "no memory to list %s", pattern);
        folder_of(folder, sizeof folder, pattern);
        TRY(file_reach(folder)); /* may it be looked into? */
        FAIL(ERR_IO,
             "no token file matches %s (wanted: *.bin, or a manifest.json written by prepare)",
             pattern);
    }
    status s = OK;
    bool train = false, other = false;
    for (size_t i = 0; s == OK && i < found.gl_pathc; i++) {
        const char *path = found.gl_pathv[i], *slash = strrchr(path, '/'),
                   *name = slash ? slash + 1 : path;
        if (strstr(name, "train")) train = true;
        if (strstr(name, "val") || strstr(name, "test")) other = true;
        s = add_llmc(c, path);
    }
    globfree(&found);
    TRY(s);
    REQUIRE(!train || !other, ERR_IO,
            "%s matches training and validation files; name one kind, e.g. .../name_train_*.bin",
            pattern);
    c->info.format = "llm.c";
    return OK;
}

static status add_folder(corpus *c, const char *source, const char *split)
{
    char folder[PATH_BYTES], path[PATH_BYTES + 16];
    corpus_folder(folder, sizeof folder, source, split);
    (void)snprintf(path, sizeof path, "%s/manifest.json", folder);
    if (file_exists(path)) return add_prepared(c, folder, split);
    (void)snprintf(path, sizeof path, "%s/%s/manifest.json", source, split);
    TRY(file_reach(path));
    (void)snprintf(path, sizeof path, "%s/*.bin", source);
    return add_pattern(c, path);
}

/* one file without a manifest: llm.c by its magic, Megatron by the .idx beside it, nanoGPT by its
 * meta.pkl */
static status add_file(corpus *c, const char *path)
{
    char stem[PATH_BYTES], bin[PATH_BYTES + 8], idx[PATH_BYTES + 8], meta[PATH_BYTES + 16];
    (void)snprintf(stem, sizeof stem, "%s", path);
    if (ends_with(stem, ".bin") || ends_with(stem, ".idx")) stem[strlen(stem) - 4] = '\0';
    (void)snprintf(bin, sizeof bin, "%s.bin", stem);
    (void)snprintf(idx, sizeof idx, "%s.idx", stem);
    char *slash = strrchr(stem, '/');
    if (slash) slash[1] = '\0';
    (void)snprintf(meta, sizeof meta, "%smeta.pkl", slash ? stem : "");
    if (file_exists(idx)) return add_megatron(c, bin, idx);

    part *p = NULL;
    TRY(add_part(c, &p, path));
    if (token_file_is_llmc(p->map, p->bytes)) {
        TRY(token_file_llmc(&p->layout, p->map, p->bytes, p->bytes, path));
        c->info.format = "llm.c";
    } else {
        REQUIRE(p->bytes > 0, ERR_IO, "%s is empty", path);
        REQUIRE(file_exists(meta), ERR_IO,
                "%s has no header that says what its tokens are: no llm.c magic, no .idx and no "
                "meta.pkl beside "
                "it. If it is bare uint16 as nanoGPT writes it, name it nanogpt:%s",
                path, path);
        TRY(token_file_nanogpt(&p->layout, p->map, p->bytes, p->bytes, path));
        c->info.format = "nanogpt";
    }
    c->info.tokens += p->layout.tokens;
    return OK;
}

static status add_source(corpus *c, const char *source, const char *split)
{
    char idx[PATH_BYTES];
    if (strncmp(source, nanogpt, strlen(nanogpt)) == 0)
        return add_nanogpt(c, source + strlen(nanogpt));
    if (is_folder(source)) return add_folder(c, source, split);
    if (file_exists(source)) return add_file(c, source);
    (void)snprintf(idx, sizeof idx, "%s.idx", source);
    if (file_exists(idx)) return add_file(c, source);
    if (strpbrk(source, "*?[")) return add_pattern(c, source);
    TRY(file_reach(source));
    FAIL(ERR_IO, "no token file or folder %s (isoflop prepare makes one from text)%s", source,
         nearest_file(source).text);
}

/* ---- what the tokens are, whatever the files are called ---- */

static void set_identity(corpus *c)
{
    sha256 h;
    int64_t bytes = 0;
    sha256_init(&h);
    for (int32_t i = 0; i < c->info.files; i++) bytes += c->part[i].bytes;
    for (int32_t i = 0; i < c->info.files; i++) {
        const part *p = &c->part[i];
        bool whole = bytes <= whole_check_bytes;
        uint64_t print;
        if (c->info.has_manifest) /* checked just now */
            print = c->info.manifest.shard[i].digest;
        else
            print = whole ? digest_bytes(p->map, p->bytes) : token_manifest_probe(p->map, p->bytes);
        sha256_add(&h, &print, sizeof print);
        sha256_add(&h, &p->bytes, sizeof p->bytes);
    }
    uint8_t digest[SHA256_BYTES];
    sha256_end(&h, digest);
    sha256_hex(digest, c->info.identity);
}

status corpus_open(corpus **out, const char *source, const char *split)
{
    corpus *c = calloc(1, sizeof *c);
    REQUIRE(c, ERR_MEMORY, "no memory for a corpus");
    status s = add_source(c, source, split);
    if (s != OK) {
        corpus_close(c);
        return s;
    }
    set_identity(c);
    folder_of(c->info.folder, sizeof c->info.folder, c->info.files ? c->part[0].path : "");
    *out = c;
    return OK;
}

status corpus_tokenizer(tokenizer **out, const char *folder, const token_manifest *m)
{
    char path[PATH_BYTES];
    const char *spec = m && strcmp(m->tokenizer, "bytes") == 0 ? "bytes" : NULL;
    *out = NULL;
    const char *here = folder[0] == '/' ? "" : "./"; /* "bpe:300/..." is no path to a tokenizer */
    for (int i = 0; i < 2 && !spec; i++) {
        (void)snprintf(path, sizeof path, "%s%s%s/tokenizer.json", here, folder, i ? "/.." : "");
        if (access(path, R_OK) == 0) spec = path;
    }
    if (!spec) return OK;
    tokenizer *t;
    TRY(tokenizer_open(&t, spec));
    if (m && strcmp(tokenizer_sha256(t), m->tokenizer_sha256) != 0) {
        status s =
            status_set(ERR_IO, __FILE__, __LINE__,
                       "%s (SHA-256 %.12s...) is not the tokenizer that made %s (%.12s... by "
                       "its manifest.json)",
                       spec, tokenizer_sha256(t), folder, m->tokenizer_sha256);
        tokenizer_close(t);
        return s;
    }
    *out = t;
    return OK;
}

void corpus_close(corpus *c)
{
    if (!c) return;
    for (int32_t i = 0; i < c->info.files; i++) {
        unmap_file(c->part[i].map, c->part[i].bytes);
        free(c->part[i].path);
    }
    token_manifest_deinit(&c->info.manifest);
    free(c->part);
    free(c);
}

const corpus_info *corpus_about(const corpus *c) { return &c->info; }

/* the file that holds token number `at`; empty files hold none */
static int32_t part_of(const corpus *c, int64_t at)
{
    int32_t low = 0, high = c->info.files - 1;
    while (low < high) {
        int32_t middle = low + (high - low + 1) / 2;
        if (c->part[middle].first <= at)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

status corpus_read(const corpus *c, int64_t first, int64_t count, int64_t vocab, int32_t *ids)
{
    ASSERT(first >= 0 && count >= 0 && count <= c->info.tokens && first <= c->info.tokens - count);
    for (int32_t i = part_of(c, first); count > 0; i++) {
        const part *p = &c->part[i];
        int64_t from = first - p->first, take = p->layout.tokens - from;
        if (take > count) take = count;
        const uint8_t *tokens = p->map + p->layout.offset;
        for (int64_t j = 0; j < take; j++) {
            int32_t id = token_at(tokens, p->layout.type, from + j);
            int64_t shown = p->layout.type == TOKEN_U32 ? (int64_t)(uint32_t)id : id;
            REQUIRE(id >= 0 && id < vocab, ERR_IO,
                    "%s: token %lld is id %lld, outside the vocabulary of %lld", p->path,
                    (long long)(from + j), (long long)shown, (long long)vocab);
            ids[j] = id;
        }
        ids += take, first += take, count -= take;
    }
    return OK;
}
