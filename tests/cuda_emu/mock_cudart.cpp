/* mock_cudart.cpp — the functions of the CUDA runtime that the project calls; see mock.h. */
#include "mock.h"
#include "cuda_emu.h"

#include <cstdarg>
#include <deque>
#include <map>
#include <set>

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

/* --- the state of the pretended machine --------------------------------------------------------
 */

namespace
{
struct operation {
    std::function<void()> work;
    std::function<bool()> poll;
    std::vector<long> needs;
    bool started = false, done = false;
};
struct block {
    char *map;
    size_t map_bytes, bytes;
};
enum schedule { EAGER, LAZY, AHEAD, RANDOM };

std::deque<operation> operations; /* those from number `first` on */
long first = 0, last_default = -1;
std::set<long> waiting;
std::set<CUstream_st *> streams;
std::map<char *, block> device_memory;
std::map<char *, size_t> pinned_memory;
size_t device_bytes = 0;
cudaError_t last_error = cudaSuccess;
std::mt19937 random_numbers;
int events_open = 0, graphs_open = 0, key = -1;
schedule order = EAGER;

long number_in(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text ? atol(text) : otherwise;
}

/* the host may touch device memory only while queued work runs */
void allow_access(bool allowed)
{
    if (key >= 0) (void)pkey_set(key, allowed ? 0 : PKEY_DISABLE_ACCESS);
}

void report_leaks()
{
    if (device_memory.empty() && pinned_memory.empty() && streams.empty() && events_open == 0 &&
        graphs_open == 0)
        return;
    fprintf(stderr,
            "mock: not freed: %zu pieces of device memory, %zu of pinned memory, %zu streams, "
            "%d events, %d graphs\n",
            device_memory.size(), pinned_memory.size(), streams.size(), events_open, graphs_open);
}

struct machine {
    machine()
    {
        const char *text = getenv("MOCK_SCHED");
        if (text && !strcmp(text, "lazy")) order = LAZY;
        if (text && !strcmp(text, "ahead")) order = AHEAD;
        if (text && !strcmp(text, "rand")) order = RANDOM;
        mock::require(!text || order != EAGER || !strcmp(text, "eager"),
                      "MOCK_SCHED=%s is not one of eager, lazy, ahead, rand", text);
        random_numbers.seed((unsigned)number_in("MOCK_SEED", 1));
        key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
        emu::enqueue = [](cudaStream_t s, std::function<void()> f) {
            mock::enqueue(s, std::move(f));
        };
        atexit(report_leaks);
    }
};
void start() { static machine only; }
cudaError_t fail(cudaError_t e) { return last_error = e; }
} // namespace

struct CUstream_st {
    long last = -1;
    std::vector<long> waits;
    bool blocking = true;
    CUgraph_st *recording = nullptr; /* queued work goes there and does not run */
    bool spoilt = false;             /* by a call that must not come meanwhile  */
};
struct CUevent_st {
    long at = -1;
    CUgraph_st *in = nullptr; /* recorded in a stream that was being recorded */
};
struct CUgraph_st {
    std::vector<std::function<void()>> work;
};
struct CUgraphExec_st {
    std::vector<std::function<void()>> work;
};

