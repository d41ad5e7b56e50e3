#include "comm/comm_driver.h"
#include "comm/world_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- which communicator ---------------------------------------------------------------------- */

/* what ISOFLOP_COMM asks for; "" and unset leave the choice to the world */
static status forced_reach(const char *text, const world *w, bool *forced, comm_reach *reach,
                           int32_t *node_ranks)
{
    *forced = text[0] != '\0';
    *reach = world_nodes(w) > 1 ? COMM_REACH_NODES : COMM_REACH_SHARED;
    *node_ranks = 1;
    if (!*forced) return OK;
    bool shared = strcmp(text, "shared") == 0, mpi = strncmp(text, "mpi", 3) == 0;
    char *end = "";
    if (mpi && text[3] == ':') *node_ranks = (int32_t)strtol(text + 4, &end, 10);
    mpi = mpi && (text[3] == '\0' || (text[3] == ':' && *node_ranks > 0 && *end == '\0'));
    REQUIRE(shared || mpi, ERR_CONFIG, "ISOFLOP_COMM: \"%s\" is not one of shared, mpi, mpi:N",
            text);
    REQUIRE(strcmp(world_describe(w), "self") != 0, ERR_CONFIG,
            "ISOFLOP_COMM=%s needs ranks started by mpirun or srun --mpi=pmix", text);
    REQUIRE(!shared || world_nodes(w) == 1, ERR_CONFIG,
            "ISOFLOP_COMM=shared: the ranks are on %d nodes, which share no memory",
            world_nodes(w));
    if (mpi) *reach = COMM_REACH_FORCED;
    return OK;
}

status comm_open(comm **out, world *w, double deadline_s)
{
    REQUIRE(deadline_s > 0, ERR_CONFIG, "collective deadline: %g s is not positive", deadline_s);
    /* rank 0's environment decides for all */
    char text[32] = {0};
    if (getenv("ISOFLOP_COMM")) (void)snprintf(text, sizeof text, "%s", getenv("ISOFLOP_COMM"));
    TRY(world_broadcast(w, text, sizeof text, 0));
    bool forced;
    comm_reach reach;
    int32_t node_ranks;
    TRY(world_agree(w, forced_reach(text, w, &forced, &reach, &node_ranks)));
    if (world_size(w) == 1 && !forced) return comm_open_self(out, NULL);
    TRY(comm_open_mpi(out, w, reach, node_ranks, deadline_s));
    (*out)->world = w;
    return OK;
}

status comm_open_device(comm **out, world *w, const comm_device *on, double deadline_s)
{
    if (!on->ops->native_queue) return comm_open(out, w, deadline_s);
    if (world_size(w) == 1) return comm_open_self(out, on);
    TRY(comm_open_nccl(out, w, on, deadline_s));
    (*out)->world = w;
    return OK;
}

void comm_close(comm *c)
{
    if (c) c->driver->close(c);
}

int32_t comm_rank(const comm *c) { return c->rank; }
int32_t comm_size(const comm *c) { return c->size; }
const char *comm_name(const comm *c) { return c->name; }
int64_t comm_overhead_bytes(const comm *c) { return c->overhead_bytes; }

status comm_alloc(comm *c, void **out, int64_t bytes)
{
    REQUIRE(bytes >= 0, ERR_INTERNAL, "comm_alloc of %lld bytes", (long long)bytes);
    return c->driver->alloc(c, out, bytes);
}

/* --- collectives ----------------------------------------------------------------------------- */

/* the sizes a call may have: not negative, and the whole buffer countable in bytes */
static status check_count(const comm *c, const char *what, int64_t count, int64_t unit_bytes)
{
    REQUIRE(count >= 0 && count <= INT64_MAX / unit_bytes / c->size, ERR_INTERNAL,
            "%s of %lld elements on %d ranks", what, (long long)count, c->size);
    return OK;
}

static status start(comm *c, comm_request *out, const comm_call *call)
{
    world_watch_enter(c->world);
    return c->driver->start(c, out, call);
}

status comm_start_reduce_scatter(comm *c, comm_request *out, void *buf, int64_t count, dtype type)
{
    TRY(check_count(c, "reduce-scatter", count, 8));
    REQUIRE(type == DTYPE_I64 || type == DTYPE_F32, ERR_INTERNAL, "reduce-scatter of dtype %d",
            type);
    comm_call call = {.kind = COMM_REDUCE_SCATTER, .type = type, .count = count, .buf = buf};
    return start(c, out, &call);
}

status comm_start_all_gather(comm *c, comm_request *out, void *buf, int64_t bytes)
{
    TRY(check_count(c, "all-gather", bytes, 1));
    comm_call call = {.kind = COMM_ALL_GATHER, .count = bytes, .buf = buf};
    return start(c, out, &call);
}

status comm_start_all_reduce(comm *c, comm_request *out, void *buf, int64_t count, dtype type,
                             comm_op op)
{
    TRY(check_count(c, "all-reduce", count, 8));
    bool sum = op == COMM_SUM && (type == DTYPE_I64 || type == DTYPE_F32);
    bool max = op == COMM_MAX && (type == DTYPE_I32 || type == DTYPE_I64 || type == DTYPE_F64);
    REQUIRE(sum || max, ERR_INTERNAL, "all-reduce of dtype %d by operation %d", type, op);
    comm_call call = {.kind = COMM_ALL_REDUCE, .type = type, .op = op, .count = count, .buf = buf};
    return start(c, out, &call);
}

status comm_progress(comm *c) { return c->driver->progress(c); }

status comm_wait(comm *c, comm_request request) { return c->driver->wait(c, request); }

status comm_complete(comm *c, comm_request request)
{
    return c->driver->complete ? c->driver->complete(c, request) : comm_wait(c, request);
}

status comm_reduce_scatter(comm *c, void *buf, int64_t count, dtype type)
{
    comm_request request;
    TRY(comm_start_reduce_scatter(c, &request, buf, count, type));
    return comm_complete(c, request);
}

status comm_all_gather(comm *c, void *buf, int64_t bytes)
{
    comm_request request;
    TRY(comm_start_all_gather(c, &request, buf, bytes));
    return comm_complete(c, request);
}

status comm_all_reduce(comm *c, void *buf, int64_t count, dtype type, comm_op op)
{
    comm_request request;
    TRY(comm_start_all_reduce(c, &request, buf, count, type, op));
    return comm_complete(c, request);
}

status comm_barrier(comm *c)
{
    int32_t nothing = 0;
    return comm_all_reduce(c, &nothing, 1, DTYPE_I32, COMM_MAX);
}
