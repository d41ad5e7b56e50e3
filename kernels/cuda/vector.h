/* vector.h — 16-byte accesses: K neighbours of a row at once, as floats, whatever their type.
 * A kernel that takes K = 8 or 4 is used where every pointer and row allows it, and its K = 1 twin
 * elsewhere; both compute the same values.                                                      */
#ifndef KERNELS_CUDA_VECTOR_H
#define KERNELS_CUDA_VECTOR_H

#include "kernels/cuda/ptx.h"

typedef __nv_bfloat16 bf16;

DEVICE float to_float(float x) { return x; }
DEVICE float to_float(bf16 x) { return __bfloat162float(x); }
DEVICE void from_float(float *to, float x) { *to = x; }
DEVICE void from_float(bf16 *to, float x) { *to = __float2bfloat16_rn(x); }

/* v = the K elements at p */
template <int K, class T> DEVICE void load(float (&v)[K], const T *p)
{
    if constexpr (K == 1) {
        v[0] = to_float(*p);
    } else if constexpr (sizeof(T) == 4) {
        for (int i = 0; i < K; i += 4) {
            const float4 q = *reinterpret_cast<const float4 *>(p + i);
            v[i] = q.x, v[i + 1] = q.y, v[i + 2] = q.z, v[i + 3] = q.w;
        }
    } else {
        /* the upper half of a word is the second element */
        uint32_t word[K / 2];
        if constexpr (K == 8) {
            const uint4 q = *reinterpret_cast<const uint4 *>(p);
            word[0] = q.x, word[1] = q.y, word[2] = q.z, word[3] = q.w;
        } else {
            const uint2 q = *reinterpret_cast<const uint2 *>(p);
            word[0] = q.x, word[1] = q.y;
        }
        for (int i = 0; i < K / 2; i++) {
            v[2 * i] = __uint_as_float(word[i] << 16);
            v[2 * i + 1] = __uint_as_float(word[i] & 0xffff0000u);
        }
    }
}

DEVICE uint32_t pair_bf16(float low, float high)
{
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const uint32_t *>(&pair);
}

template <int K, class T> DEVICE void store(T *p, const float (&v)[K])
{
    if constexpr (K == 1) {
        from_float(p, v[0]);
    } else if constexpr (sizeof(T) == 4) {
        for (int i = 0; i < K; i += 4)
            *reinterpret_cast<float4 *>(p + i) = make_float4(v[i], v[i + 1], v[i + 2], v[i + 3]);
    } else if constexpr (K == 8) {
        *reinterpret_cast<uint4 *>(p) = make_uint4(pair_bf16(v[0], v[1]), pair_bf16(v[2], v[3]),
                                                   pair_bf16(v[4], v[5]), pair_bf16(v[6], v[7]));
    } else {
        *reinterpret_cast<uint2 *>(p) = make_uint2(pair_bf16(v[0], v[1]), pair_bf16(v[2], v[3]));
    }
}

/* K neighbours of an exact sum */
template <int K> struct alignas(K == 1 ? 8 : 16) integers {
    int64_t v[K];
};

/* --- at the launch -------------------------------------------------------- */

/* whether rows of `width` elements at these places can be read K at a time; none is no obstacle */
static inline bool wide_rows(int K, int64_t width, const tensor *const *t, int count)
{
    if (width % K) return false;
    for (int i = 0; i < count; i++)
        if ((uintptr_t)t[i]->data % 16) return false;
    return true;
}

enum { FLAT_THREADS = 256 };
/* blocks for `count` pieces of work, one thread each */
static inline dim3 flat_blocks(int64_t count)
{
    return dim3((unsigned)((count + FLAT_THREADS - 1) / FLAT_THREADS));
}
/* this thread's piece */
DEVICE int64_t flat_index() { return (int64_t)blockIdx.x * FLAT_THREADS + threadIdx.x; }
/* the row it lies in; both fit 32 bits, where a division is cheap */
DEVICE int64_t flat_row(int64_t piece, int64_t per_row)
{
    return (int64_t)((uint32_t)piece / (uint32_t)per_row);
}
static inline bool flat_fits(int64_t pieces) { return pieces <= (int64_t)UINT32_MAX; }

/* threads of a block that goes over one row of `width` elements, K at a time */
static inline unsigned row_threads(int64_t width, int K, unsigned most)
{
    const int64_t warps = (width + 32 * K - 1) / (32 * K);
    return warps * 32 < most ? (unsigned)warps * 32 : most;
}

#endif
