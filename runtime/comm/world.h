/* world.h — the control plane: who takes part, agreement, small messages, abort.
 * Two implementations: MPI, and self (one rank, no MPI). Nothing here moves tensors: see comm.h.
 * Every call marked COLLECTIVE must be made by all ranks of the world in the same order.        */
#ifndef COMM_WORLD_H
#define COMM_WORLD_H

#include "base/status.h"

#include <stdint.h>

typedef struct world world;

/* Joins the MPI job when a launcher started this process (mpirun, srun --mpi=pmix), else is alone.
 * MPI_THREAD_FUNNELED. COLLECTIVE. The caller closes. */
status world_open(world **out);
/* Always a world of one rank, without MPI. */
status world_open_self(world **out);
/* NULL is a no-op. COLLECTIVE. */
void world_close(world *w);

int32_t world_rank(const world *w);
int32_t world_size(const world *w);
int32_t world_local_rank(const world *w);  /* among the ranks of this node */
int32_t world_local_size(const world *w);
int32_t world_nodes(const world *w);
const char *world_describe(const world *w); /* "Open MPI 4.1.4", "self"; borrowed */

/* Barrier and verdict: OK only if every rank passes OK; otherwise all ranks get the code of the
 * lowest failing rank, and its message ("rank 2: ..." when ranks > 1). COLLECTIVE. */
status world_agree(world *w, status mine);
/* True on a rank only once after a failed agree: the rank that should print. Rank 0 prints. */
status world_barrier(world *w);
/* bytes from rank root to all. COLLECTIVE. */
status world_broadcast(world *w, void *bytes, int64_t count, int32_t root);
/* each rank gives bytes; all receive size x bytes in rank order. COLLECTIVE. */
status world_gather(world *w, void *all, const void *mine, int64_t bytes);
/* Ends every rank with this exit code; prints status_message() once. Does not return. */
_Noreturn void world_abort(world *w, status code);
/* Ranks with the same colour form a world of their own, ordered by rank. COLLECTIVE. Caller closes. */
status world_split(world *w, world **out, int32_t colour);

#endif
