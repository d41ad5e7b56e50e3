#include "data/prepare_folder.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const parts_of_ours[] = {"train", "validation", "test", "tokenizer.json"};
enum { PARTS = sizeof parts_of_ours / sizeof *parts_of_ours };

/* calls visit for every entry but . and ..; the first failure ends it */
static status each_entry(const char *folder, status (*visit)(const char *folder, const char *name))
{
    DIR *d = opendir(folder);
    REQUIRE(d, ERR_IO, "cannot list %s: %s", folder, strerror(errno));
    status s = OK;
    for (struct dirent *e; s == OK && (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            s = visit(folder, e->d_name);
    (void)closedir(d);
    return s;
}

static status must_be_empty(const char *folder, const char *name)
{
    REQUIRE(strcmp(name, ".prepare") == 0, ERR_CONFIG,
            "--out %s is not empty (it holds %s); give a new folder, or --force to replace an "
            "earlier prepare",
            folder, name);
    return OK;
}

static status must_be_shard(const char *folder, const char *name)
{
    REQUIRE(strcmp(name, "manifest.json") == 0 || fnmatch("tokens-*.bin", name, 0) == 0, ERR_CONFIG,
            "%s/%s was not written by prepare; --force replaces nothing else", folder, name);
    return OK;
}

static status must_be_ours(const char *folder, const char *name)
{
    char path[1400];
    struct stat about;
    if (strcmp(name, ".prepare") == 0) return OK;
    bool known = false;
    for (int i = 0; i < PARTS; i++) known = known || strcmp(name, parts_of_ours[i]) == 0;
    REQUIRE(known, ERR_CONFIG,
            "--out %s holds %s, which prepare did not write; --force replaces nothing else", folder,
            name);
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    bool is_folder = lstat(path, &about) == 0 && S_ISDIR(about.st_mode);
    return is_folder ? each_entry(path, must_be_shard) : OK;
}

status prepare_folder_init(prepare_folder *f, const char *out, bool force)
{
    *f = (prepare_folder){.lock = -1};
    int n = snprintf(f->out, sizeof f->out, "%s", out);
    REQUIRE(n > 0 && n < (int)sizeof f->out, ERR_CONFIG, "--out: a path of 1 to %zu bytes",
            sizeof f->out - 1);
    (void)snprintf(f->stage, sizeof f->stage, "%s/.prepare", out);
    f->made = access(out, F_OK) != 0;
    TRY(file_make_folder(out));
    f->lock = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(f->lock >= 0, ERR_IO, "cannot open %s: %s", out, strerror(errno));
    int failed = flock(f->lock, LOCK_EX | LOCK_NB), why = errno;
    status s = OK;
    /* a file system without locks is used without one */
    if (failed && why == EWOULDBLOCK)
        s = status_set(ERR_CONFIG, __FILE__, __LINE__, "another prepare is writing to %s", out);
    if (s == OK) s = each_entry(out, force ? must_be_ours : must_be_empty);
    if (s == OK) s = file_remove_folder(f->stage);
    if (s == OK) s = file_make_folder(f->stage);
    if (s == OK) return OK;
    (void)close(f->lock);
    f->lock = -1;
    return s;
}

static status remove_part(const char *path)
{
    struct stat about;
    if (lstat(path, &about) != 0) return OK;
    if (S_ISDIR(about.st_mode)) return file_remove_folder(path);
    REQUIRE(unlink(path) == 0, ERR_IO, "cannot remove %s: %s", path, strerror(errno));
    return OK;
}

status prepare_folder_publish(const prepare_folder *f, const char *const *parts, int32_t count)
{
    char from[1400], to[1400];
    /* everything old first: a mixture of two preparations must never look whole */
    for (int i = 0; i < PARTS; i++) {
        (void)snprintf(to, sizeof to, "%s/%s", f->out, parts_of_ours[i]);
        TRY(remove_part(to));
    }
    for (int32_t i = 0; i < count; i++) {
        (void)snprintf(from, sizeof from, "%s/%s", f->stage, parts[i]);
        (void)snprintf(to, sizeof to, "%s/%s", f->out, parts[i]);
        REQUIRE(rename(from, to) == 0, ERR_IO, "cannot rename %s to %s: %s", from, to,
                strerror(errno));
    }
    return file_sync_folder(f->out);
}

void prepare_folder_deinit(prepare_folder *f)
{
    if (f->lock < 0) return;
    (void)file_remove_folder(f->stage);
    if (f->made) (void)rmdir(f->out); /* stays unless it is empty: nothing was published */
    (void)close(f->lock);
    f->lock = -1;
}
