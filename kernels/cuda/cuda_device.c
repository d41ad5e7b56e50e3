#include "kernels/cuda/cuda_device.h"

#include <stdio.h>
#include <stdlib.h>

enum { HEAD_WIDTH_MOST = 128 };

status cuda_failed(cudaError_t code, const char *call, const char *file, int line)
{
    /* the first error stays until it is read */
    (void)cudaGetLastError();
    return status_set(code == cudaErrorMemoryAllocation ? ERR_MEMORY : ERR_DEVICE, file, line,
                      "%.*s: %s (%s)", (int)strcspn(call, "("), call, cudaGetErrorString(code),
                      cudaGetErrorName(code));
}

/* --- what is in use on the device ----------------------------------------- */

int64_t cuda_used_bytes(const device *d)
{
    (void)d;
    size_t available = 0, total = 0;
    if (cudaMemGetInfo(&available, &total) == cudaSuccess) return (int64_t)(total - available);
    (void)cudaGetLastError();
    return -1;
}

static int64_t grown_since(const device *d, int64_t before)
{
    const int64_t now = cuda_used_bytes(d);
    return now < 0 || before < 0 || now < before ? -1 : now - before;
}

int32_t cuda_parts(const device *d, const op_shapes *shapes, device_part *out)
{
    out[0] = (device_part){"CUDA context", 0, d ? d->grown[START_CONTEXT] : -1};
    out[1] =
        (device_part){"cuBLASLt", linear_library_bytes(shapes), d ? d->grown[START_PRODUCTS] : -1};
    if (!d || !d->dnn) return 2;
    out[2] = (device_part){"cuDNN", dnn_attention_workspace(d->dnn), d->grown[START_ATTENTION]};
    return 3;
}

/* --- opening and closing -------------------------------------------------- */

int32_t cuda_present(char *why, size_t bytes)
{
    int count = 0, driver = 0;
    cudaError_t code = cudaGetDeviceCount(&count);
    if (code == cudaSuccess && count > 0) return count;
    const char *reason = code == cudaSuccess ? "0 devices" : cudaGetErrorString(code);
    if (code != cudaSuccess) (void)cudaGetLastError();
    /* without a driver the runtime calls its version too old */
    if (cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0)
        reason = "no NVIDIA driver: libcuda.so.1 is not here";
    if (why) (void)snprintf(why, bytes, "no GPU was found (%s)", reason);
    return 0;
}

/* A launcher may show each rank its own GPU alone, as number 0; two ranks that meet on one GPU are
 * refused when they are introduced to each other (comm_nccl). */
static status choose_device(int32_t *out, const device_options *options)
{
    char why[200];
    int32_t count = cuda_present(why, sizeof why), rank = options ? options->local_rank : 0;
    REQUIRE(count > 0, ERR_CONFIG, "backend: cuda: %s", why);
    REQUIRE(rank < count || count == 1 || options->share, ERR_CONFIG,
            "local rank %d has no GPU of its own: this node shows %d; start at most %d ranks per "
            "node (--share-gpu lets ranks share one, for tests)",
            rank, count, count);
    *out = rank % count;
    return OK;
}

static status open_staging(cuda_staging *s)
{
    for (int i = 0; i < STAGING_SLOTS; i++) {
        CUDA_TRY(cudaMallocHost((void **)&s->slot[i], STAGING_BYTES));
        CUDA_TRY(cudaEventCreateWithFlags(&s->free[i], cudaEventDisableTiming));
    }
    s->filled = STAGING_BYTES;
    return OK;
}

/* The context is there once the device is asked for anything: what is in use then is its own and
 * that of everybody else on this GPU. */
static status open_context(device *d)
{
    for (int i = 0; i < STARTS; i++) d->grown[i] = -1;
    CUDA_TRY(cudaSetDevice(d->index));
    d->grown[START_CONTEXT] = cuda_used_bytes(d);
    return OK;
}

