/* comm_driver.h — what an implementation of comm supplies. Private to runtime/comm.
 * comm.c checks arguments and turns every collective into one comm_call.                        */
#ifndef COMM_COMM_DRIVER_H
#define COMM_COMM_DRIVER_H

#include "comm/comm.h"

typedef enum comm_kind {
    COMM_REDUCE_SCATTER,
    COMM_ALL_GATHER, /* count is in bytes, type is not used */
    COMM_ALL_REDUCE,
} comm_kind;

typedef struct comm_call {
    comm_kind kind;
    dtype type;
    comm_op op;
    int64_t count; /* elements (all-gather: bytes) per stripe; all-reduce: of the whole buffer */
    void *buf;
} comm_call;

typedef struct comm_driver {
    status (*alloc)(comm *c, void **out, int64_t bytes);
    status (*start)(comm *c, comm_request *out, const comm_call *call);
    status (*progress)(comm *c);
    status (*wait)(comm *c, comm_request request);
    void (*close)(comm *c);
    status (*complete)(comm *c, comm_request request); /* NULL: wait does */
} comm_driver;

/* First member of every implementation's struct. */
struct comm {
    const comm_driver *driver;
    const char *name;
    int32_t rank, size;
    double deadline_s;
    int64_t overhead_bytes;
    world *world; /* whose watch looks on; NULL: none */
};

/* What is reached through windows, what through messages. */
typedef enum comm_reach {
    COMM_REACH_SHARED, /* one node, windows only                           */
    COMM_REACH_NODES,  /* windows inside the world's nodes, messages else  */
    COMM_REACH_FORCED, /* tests: pretend that node_ranks ranks make a node */
} comm_reach;

/* on NULL: memory is host memory. */
status comm_open_self(comm **out, const comm_device *on);
/* comm_nccl.c, or nccl_absent.c which refuses. COLLECTIVE. */
status comm_open_nccl(comm **out, world *w, const comm_device *on, double deadline_s);
/* comm_mpi.c, or mpi_absent.c which refuses. COLLECTIVE. */
status comm_open_mpi(comm **out, world *w, comm_reach reach, int32_t node_ranks, double deadline_s);

#endif
