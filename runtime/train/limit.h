/* limit.h — the seconds a sitting may take: is there room for a checkpoint, and when to write it.
 */
#ifndef TRAIN_LIMIT_H
#define TRAIN_LIMIT_H

#include "comm/world.h"

typedef struct time_limit {
    double end_s;        /* clock_s at which the job is killed; 0 = no limit             */
    double checkpoint_s; /* the slowest seen, or expected from a probe                   */
    double step_s;       /* the slowest step seen                                        */
} time_limit;

/* seconds from now; 0: no limit. */
void limit_init(time_limit *out, double seconds);
/* Every rank writes, syncs and removes a file of at most 32 MiB in folder; the slowest tells how
 * long a checkpoint of own_bytes per rank will take. ERR_CONFIG when the limit leaves no room for
 * one. No-op without a limit. COLLECTIVE. */
status limit_check(time_limit *l, world *w, const char *folder, int64_t own_bytes);
/* True when one more step might leave too little time for the checkpoint. */
bool limit_near(const time_limit *l);

#endif
