#include "base/file.h"

#include "base/nearest.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { PATH_BYTES = 1200 };

status file_read_at(int fd, const char *path, int64_t offset, void *out, int64_t bytes)
{
    for (int64_t done = 0; done < bytes;) {
        ssize_t n = pread(fd, (char *)out + done, (size_t)(bytes - done), offset + done);
        if (n < 0 && errno == EINTR) continue;
        REQUIRE(n >= 0, ERR_IO, "cannot read %s: %s", path, strerror(errno));
        REQUIRE(n > 0, ERR_IO, "%s ends at byte %lld, expected at least %lld", path,
                (long long)(offset + done), (long long)(offset + bytes));
        done += n;
    }
    return OK;
}

status file_write_at(int fd, const char *path, int64_t offset, const void *from, int64_t bytes)
{
    for (int64_t done = 0; done < bytes;) {
        ssize_t n = pwrite(fd, (const char *)from + done, (size_t)(bytes - done), offset + done);
        if (n < 0 && errno == EINTR) continue;
        REQUIRE(n > 0, ERR_IO, "cannot write %s: %s", path, strerror(n < 0 ? errno : ENOSPC));
        done += n;
    }
    return OK;
}

/* What open said: keeps a regular file, closes anything else. */
static status require_regular(int *fd, const char *path)
{
    struct stat about;
    REQUIRE(*fd >= 0 || errno == EISDIR || errno == ENXIO, ERR_IO, "cannot open %s: %s%s", path,
            strerror(errno), nearest_file(path).text);
    if (*fd >= 0 && fstat(*fd, &about) == 0 && S_ISREG(about.st_mode)) return OK;
    if (*fd >= 0) (void)close(*fd);
    *fd = -1;
    FAIL(ERR_IO, "%s is not a regular file", path);
}

status file_open(int *fd, const char *path)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return require_regular(fd, path);
}

status file_open_write(int *fd, const char *path, int how)
{
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | how, 0666);
    return require_regular(fd, path);
}

static status read_text(char **out, int64_t *bytes, const char *path, int fd, int64_t limit)
{
    struct stat about;
    REQUIRE(fstat(fd, &about) == 0, ERR_IO, "cannot stat %s: %s", path, strerror(errno));
    REQUIRE(about.st_size <= limit, ERR_IO, "%s has %lld bytes; at most %lld are read", path,
            (long long)about.st_size, (long long)limit);
    char *text = malloc((size_t)about.st_size + 1);
    REQUIRE(text, ERR_MEMORY, "no memory to read %s", path);
    status s = file_read_at(fd, path, 0, text, about.st_size);
    if (s != OK) {
        free(text);
        return s;
    }
    text[about.st_size] = '\0';
    *out = text;
    if (bytes) *bytes = about.st_size;
    return OK;
}

status file_read_text(char **out, int64_t *bytes, const char *path, int64_t limit)
{
    int fd;
    TRY(file_open(&fd, path));
    status s = read_text(out, bytes, path, fd, limit);
    (void)close(fd);
    return s;
}

/* 0, or errno. A signal may end the wait on file systems that are programs. */
static int sync_whole(int fd)
{
    while (fsync(fd) != 0)
        if (errno != EINTR) return errno;
    return 0;
}

status file_sync(int fd, const char *path)
{
    const int why = sync_whole(fd);
    REQUIRE(why == 0, ERR_IO, "cannot sync %s: %s", path, strerror(why));
    return OK;
}

status file_sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(fd >= 0, ERR_IO, "cannot open %s: %s", path, strerror(errno));
    const int why = sync_whole(fd);
    (void)close(fd);
    /* some file systems cannot fsync a folder; they order the rename themselves */
    REQUIRE(why == 0 || why == EINVAL, ERR_IO, "cannot sync %s: %s", path, strerror(why));
    return OK;
}

/* path is the file to be, for messages */
static status write_synced(const char *temporary, const char *path, const char *text, int64_t bytes)
{
    const int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0666);
    REQUIRE(fd >= 0, ERR_IO, "cannot create %s: %s", path, strerror(errno));
    status s = file_write_at(fd, path, 0, text, bytes);
    if (s == OK) s = file_sync(fd, path);
    if (close(fd) != 0 && s == OK)
        s = status_set(ERR_IO, __FILE__, __LINE__, "cannot close %s: %s", path, strerror(errno));
    return s;
}

