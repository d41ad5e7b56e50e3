/* simd_portable.h — 4 lanes through the vector extension of gcc and clang: SSE2, NEON or plain
 * code, whatever the machine has without being asked. */
#ifndef CPU_SIMD_PORTABLE_H
#define CPU_SIMD_PORTABLE_H

#include <math.h>

enum { VL = 4 };
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
typedef uint32_t vu __attribute__((vector_size(16)));
typedef float vf_any __attribute__((vector_size(16), aligned(4), may_alias));

INLINE vf vf_set(float a) { return (vf){a, a, a, a}; }
INLINE vf vf_load(const float *p) { return *(const vf_any *)p; }
INLINE void vf_store(float *p, vf a) { *(vf_any *)p = a; }
INLINE vf vf_load_n(const float *p, int64_t n)
{
    vf a = {0};
    memcpy(&a, p, (size_t)n * 4);
    return a;
}
INLINE void vf_store_n(float *p, vf a, int64_t n) { memcpy(p, &a, (size_t)n * 4); }
/* the first n lanes of a, the others 0 */
INLINE vf vf_first(vf a, int64_t n)
{
    for (int64_t i = n; i < VL; i++) a[i] = 0;
    return a;
}
/* the first n lanes of a, the others of b */
INLINE vf vf_blend_n(vf a, vf b, int64_t n)
{
    for (int64_t i = n; i < VL; i++) a[i] = b[i];
    return a;
}
INLINE vf vf_add(vf a, vf b) { return a + b; }
INLINE vf vf_sub(vf a, vf b) { return a - b; }
INLINE vf vf_mul(vf a, vf b) { return a * b; }
INLINE vf vf_div(vf a, vf b) { return a / b; }
INLINE vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
INLINE vf vf_fnma(vf a, vf b, vf c) { return c - a * b; }
/* where mask (all bits or none): x, else y */
INLINE vf vf_pick(vi mask, vf x, vf y) { return (vf)(((vi)x & mask) | ((vi)y & ~mask)); }
/* NaN in either: b, as the x86 instructions do */
INLINE vf vf_max(vf a, vf b) { return vf_pick((vi)(a > b), a, b); }
INLINE vf vf_min(vf a, vf b) { return vf_pick((vi)(a < b), a, b); }
INLINE vf vf_sqrt(vf a) { return (vf){sqrtf(a[0]), sqrtf(a[1]), sqrtf(a[2]), sqrtf(a[3])}; }
/* |a| < 2^22: adding and taking away 1.5 * 2^23 rounds to whole numbers */
INLINE vf vf_round(vf a) { return (a + vf_set(12582912.f)) - vf_set(12582912.f); }
/* a * 2^e for whole e in [-126, 127] */
INLINE vf vf_scale(vf a, vf e)
{
    vu whole = (vu)(e + vf_set(12582912.f)) - (vu)vf_set(12582912.f);
    return a * (vf)((whole + 127) << 23);
}
INLINE vf vf_where_lt(vf a, vf b, vf x, vf y) { return vf_pick((vi)(a < b), x, y); }
INLINE float vf_sum(vf a) { return (a[0] + a[2]) + (a[1] + a[3]); }
INLINE float vf_top(vf a)
{
    float x = a[0] > a[2] ? a[0] : a[2], y = a[1] > a[3] ? a[1] : a[3];
    return x > y ? x : y;
}

INLINE vf vf_load_bf16(const uint16_t *p)
{
    return (vf)(vi){(int32_t)((uint32_t)p[0] << 16), (int32_t)((uint32_t)p[1] << 16),
                    (int32_t)((uint32_t)p[2] << 16), (int32_t)((uint32_t)p[3] << 16)};
}
INLINE vf vf_load_bf16_n(const uint16_t *p, int64_t n)
{
    uint16_t full[4] = {0};
    memcpy(full, p, (size_t)n * 2);
    return vf_load_bf16(full);
}
INLINE void vf_store_bf16_n(uint16_t *p, vf a, int64_t n)
{
    for (int64_t i = 0; i < n; i++) p[i] = bf16_from_f32(a[i]);
}
INLINE void vf_store_bf16(uint16_t *p, vf a) { vf_store_bf16_n(p, a, VL); }
INLINE void vf_store_bf16_exact_n(uint16_t *p, vf a, int64_t n) { vf_store_bf16_n(p, a, n); }

#endif
