/* gpu_watch.h — when the states of the GPUs go into the record: at the first step, when one of them
 * begins or stops to be held back, counts an error, or reports a fault (XID), and once a minute. */
#ifndef TRAIN_GPU_WATCH_H
#define TRAIN_GPU_WATCH_H

#include "train/run.h"

/* Starts as zeros. */
typedef struct gpu_watch {
    double written_s;
    uint64_t alarms; /* digest of what matters, as written last */
} gpu_watch;

/* After a step, on rank 0: now? Never without the library. */
bool gpu_watch_due(gpu_watch *w, const run *r);

#endif
