/* tensor_core.h — arithmetic of the device at its least exact, for the emulator and the pretended
 * cuBLASLt: what passes here leaves nothing to rounding that a GPU does not have to offer.
 *
 * Sums of bf16 products are taken eight at a time: the products and the sum so far are cut off 24
 * bits below the largest of them, added, and the result cut off to f32, as was found by experiment
 * on the A100 (Fasi et al. 2021, "Numerical behavior of NVIDIA tensor cores"; later chips keep
 * more). 2^x is off by the 2^-22 that the PTX manual allows.                                     */
#ifndef CUDA_EMU_TENSOR_CORE_H
#define CUDA_EMU_TENSOR_CORE_H

#include <cmath>
#include <cstdint>
#include <cstring>

namespace emu
{
inline uint32_t bits_of(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, 4);
    return bits;
}
inline double power_of_two(int e)
{
    const uint64_t bits = (uint64_t)(e + 1023) << 52;
    double v;
    memcpy(&v, &bits, 8);
    return v;
}

/* sum + the products a[i] b[i], at most eight */
inline float tensor_sum(float sum, const float *a, const float *b, int count)
{
    enum { BLOCK = 8, KEPT = 24, BIAS = 127 };
    float part[BLOCK + 1] = {sum};
    int highest = (int)(bits_of(sum) >> 23 & 255);
    for (int i = 0; i < count; i++) {
        part[i + 1] = a[i] * b[i];
        const int e = (int)(bits_of(part[i + 1]) >> 23 & 255);
        if (e > highest) highest = e;
    }
    if (highest == 255 || highest == 0) { // not finite, or next to nothing
        for (int i = 0; i < count; i++) sum += part[i + 1];
        return sum;
    }
    const double scale = power_of_two(KEPT - (highest - BIAS));
    int64_t total = 0;
    for (int i = 0; i <= count; i++) total += (int64_t)((double)part[i] * scale);
    /* towards zero */
    const double exact = (double)total / scale;
    const float near = (float)exact;
    return std::fabs((double)near) > std::fabs(exact) ? std::nextafter(near, 0.f) : near;
}

inline float exp2_least_exact(float x)
{
    const float y = std::exp2f(x);
    if (x == 0) return 1; // as the manual says
    /* either way, by the last bits of x */
    return bits_of(x) * 0x9E3779B9u >> 31 ? y * (1 + 0x1p-22f) : y * (1 - 0x1p-22f);
}
} // namespace emu

#endif
