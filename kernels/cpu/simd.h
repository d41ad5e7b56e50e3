/* simd.h — one vector of floats, VL lanes wide, with the same few operations on every instruction
 * path. Sources written with it are compiled once per path (CMakeLists.txt); CPU_FN(name) is
 * name_<path>. Loads and stores never need alignment. *_n variants touch only the first n (0..VL)
 * elements and read the others as 0. */
#ifndef CPU_SIMD_H
#define CPU_SIMD_H

#include "base/tensor.h"

#include <stdbool.h>

#define CPU_JOIN2(a, b) a##_##b
#define CPU_JOIN(a, b)  CPU_JOIN2(a, b)
#define CPU_FN(name)    CPU_JOIN(name, CPU_PATH)

#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

#if defined(CPU_AVX512)
#include "kernels/cpu/simd_avx512.h"
#elif defined(CPU_AVX2)
#include "kernels/cpu/simd_avx2.h"
#else
#include "kernels/cpu/simd_portable.h"
#endif

/* a, b, c ... of act type: element i of p as floats */
INLINE vf act_load(const void *p, int64_t i, bool bf16)
{
    return bf16 ? vf_load_bf16((const uint16_t *)p + i) : vf_load((const float *)p + i);
}
INLINE vf act_load_n(const void *p, int64_t i, int64_t n, bool bf16)
{
    return bf16 ? vf_load_bf16_n((const uint16_t *)p + i, n) : vf_load_n((const float *)p + i, n);
}
INLINE void act_store(void *p, int64_t i, vf v, bool bf16)
{
    if (bf16)
        vf_store_bf16((uint16_t *)p + i, v);
    else
        vf_store((float *)p + i, v);
}
INLINE void act_store_n(void *p, int64_t i, vf v, int64_t n, bool bf16)
{
    if (bf16)
        vf_store_bf16_n((uint16_t *)p + i, v, n);
    else
        vf_store_n((float *)p + i, v, n);
}
INLINE float act_get(const void *p, int64_t i, bool bf16)
{
    return bf16 ? f32_from_bf16(((const uint16_t *)p)[i]) : ((const float *)p)[i];
}

/* Lanes left of a row of `count` at i; full vectors come first, then one short one. */
INLINE int64_t lanes_at(int64_t i, int64_t count) { return count - i < VL ? count - i : VL; }

#endif