namespace
{
CUstream_st default_stream;
CUstream_st *stream_of(cudaStream_t s)
{
    if ((size_t)s <= 2) return &default_stream;
    mock::require(streams.count(s) == 1, "a stream that is not open");
    return s;
}

CUstream_st *recorded = nullptr; /* the one stream that is being recorded */

/* Calls that wait or allocate spoil what is being recorded. */
cudaError_t not_while_recording()
{
    if (!recorded) return cudaSuccess;
    recorded->spoilt = true;
    return fail(cudaErrorStreamCaptureUnsupported);
}

/* --- when operations run ----------------------------------------------------------------------
 */

bool is_done(long id) { return id < first || operations[(size_t)(id - first)].done; }
operation &at(long id) { return operations[(size_t)(id - first)]; }

bool is_ready(long id)
{
    for (long need : at(id).needs)
        if (!is_done(need)) return false;
    return true;
}

/* Starts a ready operation, or asks how it is getting on; true if anything happened. */
bool advance(long id)
{
    bool moved = !at(id).started;
    if (moved) {
        at(id).started = true;
        allow_access(true);
        if (at(id).work) at(id).work();
        allow_access(false);
        at(id).work = nullptr;
    }
    allow_access(true);
    bool done = !at(id).poll || at(id).poll();
    allow_access(false);
    if (!done) return moved;
    at(id).poll = nullptr;
    at(id).done = true;
    waiting.erase(id);
    while (!operations.empty() && operations.front().done) {
        operations.pop_front();
        first++;
    }
    return true;
}

/* One random ready operation; false if none moved. */
bool run_any()
{
    std::vector<long> ready;
    for (long id : waiting)
        if (is_ready(id)) ready.push_back(id);
    return !ready.empty() && advance(ready[random_numbers() % ready.size()]);
}

/* One step towards `id`: the first thing it needs that can run. */
bool run_towards(long id)
{
    std::vector<long> stack{id};
    std::set<long> seen;
    bool moved = false;
    while (!stack.empty() && !moved) {
        long next = stack.back();
        stack.pop_back();
        if (is_done(next) || !seen.insert(next).second) continue;
        if (is_ready(next)) {
            moved = advance(next);
            continue;
        }
        for (long need : at(next).needs) stack.push_back(need);
    }
    return moved;
}

void finish(long id)
{
    while (!is_done(id))
        if (!(order == RANDOM ? run_any() : run_towards(id))) sched_yield();
}
void finish_all()
{
    while (!waiting.empty()) finish(*waiting.begin());
}
} // namespace

void mock::enqueue(cudaStream_t stream, std::function<void()> work, std::function<bool()> poll)
{
    start();
    CUstream_st *s = stream_of(stream);
    if (s->recording) {
        require(!poll, "recording collectives is not known here");
        if (work) s->recording->work.push_back(std::move(work));
        return;
    }
    require(s != &default_stream || !recorded || !recorded->blocking,
            "the default stream is used while a stream that waits for it is recorded");
    operation o;
    o.work = std::move(work);
    o.poll = std::move(poll);
    o.needs = std::move(s->waits);
    s->waits.clear();
    o.needs.push_back(s->last);
    /* what the default stream waits for, and what waits for it */
    if (s == &default_stream) {
        for (auto *other : streams)
            if (other->blocking) o.needs.push_back(other->last);
    } else if (s->blocking) {
        o.needs.push_back(last_default);
    }
    long id = first + (long)operations.size();
    operations.push_back(std::move(o));
    waiting.insert(id);
    s->last = id;
    if (s == &default_stream) last_default = id;
    /* eager work runs now, unless it needs something that is still under way */
    const bool collective = at(id).poll != nullptr;
    if ((order == EAGER || (order == AHEAD && !collective)) && is_ready(id)) (void)advance(id);
    if (order == RANDOM)
        while (random_numbers() % 2 && run_any()) {
        }
}

bool mock::on_device(const void *p, size_t bytes)
{
    auto next = device_memory.upper_bound((char *)p);
    if (next == device_memory.begin()) return false;
    --next;
    return (char *)p + bytes <= next->first + next->second.bytes;
}

bool mock::recording() { return recorded != nullptr; }

