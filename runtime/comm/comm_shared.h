/* comm_shared.h — collectives of ranks that can read each other's memory. Private to runtime/comm.
 * comm_thread.c (threads) and comm_mpi.c (processes, a shared window) supply the memory;
 * comm_mpi.c adds a network when there are several such nodes.
 *
 * The buffer of an operation is cut into one slice per rank of the world. On every node, slice r
 * has one handler: the rank r itself on its own node, elsewhere the local rank home[r]. All
 * operations pass the same stages in the order they were started:
 *   start     own data is in place
 *   sum       handlers add their slices over the node's ranks       (needs: all of the node
 * started) exchange  node sums of slice r go to rank r, which adds them in node order     (several
 * nodes) spread    slice r goes from rank r to its handler on every node                (several
 * nodes) copy      every rank copies the slices it lacks from their handlers here    (needs: all
 * spread) How far a rank is in each stage is one counter in its slot, written by that rank alone.
 */
#ifndef COMM_COMM_SHARED_H
#define COMM_COMM_SHARED_H

#include "comm/comm_driver.h"

#include <stdatomic.h>

enum {
    SHARED_QUEUE = 256,          /* operations under way                                */
    SHARED_BOUNCES = 4,          /* of them from plain memory                           */
    SHARED_BOUNCE_BYTES = 16384, /* largest all-reduce that goes through one of them    */
    SHARED_PIECES = 64,          /* comm_alloc                                          */
};

/* Counters of a slot: operations that have passed the stage. */
typedef enum shared_stage { STAGE_START, STAGE_SUM, STAGE_SPREAD, STAGE_COPY, STAGES } shared_stage;

/* What a rank asked for, so that the ranks of a node can compare. */
typedef struct shared_note {
    int64_t count, offset;
    int32_t kind, type, op, piece;
} shared_note;

typedef struct shared_counter {
    _Alignas(64) _Atomic uint64_t passed;
} shared_counter;

/* One per rank in memory that all ranks of the node see; zeroed; written by its owner alone. */
typedef struct shared_slot {
    shared_counter stage[STAGES];
    _Alignas(64) _Atomic int32_t left; /* 1 after comm_close, 2 when that follows a failure */
    shared_note notes[SHARED_QUEUE];
    _Alignas(64) unsigned char bounce[SHARED_BOUNCES][SHARED_BOUNCE_BYTES];
} shared_slot;

typedef struct shared_op {
    comm_call call; /* buf: own memory in a piece, or own bounce       */
    int32_t piece;  /* index, or -1: bounce                            */
    int64_t offset; /* bytes into the piece; number of the bounce      */
    void *plain;    /* where a bounced result goes; NULL: none         */
    int32_t rank;   /* how far the stage under way is: slice ...       */
    int64_t at;     /* ... and element in it                           */
    int64_t block;  /* for the network: the next block                 */
} shared_op;

typedef struct comm_shared comm_shared;

/* Steps of the two network stages; neither blocks. *moved is set when anything happened. */
typedef struct shared_network {
    status (*exchange)(comm_shared *t, shared_op *op, bool *done, bool *moved);
    status (*spread)(comm_shared *t, shared_op *op, bool *done, bool *moved);
    void (*missing)(comm_shared *t, char *text, size_t bytes); /* appends " rank N" of late peers */
} shared_network;

struct comm_shared {
    comm base;
    int32_t local_rank, local_size;
    const int32_t *member;         /* (local_size) ranks of this node                      */
    const int32_t *home;           /* (size) local rank that handles the slice of a rank   */
    shared_slot **slot;            /* (local_size)                                         */
    const shared_network *network; /* NULL: one node                                */
    /* Maps `bytes` of zeros on every rank of the node and tells where: base (local_size). */
    status (*map)(comm_shared *t, char **base, int64_t bytes);
    char **piece[SHARED_PIECES]; /* (local_size) addresses                          */
    int64_t piece_bytes[SHARED_PIECES];
    int32_t piece_count;
    shared_op queue[SHARED_QUEUE];
    uint64_t passed[STAGES];              /* own counters                                        */
    uint64_t exchanged;                   /* between sum and spread; nobody else needs it        */
    uint64_t bounce_free[SHARED_BOUNCES]; /* all must have copied this many before  */
    int32_t bounce_next;
    const void **in; /* (local_size) scratch for comm_reduce                */
    void **out;      /* (local_size)                                        */
    int spins;       /* polls of a wait before the core is given away       */
    bool failed;
    char reason[512];
};

/* A slice of the operation's buffer, in elements (all-gather: bytes). */
typedef struct shared_slice {
    int64_t first, count;
} shared_slice;
shared_slice comm_shared_slice(const comm_shared *t, const shared_op *op, int32_t rank);
/* Bytes of one element of the operation. */
int64_t comm_shared_unit(const shared_op *op);

/* member, home and slot are borrowed. init fills the rest; deinit frees what init and alloc took.
 */
status comm_shared_init(comm_shared *t);
void comm_shared_deinit(comm_shared *t);

/* Tells the ranks of this node that no further call will come from here. */
void comm_shared_leave(comm_shared *t);

/* The entries of comm_driver. */
status comm_shared_alloc(comm *c, void **out, int64_t bytes);
status comm_shared_start(comm *c, comm_request *out, const comm_call *call);
status comm_shared_progress(comm *c);
status comm_shared_wait(comm *c, comm_request request);

#endif
