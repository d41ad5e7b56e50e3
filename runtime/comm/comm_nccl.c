/* comm_nccl.c — collectives between GPUs. Operations go to the copy queue of the device: each waits
 * for the compute queue as it stood when it was started, and an event after it lets later compute
 * wait for it. The host waits only in comm_complete, by asking: for errors of the communicator, and
 * for time. What has not moved within the deadline is aborted.                                 */
#include "base/clock.h"
#include "comm/comm_driver.h"

#include <cuda_runtime_api.h>
#include <nccl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if NCCL_VERSION_CODE < NCCL_VERSION(2, 19, 0)
#error "NCCL 2.19 or newer is needed"
#endif

enum {
    PIECES_MAX = 64,
    UNDER_WAY = 256, /* events kept; older operations are waited for through younger ones */
    PLAIN_BYTES = 16384,
    NCCL_LEAST = 21900,
    SPINS = 1000,
    REST_NS = 50000,
};

typedef struct comm_nccl {
    comm base;
    comm_device on;
    ncclComm_t nccl;
    cudaStream_t compute, stream;
    cudaEvent_t ready, done[UNDER_WAY];
    comm_request started;
    void *piece[PIECES_MAX];
    int64_t piece_bytes[PIECES_MAX];
    int32_t piece_count;
    void *bounce; /* device memory for all-reduces of plain memory */
    bool failed;
} comm_nccl;

