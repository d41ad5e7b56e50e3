/* cuda_roofline.c — the least time each op of a training step could take on an H200: bytes over the
 * rate of copies, floating-point operations over that of products. An estimate made without a GPU,
 * so that the first measurements have something to stand beside: a kernel far above its row is what
 * to look at. Bytes are those the kernels of kernels/cuda touch in memory when every row that is
 * read twice in one kernel comes from a cache the second time.                                  */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* measured on an H200 by others; attention on mma.sync reaches about this at best */
static const double COPY_RATE = 4.3e12, PRODUCT_RATE = 790e12, ATTENTION_RATE = 370e12;

typedef struct shape {
    const char *name;
    double B, T, L, C, F, V, NH, NKV, HS;
    int gated; /* swiglu, rms norm and rotary positions; else gelu, layer norm, learned ones */
} shape;

// clang-format off
static const shape shapes[] = {
    /* name            B   T     L   C     F     V      NH  NKV HS   gated */
    {"gpt2-124m",      16, 1024, 12, 768,  3072, 50257, 12, 12, 64,  0},
    {"chinchilla-70m", 8,  2048, 10, 512,  2048, 32000, 8,  8,  64,  0},
    {"gpt2-350m",      16, 1024, 24, 1024, 4096, 50257, 16, 16, 64,  0},
    {"gpt2-1.5b",      16, 1024, 48, 1600, 6400, 50257, 25, 25, 64,  0},
    {"swiglu-1b",      8,  2048, 16, 2048, 5632, 32000, 16, 8,  128, 1},
};
// clang-format on

typedef struct total {
    double time_s, bytes, flops;
} total;

/* one row: an op that runs `calls` times in a step of one micro-batch */
static void row(total *all, const char *op, double calls, double bytes, double flops, double rate)
{
    double by_memory = bytes / COPY_RATE, by_products = flops / rate;
    double time_s = by_memory > by_products ? by_memory : by_products;
    printf("  %-28s %4.0f %12.1f %12.2f %12.1f  %s\n", op, calls, bytes / 1e6, flops / 1e9,
           time_s * 1e6, by_memory > by_products ? "memory" : "products");
    all->time_s += calls * time_s;
    all->bytes += calls * bytes;
    all->flops += calls * flops;
}

/* (M, K) by (K, N), bf16 in and out */
static void product(total *all, const char *op, double calls, double M, double K, double N)
{
    row(all, op, calls, 2 * (M * K + K * N + M * N), 2 * M * K * N, PRODUCT_RATE);
}

/* the gradient of a weight is f32 */
static void product_weight(total *all, const char *op, double calls, double M, double K, double N)
{
    row(all, op, calls, 2 * (M * K + M * N) + 4 * K * N, 2 * M * K * N, PRODUCT_RATE);
}

static double parameters(const shape *s)
{
    double qkv = (s->NH + 2 * s->NKV) * s->HS, up = s->gated ? 2 * s->F : s->F;
    double layer = s->C * qkv + s->NH * s->HS * s->C + s->C * up + s->F * s->C + 2 * s->C;
    return s->L * layer + s->V * s->C + (s->gated ? 0 : s->T * s->C) + s->C;
}

static void forward(total *all, const shape *s)
{
    double N = s->B * s->T, qkv = (s->NH + 2 * s->NKV) * s->HS, wide = s->NH * s->HS;
    double up = s->gated ? 2 * s->F : s->F, scores = s->B * s->NH * s->T * s->T / 2;
    row(all, "embed", 1, N * s->C * (2 + 4 + (s->gated ? 0 : 2)), 0, PRODUCT_RATE);
    /* the stream in f32 read and written, what is added and the result in bf16 */
    row(all, "norm", 2 * s->L + 1, N * s->C * (4 + 4 + 2 + 2) + N * 8, 0, PRODUCT_RATE);
    product(all, "linear qkv", s->L, N, s->C, qkv);
    if (s->gated) row(all, "rope", 2 * s->L, N * (s->NH + s->NKV) * s->HS * 4, 0, PRODUCT_RATE);
    row(all, "attention", s->L, N * (qkv + wide) * 2 + N * s->NH * 4, 4 * scores * s->HS,
        ATTENTION_RATE);
    product(all, "linear out", s->L, N, wide, s->C);
    product(all, "linear up", s->L, N, s->C, up);
    if (s->gated) row(all, "swiglu", s->L, N * 3 * s->F * 2, 0, PRODUCT_RATE);
    product(all, "linear down", s->L, N, s->F, s->C);
}

