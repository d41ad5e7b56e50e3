/* gemm_f32.h — C (M, N) = A (M, K) B (K, N) with f32 products and sums; operands f32 or bf16.
 * Blocks and their order depend on the shape alone, so the same shape gives the same bits. */
#ifndef CPU_GEMM_F32_H
#define CPU_GEMM_F32_H

#include "kernels/cpu/kernels.h"

/* Element (i, j) is data[i * row + j * col]; one of row and col is 1. */
typedef struct gemm_matrix {
    const void *data;
    int64_t row, col;
    bool bf16;
} gemm_matrix;

typedef enum gemm_after { AFTER_NONE, AFTER_GELU, AFTER_GELU_GRAD } gemm_after;

/* What happens to the products: v = AB (+ bias); none: out = v; gelu: pre = v, out = gelu(v);
 * gelu_grad: out = v * gelu'(pre). All rows have the stride ld. */
typedef struct gemm_target {
    void *out;        /* (M, N)                                            */
    void *pre;        /* (M, N) act                                        */
    const void *bias; /* (N) act (optional)                                */
    int64_t ld;
    gemm_after after;
    bool out_bf16, act_bf16;
    bool add; /* out += (f32, no activation)                       */
} gemm_target;

void CPU_FN(gemm_f32)(cpu_scratch s, const int64_t size[3], gemm_matrix a, gemm_matrix b,
                      const gemm_target *t); /* size: M, N, K */
/* Scratch for any K and products at most M rows high. */
int64_t CPU_FN(gemm_f32_bytes)(int64_t M);

/* sums of column j of (M, N) act */
void CPU_FN(column_sums)(float *out, const void *from, int64_t M, int64_t N, bool bf16);

#endif
