/* arena.h — counted memory, one arena per kind (params, grads, state, activations, ...).
 * An arena is sized once, when a run opens; pieces are taken in order and never returned, so the
 * planned bytes can be compared with the used bytes exactly. Memory starts as zeros.           */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

enum { ARENA_ALIGN = 64 }; /* bytes; every piece starts at a multiple of it */

typedef struct arena {
    char *base;       /* NULL while closed                            */
    int64_t bytes;    /* capacity                                     */
    int64_t used;     /* sum of the rounded pieces taken so far       */
    const char *name; /* borrowed; for messages                       */
    bool mapped;      /* base is ours to unmap                        */
} arena;

/* bytes rounded up to ARENA_ALIGN: what one piece costs. */
int64_t arena_piece(int64_t bytes);
/* Reserves bytes (may be 0) of page-aligned zeros with huge pages where the system has them.
 * Fails with ERR_MEMORY, naming the arena. The caller deinits. */
status arena_init(arena *out, const char *name, int64_t bytes);
/* Wraps memory that somebody else owns (a communicator's window, a device buffer). */
void arena_view(arena *out, const char *name, void *base, int64_t bytes);
void arena_deinit(arena *a);
/* Takes the next piece. Asking for more than was planned is a bug: ASSERT. */
void *arena_take(arena *a, int64_t bytes);

#endif
