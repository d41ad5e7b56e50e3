/* lock.h — one writer per run directory.
 * A file lock on DIR/lock with host, pid, Slurm job and restart count in it. Where the file system
 * has no locks, a lock file younger than 60 s counts as held. The same Slurm job with a higher
 * restart count takes over.            */
#ifndef TRAIN_LOCK_H
#define TRAIN_LOCK_H

#include "base/status.h"

typedef struct run_lock {
    int fd; /* -1: not held */
    double beat_s;
} run_lock;

/* ERR_IO says who holds it. */
status lock_init(run_lock *out, const char *folder);
/* Shows that the holder lives; at most every 10 s something is done. */
void lock_beat(run_lock *l);
void lock_deinit(run_lock *l);

#endif
