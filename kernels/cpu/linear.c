/* linear.c — the three products of a linear layer with f32 arithmetic; on the amx path bf16
 * operands go to the AMX unit instead. */
#include "kernels/cpu/gemm_f32.h"

static void linear_f32(cpu_scratch s, const linear_args *a)
{
    const int64_t M = a->x.dim[0], K = a->x.dim[1], N = a->w.dim[0];
    const bool bf16 = a->x.type == DTYPE_BF16;
    const gemm_target t = {
        .out = a->out.data,
        .pre = a->pre.data,
        .bias = a->bias.data,
        .ld = N,
        .after = a->act == ACT_GELU ? AFTER_GELU : AFTER_NONE,
        .out_bf16 = a->out.type == DTYPE_BF16,
        .act_bf16 = bf16,
    };
    CPU_FN(gemm_f32)
    (s, (int64_t[3]){M, N, K}, (gemm_matrix){a->x.data, K, 1, bf16},
     (gemm_matrix){a->w.data, 1, K, bf16}, &t);
}

static void linear_backward_input_f32(cpu_scratch s, const linear_backward_input_args *a)
{
    const int64_t M = a->dy.dim[0], N = a->dy.dim[1], K = a->w.dim[1];
    const bool bf16 = a->dy.type == DTYPE_BF16;
    const gemm_target t = {
        .out = a->dx.data,
        .pre = a->pre.data,
        .ld = K,
        .after = a->act == ACT_GELU ? AFTER_GELU_GRAD : AFTER_NONE,
        .out_bf16 = a->dx.type == DTYPE_BF16,
        .act_bf16 = bf16,
    };
    CPU_FN(gemm_f32)
    (s, (int64_t[3]){M, K, N}, (gemm_matrix){a->dy.data, N, 1, bf16},
     (gemm_matrix){a->w.data, K, 1, bf16}, &t);
}

static void linear_backward_weight_f32(cpu_scratch s, const linear_backward_weight_args *a)
{
    const int64_t M = a->dy.dim[0], N = a->dy.dim[1], K = a->x.dim[1];
    const bool bf16 = a->dy.type == DTYPE_BF16;
    const gemm_target t = {.out = a->dw.data, .ld = K};
    CPU_FN(gemm_f32)
    (s, (int64_t[3]){N, K, M}, (gemm_matrix){a->dy.data, 1, N, bf16},
     (gemm_matrix){a->x.data, K, 1, bf16}, &t);
    if (a->dbias.data) CPU_FN(column_sums)(a->dbias.data, a->dy.data, M, N, bf16);
}

void CPU_FN(linear)(cpu_scratch s, const linear_args *a) { CPU_CHOOSE(a->x.type, linear)(s, a); }

void CPU_FN(linear_backward_input)(cpu_scratch s, const linear_backward_input_args *a)
{
    CPU_CHOOSE(a->dy.type, linear_backward_input)(s, a);
}

void CPU_FN(linear_backward_weight)(cpu_scratch s, const linear_backward_weight_args *a)
{
    CPU_CHOOSE(a->dy.type, linear_backward_weight)(s, a);
}