static status open_products(device *d)
{
    const int64_t before = cuda_used_bytes(d);
    TRY(linear_plans_init(&d->plans));
    d->grown[START_PRODUCTS] = grown_since(d, before);
    return OK;
}

static status open_parts(device *d)
{
    TRY(open_context(d));
    CUDA_TRY(cudaGetDeviceProperties(&d->properties, d->index));
    REQUIRE(d->properties.major >= 8, ERR_CONFIG,
            "backend: cuda: %s is compute capability %d.%d; 8.0 (A100) or newer is needed",
            d->properties.name, d->properties.major, d->properties.minor);
    /* communication goes first when both want the machine */
    int lowest, highest;
    CUDA_TRY(cudaDeviceGetStreamPriorityRange(&lowest, &highest));
    for (int q = 0; q < 2; q++)
        CUDA_TRY(cudaStreamCreateWithPriority(&d->stream[q], cudaStreamNonBlocking,
                                              q == QUEUE_COPY ? highest : lowest));
    for (int i = 0; i < EVENTS_MAX; i++)
        CUDA_TRY(cudaEventCreateWithFlags(&d->event[i], cudaEventDisableTiming));
    for (int i = 0; i < 2; i++) CUDA_TRY(cudaEventCreateWithFlags(&d->timer[i], cudaEventDefault));
    TRY(open_staging(&d->staging));
    CUDA_TRY(cudaMalloc((void **)&d->fault, sizeof *d->fault));
    CUDA_TRY(cudaMallocHost((void **)&d->fault_host, sizeof *d->fault_host));
    CUDA_TRY(cudaMemsetAsync(d->fault, 0, sizeof *d->fault, d->stream[QUEUE_COMPUTE]));
    d->call = (cuda_call){.stream = d->stream[QUEUE_COMPUTE], .fault = d->fault};
    return open_products(d);
}

status cuda_open(device **out, const device_options *options)
{
    device *d = calloc(1, sizeof *d);
    REQUIRE(d, ERR_MEMORY, "cuda: no memory for the device");
    status s = choose_device(&d->index, options);
    if (s == OK) s = open_parts(d);
    if (s != OK) {
        cuda_close(d);
        return s;
    }
    *out = d;
    return OK;
}

void cuda_close(device *d)
{
    if (!d) return;
    for (int q = 0; q < 2; q++)
        if (d->stream[q]) (void)cudaStreamSynchronize(d->stream[q]);
    dnn_attention_close(d->dnn);
    linear_plans_deinit(&d->plans);
    for (int i = 0; i < GRAPHS_MAX; i++)
        if (d->graph[i]) (void)cudaGraphExecDestroy(d->graph[i]);
    for (int i = 0; i < EVENTS_MAX; i++)
        if (d->event[i]) (void)cudaEventDestroy(d->event[i]);
    for (int i = 0; i < 2; i++)
        if (d->timer[i]) (void)cudaEventDestroy(d->timer[i]);
    for (int i = 0; i < STAGING_SLOTS; i++) {
        if (d->staging.free[i]) (void)cudaEventDestroy(d->staging.free[i]);
        if (d->staging.slot[i]) (void)cudaFreeHost(d->staging.slot[i]);
    }
    if (d->fault_host) (void)cudaFreeHost(d->fault_host);
    if (d->fault) (void)cudaFree(d->fault);
    for (int q = 0; q < 2; q++)
        if (d->stream[q]) (void)cudaStreamDestroy(d->stream[q]);
    free(d);
}

