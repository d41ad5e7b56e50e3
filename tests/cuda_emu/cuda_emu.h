/* cuda_emu.h — runs the kernels of kernels/cuda on the host, thread by thread; for tests only.
 *
 * A .cu file is compiled as C++ (-x c++ -DCUDA_EMU -fno-strict-aliasing). Every CUDA thread of a
 * block is a fiber and blocks run one after another, so barriers, warp operations, atomics and
 * shared memory behave as on the device: threads of a warp run independently of each other, and a
 * *_sync operation waits for exactly the lanes of its mask. bf16 is the toolkit's own cuda_bf16.h.
 *
 * What it finds besides wrong arithmetic:
 *  - barriers that not all threads reach: who waits where is printed, then the process aborts;
 *  - missing barriers: one warp runs as far as it can before the next one starts, in the order
 *    EMU_ORDER=fwd|rev|rand (seed EMU_SEED): a result that depends on it has a race;
 *  - missing waits: an asynchronous copy lands at the wait for it, not before;
 *  - reads of dynamic shared memory nobody wrote (it holds NaNs when a block starts), and with
 *    AddressSanitizer accesses outside of it (it is an exact heap block);
 *  - launches no device would take.
 * What it cannot find: order between blocks, fast approximations, limits of registers. */
#ifndef CUDA_EMU_CUDA_EMU_H
#define CUDA_EMU_CUDA_EMU_H

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <sys/mman.h>
#include <vector>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

#undef __shared__
#undef __launch_bounds__
#undef __global__
#undef __forceinline__
#define __shared__ static thread_local
#define __launch_bounds__(...)
#define __global__          static
#define __forceinline__     inline
#define DYN_SHARED(T, name) T *name = reinterpret_cast<T *>(emu::blk->shared)
#define CUDA_LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                                \
    emu::start(#kernel, (kernel), (grid), (block), (shared_bytes), (stream), __VA_ARGS__)

/* --- context switch: registers the ABI keeps, and the stack pointer -------------------------- */
#if !defined(__x86_64__)
#error "cuda_emu: the context switch is written for x86-64"
#endif
extern "C" void emu_switch(void **save_sp, void *load_sp);
__asm__(".text\n.weak emu_switch\n.type emu_switch,@function\nemu_switch:\n"
        "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
        "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
        "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n"
        ".size emu_switch,.-emu_switch\n");

namespace emu
{
constexpr unsigned WARP = 32, SLOT = 48;
constexpr size_t STACK = 256 * 1024; // address space; pages are committed on use
constexpr size_t SHARED_MAX = 227 * 1024;

enum fiber_state : uint8_t { READY, WAIT_BLOCK, WAIT_WARP, DONE };

struct async_copy {
    void *to;
    const void *from;
    size_t bytes;
};

/* what the lanes of a warp publish for one operation */
typedef unsigned char slots[WARP][SLOT];

/* One meeting per (warp, mask): lanes publish, the last one combines and releases the others.
 * Double-buffered, so that a lane may start the next operation while others still read. */
struct meeting {
    uint32_t mask = 0, arrived = 0, turn = 0;
    alignas(16) slots in[2], out[2];
};

struct fiber {
    void *sp = nullptr;
    char *stack = nullptr;
    fiber_state state = DONE;
    uint3 tid{};
    unsigned linear = 0;
    uint32_t wait_mask = 0;
    const char *what = "";
    std::vector<std::vector<async_copy>> copies; // asynchronous ones, in groups
    void *fake_stack = nullptr;                  // AddressSanitizer's
};

struct block {
    uint3 bid{};
    dim3 grid, dim;
    unsigned n = 0, alive = 0, arrived = 0;
    bool any = false, result = false; // of __syncthreads_or
    char *shared = nullptr;
    std::vector<fiber *> fibers;
    std::vector<std::vector<meeting *>> warps;
    const std::function<void()> *body = nullptr;
    const char *name = "";
    void *sp = nullptr; // of the scheduler
    void *fake_stack = nullptr;
    const void *bottom = nullptr;
    size_t size = 0;
};
inline thread_local block *blk = nullptr;
inline thread_local fiber *cur = nullptr;

[[noreturn]] inline void die(const char *message)
{
    fprintf(stderr, "cuda_emu: %s block (%u,%u,%u) thread (%u,%u,%u): %s\n", blk->name, blk->bid.x,
            blk->bid.y, blk->bid.z, cur->tid.x, cur->tid.y, cur->tid.z, message);
    abort();
}

[[noreturn]] inline void deadlock()
{
    int shown = 0;
    fprintf(stderr, "cuda_emu: %s block (%u,%u,%u): no thread can run\n", blk->name, blk->bid.x,
            blk->bid.y, blk->bid.z);
    for (fiber *f : blk->fibers)
        if (f->state != DONE && shown++ < 40)
            fprintf(stderr, "  thread (%u,%u,%u) waits in %s, mask %08x\n", f->tid.x, f->tid.y,
                    f->tid.z, f->what, f->wait_mask);
    abort();
}

/* --- fibers ---------------------------------------------------------------------------------- */

inline void to_scheduler()
{
    fiber *me = cur;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&me->fake_stack, blk->bottom, blk->size);
#endif
    emu_switch(&me->sp, blk->sp);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(me->fake_stack, &blk->bottom, &blk->size);
#endif
}

inline void wait(fiber_state state, const char *what, uint32_t mask)
{
    cur->state = state;
    cur->what = what;
    cur->wait_mask = mask;
    to_scheduler();
}

inline void release_block()
{
    blk->result = blk->any;
    blk->arrived = 0;
    blk->any = false;
    for (fiber *f : blk->fibers)
        if (f->state == WAIT_BLOCK) f->state = READY;
}

inline void fiber_main()
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, &blk->bottom, &blk->size);
#endif
    for (;;) {
        (*blk->body)();
        cur->copies.clear();
        cur->state = DONE;
        /* a thread that has ended counts as arrived */
        if (--blk->alive && blk->arrived == blk->alive) release_block();
        to_scheduler();
    }
}