void mock::require(bool ok, const char *format, ...)
{
    if (ok) return;
    va_list args;
    va_start(args, format);
    fprintf(stderr, "mock: ");
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

bool mock::chance(unsigned of) { return order == RANDOM && random_numbers() % of == 0; }

/* --- memory -----------------------------------------------------------------------------------
 */

extern "C" {
cudaError_t cudaMalloc(void **out, size_t bytes)
{
    start();
    *out = nullptr;
    if (bytes == 0) return cudaSuccess;
    if (not_while_recording()) return last_error;
    if (device_bytes + bytes > (size_t)number_in("MOCK_MIB", 8192) << 20)
        return fail(cudaErrorMemoryAllocation);
    /* ends where a page begins that nobody may touch */
    size_t page = (size_t)sysconf(_SC_PAGESIZE), taken = (bytes + 255) / 256 * 256;
    size_t whole = (taken + page - 1) / page * page;
    char *map = (char *)mmap(nullptr, whole + page, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) return fail(cudaErrorMemoryAllocation);
    (void)mprotect(map + whole, page, PROT_NONE);
    char *memory = map + whole - taken;
    memset(memory, 0xff, taken);
#if defined(__SANITIZE_ADDRESS__)
    ASAN_POISON_MEMORY_REGION(memory + bytes, taken - bytes);
#endif
    if (key >= 0) (void)pkey_mprotect(map, whole, PROT_READ | PROT_WRITE, key);
    device_memory[memory] = {map, whole + page, bytes};
    device_bytes += bytes;
    *out = memory;
    return cudaSuccess;
}
cudaError_t cudaFree(void *p)
{
    if (!p) return cudaSuccess;
    if (not_while_recording()) return last_error;
    finish_all(); /* as on the device */
    auto found = device_memory.find((char *)p);
    if (found == device_memory.end()) return fail(cudaErrorInvalidValue);
    device_bytes -= found->second.bytes;
#if defined(__SANITIZE_ADDRESS__)
    ASAN_UNPOISON_MEMORY_REGION(found->second.map, found->second.map_bytes);
#endif
    (void)munmap(found->second.map, found->second.map_bytes);
    device_memory.erase(found);
    return cudaSuccess;
}
cudaError_t cudaMallocHost(void **out, size_t bytes)
{
    start();
    if (not_while_recording()) return last_error;
    *out = malloc(bytes);
    if (!*out) return fail(cudaErrorMemoryAllocation);
    memset(*out, 0xff, bytes);
    pinned_memory[(char *)*out] = bytes;
    return cudaSuccess;
}
cudaError_t cudaFreeHost(void *p)
{
    if (not_while_recording()) return last_error;
    finish_all();
    if (pinned_memory.erase((char *)p) == 0) return fail(cudaErrorInvalidValue);
    free(p);
    return cudaSuccess;
}
static bool is_pinned(const void *p, size_t bytes)
{
    auto next = pinned_memory.upper_bound((char *)p);
    if (next == pinned_memory.begin()) return false;
    --next;
    return (char *)p + bytes <= next->first + next->second;
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    mock::require(kind != cudaMemcpyDefault, "cudaMemcpyDefault: say which way");
    if (bytes == 0) return cudaSuccess;
    if (mock::on_device(to, bytes) != to_device || mock::on_device(from, bytes) != from_device)
        return fail(cudaErrorInvalidValue);
    /* pageable memory would make the copy wait for the stream */
    mock::require((to_device || is_pinned(to, bytes)) && (from_device || is_pinned(from, bytes)),
                  "a queued copy of host memory that is not pinned");
    mock::enqueue(stream, [=] { memmove(to, from, bytes); });
    return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    if (bytes == 0) return cudaSuccess;
    if (!mock::on_device(to, bytes)) return fail(cudaErrorInvalidValue);
    mock::enqueue(stream, [=] { memset(to, value, bytes); });
    return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    *total = (size_t)number_in("MOCK_MIB", 8192) << 20;
    *available = *total - device_bytes;
    return cudaSuccess;
}

/* --- streams and events -----------------------------------------------------------------------
 */

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned flags, int)
{
    start();
    *out = new CUstream_st;
    (*out)->blocking = !(flags & cudaStreamNonBlocking);
    streams.insert(*out);
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    finish(stream_of(s)->last);
    streams.erase(s);
    delete s;
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    if (not_while_recording()) return last_error;
    finish(stream_of(s)->last);
    return cudaSuccess;
}
cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    *least = 0;
    *greatest = -5;
    return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned)
{
    start();
    *out = new CUevent_st;
    events_open++;
    return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    delete e;
    events_open--;
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
    e->in = stream_of(s)->recording;
    if (e->in) return cudaSuccess;
    mock::enqueue(s, nullptr);
    e->at = stream_of(s)->last;
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    if (not_while_recording()) return last_error;
    finish(e->at);
    return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t e)
{
    if (not_while_recording()) return last_error;
    if (is_done(e->at)) return cudaSuccess;
    /* asking makes some progress, as time does */
    (void)(order == RANDOM ? run_any() : run_towards(e->at));
    return is_done(e->at) ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t a, cudaEvent_t b)
{
    if (!is_done(a->at) || !is_done(b->at)) return fail(cudaErrorNotReady);
    /* nothing here takes time; a long one keeps bursts short */
    *ms = 10;
    return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned)
{
    CUstream_st *on = stream_of(s);
    if (on->recording && e->in == on->recording) return cudaSuccess;
    /* an event of another time than the one that is recorded, or the other way round */
    if (on->recording) {
        on->spoilt = true;
        return fail(cudaErrorStreamCaptureIsolation);
    }
    mock::require(!e->in, "a stream waits for an event of a recording it is not part of");
    if (e->at >= 0) on->waits.push_back(e->at);
    return cudaSuccess;
}

