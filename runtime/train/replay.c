#include "train/replay.h"

#include "base/log.h"

#include <stdio.h>

_Static_assert((int)REPLAY_KINDS <= (int)GRAPHS_MAX, "the device keeps a graph per kind");

void replay_init(replay *out, const ops *o, bool wanted)
{
    *out = (replay){.on = wanted && o->graph_begin};
}

static status record(const transformer *t, int32_t kind, bucket_ready ready, void *context)
{
    TRY(t->ops->graph_begin(t->device));
    status s = transformer_train(t, ready, context);
    char first[1024];
    if (s != OK) (void)snprintf(first, sizeof first, "%s", status_message());
    status ended = t->ops->graph_end(t->device, kind);
    /* what failed first is the reason */
    if (s != OK) FAIL(s, "%s", first);
    return ended;
}

status replay_train(replay *p, const transformer *t, int32_t kind, bucket_ready ready,
                    void *context)
{
    ASSERT(kind >= 0 && kind < REPLAY_KINDS);
    /* a table of ops that stands in for the device's may have none */
    if (!p->on || !p->warm || !t->ops->graph_launch) return transformer_train(t, ready, context);
    if (!p->recorded[kind]) {
        p->recorded[kind] = record(t, kind, ready, context) == OK;
        if (p->recorded[kind]) {
            log_info("train", "graphs: %s are launched whole",
                     kind == 0 ? "a step's first micro-batches" : "later micro-batches");
        } else {
            p->on = false;
            log_warn("train", "no graphs, calls are queued one by one: %s", status_message());
            return transformer_train(t, ready, context);
        }
    }
    return t->ops->graph_launch(t->device, kind);
}

void replay_step(replay *p, bool some)
{
    if (p->on && !some) {
        p->on = false;
        log_info("train", "no graphs: communication goes on beside every micro-batch of a rank");
    }
    p->warm = true;
}