inline void resume(fiber *f)
{
    cur = f;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&blk->fake_stack, f->stack, STACK);
#endif
    emu_switch(&blk->sp, f->sp);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(blk->fake_stack, nullptr, nullptr);
#endif
    cur = nullptr;
}

/* a stack above a guard page, entered at fiber_main; stacks begin at different lines of a page, or
 * all would share the same few lines of the cache */
inline fiber *new_fiber(size_t number)
{
    fiber *f = new fiber;
    char *memory = (char *)mmap(nullptr, STACK + 4096, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, 4096, PROT_NONE)) {
        perror("cuda_emu: stack");
        abort();
    }
    f->stack = memory + 4096;
    void **sp = (void **)(f->stack + STACK - 64 - number * 7 % 64 * 64);
    *--sp = nullptr; // a return address that keeps the ABI's alignment
    *--sp = (void *)&fiber_main;
    for (int i = 0; i < 6; i++) *--sp = nullptr;
    f->sp = sp;
    return f;
}
inline void delete_fiber(fiber *f)
{
    munmap(f->stack - 4096, STACK + 4096);
    delete f;
}

/* the fibers of this thread, kept from launch to launch */
struct fiber_pool {
    std::vector<fiber *> fibers;
    ~fiber_pool()
    {
        for (fiber *f : fibers) delete_fiber(f);
    }
};

/* --- meetings of a block and of a warp ------------------------------------------------------- */

inline bool barrier(bool vote, const char *what)
{
    blk->any |= vote;
    if (++blk->arrived == blk->alive) {
        release_block();
        wait(READY, what, 0); // the order of warps decides who goes on
    } else {
        wait(WAIT_BLOCK, what, 0);
    }
    return blk->result;
}

inline meeting *find_meeting(uint32_t mask)
{
    auto &warp = blk->warps[cur->linear / WARP];
    for (meeting *m : warp)
        if (m->mask == mask) return m;
    meeting *m = new meeting;
    m->mask = mask;
    warp.push_back(m);
    return m;
}

typedef void (*combiner)(const slots in, slots out, unsigned lanes);

