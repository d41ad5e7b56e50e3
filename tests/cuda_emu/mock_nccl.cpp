/* mock_nccl.cpp — the functions of NCCL that the project calls, over MPI. An operation starts when
 * its stream lets it and is then asked about, so that a rank never sits in one while a peer waits
 * for it elsewhere. A communicator that does not block answers "in progress" now and then, and must
 * be asked until it is not.                                                                     */
#include "mock.h"

#include <mpi.h>
#include <nccl.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

using mock::require;

struct ncclComm {
    MPI_Comm mpi;
    int rank, ranks;
    bool blocking, aborted;
    int busy; /* questions until the last call is done */
    long calls;
};

namespace
{
/* what each piece of ncclMemAlloc took besides */
std::map<void *, void *> rounding;

/* One collective: host copies travel, the result is put where it belongs at the end. */
struct transfer {
    std::vector<char> out, in;
    MPI_Request request = MPI_REQUEST_NULL;
    void *to = nullptr;
    bool hangs = false;
};

size_t width(ncclDataType_t t)
{
    require(t == ncclInt8 || t == ncclInt32 || t == ncclInt64 || t == ncclFloat32 ||
                t == ncclFloat64,
            "nccl: type %d is not known here", t);
    return t == ncclInt8 ? 1 : t == ncclInt32 || t == ncclFloat32 ? 4 : 8;
}
MPI_Datatype mpi_type(ncclDataType_t t)
{
    return t == ncclInt8      ? MPI_INT8_T
           : t == ncclInt32   ? MPI_INT32_T
           : t == ncclInt64   ? MPI_INT64_T
           : t == ncclFloat32 ? MPI_FLOAT
                              : MPI_DOUBLE;
}
MPI_Op mpi_op(ncclRedOp_t op)
{
    require(op == ncclSum || op == ncclMax, "nccl: operation %d is not known here", op);
    return op == ncclSum ? MPI_SUM : MPI_MAX;
}

/* what a call that need not block answers */
ncclResult_t answer(ncclComm *c)
{
    if (c->blocking || !mock::chance(3)) return ncclSuccess;
    c->busy = 2;
    return ncclInProgress;
}
void check_ready(const ncclComm *c)
{
    require(!c->aborted, "nccl: a communicator is used after its end");
    require(c->busy == 0, "nccl: a call before the last one was done (ncclInProgress)");
}

bool hangs_now(const ncclComm *c)
{
    const char *text = getenv("MOCK_HANG");
    int rank;
    long call;
    return text && sscanf(text, "%d:%ld", &rank, &call) == 2 && rank == c->rank && call == c->calls;
}

/* Queues begin(transfer) and, once it is complete, the copy of `in` to `to`. */
ncclResult_t queue(ncclComm *c, cudaStream_t stream, const void *from, size_t from_bytes, void *to,
                   size_t to_bytes,
                   int (*begin)(transfer *, ncclComm *, size_t, MPI_Datatype, MPI_Op), size_t count,
                   MPI_Datatype type, MPI_Op op)
{
    check_ready(c);
    require(mock::on_device(from, from_bytes) && mock::on_device(to, to_bytes),
            "nccl: a buffer is not device memory");
    auto t = std::make_shared<transfer>();
    t->hangs = hangs_now(c);
    t->to = to;
    c->calls++;
    mock::enqueue(
        stream,
        [=] {
            if (t->hangs || c->aborted) return;
            t->out.assign((const char *)from, (const char *)from + from_bytes);
            t->in.resize(to_bytes);
            require(begin(t.get(), c, count, type, op) == MPI_SUCCESS, "nccl: MPI failed");
        },
        [=] {
            int done = 0;
            if (c->aborted) return true;
            if (t->hangs) return false;
            (void)MPI_Test(&t->request, &done, MPI_STATUS_IGNORE);
            if (done) memcpy(t->to, t->in.data(), t->in.size());
            return done != 0;
        });
    return answer(c);
}

int begin_all_reduce(transfer *t, ncclComm *c, size_t count, MPI_Datatype type, MPI_Op op)
{
    return MPI_Iallreduce(t->out.data(), t->in.data(), (int)count, type, op, c->mpi, &t->request);
}
int begin_reduce_scatter(transfer *t, ncclComm *c, size_t count, MPI_Datatype type, MPI_Op op)
{
    return MPI_Ireduce_scatter_block(t->out.data(), t->in.data(), (int)count, type, op, c->mpi,
                                     &t->request);
}
int begin_all_gather(transfer *t, ncclComm *c, size_t count, MPI_Datatype type, MPI_Op)
{
    return MPI_Iallgather(t->out.data(), (int)count, type, t->in.data(), (int)count, type, c->mpi,
                          &t->request);
}

/* The communicator of those that hold this id: each tells its maker, rank 0, who it is in the
 * world, and learns who the others are. */
MPI_Comm join(const ncclUniqueId &id, int ranks, int rank)
{
    int maker, number, self;
    require(sscanf(id.internal, "maker %d number %d", &maker, &number) == 2,
            "nccl: the id did not come from rank 0");
    (void)MPI_Comm_rank(MPI_COMM_WORLD, &self);
    require((rank == 0) == (self == maker), "nccl: rank %d holds the id of another rank 0", rank);
    const int tag = 20000 + number % 5000;
    std::vector<int> members((size_t)ranks, self);
    for (int r = 1; rank == 0 && r < ranks; r++) {
        int told[2]; /* its rank in the communicator, and in the world */
        (void)MPI_Recv(told, 2, MPI_INT, MPI_ANY_SOURCE, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        members[(size_t)told[0]] = told[1];
    }
    for (int r = 1; rank == 0 && r < ranks; r++)
        (void)MPI_Send(members.data(), ranks, MPI_INT, members[(size_t)r], tag + 5000,
                       MPI_COMM_WORLD);
    if (rank != 0) {
        const int told[2] = {rank, self};
        (void)MPI_Send(told, 2, MPI_INT, maker, tag, MPI_COMM_WORLD);
        (void)MPI_Recv(members.data(), ranks, MPI_INT, maker, tag + 5000, MPI_COMM_WORLD,
                       MPI_STATUS_IGNORE);
    }
    MPI_Group world, group;
    MPI_Comm out = MPI_COMM_NULL;
    (void)MPI_Comm_group(MPI_COMM_WORLD, &world);
    (void)MPI_Group_incl(world, ranks, members.data(), &group);
    require(MPI_Comm_create_group(MPI_COMM_WORLD, group, tag, &out) == MPI_SUCCESS,
            "nccl: MPI failed");
    (void)MPI_Group_free(&group);
    (void)MPI_Group_free(&world);
    return out;
}

/* Two ranks on one GPU of one host are refused, as NCCL does; NCCL_HOSTID makes hosts. */
bool duplicate_device(MPI_Comm mpi, int ranks)
{
    struct place {
        char host[64], bus[32];
    } mine = {};
    int device = 0;
    (void)cudaGetDevice(&device);
    (void)snprintf(mine.host, sizeof mine.host, "%s",
                   getenv("NCCL_HOSTID") ? getenv("NCCL_HOSTID") : "this host");
    (void)cudaDeviceGetPCIBusId(mine.bus, sizeof mine.bus, device);
    std::vector<place> all((size_t)ranks);
    (void)MPI_Allgather(&mine, sizeof mine, MPI_BYTE, all.data(), sizeof mine, MPI_BYTE, mpi);
    int same = 0;
    for (const place &p : all) same += memcmp(&p, &mine, sizeof mine) == 0;
    return same > 1;
}
} // namespace

extern "C" {
ncclResult_t ncclGetVersion(int *version)
{
    *version = NCCL_VERSION_CODE;
    return ncclSuccess;
}
const char *ncclGetErrorString(ncclResult_t) { return "pretended NCCL error"; }
const char *ncclGetLastError(ncclComm_t) { return ""; }
/* an id names who made it and which of its communicators it is for */
ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    static int count = 0;
    int maker;
    (void)MPI_Comm_rank(MPI_COMM_WORLD, &maker);
    memset(id, 0, sizeof *id);
    (void)snprintf(id->internal, sizeof id->internal, "maker %d number %d", maker, count++);
    return ncclSuccess;
}
ncclResult_t ncclCommInitRankConfig(ncclComm_t *out, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t *config)
{
    ncclComm *c = new ncclComm{};
    c->mpi = join(id, ranks, rank);
    c->rank = rank;
    c->ranks = ranks;
    c->blocking = config->blocking != 0;
    *out = c;
    if (duplicate_device(c->mpi, ranks)) return ncclInvalidUsage;
    if (c->blocking) return ncclSuccess;
    c->busy = 3;
    return ncclInProgress;
}
ncclResult_t ncclCommGetAsyncError(ncclComm_t c, ncclResult_t *state)
{
    if (c->busy > 0) c->busy--;
    *state = c->busy > 0 ? ncclInProgress : ncclSuccess;
    return ncclSuccess;
}
ncclResult_t ncclCommFinalize(ncclComm_t c)
{
    check_ready(c);
    return answer(c);
}
ncclResult_t ncclCommDestroy(ncclComm_t c)
{
    check_ready(c);
    (void)MPI_Comm_free(&c->mpi);
    delete c;
    return ncclSuccess;
}
/* what is queued ends without a result; the communicator is kept for it */
ncclResult_t ncclCommAbort(ncclComm_t c)
{
    c->aborted = true;
    return ncclSuccess;
}
/* what is taken is a multiple of 2 MiB, in a piece of its own, so that the end is still guarded */
ncclResult_t ncclMemAlloc(void **out, size_t bytes)
{
    const size_t page = 2 << 20;
    void *rest = nullptr;
    if (cudaMalloc(out, bytes) != cudaSuccess) return ncclUnhandledCudaError;
    if (cudaMalloc(&rest, (page - bytes % page) % page) != cudaSuccess) {
        (void)cudaFree(*out);
        return ncclUnhandledCudaError;
    }
    rounding[*out] = rest;
    return ncclSuccess;
}
ncclResult_t ncclMemFree(void *p)
{
    if (cudaFree(rounding[p]) != cudaSuccess) return ncclUnhandledCudaError;
    rounding.erase(p);
    return cudaFree(p) == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError;
}
ncclResult_t ncclAllReduce(const void *from, void *to, size_t count, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t c, cudaStream_t stream)
{
    size_t bytes = count * width(type);
    return queue(c, stream, from, bytes, to, bytes, begin_all_reduce, count, mpi_type(type),
                 mpi_op(op));
}
ncclResult_t ncclReduceScatter(const void *from, void *to, size_t count, ncclDataType_t type,
                               ncclRedOp_t op, ncclComm_t c, cudaStream_t stream)
{
    size_t bytes = count * width(type);
    return queue(c, stream, from, bytes * (size_t)c->ranks, to, bytes, begin_reduce_scatter, count,
                 mpi_type(type), mpi_op(op));
}
ncclResult_t ncclAllGather(const void *from, void *to, size_t count, ncclDataType_t type,
                           ncclComm_t c, cudaStream_t stream)
{
    size_t bytes = count * width(type);
    return queue(c, stream, from, bytes, to, bytes * (size_t)c->ranks, begin_all_gather, count,
                 mpi_type(type), MPI_SUM);
}
}
