/* comm.h — the data plane: collectives over flat buffers, in place.
 * Implementations: self (one rank), threads (ranks are threads of one process; tests), shared
 * (ranks of one node through a shared window), mpi (across nodes). All buffers come from comm_alloc.
 * Every call but comm_progress and the getters is COLLECTIVE: same order, same sizes on all ranks.
 * Integer sums are exact. Float sums go in rank order, so they do not depend on timing, but they do on ranks.
 *
 * Started operations complete in the order they were started. Between start and wait the buffer
 * belongs to the communicator. Collectives carry a deadline (seconds without progress by a peer):
 * beyond it the call fails with ERR_COMM naming the operation, instead of hanging.             */
#ifndef COMM_COMM_H
#define COMM_COMM_H

#include "base/status.h"
#include "base/tensor.h"
#include "comm/world.h"

typedef struct comm comm;
typedef int64_t comm_request; /* from comm_start_*, for comm_wait */

/* Operation of comm_all_reduce. */
typedef enum comm_op { COMM_SUM, COMM_MAX } comm_op;

/* Picks self, shared or mpi from the world's size and nodes. The world must outlive the comm. */
status comm_open(comm **out, world *w, double deadline_s);
/* One rank of `ranks` threads; group is shared by them, made by comm_group_init. For tests. */
typedef struct comm_group comm_group;
status comm_group_open(comm_group **out, int32_t ranks);
void comm_group_close(comm_group *g);
status comm_open_thread(comm **out, comm_group *g, int32_t rank, double deadline_s);
void comm_close(comm *c); /* NULL is a no-op */

int32_t comm_rank(const comm *c);
int32_t comm_size(const comm *c);
const char *comm_name(const comm *c); /* "self", "thread", "shared", "mpi" */

/* Zeroed memory for collectives (node-shared window, registered memory, ...). Freed by comm_close. */
status comm_alloc(comm *c, void **out, int64_t bytes);
/* Bytes comm keeps for itself on this rank (windows' control blocks, bounce buffers). */
int64_t comm_overhead_bytes(const comm *c);

/* buf holds size stripes of `count` elements; afterwards stripe r on rank r is the sum over ranks
 * (the other stripes are undefined). type: DTYPE_I64 or DTYPE_F32. */
status comm_start_reduce_scatter(comm *c, comm_request *out, void *buf, int64_t count, dtype type);
/* buf holds size stripes of `bytes`; stripe r of rank r goes to all. */
status comm_start_all_gather(comm *c, comm_request *out, void *buf, int64_t bytes);
/* element-wise over ranks; I64 and F32 sum, I32/I64/F64 max. */
status comm_start_all_reduce(comm *c, comm_request *out, void *buf, int64_t count, dtype type, comm_op op);
/* Advances started operations without blocking; call it between blocks of compute. */
status comm_progress(comm *c);
status comm_wait(comm *c, comm_request request);

/* start + wait */
status comm_reduce_scatter(comm *c, void *buf, int64_t count, dtype type);
status comm_all_gather(comm *c, void *buf, int64_t bytes);
status comm_all_reduce(comm *c, void *buf, int64_t count, dtype type, comm_op op);
status comm_barrier(comm *c);

#endif
