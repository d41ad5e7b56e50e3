#include "train/lock.h"
#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_STALE_S = 60, BEAT_S = 10 };

typedef struct holder {
    char host[128], job[64];
    long pid, restart;
} holder;

static long number_from(const char *name)
{
    const char *text = getenv(name);
    return text ? strtol(text, NULL, 10) : 0;
}

static holder myself(void)
{
    holder me = {.pid = (long)getpid(), .restart = number_from("SLURM_RESTART_COUNT")};
    const char *job = getenv("SLURM_JOB_ID");
    (void)snprintf(me.job, sizeof me.job, "%s", job ? job : "-");
    if (gethostname(me.host, sizeof me.host - 1) != 0) (void)snprintf(me.host, sizeof me.host, "?");
    return me;
}

static bool read_holder(int fd, holder *out)
{
    char text[300] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    *out = (holder){0};
    return n > 0 &&
           sscanf(text, "%127s %ld %63s %ld", out->host, &out->pid, out->job, &out->restart) == 4;
}

/* May this process write, given who stands in the file and whether the file lock was got? */
static bool may_take(int fd, bool locked, bool locks_work, const holder *me, holder *other)
{
    struct stat about;
    if (!read_holder(fd, other) || (locks_work && locked)) return true;
    if (strcmp(other->job, "-") != 0 && strcmp(other->job, me->job) == 0 &&
        me->restart > other->restart)
        return true;
    if (locks_work) return false;
    return fstat(fd, &about) == 0 && time(NULL) - about.st_mtime > LOCK_STALE_S;
}

status lock_init(run_lock *out, const char *folder)
{
    char path[1200], text[300];
    holder me = myself(), other;
    (void)snprintf(path, sizeof path, "%s/lock", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    REQUIRE(fd >= 0, ERR_IO, "cannot create %s: %s", path, strerror(errno));
    bool locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
    bool locks_work = locked || errno == EWOULDBLOCK;
    if (!may_take(fd, locked, locks_work, &me, &other)) {
        (void)close(fd);
        FAIL(ERR_IO,
             "%s is being written by process %ld on %s (job %s); only one run may write a run "
             "directory",
             folder, other.pid, other.host, other.job);
    }
    int length =
        snprintf(text, sizeof text, "%s %ld %s %ld\n", me.host, me.pid, me.job, me.restart);
    status s = ftruncate(fd, 0) == 0 ? file_write_at(fd, path, 0, text, length)
                                     : status_set(ERR_IO, __FILE__, __LINE__, "cannot write %s: %s",
                                                  path, strerror(errno));
    if (s != OK) {
        (void)close(fd);
        return s;
    }
    *out = (run_lock){.fd = fd, .beat_s = clock_s()};
    return OK;
}

void lock_beat(run_lock *l)
{
    if (l->fd < 0 || clock_s() - l->beat_s < BEAT_S) return;
    l->beat_s = clock_s();
    /* a missed beat matters only where file locks do not work, and there only after a minute */
    (void)futimens(l->fd, NULL);
}

void lock_deinit(run_lock *l)
{
    if (l->fd >= 0) {
        /* what it says is for people only; the lock itself goes with the file */
        const int cleared = ftruncate(l->fd, 0);
        (void)cleared;
        (void)close(l->fd);
    }
    l->fd = -1;
}
