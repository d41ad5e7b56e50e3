#include "base/arena.h"
#include "comm/comm_shared.h"

#include <stdlib.h>

/* What the ranks of a group share: their slots, and the addresses of their memory. */
struct comm_group {
    int32_t ranks;
    int32_t *identity;            /* (ranks) 0, 1, 2, ...              */
    shared_slot **slot;           /* (ranks)                           */
    arena *memory[SHARED_PIECES]; /* (ranks) each written by its rank  */
};

typedef struct comm_thread {
    comm_shared base;
    comm_group *group;
} comm_thread;

status comm_group_open(comm_group **out, int32_t ranks)
{
    ASSERT(ranks > 0);
    comm_group *g = calloc(1, sizeof *g);
    REQUIRE(g, ERR_MEMORY, "out of memory");
    g->ranks = ranks;
    g->identity = calloc((size_t)ranks, sizeof *g->identity);
    g->slot = calloc((size_t)ranks, sizeof *g->slot);
    bool whole = g->identity && g->slot;
    for (int32_t r = 0; whole && r < ranks; r++) {
        g->identity[r] = r;
        g->slot[r] = aligned_alloc(64, sizeof(shared_slot));
        whole = g->slot[r] != NULL;
        if (whole) memset(g->slot[r], 0, sizeof(shared_slot));
    }
    for (int p = 0; whole && p < SHARED_PIECES; p++) {
        g->memory[p] = calloc((size_t)ranks, sizeof(arena));
        whole = g->memory[p] != NULL;
    }
    if (!whole) {
        comm_group_close(g);
        FAIL(ERR_MEMORY, "out of memory");
    }
    *out = g;
    return OK;
}

void comm_group_close(comm_group *g)
{
    if (!g) return;
    for (int32_t r = 0; r < g->ranks; r++) {
        for (int p = 0; p < SHARED_PIECES; p++)
            if (g->memory[p]) arena_deinit(&g->memory[p][r]);
        if (g->slot) free(g->slot[r]);
    }
    for (int p = 0; p < SHARED_PIECES; p++) free(g->memory[p]);
    free(g->slot);
    free(g->identity);
    free(g);
}

/* memory lives as long as the group: a late peer may still read it */
static status thread_map(comm_shared *t, char **base, int64_t bytes)
{
    arena *memory = ((comm_thread *)t)->group->memory[t->piece_count];
    status mine =
        arena_init(&memory[t->local_rank], "communication buffers", bytes > 0 ? bytes : 1);
    int32_t worst = (int32_t)mine;
    TRY(comm_all_reduce(&t->base, &worst, 1, DTYPE_I32, COMM_MAX));
    if (mine != OK) return mine;
    REQUIRE(worst == OK, (status)worst, "a peer has no memory for communication buffers");
    for (int32_t l = 0; l < t->local_size; l++) base[l] = memory[l].base;
    return OK;
}

static void thread_close(comm *c)
{
    comm_shared *t = (comm_shared *)c;
    comm_shared_leave(t);
    comm_shared_deinit(t);
    free(t);
}

status comm_open_thread(comm **out, comm_group *g, int32_t rank, double deadline_s)
{
    static const comm_driver driver = {comm_shared_alloc, comm_shared_start, comm_shared_progress,
                                       comm_shared_wait, thread_close, NULL};
    ASSERT(rank >= 0 && rank < g->ranks && deadline_s > 0);
    comm_thread *self = calloc(1, sizeof *self);
    REQUIRE(self, ERR_MEMORY, "out of memory");
    self->group = g;
    self->base = (comm_shared){.base = {.driver = &driver,
                                        .name = "thread",
                                        .rank = rank,
                                        .size = g->ranks,
                                        .deadline_s = deadline_s,
                                        .overhead_bytes = (int64_t)sizeof(shared_slot)},
                               .local_rank = rank,
                               .local_size = g->ranks,
                               .member = g->identity,
                               .home = g->identity,
                               .slot = g->slot,
                               .map = thread_map};
    status s = comm_shared_init(&self->base);
    if (s != OK) {
        thread_close(&self->base.base);
        return s;
    }
    *out = &self->base.base;
    return OK;
}