#define CUDA_TRY(call)                                                                             \
    do {                                                                                           \
        cudaError_t cuda_code_ = (call);                                                           \
        if (cuda_code_ != cudaSuccess)                                                             \
            FAIL(ERR_DEVICE, "%.*s: %s", (int)strcspn(#call, "("), #call,                          \
                 cudaGetErrorString(cuda_code_));                                                  \
    } while (0)
#define NCCL_TRY(n, call)                                                                          \
    do {                                                                                           \
        ncclResult_t nccl_code_ = (call);                                                          \
        if (nccl_code_ == ncclInProgress)                                                          \
            TRY(settle((n), #call));                                                               \
        else if (nccl_code_ != ncclSuccess)                                                        \
            return nccl_failed((n), nccl_code_, #call);                                            \
    } while (0)

/* --- failing ---------------------------------------------------------------------------------- */

/* Ends what is under way; nothing more can be asked of the communicator. */
static void give_up(comm_nccl *n)
{
    if (!n->failed && n->nccl) (void)ncclCommAbort(n->nccl);
    n->failed = true;
}

static status nccl_failed(comm_nccl *n, ncclResult_t code, const char *call)
{
    const char *more = n->nccl ? ncclGetLastError(n->nccl) : "";
    (void)status_set(ERR_COMM, __FILE__, __LINE__, "%.*s: %s%s%s", (int)strcspn(call, "("), call,
                     ncclGetErrorString(code), more && more[0] ? ": " : "", more ? more : "");
    give_up(n);
    return ERR_COMM;
}

/* An error that a peer or the network caused meanwhile. */
static status check_state(comm_nccl *n, ncclResult_t *state)
{
    ncclResult_t code = ncclCommGetAsyncError(n->nccl, state);
    if (code != ncclSuccess) return nccl_failed(n, code, "ncclCommGetAsyncError");
    if (*state != ncclSuccess && *state != ncclInProgress)
        return nccl_failed(n, *state, "a collective");
    return OK;
}

/* Keeps the time of one wait: spins first, then leaves the core to others. */
typedef struct patience {
    double start_s;
    int64_t polls;
} patience;

static status keep_waiting(comm_nccl *n, patience *p, const char *what)
{
    if (p->polls++ == 0) p->start_s = clock_s();
    if (p->polls < SPINS) return OK;
    if (clock_s() - p->start_s > n->base.deadline_s) {
        (void)status_set(ERR_COMM, __FILE__, __LINE__,
                         "%.*s: rank %d waited %g s for its peers (limits.collective_deadline_s)",
                         (int)strcspn(what, "("), what, n->base.rank, n->base.deadline_s);
        give_up(n);
        return ERR_COMM;
    }
    (void)nanosleep(&(struct timespec){.tv_nsec = REST_NS}, NULL);
    return OK;
}

/* Until a call that need not block is done. */
static status settle(comm_nccl *n, const char *what)
{
    patience p = {0};
    for (;;) {
        ncclResult_t state;
        TRY(check_state(n, &state));
        if (state == ncclSuccess) return OK;
        TRY(keep_waiting(n, &p, what));
    }
}

static status usable(const comm_nccl *n)
{
    REQUIRE(!n->failed, ERR_COMM, "the communicator between GPUs failed before");
    return OK;
}

/* --- collectives ------------------------------------------------------------------------------ */

static ncclDataType_t nccl_type(dtype type)
{
    switch (type) {
    case DTYPE_F32:
        return ncclFloat32;
    case DTYPE_BF16:
        return ncclBfloat16;
    case DTYPE_I32:
        return ncclInt32;
    case DTYPE_F64:
        return ncclFloat64;
    case DTYPE_I64:
    case DTYPE_U64:
        break;
    }
    return ncclInt64;
}

static status queue_call(comm_nccl *n, const comm_call *call, void *buf)
{
    char *at = buf;
    int64_t rank = n->base.rank;
    size_t count = (size_t)call->count;
    ncclDataType_t type = nccl_type(call->type);
    switch (call->kind) {
    case COMM_REDUCE_SCATTER:
        NCCL_TRY(n, ncclReduceScatter(at, at + rank * call->count * dtype_bytes(call->type), count,
                                      type, ncclSum, n->nccl, n->stream));
        break;
    case COMM_ALL_GATHER:
        NCCL_TRY(n,
                 ncclAllGather(at + rank * call->count, at, count, ncclInt8, n->nccl, n->stream));
        break;
    case COMM_ALL_REDUCE:
        NCCL_TRY(n, ncclAllReduce(at, at, count, type, call->op == COMM_SUM ? ncclSum : ncclMax,
                                  n->nccl, n->stream));
        break;
    }
    return OK;
}

static bool own_memory(const comm_nccl *n, const void *p)
{
    for (int32_t i = 0; i < n->piece_count; i++) {
        const char *base = n->piece[i];
        if ((const char *)p >= base && (const char *)p < base + n->piece_bytes[i]) return true;
    }
    return false;
}

static status start_on(comm_nccl *n, comm_request *out, const comm_call *call, void *buf)
{
    CUDA_TRY(cudaEventRecord(n->ready, n->compute));
    CUDA_TRY(cudaStreamWaitEvent(n->stream, n->ready, 0));
    if (call->count > 0) TRY(queue_call(n, call, buf));
    CUDA_TRY(cudaEventRecord(n->done[n->started % UNDER_WAY], n->stream));
    *out = n->started++;
    return OK;
}

static status nccl_complete(comm *c, comm_request request);

/* Plain memory goes through a small device buffer, at once. */
static status start_plain(comm_nccl *n, comm_request *out, const comm_call *call)
{
    int64_t bytes = call->count * dtype_bytes(call->type);
    REQUIRE(call->kind == COMM_ALL_REDUCE && bytes <= PLAIN_BYTES, ERR_INTERNAL,
            "only all-reduces of up to %d bytes take memory that is not from comm_alloc",
            PLAIN_BYTES);
    TRY(n->on.ops->upload(n->on.device, n->bounce, call->buf, bytes));
    TRY(start_on(n, out, call, n->bounce));
    TRY(nccl_complete(&n->base, *out));
    return n->on.ops->download(n->on.device, call->buf, n->bounce, bytes);
}

static status nccl_start(comm *c, comm_request *out, const comm_call *call)
{
    comm_nccl *n = (comm_nccl *)c;
    TRY(usable(n));
    return own_memory(n, call->buf) ? start_on(n, out, call, call->buf) : start_plain(n, out, call);
}

static status nccl_progress(comm *c)
{
    comm_nccl *n = (comm_nccl *)c;
    ncclResult_t state;
    TRY(usable(n));
    return check_state(n, &state);
}

/* The event of this operation, or of a younger one that took its place. */
static status event_of(const comm_nccl *n, comm_request request, cudaEvent_t *out)
{
    REQUIRE(request >= 0 && request < n->started, ERR_INTERNAL,
            "wait for request %lld, which was not started", (long long)request);
    *out = n->done[request % UNDER_WAY];
    return OK;
}

static status nccl_wait(comm *c, comm_request request)
{
    comm_nccl *n = (comm_nccl *)c;
    cudaEvent_t event = NULL;
    TRY(usable(n));
    TRY(event_of(n, request, &event));
    CUDA_TRY(cudaStreamWaitEvent(n->compute, event, 0));
    return OK;
}

static status nccl_complete(comm *c, comm_request request)
{
    comm_nccl *n = (comm_nccl *)c;
    cudaEvent_t event = NULL;
    patience p = {0};
    TRY(nccl_wait(c, request));
    TRY(event_of(n, request, &event));
    for (;;) {
        cudaError_t code = cudaEventQuery(event);
        if (code == cudaSuccess) return OK;
        if (code != cudaErrorNotReady) CUDA_TRY(code);
        (void)cudaGetLastError();
        ncclResult_t state;
        TRY(check_state(n, &state));
        TRY(keep_waiting(n, &p, "a collective between GPUs"));
    }
}

/* --- memory ----------------------------------------------------------------------------------- */

static status take_memory(comm_nccl *n, void **out, size_t size)
{
    /* what NCCL allocates it can also map for its peers */
    ncclResult_t code = ncclMemAlloc(out, size);
    REQUIRE(code == ncclSuccess, ERR_MEMORY, "no %.1f MiB for communication on this GPU (%s)",
            (double)size / 1048576, ncclGetErrorString(code));
    CUDA_TRY(cudaMemsetAsync(*out, 0, size, n->stream));
    CUDA_TRY(cudaStreamSynchronize(n->stream));
    return OK;
}

static status nccl_alloc(comm *c, void **out, int64_t bytes)
{
    comm_nccl *n = (comm_nccl *)c;
    TRY(usable(n));
    REQUIRE(n->piece_count < PIECES_MAX, ERR_INTERNAL, "more than %d comm_alloc", PIECES_MAX);
    void *memory = NULL;
    status mine = take_memory(n, &memory, bytes > 0 ? (size_t)bytes : 1);
    if (memory) {
        n->piece[n->piece_count] = memory;
        n->piece_bytes[n->piece_count++] = bytes;
    }
    /* if one rank fails, all do */
    int32_t worst = (int32_t)mine;
    status s = comm_all_reduce(c, &worst, 1, DTYPE_I32, COMM_MAX);
    if (mine != OK) return mine;
    TRY(s);
    REQUIRE(worst == OK, (status)worst, "a peer has no memory for communication");
    *out = memory;
    return OK;
}

/* --- opening and closing ---------------------------------------------------------------------- */

/* Where a rank computes; equal places are one GPU. */
typedef struct place {
    char host[64], bus[32];
} place;

static status find_place(place *out)
{
    int index;
    (void)snprintf(out->host, sizeof out->host, "?");
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "r");
    if (f && !fgets(out->host, sizeof out->host, f)) out->host[0] = '?';
    if (f) (void)fclose(f);
    CUDA_TRY(cudaGetDevice(&index));
    CUDA_TRY(cudaDeviceGetPCIBusId(out->bus, sizeof out->bus, index));
    return OK;
}

/* Ranks that meet on one GPU are refused unless that was asked for. */
static status check_places(const comm_nccl *n, const place *all)
{
    for (int32_t a = 0; a < n->base.size && !n->on.share; a++)
        for (int32_t b = 0; b < a; b++)
            REQUIRE(memcmp(&all[a], &all[b], sizeof *all) != 0, ERR_CONFIG,
                    "ranks %d and %d have the same GPU (%s); start one rank per GPU, or pass "
                    "--share-gpu (for tests: slow)",
                    b, a, all[a].bus);
    return OK;
}

static status meet(comm_nccl *n, world *w)
{
    place mine = {{0}, {0}}, *all = calloc((size_t)n->base.size, sizeof *all);
    status s = all ? find_place(&mine) : status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory");
    s = world_agree(w, s);
    if (s == OK) s = world_gather(w, all, &mine, sizeof mine);
    if (s == OK) s = check_places(n, all);
    free(all);
    return s;
}

/* Each rank a host of its own, reached through the loopback: the one way in which NCCL lets ranks
 * share a GPU. It tests what is right, never what is fast. */
static void pretend_hosts(int32_t rank)
{
    static const char *const settings[][2] = {
        {"NCCL_MULTI_RANK_GPU_ENABLE", "1"}, {"NCCL_NET", "Socket"},    {"NCCL_IB_DISABLE", "1"},
        {"NCCL_SOCKET_IFNAME", "lo"},        {"NCCL_P2P_DISABLE", "1"}, {"NCCL_SHM_DISABLE", "1"},
        {"NCCL_NVLS_ENABLE", "0"},           {"NCCL_PROTO", "Simple"},  {"NCCL_ALGO", "Ring"},
        {"NCCL_MAX_NCHANNELS", "2"},
    };
    char host[32];
    (void)snprintf(host, sizeof host, "rank%d", rank);
    (void)setenv("NCCL_HOSTID", host, 1);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        (void)setenv(settings[i][0], settings[i][1], 0);
}

static status check_version(void)
{
    int version = 0;
    REQUIRE(ncclGetVersion(&version) == ncclSuccess && version >= NCCL_LEAST, ERR_CONFIG,
            "the NCCL library is version %d; %d (2.19) or newer is needed", version, NCCL_LEAST);
    return OK;
}

static status open_queues(comm_nccl *n)
{
    n->compute = n->on.ops->native_queue(n->on.device, QUEUE_COMPUTE);
    n->stream = n->on.ops->native_queue(n->on.device, QUEUE_COPY);
    CUDA_TRY(cudaEventCreateWithFlags(&n->ready, cudaEventDisableTiming));
    for (int i = 0; i < UNDER_WAY; i++)
        CUDA_TRY(cudaEventCreateWithFlags(&n->done[i], cudaEventDisableTiming));
    return n->on.ops->alloc(n->on.device, &n->bounce, PLAIN_BYTES);
}

/* All ranks are here. What NCCL takes for itself is measured. */
static status join(comm_nccl *n, world *w)
{
    ncclUniqueId id;
    size_t before = 0, after = 0, total;
    memset(&id, 0, sizeof id);
    status s = OK;
    if (n->base.rank == 0 && ncclGetUniqueId(&id) != ncclSuccess)
        s = status_set(ERR_COMM, __FILE__, __LINE__, "ncclGetUniqueId: %s", ncclGetLastError(NULL));
    TRY(world_agree(w, s));
    TRY(world_broadcast(w, &id, sizeof id, 0));
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    CUDA_TRY(cudaMemGetInfo(&before, &total));
    NCCL_TRY(n, ncclCommInitRankConfig(&n->nccl, n->base.size, id, n->base.rank, &config));
    CUDA_TRY(cudaMemGetInfo(&after, &total));
    n->base.overhead_bytes = PLAIN_BYTES + (before > after ? (int64_t)(before - after) : 0);
    return OK;
}

static void nccl_close(comm *c)
{
    comm_nccl *n = (comm_nccl *)c;
    /* what is still under way is waited for, or given up */
    if (n->nccl && !n->failed && n->started > 0) (void)nccl_complete(c, n->started - 1);
    if (n->nccl && !n->failed) {
        /* other ranks finalize too; a failure here changes nothing any more */
        ncclResult_t code = ncclCommFinalize(n->nccl);
        if (code == ncclSuccess || (code == ncclInProgress && settle(n, "ncclCommFinalize") == OK))
            (void)ncclCommDestroy(n->nccl);
    }
    for (int32_t i = 0; i < n->piece_count; i++) (void)ncclMemFree(n->piece[i]);
    if (n->bounce) n->on.ops->release(n->on.device, n->bounce, PLAIN_BYTES);
    for (int i = 0; i < UNDER_WAY; i++)
        if (n->done[i]) (void)cudaEventDestroy(n->done[i]);
    if (n->ready) (void)cudaEventDestroy(n->ready);
    free(n);
}

status comm_open_nccl(comm **out, world *w, const comm_device *on, double deadline_s)
{
    static const comm_driver driver = {nccl_alloc, nccl_start, nccl_progress,
                                       nccl_wait,  nccl_close, nccl_complete};
    comm_nccl *n = calloc(1, sizeof *n);
    ASSERT(n);
    n->base = (comm){.driver = &driver,
                     .name = "nccl",
                     .rank = world_rank(w),
                     .size = world_size(w),
                     .deadline_s = deadline_s};
    n->on = *on;
    if (on->share) pretend_hosts(n->base.rank);
    status s = meet(n, w);
    if (s == OK) s = world_agree(w, check_version());
    if (s == OK) s = world_agree(w, open_queues(n));
    if (s == OK) s = world_agree(w, join(n, w));
    if (s != OK) {
        nccl_close(&n->base);
        return s;
    }
    *out = &n->base;
    return OK;
}
