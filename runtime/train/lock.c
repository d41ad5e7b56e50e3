#include "train/lock.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { STALE_S = 60, BEAT_S = 10, PATH_BYTES = 1200 };

typedef struct holder {
    char host[128], job[64];
    long pid, restart;
} holder;

struct run_lock {
    char path[PATH_BYTES];
    int fd;
    holder me;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool started, ending;
};

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

static bool same_holder(const holder *a, const holder *b)
{
    return strcmp(a->host, b->host) == 0 && a->pid == b->pid && strcmp(a->job, b->job) == 0 &&
           a->restart == b->restart;
}

/* Seconds between two touches of a file system, by its own clock. */
static double seconds_between(const struct stat *before, const struct stat *after)
{
    return difftime(after->st_mtim.tv_sec, before->st_mtim.tv_sec) +
           1e-9 * (double)(after->st_mtim.tv_nsec - before->st_mtim.tv_nsec);
}

/* Age of the last beat: a file made now beside it tells the time there. < 0: from the future. */
static bool beat_age(int fd, const char *folder, double *age)
{
    char path[PATH_BYTES];
    struct stat beat, now;
    (void)snprintf(path, sizeof path, "%s/.lock-now-%ld", folder, (long)getpid());
    int probe;
    bool ok = file_open_write(&probe, path, O_TRUNC) == OK && fstat(probe, &now) == 0 &&
              fstat(fd, &beat) == 0;
    if (probe >= 0) {
        (void)unlink(path);
        (void)close(probe);
    }
    if (ok) *age = seconds_between(&beat, &now);
    return ok;
}

/* Without file locks: has the holder stopped touching the file? Waits until that is known, since a
 * holder killed a moment ago looks alive for a minute, and after a clock went backwards for ever.
 */
static bool holder_is_dead(int fd, const char *folder, const holder *other)
{
    struct stat first, now;
    double age = 0.0;
    if (!beat_age(fd, folder, &age) || fstat(fd, &first) != 0) return false;
    if (age > STALE_S) return true;
    log_warn("train", "%s: waiting until process %ld on %s has been silent for %d s", folder,
             other->pid, other->host, STALE_S);
    for (int waited = 0; waited <= STALE_S; waited++) {
        (void)sleep(1);
        if (fstat(fd, &now) != 0 || seconds_between(&first, &now) != 0.0) return false;
        if (beat_age(fd, folder, &age) && age > STALE_S) return true;
    }
    return true;
}

/* May this process write? *alive: the holder may be, and has not heard of it yet. */
static bool may_take(int fd, const char *folder, const holder *me, holder *other, bool *alive)
{
    bool locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
    bool locks_work = locked || errno == EWOULDBLOCK;
    if (!read_holder(fd, other) || locked) return true;
    if (strcmp(other->job, "-") != 0 && strcmp(other->job, me->job) == 0 &&
        me->restart > other->restart) {
        *alive = true;
        return true;
    }
    return !locks_work && holder_is_dead(fd, folder, other);
}

static void *beat(void *context)
{
    run_lock *l = context;
    (void)pthread_mutex_lock(&l->mutex);
    while (!l->ending) {
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += BEAT_S;
        (void)pthread_cond_timedwait(&l->wake, &l->mutex, &until);
        /* a missed beat matters only where file locks do not work, and there only after a minute */
        if (!l->ending) (void)futimens(l->fd, NULL);
    }
    (void)pthread_mutex_unlock(&l->mutex);
    return NULL;
}

static void start_beating(run_lock *l)
{
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&l->wake, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    (void)pthread_mutex_init(&l->mutex, NULL);
    l->started = pthread_create(&l->thread, NULL, beat, l) == 0;
}

static status take(run_lock *l, const char *folder)
{
    char text[300];
    holder other;
    bool alive = false;
    TRY(file_open_write(&l->fd, l->path, 0));
    REQUIRE(may_take(l->fd, folder, &l->me, &other, &alive), ERR_IO,
            "%s is being written by process %ld on %s (job %s); only one run may write a run "
            "directory",
            folder, other.pid, other.host, other.job);
    int length = snprintf(text, sizeof text, "%s %ld %s %ld\n", l->me.host, l->me.pid, l->me.job,
                          l->me.restart);
    REQUIRE(ftruncate(l->fd, 0) == 0, ERR_IO, "cannot write %s: %s", l->path, strerror(errno));
    TRY(file_write_at(l->fd, l->path, 0, text, length));
    /* it looks every second before it writes */
    if (alive) (void)sleep(2);
    return OK;
}

status lock_open(run_lock **out, const char *folder)
{
    run_lock *l = calloc(1, sizeof *l);
    REQUIRE(l, ERR_MEMORY, "no memory for the lock of %s", folder);
    l->me = myself();
    (void)snprintf(l->path, sizeof l->path, "%s/lock", folder);
    status s = take(l, folder);
    if (s != OK) {
        if (l->fd >= 0) (void)close(l->fd);
        free(l);
        return s;
    }
    start_beating(l);
    *out = l;
    return OK;
}

status lock_held(const run_lock *l)
{
    holder now;
    struct stat mine, named;
    if (!l) return OK;
    bool there = fstat(l->fd, &mine) == 0 && stat(l->path, &named) == 0 &&
                 mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
    REQUIRE(there, ERR_IO, "%s was removed while the run was writing there", l->path);
    bool known = read_holder(l->fd, &now);
    REQUIRE(known, ERR_IO, "%s: another process took the run directory over, and has ended",
            l->path);
    REQUIRE(same_holder(&now, &l->me), ERR_IO,
            "%s: process %ld on %s (job %s, restart %ld) took the run directory over", l->path,
            now.pid, now.host, now.job, now.restart);
    return OK;
}

void lock_close(run_lock *l)
{
    if (!l) return;
    (void)pthread_mutex_lock(&l->mutex);
    l->ending = true;
    (void)pthread_cond_signal(&l->wake);
    (void)pthread_mutex_unlock(&l->mutex);
    if (l->started) (void)pthread_join(l->thread, NULL);
    (void)pthread_cond_destroy(&l->wake);
    (void)pthread_mutex_destroy(&l->mutex);
    /* what it says is for people only; the lock itself goes with the file */
    if (lock_held(l) == OK) (void)!ftruncate(l->fd, 0);
    (void)close(l->fd);
    free(l);
}
