/* kernels.c — the table of one instruction path, its scratch, and its burst of products. */
#include "kernels/cpu/gemm_f32.h"

#include <time.h>

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

#if defined(CPU_AMX)
/* every product of a layer, forward and backward */
static int64_t amx_bytes(const op_shapes *s)
{
    const int64_t D = s->NH * s->HS, qkv = D + 2 * s->NKV * s->HS, up = s->gated ? 2 * s->F : s->F;
    const int64_t size[4][2] = {{qkv, s->C}, {s->C, D}, {up, s->C}, {s->C, s->F}};
    int64_t bytes = 0;
    for (int i = 0; i < 4; i++) {
        bytes = most(bytes, amx_linear_bytes(size[i][0], size[i][1]));
        bytes = most(bytes, amx_linear_bytes(size[i][1], size[i][0]));
        bytes = most(bytes, amx_weight_bytes(size[i][0]));
    }
    bytes = most(bytes, amx_head_bytes(s->B * s->T, s->C, s->V));
    bytes = most(bytes, amx_attention_bytes(s->T, s->HS));
    return most(bytes, amx_attention_backward_bytes(s->T, s->HS));
}
#endif

int64_t CPU_FN(scratch_bytes)(const op_shapes *s)
{
    /* the highest product: tokens, or rows of any weight (its gradient) */
    const int64_t widths = most(most(s->C, 2 * s->F), (s->NH + 2 * s->NKV) * s->HS);
    int64_t bytes = CPU_FN(gemm_f32_bytes)(most(s->B * s->T, most(widths, s->V)));
    bytes = most(bytes, CPU_FN(attention_bytes)(s));
    bytes = most(bytes, CPU_FN(head_bytes)(s));
#if defined(CPU_AMX)
    if (s->act == DTYPE_BF16) bytes = most(bytes, amx_bytes(s));
#endif
    return most(bytes, 2 * cpu_piece(s->C * 4)); // norm_backward
}

static double thread_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* independent sums in registers; the result is used so that the products are done */
enum { BURST_SUMS = 12, BURST_STEPS = 4096 };

static double burst_f32(float *sink)
{
    vf sum[BURST_SUMS];
    const vf a = vf_set(0.999f), b = vf_set(0.001f);
    double flop = 0;
    UNROLL
    for (int i = 0; i < BURST_SUMS; i++) sum[i] = vf_set((float)i);
    const double start = thread_s();
    double now = start;
    while (now - start < 0.005) {
        for (int k = 0; k < BURST_STEPS; k++) UNROLL
        for (int i = 0; i < BURST_SUMS; i++) sum[i] = vf_fma(sum[i], a, b);
        flop += 2.0 * VL * BURST_SUMS * BURST_STEPS;
        now = thread_s();
    }
    for (int i = 0; i < BURST_SUMS; i++) *sink += vf_sum(sum[i]);
    return flop / (now - start);
}

double CPU_FN(burst)(dtype type)
{
    volatile float sink;
    float sum = 0;
    double rate;
#if defined(CPU_AMX)
    rate = type == DTYPE_BF16 ? amx_burst() : burst_f32(&sum);
#else
    (void)type; // bf16 operands are multiplied as f32 here
    rate = burst_f32(&sum);
#endif
    sink = sum;
    (void)sink;
    return rate;
}

extern const cpu_kernels CPU_FN(cpu_kernels);
const cpu_kernels CPU_FN(cpu_kernels) = {
    .embed = CPU_FN(embed),
    .embed_backward = CPU_FN(embed_backward),
    .norm = CPU_FN(norm),
    .norm_backward = CPU_FN(norm_backward),
    .linear = CPU_FN(linear),
    .linear_backward_input = CPU_FN(linear_backward_input),
    .linear_backward_weight = CPU_FN(linear_backward_weight),
    .swiglu = CPU_FN(swiglu),
    .swiglu_backward = CPU_FN(swiglu_backward),
    .rope = CPU_FN(rope),
    .attention = CPU_FN(attention),
    .attention_backward = CPU_FN(attention_backward),
    .head = CPU_FN(head),
    .accumulate = CPU_FN(accumulate),
    .sum_squares = CPU_FN(sum_squares),
    .adamw = CPU_FN(adamw),
    .digest = CPU_FN(digest),
    .convert = CPU_FN(convert),
    .burst = CPU_FN(burst),
    .scratch_bytes = CPU_FN(scratch_bytes),
};