/* The number of multiprocessors is part of it: the library's heuristic looks at it. */
void cuda_describe(const device *d, char *text, size_t bytes)
{
    int runtime = 0;
    (void)cudaRuntimeGetVersion(&runtime);
    (void)snprintf(text, bytes, "cuda sm_%d%d, %s, %d SMs, CUDA %d.%d, cuBLASLt %zu, kernels %d",
                   d->properties.major, d->properties.minor, d->properties.name,
                   d->properties.multiProcessorCount, runtime / 1000, runtime % 1000 / 10,
                   cublasLtGetVersion(), CUDA_KERNELS_VERSION);
    if (!d->dnn) return;
    char version[32];
    const size_t used = strlen(text);
    dnn_attention_version(d->dnn, version, sizeof version);
    (void)snprintf(text + used, bytes - used, ", attention of cuDNN %s", version);
}

/* --- attention ------------------------------------------------------------ */

/* Which of its backward kernels always give the same bits is known for the graph that is used here
 * up to compute capability 9. */
enum { DNN_CAPABILITY_MOST = 9 };

status cuda_choose_attention(device *d, const char *wanted, const op_shapes *shapes, char *why,
                             size_t bytes)
{
    char reason[500], version[32];
    const bool dnn = strcmp(wanted, "cudnn") == 0;
    dnn_attention_close(d->dnn);
    d->dnn = NULL;
    if (!dnn) {
        (void)snprintf(why, bytes, "own kernels (%s)",
                       strcmp(wanted, "own") == 0
                           ? "asked for"
                           : "auto: no measurement on a GPU says that cuDNN is faster");
        return OK;
    }
    REQUIRE(d->properties.major <= DNN_CAPABILITY_MOST, ERR_CONFIG,
            "train.attention: cudnn: which of its kernels always give the same bits is not known "
            "for compute capability %d.%d; nearest: own",
            d->properties.major, d->properties.minor);
    const int64_t before = cuda_used_bytes(d);
    status s = dnn_attention_open(&d->dnn, shapes, d->call.stream, NULL);
    if (s != OK) {
        (void)snprintf(reason, sizeof reason, "%s", status_message());
        FAIL(s, "train.attention: cudnn: %s; nearest: own", reason);
    }
    d->grown[START_ATTENTION] = grown_since(d, before);
    dnn_attention_version(d->dnn, version, sizeof version);
    (void)snprintf(why, bytes, "cuDNN %s (asked for), %.1f MiB of scratch", version,
                   (double)dnn_attention_workspace(d->dnn) / 1048576);
    return OK;
}

/* --- memory --------------------------------------------------------------- */

static int64_t piece_256(int64_t bytes) { return (bytes + 255) / 256 * 256; }

int64_t cuda_workspace_bytes(const device *d, const op_shapes *shapes)
{
    return piece_256(linear_library_bytes(shapes)) + piece_256(linear_pieces_bytes(shapes)) +
           piece_256(linear_row_bytes(shapes)) +
           piece_256(d ? dnn_attention_workspace(d->dnn) : 0) +
           piece_256(cuda_launch_workspace(shapes));
}

status cuda_reserve(device *d, void *workspace, int64_t bytes, const op_shapes *shapes)
{
    int64_t need = cuda_workspace_bytes(d, shapes);
    REQUIRE(bytes >= need, ERR_INTERNAL, "cuda: workspace of %lld bytes, these shapes need %lld",
            (long long)bytes, (long long)need);
    REQUIRE((uintptr_t)workspace % 256 == 0, ERR_INTERNAL, "cuda: workspace not 256-byte aligned");
    REQUIRE(shapes->HS <= HEAD_WIDTH_MOST, ERR_CONFIG,
            "model.head_width: %lld; the attention of backend cuda takes at most %d",
            (long long)shapes->HS, HEAD_WIDTH_MOST);
    char *at = workspace;
    if (d->scratch.library_bytes != linear_library_bytes(shapes)) linear_plans_clear(&d->plans);
    d->scratch.library = at;
    d->scratch.library_bytes = linear_library_bytes(shapes);
    at += piece_256(d->scratch.library_bytes);
    d->scratch.pieces = (float *)(void *)at;
    d->scratch.pieces_bytes = linear_pieces_bytes(shapes);
    at += piece_256(d->scratch.pieces_bytes);
    d->scratch.row = (float *)(void *)at;
    at += piece_256(linear_row_bytes(shapes));
    d->dnn_scratch = at;
    d->call.workspace = at + piece_256(dnn_attention_workspace(d->dnn));
    return OK;
}

