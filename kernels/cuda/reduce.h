/* reduce.h — sums over a warp and over a block, always in the same order. Every thread gets the
 * result, with the same bits.                                                                  */
#ifndef KERNELS_CUDA_REDUCE_H
#define KERNELS_CUDA_REDUCE_H

#include "kernels/cuda/ptx.h"

enum { WARP_ALL = -1, WARPS_MAX = 32 };

template <class T> DEVICE T warp_sum(T v)
{
    for (int o = 16; o; o >>= 1) v += __shfl_xor_sync((unsigned)WARP_ALL, v, o);
    return v;
}
/* a NaN is not a maximum: who needs it sees it in a sum */
DEVICE float warp_max(float v)
{
    for (int o = 16; o; o >>= 1) v = fmaxf(v, __shfl_xor_sync((unsigned)WARP_ALL, v, o));
    return v;
}

/* over the block; part is shared memory for WARPS_MAX values, whole warps take part */
template <class T> DEVICE T block_sum(T v, T *part)
{
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    v = warp_sum(v);
    __syncthreads(); // part may still be read by the last sum
    if (lane == 0) part[warp] = v;
    __syncthreads();
    return warp_sum(lane < warps ? part[lane] : (T)0);
}
DEVICE float block_max(float v, float *part)
{
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    v = warp_max(v);
    __syncthreads();
    if (lane == 0) part[warp] = v;
    __syncthreads();
    return warp_max(lane < warps ? part[lane] : -INFINITY);
}

#endif
