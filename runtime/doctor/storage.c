/* The run directory as the ranks see it: shared, the same, writable, locked, fast. */
#include "base/clock.h"
#include "base/file.h"
#include "doctor/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PROBE_BYTES = 8 << 20, PATIENCE_S = 5, TOKEN = 64 };

/* What one rank found; gathered as bytes. */
typedef struct storage_seen {
    bool token, written, unlocked;
    double seconds;       /* of writing and syncing        */
    double clock_ahead_s; /* of the file server           */
    char error[300];
} storage_seen;

static void path_of(char out[1200], const char *folder, int32_t rank)
{
    if (rank < 0)
        (void)snprintf(out, 1200, "%s/.doctor/token", folder);
    else
        (void)snprintf(out, 1200, "%s/.doctor/rank-%d", folder, rank);
}

/* Rank 0: a text nobody else can guess, synced. */
static status write_token(const char *folder, char token[TOKEN])
{
    char path[1200];
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)snprintf(token, TOKEN, "%lld %ld %ld", (long long)now.tv_sec, now.tv_nsec,
                   (long)getpid());
    (void)snprintf(path, sizeof path, "%s/.doctor", folder);
    TRY(file_make_folder(path));
    path_of(path, folder, -1);
    return file_write_text(path, token, (int64_t)strlen(token));
}

/* File systems may show a new file late: some patience. */
static bool sees_token(const char *folder, const char *token)
{
    char path[1200], *text = NULL;
    int64_t bytes = 0;
    bool seen = false;
    path_of(path, folder, -1);
    for (double start = clock_s(); !seen && clock_s() - start < PATIENCE_S;) {
        if (file_read_text(&text, &bytes, path, TOKEN) == OK) seen = strcmp(text, token) == 0;
        free(text);
        text = NULL;
        if (!seen) (void)usleep(100000);
    }
    return seen;
}

static void write_own(storage_seen *out, const char *folder, int32_t rank)
{
    char path[1200], *piece = calloc(1, PROBE_BYTES);
    struct stat about;
    ASSERT(piece);
    path_of(path, folder, rank);
    double start = clock_s();
    int fd;
    status s = file_open_write(&fd, path, O_TRUNC);
    if (s == OK) s = file_write_at(fd, path, 0, piece, PROBE_BYTES);
    if (s == OK) s = file_sync(fd, path);
    out->seconds = clock_s() - start;
    out->written = s == OK;
    if (s != OK) (void)snprintf(out->error, sizeof out->error, "%.290s", status_message());
    if (fd >= 0 && fstat(fd, &about) == 0)
        out->clock_ahead_s = difftime(about.st_mtime, time(NULL));
    if (fd >= 0) (void)close(fd);
    free(piece);
}

/* Rank 0 holds a lock: another rank must not get it. */
static bool gets_lock(const char *folder)
{
    char path[1200];
    path_of(path, folder, -1);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool got = fd >= 0 && (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK);
    if (fd >= 0) (void)close(fd);
    return got;
}

static void judge(doctor_report *r, const storage_seen *seen, const bool *back, const char *folder)
{
    char where[DOCTOR_TEXT];
    double slowest = 0.0;
    for (int32_t i = 0; i < r->ranks; i++) {
        (void)doctor_at(r, i, where);
        if (!seen[i].token)
            doctor_add(r, "storage", true, where,
                       "put the run directory on a file system all nodes mount (--run, RUN)",
                       "%.180s is not the directory that rank 0 sees", folder);
        if (!seen[i].written)
            doctor_add(r, "storage", true, where,
                       "free space, check quota and permissions, or name another directory",
                       "cannot write: %.280s", seen[i].error);
        if (seen[i].token && seen[i].written && !back[i])
            doctor_add(r, "storage", true, where,
                       "use a file system that is coherent between nodes",
                       "rank 0 does not see what this rank wrote into %.150s", folder);
        if (i > 0 && seen[i].unlocked && seen[i].token)
            doctor_add(r, "storage", false, where,
                       "nothing to do: a heartbeat keeps two jobs apart, a minute later",
                       "file locks do not hold between ranks in %.150s", folder);
        if (seen[i].seconds > slowest) slowest = seen[i].seconds;
        if (seen[i].written && (seen[i].clock_ahead_s > 30 || seen[i].clock_ahead_s < -30))
            doctor_add(r, "clocks", false, where, "start a time service (chrony, ntpd)",
                       "the file system's clock is %.0f s ahead of this node's",
                       seen[i].clock_ahead_s);
    }
    r->write_bytes_per_s = slowest > 0 ? (double)r->ranks * PROBE_BYTES / slowest : 0.0;
}

static void see_back(bool *back, int32_t ranks, const char *folder)
{
    for (int32_t i = 0; i < ranks; i++) {
        char path[1200];
        struct stat about;
        path_of(path, folder, i);
        for (double start = clock_s(); !back[i] && clock_s() - start < PATIENCE_S;) {
            back[i] = stat(path, &about) == 0 && about.st_size == PROBE_BYTES;
            if (!back[i]) (void)usleep(100000);
        }
    }
}

status doctor_storage(doctor_report *r, world *w, const char *folder)
{
    char path[1200], token[TOKEN] = "";
    bool first = world_rank(w) == 0;
    bool existed = file_exists(folder);
    status s = first ? write_token(folder, token) : OK;
    if (s != OK) {
        doctor_add(r, "storage", true, doctor_at(r, 0, (char[DOCTOR_TEXT]){0}),
                   "free space, check quota and permissions, or name another directory",
                   "cannot write: %.280s", status_message());
        token[0] = '\0';
    }
    TRY(world_broadcast(w, token, sizeof token, 0));
    if (!token[0]) return OK;
    path_of(path, folder, -1);
    int fd = first ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd >= 0) (void)flock(fd, LOCK_EX | LOCK_NB);
    TRY(world_barrier(w));
    storage_seen mine = {.token = sees_token(folder, token)};
    write_own(&mine, folder, world_rank(w));
    if (!first) mine.unlocked = gets_lock(folder);
    storage_seen *all = calloc((size_t)r->ranks, sizeof *all);
    bool *back = calloc((size_t)r->ranks, sizeof *back);
    ASSERT(all && back);
    s = world_gather(w, all, &mine, sizeof mine);
    if (s == OK && first) see_back(back, r->ranks, folder);
    if (s == OK) s = world_broadcast(w, back, r->ranks, 0);
    if (s == OK) judge(r, all, back, folder);
    free(all);
    free(back);
    if (fd >= 0) (void)close(fd);
    path_of(path, folder, world_rank(w));
    (void)unlink(path);
    if (s == OK) s = world_barrier(w);
    (void)snprintf(path, sizeof path, "%s/.doctor", folder);
    if (first) (void)file_remove_folder(path);
    /* what was made for the check goes again */
    if (first && !existed) (void)rmdir(folder);
    return s;
}
