/* replay.h — micro-batches whose every call is the same from step to step, recorded once as a graph
 * of the device and then launched whole: one launch in place of hundreds. A micro-batch whose
 * weights are still arriving, or beside which reductions go on, is not recorded: the other rank's
 * part of it belongs to no graph. So nothing here is collective. Flow: transformer -> replay ->
 * step.                                                          */
#ifndef TRAIN_REPLAY_H
#define TRAIN_REPLAY_H

#include "model/transformer.h"

enum { REPLAY_KINDS = 2 };

typedef struct replay {
    bool on;
    bool warm; /* every op has run once with its shapes: a step is behind */
    bool recorded[REPLAY_KINDS];
} replay;

/* wanted: the user did not switch it off. On a host backend it is off. */
void replay_init(replay *out, const ops *o, bool wanted);
/* transformer_train, or the launch of what it did. Micro-batches of one kind must queue exactly the
 * same calls. Where recording fails the log says why, once, and everything runs call by call. */
status replay_train(replay *p, const transformer *t, int32_t kind, bucket_ready ready,
                    void *context);
/* Once after the micro-batches of a step; some: of them could have been recorded. Where none can,
 * the log says so, once. */
void replay_step(replay *p, bool some);

#endif