/* --- recorded work ----------------------------------------------------------------------------
 */

cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode)
{
    CUstream_st *on = stream_of(s);
    mock::require(on != &default_stream && !recorded,
                  "one stream of its own is recorded at a time");
    mock::require(on->waits.empty(), "a recorded stream still has to wait for an event");
    recorded = on;
    on->recording = new CUgraph_st;
    on->spoilt = false;
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *out)
{
    CUstream_st *on = stream_of(s);
    const char *refuses = getenv("MOCK_CAPTURE");
    *out = nullptr;
    if (!on->recording) return fail(cudaErrorIllegalState);
    CUgraph_st *graph = on->recording;
    on->recording = nullptr;
    recorded = nullptr;
    if (on->spoilt || (refuses && !strcmp(refuses, "no"))) {
        delete graph;
        return fail(cudaErrorStreamCaptureInvalidated);
    }
    graphs_open++;
    *out = graph;
    return cudaSuccess;
}
cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *out, cudaGraph_t graph,
                                          unsigned long long)
{
    *out = new CUgraphExec_st{graph->work};
    graphs_open++;
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    graphs_open--;
    return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph)
{
    delete graph;
    graphs_open--;
    return cudaSuccess;
}
/* work of other streams may come between the parts, as on the device */
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t s)
{
    for (const auto &work : graph->work) mock::enqueue(s, work);
    return cudaSuccess;
}

/* --- the machine ------------------------------------------------------------------------------
 */

cudaError_t cudaGetLastError(void)
{
    cudaError_t e = last_error;
    last_error = cudaSuccess;
    return e;
}
const char *cudaGetErrorString(cudaError_t e) { return e ? "pretended error" : "no error"; }
const char *cudaGetErrorName(cudaError_t e)
{
    return e == cudaErrorMemoryAllocation           ? "cudaErrorMemoryAllocation"
           : e == cudaErrorInvalidValue             ? "cudaErrorInvalidValue"
           : e == cudaErrorNoDevice                 ? "cudaErrorNoDevice"
           : e == cudaErrorStreamCaptureUnsupported ? "cudaErrorStreamCaptureUnsupported"
           : e == cudaErrorStreamCaptureIsolation   ? "cudaErrorStreamCaptureIsolation"
           : e == cudaErrorStreamCaptureInvalidated ? "cudaErrorStreamCaptureInvalidated"
                                                    : "cudaError";
}
cudaError_t cudaGetDeviceCount(int *count)
{
    int there = (int)number_in("MOCK_GPUS", 8);
    *count = there > 0 ? there : 0;
    return there > 0 ? cudaSuccess : fail(there ? cudaErrorInsufficientDriver : cudaErrorNoDevice);
}
cudaError_t cudaDriverGetVersion(int *version)
{
    *version = number_in("MOCK_GPUS", 8) < 0 ? 0 : CUDART_VERSION;
    return cudaSuccess;
}
static int current_device = 0;
cudaError_t cudaSetDevice(int device)
{
    current_device = device;
    return cudaSuccess;
}
cudaError_t cudaGetDevice(int *device)
{
    *device = current_device;
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}
/* the suffixed name is the one the toolkit's header redirects to before CUDA 13 */
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *out, int)
{
    memset(out, 0, sizeof *out);
    (void)snprintf(out->name, sizeof out->name, "pretended GPU");
    out->major = 9;
    out->multiProcessorCount = 4;
    out->sharedMemPerBlockOptin = 227 * 1024;
    out->totalGlobalMem = (size_t)number_in("MOCK_MIB", 8192) << 20;
    return cudaSuccess;
}
cudaError_t cudaDeviceGetPCIBusId(char *text, int bytes, int device)
{
    (void)snprintf(text, (size_t)bytes, "0000:%02X:00.0", device);
    return cudaSuccess;
}
}
