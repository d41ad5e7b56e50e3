/* dnn_graph.h — graphs of operations for cuDNN 9, through its C backend interface, and plans made
 * of them. Private to kernels/cuda.
 *
 * The library is opened at run time: nothing is linked, and what is missing is said. A graph is
 * written down operation by operation; the first failure stays and what follows does nothing, so
 * only dnn_plan_open looks at it. A plan is what the library's heuristics name first among those
 * that always give the same bits.                                                               */
#ifndef KERNELS_CUDA_DNN_GRAPH_H
#define KERNELS_CUDA_DNN_GRAPH_H

#include "base/status.h"

#include <cudnn_graph.h>
#include <stdbool.h>
#include <stdint.h>

/* name in the library, member, result, arguments */
#define DNN_CALLS(X)                                                                               \
    X("cudnnGetVersion", version, size_t, (void))                                                  \
    X("cudnnGetErrorString", error_text, const char *, (cudnnStatus_t))                            \
    X("cudnnGetLastErrorString", last_error, void, (char *, size_t))                               \
    X("cudnnCreate", create, cudnnStatus_t, (cudnnHandle_t *))                                     \
    X("cudnnDestroy", destroy, cudnnStatus_t, (cudnnHandle_t))                                     \
    X("cudnnSetStream", set_stream, cudnnStatus_t, (cudnnHandle_t, cudaStream_t))                  \
    X("cudnnBackendCreateDescriptor", make, cudnnStatus_t,                                         \
      (cudnnBackendDescriptorType_t, cudnnBackendDescriptor_t *))                                  \
    X("cudnnBackendDestroyDescriptor", unmake, cudnnStatus_t, (cudnnBackendDescriptor_t))          \
    X("cudnnBackendFinalize", finalize, cudnnStatus_t, (cudnnBackendDescriptor_t))                 \
    X("cudnnBackendSetAttribute", set, cudnnStatus_t,                                              \
      (cudnnBackendDescriptor_t, cudnnBackendAttributeName_t, cudnnBackendAttributeType_t,         \
       int64_t, const void *))                                                                     \
    X("cudnnBackendGetAttribute", get, cudnnStatus_t,                                              \
      (cudnnBackendDescriptor_t, cudnnBackendAttributeName_t, cudnnBackendAttributeType_t,         \
       int64_t, int64_t *, void *))                                                                \
    X("cudnnBackendExecute", execute, cudnnStatus_t,                                               \
      (cudnnHandle_t, cudnnBackendDescriptor_t, cudnnBackendDescriptor_t))

/* A handle of the library, or in its place (without a GPU) the properties of one. */
typedef struct dnn_library {
    void *file;
    cudnnHandle_t handle;                /* NULL: plans are made but cannot run               */
    cudnnBackendDescriptor_t properties; /* NULL: those of the handle's device                */
#define AS_MEMBER(symbol, member, result, args) result(*member) args;
    DNN_CALLS(AS_MEMBER)
#undef AS_MEMBER
} dnn_library;

/* For the current device of the calling thread; plans run on the stream. properties: instead, JSON
 * of a device that need not be here (CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION). ERR_CONFIG: there
 * is no libcudnn.so.9, or it is too old or does not start, in its own words. */
status dnn_library_open(dnn_library *out, cudaStream_t stream, const char *properties);
void dnn_library_close(dnn_library *l);
/* 91900 is "9.19.0" */
void dnn_library_version(const dnn_library *l, char *text, size_t bytes);

enum { DNN_DESCRIPTORS = 192, DNN_OPERATIONS = 48 };

typedef struct dnn_graph {
    const dnn_library *library;
    cudnnBackendDescriptor_t made[DNN_DESCRIPTORS]; /* all, in order                          */
    cudnnBackendDescriptor_t operation[DNN_OPERATIONS];
    int32_t made_count, operation_count;
    int64_t next_uid;
    cudnnStatus_t failed; /* the first failure                                                */
    char why[400];
} dnn_graph;

/* Four axes, as the library's attention wants them: B, NH, rows, columns. */
typedef struct dnn_shape {
    int64_t dim[4], stride[4]; /* in elements                                                 */
} dnn_shape;
dnn_shape dnn_packed(int64_t b, int64_t h, int64_t rows, int64_t columns);

/* A tensor of a graph. */
typedef struct dnn_tensor {
    cudnnBackendDescriptor_t descriptor;
    dnn_shape shape;
} dnn_tensor;

void dnn_graph_init(dnn_graph *g, const dnn_library *l);
void dnn_graph_deinit(dnn_graph *g);

/* In memory that is named when the plan runs; uid: from 1, below DNN_UID_FREE. */
enum { DNN_UID_FREE = 100 };
dnn_tensor dnn_bound(dnn_graph *g, int64_t uid, cudnnDataType_t type, dnn_shape shape);
/* One number of the host, read when the plan runs. */
dnn_tensor dnn_number(dnn_graph *g, int64_t uid);
/* Between operations only; packed. */
dnn_tensor dnn_between(dnn_graph *g, cudnnDataType_t type, dnn_shape shape);

/* Operations; out may be bound or between. c = a @ b over the last two axes; the heads of b are
 * those of a divided by a whole number. */
void dnn_product(dnn_graph *g, dnn_tensor c, dnn_tensor a, dnn_tensor b);
/* y = mode(x, b), b broadcast; b.descriptor NULL: mode takes one */
void dnn_pointwise(dnn_graph *g, cudnnPointwiseMode_t mode, dnn_tensor y, dnn_tensor x,
                   dnn_tensor b);
/* y = where ? x : b */
void dnn_select(dnn_graph *g, dnn_tensor y, dnn_tensor x, dnn_tensor b, dnn_tensor where);
/* y (i32) = place of each element of x along an axis */
void dnn_place(dnn_graph *g, dnn_tensor y, dnn_tensor x, int64_t axis);
/* y = x summed (CUDNN_REDUCE_TENSOR_ADD) or maximised over the axes where y has one element, or
 * over groups of them */
void dnn_reduce(dnn_graph *g, cudnnReduceTensorOp_t how, dnn_tensor y, dnn_tensor x);
/* y = x with the strides of y: another view of the same elements */
void dnn_reshape(dnn_graph *g, dnn_tensor y, dnn_tensor x);

/* A finished plan; the tensors it is run with are given by uid. */
typedef struct dnn_plan {
    const dnn_library *library;
    dnn_graph graph; /* keeps what the plan refers to */
    cudnnBackendDescriptor_t plan;
    int64_t workspace_bytes;
} dnn_plan;
/* Makes a plan of the graph, which becomes the plan's. ERR_CONFIG in the library's words: it has
 * none for this graph, or none that always gives the same bits. */
status dnn_plan_open(dnn_plan *out, dnn_graph *g);
void dnn_plan_close(dnn_plan *p);
/* Queues it on the library's stream. uids: those of all bound tensors and numbers, data: where they
 * are. Allocates nothing on the device and does not wait, so that it can be recorded. */
status dnn_plan_run(const dnn_plan *p, int64_t count, const int64_t *uids, void *const *data,
                    void *workspace);

#endif