/* Publishes value; once all lanes of mask have, combine makes out from in (NULL: out is in).
 * Returns the table, valid until this lane's next operation. */
template <class T>
inline const slots *meet(uint32_t mask, const T &value, const char *what, combiner combine)
{
    static_assert(sizeof(T) <= SLOT, "more than a slot");
    unsigned lane = cur->linear % WARP, first = cur->linear - lane;
    unsigned lanes = std::min(WARP, blk->n - first);
    if (!(mask >> lane & 1)) die("its own lane is not in the mask of a warp operation");
    if (lanes < WARP) mask &= (1u << lanes) - 1;
    meeting *m = find_meeting(mask);
    if (m->arrived >> lane & 1) die("a lane arrived twice at one warp operation");
    unsigned turn = m->turn & 1;
    memcpy(m->in[turn][lane], &value, sizeof value);
    m->arrived |= 1u << lane;
    if (m->arrived == mask) {
        m->arrived = 0;
        m->turn++;
        if (combine) combine(m->in[turn], m->out[turn], lanes);
        for (unsigned l = 0; l < lanes; l++) {
            fiber *f = blk->fibers[first + l];
            if ((mask >> l & 1) && f->state == WAIT_WARP && f->wait_mask == mask) f->state = READY;
        }
    } else {
        wait(WAIT_WARP, what, mask);
    }
    return combine ? &m->out[turn] : &m->in[turn];
}

template <class T> inline T shuffle(uint32_t mask, T value, unsigned source, const char *what)
{
    const slots *table = meet(mask, value, what, nullptr);
    T out;
    memcpy(&out, (*table)[source % WARP], sizeof out);
    return out;
}

/* --- launch ---------------------------------------------------------------------------------- */

struct warp_order {
    bool reverse = false, random = false;
    std::mt19937 generator;
    warp_order()
    {
        const char *order = getenv("EMU_ORDER"), *seed = getenv("EMU_SEED");
        reverse = order && strcmp(order, "rev") == 0;
        random = order && strcmp(order, "rand") == 0;
        generator.seed(seed ? (unsigned)atoi(seed) : 1u);
    }
    void arrange(std::vector<unsigned> &v)
    {
        if (random) std::shuffle(v.begin(), v.end(), generator);
    }
    std::vector<unsigned> start(unsigned n)
    {
        std::vector<unsigned> v(n);
        for (unsigned i = 0; i < n; i++) v[i] = reverse ? n - 1 - i : i;
        return v;
    }
};

inline void start_block(size_t index, size_t shared_bytes)
{
    block &b = *blk;
    b.bid = uint3{(unsigned)(index % b.grid.x), (unsigned)(index / b.grid.x % b.grid.y),
                  (unsigned)(index / b.grid.x / b.grid.y)};
    memset(b.shared, 0xff, shared_bytes);
    b.alive = b.n;
    b.arrived = 0;
    b.any = false;
    for (auto &warp : b.warps)
        for (meeting *m : warp) m->arrived = 0;
    for (unsigned t = 0; t < b.n; t++) {
        fiber *f = b.fibers[t];
        f->state = READY;
        f->linear = t;
        f->tid = uint3{t % b.dim.x, t / b.dim.x % b.dim.y, t / b.dim.x / b.dim.y};
    }
}

/* one warp as far as it can, then the next */
inline void run_block(warp_order &order, std::vector<unsigned> &warps, std::vector<unsigned> &lanes)
{
    while (blk->alive) {
        bool ran = false;
        order.arrange(warps);
        for (unsigned w : warps)
            for (bool again = true; again;) {
                again = false;
                order.arrange(lanes);
                for (unsigned l : lanes) {
                    unsigned t = w * WARP + l;
                    if (t >= blk->n || blk->fibers[t]->state != READY) continue;
                    again = ran = true;
                    resume(blk->fibers[t]);
                }
            }
        if (!ran) deadlock();
    }
}

