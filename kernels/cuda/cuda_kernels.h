/* cuda_kernels.h — the CUDA backend's own kernels, as functions of C.
 *
 * Each queues its work on the stream of the call and returns the error of the launch alone; what
 * goes wrong on the device shows at the next synchronisation. None of them synchronises, allocates
 * or reads device memory from the host, so all of them can be captured in a graph. Shapes are the
 * caller's promise (ops.h); a count of zero queues nothing. All data is device memory.
 *
 * The same sources are compiled by nvcc for the device and, with CUDA_EMU, by a host compiler for
 * tests/cuda_emu.                                                                               */
#ifndef KERNELS_CUDA_CUDA_KERNELS_H
#define KERNELS_CUDA_CUDA_KERNELS_H

#ifdef __cplusplus
#define _Noreturn [[noreturn]]
extern "C" {
#endif
#include "kernels/ops.h"
#ifdef __cplusplus
#undef _Noreturn
}
#endif

#include <cuda_runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The first id outside its table that a kernel met; lives in device memory, zeroed at open, read
 * by sync. The kernel leaves such a token out. */
typedef enum cuda_fault_op {
    CUDA_FAULT_NONE,
    CUDA_FAULT_EMBED,
    CUDA_FAULT_EMBED_BACKWARD,
    CUDA_FAULT_HEAD
} cuda_fault_op;
typedef struct cuda_fault {
    int32_t op;    /* cuda_fault_op                                         */
    int32_t id;    /* the token or target                                   */
    int64_t at;    /* its place in the micro-batch                          */
    int64_t limit; /* it should have been in [0, limit)                     */
} cuda_fault;

/* Where a call runs. workspace: at least cuda_launch_workspace(shapes) bytes at a multiple of 256;
 * calls that share one must run in order. */
typedef struct cuda_call {
    cudaStream_t stream;
    void *workspace;
    cuda_fault *fault;
} cuda_call;

/* What the functions below need for shapes up to these; the caller's logits are not in it. */
int64_t cuda_launch_workspace(const op_shapes *shapes);

cudaError_t cuda_launch_embed(const cuda_call *call, const embed_args *a);
cudaError_t cuda_launch_embed_backward(const cuda_call *call, const embed_backward_args *a);
cudaError_t cuda_launch_norm(const cuda_call *call, const norm_args *a);
cudaError_t cuda_launch_norm_backward(const cuda_call *call, const norm_backward_args *a);
cudaError_t cuda_launch_swiglu(const cuda_call *call, const swiglu_args *a);
cudaError_t cuda_launch_swiglu_backward(const cuda_call *call, const swiglu_backward_args *a);
cudaError_t cuda_launch_rope(const cuda_call *call, const rope_args *a);
cudaError_t cuda_launch_attention(const cuda_call *call, const attention_args *a);
cudaError_t cuda_launch_attention_backward(const cuda_call *call, const attention_backward_args *a);
cudaError_t cuda_launch_accumulate(const cuda_call *call, const accumulate_args *a);
cudaError_t cuda_launch_sum_squares(const cuda_call *call, const sum_squares_args *a);
cudaError_t cuda_launch_clip_scalars(const cuda_call *call, const clip_args *a);
cudaError_t cuda_launch_adamw(const cuda_call *call, const adamw_args *a);
cudaError_t cuda_launch_digest(const cuda_call *call, const digest_args *a);
cudaError_t cuda_launch_convert(const cuda_call *call, tensor to, tensor from);

/* --- beside a product, where its epilogue does not do it ------------------ */

/* out = activation(in + bias), pre = in + bias. in (M, N) f32 or act; out, pre (optional) (M, N);
 * bias (N) (optional). in may be out or pre where the types are the same. */
typedef struct cuda_activation_args {
    tensor out, pre, in, bias;
    activation act;
} cuda_activation_args;
cudaError_t cuda_launch_activation(const cuda_call *call, const cuda_activation_args *a);

/* dx (M, K) act = in (M, K) f32 or act, times activation'(pre (M, K) act); in may be dx. A bf16 dx
 * is rounded once only where in is the product in f32. */
cudaError_t cuda_launch_activation_backward(const cuda_call *call, tensor dx, tensor in, tensor pre,
                                            activation act);

/* out (N) f32 = sums over the rows of in (M, N) act, always in the same pattern */
cudaError_t cuda_launch_column_sums(const cuda_call *call, tensor out, tensor in);

/* --- the loss of the output layer ----------------------------------------- */

/* Losses of some rows of logits, and their gradient in place. The caller goes over the tokens in
 * pieces: logits = x[piece] @ w^T (f32, rows `stride` apart), this, then dx[piece] = dlogits @ w
 * and dw += dlogits^T @ x[piece]. dlogits are act: in a bf16 run row r begins at byte r * 4 *
 * stride as before, so its leading dimension is 2 * stride elements of bf16. Columns V .. stride of
 * dlogits become 0. Needs stride % 4 == 0 and logits at a multiple of 16 bytes. */
typedef struct cuda_loss_args {
    float *logits;          /* (rows, stride) f32 in; (rows, stride or 2 stride) act out    */
    const int32_t *targets; /* (rows): of this piece                                        */
    float *losses;          /* (rows): of this piece                                        */
    int64_t rows, V, stride;
    int64_t first; /* place of row 0 in the micro-batch, for faults                        */
    int64_t N;     /* tokens of the micro-batch: the gradient is of the mean over them     */
    float z_loss;
    dtype act;
    bool gradient; /* false: losses only, logits stay                                      */
} cuda_loss_args;
cudaError_t cuda_launch_loss(const cuda_call *call, const cuda_loss_args *a);

/* --- the product unit ---------------------------------------------------------------------------
 * One launch of register-only products (bf16: mma; f32: fused multiply-adds) on every
 * multiprocessor, `rounds` rounds. *flops becomes what it computes. The caller times it. Needs 4
 * bytes of workspace, which stay unwritten. */
cudaError_t cuda_launch_burst(const cuda_call *call, dtype type, int32_t multiprocessors,
                              int64_t rounds, double *flops);
/* bf16 values of either sign for a product to work on, a multiple of 8 of them: products of zeros
 * switch little, draw less power and so run faster than those of a run. */
cudaError_t cuda_launch_burst_fill(const cuda_call *call, tensor out);

#ifdef __cplusplus
}
#endif
#endif