status cuda_alloc(device *d, void **out, int64_t bytes)
{
    void *memory = NULL;
    size_t size = bytes > 0 ? (size_t)bytes : 1, available = 0, total = 0;
    cudaError_t code = cudaMalloc(&memory, size);
    if (code == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        (void)cudaMemGetInfo(&available, &total);
        FAIL(ERR_MEMORY, "the GPU has %.1f of %.1f MiB free, %.1f MiB are needed",
             (double)available / 1048576, (double)total / 1048576, (double)bytes / 1048576);
    }
    CUDA_TRY(code);
    /* any queue may use it next */
    CUDA_TRY(cudaMemsetAsync(memory, 0, size, d->stream[QUEUE_COMPUTE]));
    CUDA_TRY(cudaStreamSynchronize(d->stream[QUEUE_COMPUTE]));
    *out = memory;
    return OK;
}

void cuda_release(device *d, void *memory, int64_t bytes)
{
    (void)d, (void)bytes;
    (void)cudaFree(memory);
}

/* The next slot, all of it, once the copy that used it last is done. */
static status take_slot(cuda_staging *s, int32_t *slot)
{
    *slot = s->next;
    s->next = (s->next + 1) % STAGING_SLOTS;
    s->filled = STAGING_BYTES;
    CUDA_TRY(cudaEventSynchronize(s->free[*slot]));
    return OK;
}

/* Room for n bytes of an upload, behind those of the last one where it goes in. The rows of a
 * micro-batch are many small uploads: were each to take a slot, the host would wait for the
 * micro-batch before it, and the GPU then for the host. */
static status take_room(cuda_staging *s, int64_t n, int32_t *slot, char **room)
{
    *slot = (s->next + STAGING_SLOTS - 1) % STAGING_SLOTS;
    if (s->filled + n > STAGING_BYTES) {
        TRY(take_slot(s, slot));
        s->filled = 0;
    }
    *room = s->slot[*slot] + s->filled;
    s->filled += piece_256(n);
    return OK;
}

status cuda_upload(device *d, void *to, const void *from_host, int64_t bytes)
{
    cuda_staging *s = &d->staging;
    cudaStream_t stream = d->stream[QUEUE_COMPUTE];
    for (int64_t at = 0; at < bytes; at += STAGING_BYTES) {
        int64_t n = bytes - at < STAGING_BYTES ? bytes - at : STAGING_BYTES;
        int32_t slot;
        char *room;
        TRY(take_room(s, n, &slot, &room));
        memcpy(room, (const char *)from_host + at, (size_t)n);
        CUDA_TRY(cudaMemcpyAsync((char *)to + at, room, (size_t)n, cudaMemcpyHostToDevice, stream));
        CUDA_TRY(cudaEventRecord(s->free[slot], stream));
    }
    return OK;
}

status cuda_download(device *d, void *to_host, const void *from, int64_t bytes)
{
    cuda_staging *s = &d->staging;
    cudaStream_t stream = d->stream[QUEUE_COMPUTE];
    int64_t issued = 0, taken = 0;
    int32_t slots[STAGING_SLOTS];
    /* copies run ahead of the host by the slots there are */
    while (taken < bytes) {
        while (issued < bytes && issued / STAGING_BYTES - taken / STAGING_BYTES < STAGING_SLOTS) {
            int64_t rest = bytes - issued, n = rest < STAGING_BYTES ? rest : STAGING_BYTES;
            int32_t *slot = &slots[issued / STAGING_BYTES % STAGING_SLOTS];
            TRY(take_slot(s, slot));
            CUDA_TRY(cudaMemcpyAsync(s->slot[*slot], (const char *)from + issued, (size_t)n,
                                     cudaMemcpyDeviceToHost, stream));
            CUDA_TRY(cudaEventRecord(s->free[*slot], stream));
            issued += n;
        }
        int64_t rest = bytes - taken, n = rest < STAGING_BYTES ? rest : STAGING_BYTES;
        int32_t slot = slots[taken / STAGING_BYTES % STAGING_SLOTS];
        CUDA_TRY(cudaEventSynchronize(s->free[slot]));
        memcpy((char *)to_host + taken, s->slot[slot], (size_t)n);
        taken += n;
    }
    return OK;
}

