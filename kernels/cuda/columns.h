/* columns.h — sums over the rows of a matrix, always in the same pattern; f32 (N) out.         */
#ifndef KERNELS_CUDA_COLUMNS_H
#define KERNELS_CUDA_COLUMNS_H

#include "kernels/cuda/cuda_kernels.h"

/* The most partial rows any op leaves in the workspace before they are summed. */
enum { COLUMN_PARTS_MAX = 1024 };

/* out (N) = sums over the M rows of in (M, N) f32, rows `stride` apart; M is a count of parts, so
 * one pass will do. */
cudaError_t columns_of_parts(cudaStream_t stream, float *out, const float *in, int64_t M, int64_t N,
                             int64_t stride);

#endif
