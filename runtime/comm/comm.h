/* comm.h — the data plane: collectives over flat buffers, in place.
 * Implementations: self (one rank), thread (ranks are threads of one process; tests), shared
 * (ranks of one node through a shared window), mpi (windows inside nodes, messages between them),
 * nccl (a GPU per rank; buffers are device memory).
 * Buffers come from comm_alloc, the same piece and offset on all ranks; all-reduce alone also takes
 * plain memory, through a small bounce buffer (meant for small counts).
 * Every call but comm_progress and the getters is COLLECTIVE: same order, same sizes on all ranks;
 * shared and thread compare what the ranks of a node ask for and fail with ERR_INTERNAL otherwise.
 * Integer sums are exact. Float sums go in rank order inside a node, then in node order: they do
 * not depend on timing, but they do on the number of ranks and how they are spread over nodes.
 *
 * Started operations complete in the order they were started. Between start and wait the buffer
 * belongs to the communicator. Start may block while very many (256) operations, or more than four
 * from plain memory, are under way. Collectives carry a deadline (seconds without progress by a
 * peer): beyond it the call fails with ERR_COMM naming the operation and the ranks that are
 * missing, instead of hanging. After a failure every further call fails; only comm_close is left.
 */
#ifndef COMM_COMM_H
#define COMM_COMM_H

#include "base/status.h"
#include "base/tensor.h"
#include "comm/world.h"
#include "kernels/ops.h"

typedef struct comm comm;
typedef int64_t comm_request; /* from comm_start_*, for comm_wait */

/* Operation of comm_all_reduce. */
typedef enum comm_op { COMM_SUM, COMM_MAX } comm_op;

/* Picks self, shared or mpi from the world's size and nodes. The world must outlive the comm.
 * For tests ISOFLOP_COMM (as rank 0 has it) forces "shared", "mpi" (every rank a node of its own)
 * or "mpi:N" (nodes of N ranks); anything else is ERR_CONFIG. COLLECTIVE. Caller closes. */
status comm_open(comm **out, world *w, double deadline_s);
/* The device that computes on the buffers. Borrowed. */
typedef struct comm_device {
    const ops *ops;
    device *device;
    bool share; /* ranks may share a GPU: NCCL is told that each is a host of its own */
} comm_device;
/* As comm_open where the device's memory is host memory; else memory comes from the device, and
 * several ranks talk through NCCL: operations wait for the compute queue as it stood at their
 * start, and run beside it. COLLECTIVE. Caller closes, before the device. */
status comm_open_device(comm **out, world *w, const comm_device *on, double deadline_s);
/* One rank of `ranks` threads; the group is shared by them and closed after the last of them. */
typedef struct comm_group comm_group;
status comm_group_open(comm_group **out, int32_t ranks);
void comm_group_close(comm_group *g);
status comm_open_thread(comm **out, comm_group *g, int32_t rank, double deadline_s);
/* NULL is a no-op. COLLECTIVE unless the comm has failed. */
void comm_close(comm *c);

int32_t comm_rank(const comm *c);
int32_t comm_size(const comm *c);
const char *comm_name(const comm *c); /* "self", "thread", "shared", "mpi", "nccl" */

/* Zeroed memory for collectives (node-shared window, registered memory, ...), aligned to 64 bytes.
 * The same bytes on all ranks; if one rank fails, all do. Freed by comm_close. */
status comm_alloc(comm *c, void **out, int64_t bytes);
/* Bytes comm keeps for itself on this rank (windows' control blocks, bounce buffers); constant. */
int64_t comm_overhead_bytes(const comm *c);

/* buf holds size stripes of `count` elements; afterwards stripe r on rank r is the sum over ranks
 * (the other stripes are undefined). type: DTYPE_I64 or DTYPE_F32. */
status comm_start_reduce_scatter(comm *c, comm_request *out, void *buf, int64_t count, dtype type);
/* buf holds size stripes of `bytes`; stripe r of rank r goes to all. */
status comm_start_all_gather(comm *c, comm_request *out, void *buf, int64_t bytes);
/* element-wise over ranks; I64 and F32 sum, I32/I64/F64 max. */
status comm_start_all_reduce(comm *c, comm_request *out, void *buf, int64_t count, dtype type,
                             comm_op op);
/* Advances started operations without blocking; call it between blocks of compute. */
status comm_progress(comm *c);
/* The buffer may be used: by the host, or, when it is device memory, by what is queued on the
 * compute queue from now on; the host does not wait then. */
status comm_wait(comm *c, comm_request request);
/* comm_wait, and the operation is complete when it returns, also on a device. */
status comm_complete(comm *c, comm_request request);

/* start + complete */
status comm_reduce_scatter(comm *c, void *buf, int64_t count, dtype type);
status comm_all_gather(comm *c, void *buf, int64_t bytes);
status comm_all_reduce(comm *c, void *buf, int64_t count, dtype type, comm_op op);
status comm_barrier(comm *c);

#endif
