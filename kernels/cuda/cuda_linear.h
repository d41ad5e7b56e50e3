/* cuda_linear.h — products through cuBLASLt. Private to kernels/cuda.
 *
 * Row-major matrices are the transposes of what the library calls column-major, so every product is
 * asked for as its transpose. The algorithm of a product is the first that the library's heuristic
 * names for its shape, types, alignment and epilogue: a rule, never a timing, asked once per shape.
 * Where the library has no such epilogue (odd leading dimensions), the product goes to f32 scratch
 * in pieces of rows and an own kernel finishes it.                                              */
#ifndef KERNELS_CUDA_CUDA_LINEAR_H
#define KERNELS_CUDA_CUDA_LINEAR_H

#include "kernels/ops.h"

#include <cublasLt.h>

/* The library's view of a product: d (m, n) = op(a) (m, k) @ op(b) (k, n), column-major. */
typedef struct linear_shape {
    int64_t m, n, k, lda, ldb, ldd, ld_aux;
    int32_t a_transposed, b_transposed, accumulate;
    int32_t in, out;   /* dtype of a and b; of d                                          */
    int32_t epilogue;  /* cublasLtEpilogue_t                                              */
    int32_t alignment; /* bytes that all pointers are multiples of, at most 16            */
    int32_t spare;     /* 0: shapes are compared byte by byte                             */
} linear_shape;

typedef struct linear_plan {
    linear_shape shape;
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t a, b, d;
    cublasLtMatmulAlgo_t algorithm;
    bool supported; /* false: the library has nothing for it */
} linear_plan;

/* Plans made so far; found by their shape. */
typedef struct linear_plans {
    cublasLtHandle_t library;
    linear_plan *plan; /* (capacity), open addressing; product NULL and supported false: free */
    bool *used;
    int32_t count, capacity;
} linear_plans;

status linear_plans_init(linear_plans *p);
/* Forgets all plans: what an algorithm may use has changed. */
void linear_plans_clear(linear_plans *p);
void linear_plans_deinit(linear_plans *p);

/* The workspace handed over by reserve, in parts. */
typedef struct cuda_scratch {
    void *library; /* cuBLASLt's                                  */
    int64_t library_bytes;
    float *pieces; /* rows of logits, or of products to be finished */
    int64_t pieces_bytes;
    float *row; /* a bias in f32 */
} cuda_scratch;
/* Bytes of the parts for shapes up to these, by rule. */
int64_t linear_library_bytes(const op_shapes *shapes);
int64_t linear_pieces_bytes(const op_shapes *shapes);
int64_t linear_row_bytes(const op_shapes *shapes);

status cuda_linear(device *d, const linear_args *a);
status cuda_linear_backward_input(device *d, const linear_backward_input_args *a);
status cuda_linear_backward_weight(device *d, const linear_backward_weight_args *a);
status cuda_head(device *d, const head_args *a);

/* Rows and columns of the largest bf16 product that the workspace has room for and that fills the
 * device; 0 if there is none. It stays below 64 rows per multiprocessor, beyond which products get
 * no faster. */
int64_t cuda_burst_size(const device *d);
/* Puts factors (n, n) into the workspace; and one product of them, left @ right^T. */
status cuda_burst_fill(device *d, int64_t n);
status cuda_burst_product(device *d, int64_t n);

#endif