inline void run_grid(const char *name, dim3 grid, dim3 dim, size_t shared_bytes,
                     const std::function<void()> &body)
{
    static thread_local fiber_pool pool;
    static thread_local warp_order order;
    block b;
    b.name = name;
    b.grid = grid;
    b.dim = dim;
    b.n = dim.x * dim.y * dim.z;
    b.body = &body;
    while (pool.fibers.size() < b.n) pool.fibers.push_back(new_fiber(pool.fibers.size()));
    b.fibers.assign(pool.fibers.begin(), pool.fibers.begin() + b.n);
    b.warps.resize((b.n + WARP - 1) / WARP);
    b.shared = (char *)malloc(shared_bytes ? shared_bytes : 1);
    blk = &b;
    std::vector<unsigned> warps = order.start((unsigned)b.warps.size()), lanes = order.start(WARP);
    size_t blocks = (size_t)grid.x * grid.y * grid.z;
    for (size_t i = 0; i < blocks; i++) {
        start_block(order.reverse ? blocks - 1 - i : i, shared_bytes);
        run_block(order, warps, lanes);
    }
    free(b.shared);
    for (auto &warp : b.warps)
        for (meeting *m : warp) delete m;
    blk = nullptr;
}

/* A mock runtime may set this to put the launch on its stream; until then launches run at once. */
inline void (*enqueue)(cudaStream_t, std::function<void()>) = nullptr;

inline cudaError_t launch(const char *name, dim3 grid, dim3 dim, size_t shared_bytes,
                          cudaStream_t stream, std::function<void()> body)
{
    size_t n = (size_t)dim.x * dim.y * dim.z;
    if (!n || n > 1024 || dim.z > 64 || shared_bytes > SHARED_MAX || !grid.x || !grid.y ||
        !grid.z || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535) {
        fprintf(stderr,
                "cuda_emu: %s: no device takes this launch: grid (%u,%u,%u), block "
                "(%u,%u,%u), %zu bytes shared\n",
                name, grid.x, grid.y, grid.z, dim.x, dim.y, dim.z, shared_bytes);
        return cudaErrorInvalidConfiguration;
    }
    if (enqueue)
        enqueue(stream, [=] { run_grid(name, grid, dim, shared_bytes, body); });
    else
        run_grid(name, grid, dim, shared_bytes, body);
    return cudaSuccess;
}

/* arguments are copied now, as a device does */
template <class... P, class... A>
inline cudaError_t start(const char *name, void (*kernel)(P...), dim3 grid, dim3 dim,
                         size_t shared_bytes, cudaStream_t stream, A... arguments)
{
    return launch(name, grid, dim, shared_bytes, stream, [=] { kernel(arguments...); });
}
} // namespace emu

/* --- the device language --------------------------------------------------------------------- */
#define threadIdx (emu::cur->tid)
#define blockIdx  (emu::blk->bid)
#define blockDim  (emu::blk->dim)
#define gridDim   (emu::blk->grid)

inline void __syncthreads() { (void)emu::barrier(false, "__syncthreads"); }
inline int __syncthreads_or(int vote) { return emu::barrier(vote != 0, "__syncthreads_or"); }
inline void __syncwarp(unsigned mask = ~0u) { (void)emu::meet(mask, '\0', "__syncwarp", nullptr); }
template <class T> T __shfl_sync(unsigned mask, T value, int source)
{
    return emu::shuffle(mask, value, (unsigned)source, "__shfl_sync");
}
template <class T> T __shfl_xor_sync(unsigned mask, T value, int x)
{
    return emu::shuffle(mask, value, emu::cur->linear ^ (unsigned)x, "__shfl_xor_sync");
}
inline unsigned __ballot_sync(unsigned mask, int vote)
{
    const emu::slots *table = emu::meet(mask, vote != 0, "__ballot_sync", nullptr);
    unsigned out = 0;
    for (unsigned lane = 0; lane < 32; lane++)
        if (mask >> lane & 1) out |= (unsigned)(*table)[lane][0] << lane;
    return out;
}
inline int atomicCAS(int *p, int expected, int value)
{
    int before = *p;
    if (before == expected) *p = value;
    return before;
}
inline float rsqrtf(float x) { return 1.f / sqrtf(x); }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline float __uint_as_float(unsigned bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
inline int __ffs(int x) { return __builtin_ffs(x); }
using std::isfinite;

#endif
