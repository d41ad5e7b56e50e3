/* lock.h — one writer per run directory.
 * A file lock on DIR/lock with host, pid, Slurm job and restart count in it. Where the file system
 * has no locks, the holder touches the file every 10 s, and a file untouched for 60 s is free; the
 * age is told by the file system's own clock. The same Slurm job with a higher restart count takes
 * over; whoever was there before finds out at the next lock_held.            */
#ifndef TRAIN_LOCK_H
#define TRAIN_LOCK_H

#include "base/status.h"

typedef struct run_lock run_lock;

/* ERR_IO says who holds it. Without file locks it may wait up to 70 s for a holder that was killed.
 * Starts a thread that touches the file. The caller closes. */
status lock_open(run_lock **out, const char *folder);
/* ERR_IO once another process stands in the file, or the file is gone. NULL: held. */
status lock_held(const run_lock *l);
void lock_close(run_lock *l); /* NULL is a no-op */

#endif