/* Writes beside the file and renames. */
static status replace_file(const char *path, const char *text, int64_t bytes)
{
    char temporary[PATH_BYTES], folder[PATH_BYTES];
    struct timespec now;
    /* a name that no other process uses, on this node or another */
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)snprintf(temporary, sizeof temporary, "%s.tmp-%ld-%ld", path, (long)getpid(),
                   now.tv_nsec);
    (void)snprintf(folder, sizeof folder, "%s", path);
    status s = write_synced(temporary, path, text, bytes);
    if (s == OK && rename(temporary, path) != 0)
        s = status_set(ERR_IO, __FILE__, __LINE__, "cannot rename %s to %s: %s", temporary, path,
                       strerror(errno));
    if (s != OK) (void)unlink(temporary);
    TRY(s);
    char *slash = strrchr(folder, '/');
    if (!slash) return file_sync_folder(".");
    *slash = '\0';
    return file_sync_folder(folder[0] ? folder : "/");
}

status file_write_text(const char *path, const char *text, int64_t bytes)
{
    struct stat about;
    if (lstat(path, &about) != 0) return replace_file(path, text, bytes);
    if (!S_ISLNK(about.st_mode)) {
        /* renaming would put a file in the place of a device */
        REQUIRE(S_ISREG(about.st_mode), ERR_IO, "%s is not a regular file", path);
        return replace_file(path, text, bytes);
    }
    /* nor is a link replaced: it is the file it leads to that is written */
    char *target = realpath(path, NULL);
    REQUIRE(target, ERR_IO, "%s is a link that leads nowhere: %s", path, strerror(errno));
    status s = file_write_text(target, text, bytes);
    free(target);
    return s;
}

static status copy_open(int out, const char *to, int in, const char *from, int64_t bytes)
{
    enum { BLOCK = 1 << 16 };
    uint8_t block[BLOCK];
    for (int64_t at = 0; at < bytes; at += BLOCK) {
        const int64_t n = bytes - at < BLOCK ? bytes - at : BLOCK;
        TRY(file_read_at(in, from, at, block, n));
        TRY(file_write_at(out, to, at, block, n));
    }
    return file_sync(out, to);
}

status file_copy(const char *to, const char *from, int64_t bytes)
{
    int in, out;
    struct stat about;
    TRY(file_open(&in, from));
    status s = file_open_write(&out, to, O_TRUNC);
    if (s == OK) {
        if (bytes < 0) bytes = fstat(in, &about) == 0 ? about.st_size : 0;
        s = copy_open(out, to, in, from, bytes);
        if (close(out) != 0 && s == OK)
            s = status_set(ERR_IO, __FILE__, __LINE__, "cannot close %s: %s", to, strerror(errno));
    }
    (void)close(in);
    return s;
}

status file_make_folder(const char *path)
{
    char part[PATH_BYTES];
    size_t length = strlen(path);
    REQUIRE(length > 0 && length < sizeof part, ERR_IO,
            "the path '%.60s' has %zu bytes; 1 to %zu are possible", path, length, sizeof part - 1);
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            FAIL(ERR_IO, "cannot create the folder %s: %s", part, strerror(errno));
    }
    struct stat about;
    REQUIRE(stat(path, &about) == 0 && S_ISDIR(about.st_mode), ERR_IO,
            "%s exists and is not a folder", path);
    return OK;
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about, (void)kind, (void)where;
    return remove(path);
}

status file_remove_folder(const char *path)
{
    if (!file_exists(path)) return OK;
    REQUIRE(nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0, ERR_IO, "cannot remove %s: %s",
            path, strerror(errno));
    return OK;
}

bool file_exists(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0;
}

status file_reach(const char *path)
{
    struct stat about;
    const bool there = stat(path, &about) == 0;
    if (there && !S_ISDIR(about.st_mode)) return OK;
    if (there && access(path, R_OK | X_OK) == 0) return OK;
    if (!there && (errno == ENOENT || errno == ENOTDIR)) return OK;
    FAIL(ERR_IO, "cannot look %s %s: %s", there ? "into" : "at", path, strerror(errno));
}

int64_t file_free_bytes(const char *path)
{
    struct statvfs fs;
    char above[PATH_BYTES];
    (void)snprintf(above, sizeof above, "%s", path);
    /* what is not there yet will be in the folder that is */
    while (statvfs(above, &fs) != 0) {
        char *slash = strrchr(above, '/');
        if (errno != ENOENT || strcmp(above, ".") == 0) return -1;
        if (!slash)
            (void)snprintf(above, sizeof above, ".");
        else
            slash[slash == above] = '\0';
    }
    return (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
}