static void head(total *all, const shape *s)
{
    double N = s->B * s->T, stride = (double)(((int64_t)s->V + 7) / 8 * 8);
    row(all, "head: logits", 1, 2 * (N * s->C + s->V * s->C) + 4 * N * stride, 2 * N * s->C * s->V,
        PRODUCT_RATE);
    row(all, "head: loss and gradient", 1, N * stride * (4 + 2), 0, PRODUCT_RATE);
    product(all, "head: dx", 1, N, s->V, s->C);
    product_weight(all, "head: dw", 1, N, s->V, s->C);
}

static void backward(total *all, const shape *s)
{
    double N = s->B * s->T, qkv = (s->NH + 2 * s->NKV) * s->HS, wide = s->NH * s->HS;
    double up = s->gated ? 2 * s->F : s->F, scores = s->B * s->NH * s->T * s->T / 2;
    double activation = s->gated ? 0 : N * s->F * 2;
    /* dx in f32 read and written, its bf16 copy, dout and x; parts of the gain's gradient */
    row(all, "norm backward", 2 * s->L + 1, N * s->C * (8 + 2 + 2 + 4) + N / 16 * 2 * s->C * 8, 0,
        PRODUCT_RATE);
    product(all, "linear down: dx", s->L, N, s->C, s->F);
    if (activation > 0) row(all, "  its activation", s->L, activation, 0, PRODUCT_RATE);
    if (s->gated) row(all, "swiglu backward", s->L, N * 5 * s->F * 2, 0, PRODUCT_RATE);
    product_weight(all, "linear down: dw", s->L, N, s->C, s->F);
    product(all, "linear up: dx", s->L, N, up, s->C);
    product_weight(all, "linear up: dw", s->L, N, up, s->C);
    product(all, "linear out: dx", s->L, N, s->C, wide);
    product_weight(all, "linear out: dw", s->L, N, s->C, wide);
    /* seven products of half a square instead of five, and the sums of dO O */
    row(all, "attention backward", s->L, N * (2 * qkv + 3 * wide) * 2 + N * s->NH * 8,
        14 * scores * s->HS, ATTENTION_RATE);
    product(all, "linear qkv: dx", s->L, N, qkv, s->C);
    product_weight(all, "linear qkv: dw", s->L, N, qkv, s->C);
    row(all, "embed backward", 1, N * s->C * (4 + 8) + (s->gated ? 0 : N * s->C * 4), N * N,
        PRODUCT_RATE);
}

/* per parameter: gradient in f32; sum in i64; masters, moments, bf16 copy */
static void update(total *all, const shape *s)
{
    double n = parameters(s);
    row(all, "accumulate (exact, +=)", 1, n * (4 + 16), 0, PRODUCT_RATE);
    row(all, "sum of squares (i64)", 1, n * 8, 0, PRODUCT_RATE);
    row(all, "adamw (i64, copy)", 1, n * (8 + 24 + 2), 0, PRODUCT_RATE);
    row(all, "digest (not every step)", 0, n * 4, 0, PRODUCT_RATE);
}

static void table(const shape *s)
{
    total all = {0};
    double N = s->B * s->T;
    printf("%s: B %.0f, T %.0f, %.1fM parameters\n", s->name, s->B, s->T, parameters(s) / 1e6);
    printf("  %-28s %4s %12s %12s %12s  %s\n", "op", "n", "MB", "GFLOP", "us", "bound by");
    forward(&all, s);
    head(&all, s);
    backward(&all, s);
    update(&all, s);
    printf("  one micro-batch and an update: at least %.2f ms, at most %.0f tokens/s; %.1f GB, "
           "%.2f TFLOP\n\n",
           all.time_s * 1e3, N / all.time_s, all.bytes / 1e9, all.flops / 1e12);
}

int main(int argc, char **argv)
{
    int shown = 0;
    if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
        fprintf(stderr, "usage: cuda_roofline [SHAPE]   the least time of each op on an H200\n");
        return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
    }
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (argc == 1 || strcmp(argv[1], shapes[i].name) == 0) {
            table(&shapes[i]);
            shown++;
        }
    if (shown == 0) fprintf(stderr, "no shape '%s'; there are:", argv[1]);
    for (size_t i = 0; shown == 0 && i < sizeof shapes / sizeof *shapes; i++)
        fprintf(stderr, " %s%s", shapes[i].name,
                i + 1 < sizeof shapes / sizeof *shapes ? "" : "\n");
    return shown > 0 ? 0 : 2;
}
