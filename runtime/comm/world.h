/* world.h — the control plane: who takes part, agreement, small messages, abort.
 * Two implementations: MPI, and self (one rank, no MPI). Nothing here moves tensors: see comm.h.
 * Every call marked COLLECTIVE must be made by all ranks of the world in the same order. Those that
 * return a status fail with ERR_COMM when peers do not arrive within world_set_deadline's time.  */
#ifndef COMM_WORLD_H
#define COMM_WORLD_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct world world;

/* Joins the MPI job when a launcher started this process (mpirun, srun --mpi=pmix), else is alone
 * and does not start MPI. MPI_THREAD_FUNNELED. COLLECTIVE. The caller closes.
 * ERR_CONFIG if a launcher started several ranks that cannot find each other: a build without MPI,
 * or srun without PMIx. */
status world_open(world **out);
/* ERR_CONFIG where a launcher started several ranks that cannot find each other, which some MPIs
 * answer by ending the process; for those who want to say so before. */
status world_launch_check(void);
/* Always a world of one rank, without MPI. */
status world_open_self(world **out);
/* NULL is a no-op. COLLECTIVE. */
void world_close(world *w);

int32_t world_rank(const world *w);
int32_t world_size(const world *w);
int32_t world_local_rank(const world *w); /* among the ranks of this node */
int32_t world_local_size(const world *w);
int32_t world_nodes(const world *w);
int32_t world_node(const world *w); /* of this rank, in [0, nodes): by their lowest ranks */
/* Seconds a collective call waits for its peers; 3600 until set. > 0. */
void world_set_deadline(world *w, double deadline_s);
const char *world_describe(const world *w); /* "Open MPI 4.1.4", "self"; borrowed */

/* Barrier and verdict: OK only if every rank passes OK; otherwise all ranks get the code of the
 * lowest failing rank, and its message ("rank 2: ..." when ranks > 1). COLLECTIVE. */
status world_agree(world *w, status mine);
/* True on the one rank that prints what all ranks know, such as an agreed failure. NULL: no world
 * was opened; then as the launcher numbered the processes. */
bool world_prints(const world *w);
status world_barrier(world *w);
/* bytes from rank root to all. COLLECTIVE. */
status world_broadcast(world *w, void *bytes, int64_t count, int32_t root);
/* each rank gives bytes; all receive size x bytes in rank order. COLLECTIVE. */
status world_gather(world *w, void *all, const void *mine, int64_t bytes);
/* Ends every rank of the job with this exit code; prints status_message() once, also when several
 * ranks of a node come here together. Does not return. */
_Noreturn void world_abort(world *w, status code);
/* Ranks with the same colour form a world of their own, ordered by rank. COLLECTIVE. Caller closes.
 */
status world_split(world *w, world **out, int32_t colour);

#endif
