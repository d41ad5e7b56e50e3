/* dnn_attention.h — causal attention by cuDNN, forward and backward. Private to kernels/cuda.
 *
 * Written as the graph of products, pointwise operations and reductions that it consists of, which
 * the library recognises and runs fused: its operation for all of attention takes no causal mask
 * before 9.21. The backward pass takes the form without sums in the order of arrival, at the price
 * of scratch that grows with T^2. Tensors are the run's own by their strides; nothing is copied. */
#ifndef KERNELS_CUDA_DNN_ATTENTION_H
#define KERNELS_CUDA_DNN_ATTENTION_H

#include "kernels/ops.h"

#include <cuda_runtime_api.h>

typedef struct dnn_attention dnn_attention;

/* Opens the library and makes plans for these shapes, which run on the stream. ERR_CONFIG: why
 * cuDNN cannot. properties: NULL; or for plans that only tell whether the library takes the graph,
 * JSON of a device that need not be here (dnn_library_open). */
status dnn_attention_open(dnn_attention **out, const op_shapes *shapes, cudaStream_t stream,
                          const char *properties);
void dnn_attention_close(dnn_attention *a); /* NULL is a no-op */
/* Scratch that both passes need; 0 for NULL. */
int64_t dnn_attention_workspace(const dnn_attention *a);
/* "9.19.0" */
void dnn_attention_version(const dnn_attention *a, char *text, size_t bytes);
/* Queue a pass. ERR_INTERNAL for other shapes than those of open. */
status dnn_attention_forward(const dnn_attention *a, const attention_args *args, void *workspace);
status dnn_attention_backward(const dnn_attention *a, const attention_backward_args *args,
                              void *workspace);

#endif