status cuda_zero(device *d, void *memory, int64_t bytes)
{
    if (bytes > 0) CUDA_TRY(cudaMemsetAsync(memory, 0, (size_t)bytes, d->stream[QUEUE_COMPUTE]));
    return OK;
}

/* --- queues --------------------------------------------------------------- */

status cuda_event_record(device *d, int32_t event, queue q)
{
    ASSERT(event >= 0 && event < EVENTS_MAX);
    CUDA_TRY(cudaEventRecord(d->event[event], d->stream[q]));
    return OK;
}

status cuda_queue_wait(device *d, queue q, int32_t event)
{
    ASSERT(event >= 0 && event < EVENTS_MAX);
    CUDA_TRY(cudaStreamWaitEvent(d->stream[q], d->event[event], 0));
    return OK;
}

status cuda_sync(device *d)
{
    static const char *const names[] = {"", "embed", "embed_backward", "head"};
    CUDA_TRY(cudaMemcpyAsync(d->fault_host, d->fault, sizeof *d->fault, cudaMemcpyDeviceToHost,
                             d->stream[QUEUE_COMPUTE]));
    CUDA_TRY(cudaStreamSynchronize(d->stream[QUEUE_COMPUTE]));
    const cuda_fault *f = d->fault_host;
    if (f->op == CUDA_FAULT_NONE) return OK;
    /* told once, as the other backends do */
    CUDA_TRY(cudaMemsetAsync(d->fault, 0, sizeof *d->fault, d->stream[QUEUE_COMPUTE]));
    FAIL(ERR_INTERNAL, "%s: token %d at %lld is outside [0, %lld)", names[f->op], f->id,
         (long long)f->at, (long long)f->limit);
}

/* --- recorded work -------------------------------------------------------- */

status cuda_graph_begin(device *d)
{
    CUDA_TRY(cudaStreamBeginCapture(d->stream[QUEUE_COMPUTE], cudaStreamCaptureModeThreadLocal));
    return OK;
}

status cuda_graph_end(device *d, int32_t graph)
{
    ASSERT(graph >= 0 && graph < GRAPHS_MAX);
    cudaGraph_t recorded = NULL;
    CUDA_TRY(cudaStreamEndCapture(d->stream[QUEUE_COMPUTE], &recorded));
    if (d->graph[graph]) (void)cudaGraphExecDestroy(d->graph[graph]);
    d->graph[graph] = NULL;
    cudaError_t code = cudaGraphInstantiateWithFlags(&d->graph[graph], recorded, 0);
    (void)cudaGraphDestroy(recorded);
    CUDA_TRY(code);
    return OK;
}

status cuda_graph_launch(device *d, int32_t graph)
{
    ASSERT(graph >= 0 && graph < GRAPHS_MAX && d->graph[graph]);
    CUDA_TRY(cudaGraphLaunch(d->graph[graph], d->stream[QUEUE_COMPUTE]));
    return OK;
}

void *cuda_native_queue(device *d, queue q) { return d->stream[q]; }

void cuda_bus_id(const device *d, char *text, size_t bytes)
{
    if (cudaDeviceGetPCIBusId(text, (int)bytes, d->index) == cudaSuccess) return;
    (void)cudaGetLastError();
    text[0] = '\0';
}
