/* ptx.h — the only place where kernels touch PTX. Each function has two bodies: the instruction,
 * and with CUDA_EMU what the PTX manual says it does.                                           */
#ifndef KERNELS_CUDA_PTX_H
#define KERNELS_CUDA_PTX_H

#include "kernels/cuda/cuda_launch.h"

#include <cuda_bf16.h>

#include <stdint.h>

#define DEVICE static __device__ __forceinline__

/* --- fragments of m16n8k16 ----------------------------------------------------------------------
 * With g = lane / 4, t = lane % 4, and each register two bf16, the lower half first:
 * a (16x16): a0 = (g, 2t), a1 = (g + 8, 2t), a2 = (g, 2t + 8), a3 = (g + 8, 2t + 8)
 * b (16x8):  b0 = (2t, g), b1 = (2t + 8, g)
 * d (16x8, f32): d0, d1 = (g, 2t), (g, 2t + 1), d2, d3 = (g + 8, 2t), (g + 8, 2t + 1)            */
#ifdef CUDA_EMU
#include "tensor_core.h"

struct mma_operands {
    uint32_t a[4], b[2];
    float d[4];
};
static inline float mma_half(uint32_t pair, int upper)
{
    uint32_t bits = upper ? pair & 0xffff0000u : pair << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}
static inline void mma_combine(const emu::slots in, emu::slots out, unsigned lanes)
{
    float a[16][16], b[8][16]; // b transposed
    if (lanes != emu::WARP) emu::die("mma.sync: not all lanes of the warp exist");
    for (int lane = 0; lane < 32; lane++) {
        mma_operands v;
        memcpy(&v, in[lane], sizeof v);
        int g = lane / 4, t = lane % 4;
        for (int i = 0; i < 8; i++)
            a[g + i / 2 % 2 * 8][2 * t + i / 4 * 8 + i % 2] = mma_half(v.a[i / 2], i % 2);
        for (int i = 0; i < 4; i++) b[g][2 * t + i / 2 * 8 + i % 2] = mma_half(v.b[i / 2], i % 2);
    }
    for (int lane = 0; lane < 32; lane++) {
        float d[4];
        memcpy(d, in[lane] + offsetof(mma_operands, d), sizeof d);
        for (int i = 0; i < 4; i++)
            for (int k = 0; k < 16; k += 8)
                d[i] = emu::tensor_sum(d[i], &a[lane / 4 + i / 2 * 8][k],
                                       &b[lane % 4 * 2 + i % 2][k], 8);
        memcpy(out[lane], d, sizeof d);
    }
}
#endif

/* d += a b */
DEVICE void mma_bf16(float d[4], const uint32_t a[4], const uint32_t b[2])
{
#ifndef CUDA_EMU
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    mma_operands v;
    memcpy(v.a, a, sizeof v.a);
    memcpy(v.b, b, sizeof v.b);
    memcpy(v.d, d, sizeof v.d);
    const emu::slots *out = emu::meet(~0u, v, "mma.sync", mma_combine);
    memcpy(d, (*out)[emu::cur->linear % 32], sizeof v.d);
#endif
}

/* --- 8x8 matrices of 16-bit elements from shared memory ------------------------------------------
 * Lane l gives the address of row l % 8 of matrix l / 8. Register m of lane l becomes elements
 * 2 (l % 4) and the next of row l / 4 of matrix m; transposed: of column l / 4.                 */
#ifdef CUDA_EMU
static inline void matrix_rows(const char *row[4][8], const emu::slots in)
{
    for (int lane = 0; lane < 32; lane++) {
        memcpy(&row[lane / 8][lane % 8], in[lane], sizeof(char *));
        if ((uintptr_t)row[lane / 8][lane % 8] % 16) emu::die("ldmatrix: not 16-byte aligned");
    }
}
template <bool transposed>
static inline void ldmatrix_combine(const emu::slots in, emu::slots out, unsigned lanes)
{
    const char *row[4][8];
    if (lanes != emu::WARP) emu::die("ldmatrix: not all lanes of the warp exist");
    matrix_rows(row, in);
    for (int lane = 0; lane < 32; lane++)
        for (int m = 0; m < 4; m++)
            for (int i = 0; i < 2; i++) {
                int r = lane / 4, c = lane % 4 * 2 + i;
                memcpy(out[lane] + 4 * m + 2 * i,
                       transposed ? row[m][c] + 2 * r : row[m][r] + 2 * c, 2);
            }
}
#endif

DEVICE void ldmatrix(uint32_t r[4], const void *row)
{
#ifndef CUDA_EMU
    uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
#else
    const emu::slots *out = emu::meet(~0u, row, "ldmatrix", ldmatrix_combine<false>);
    memcpy(r, (*out)[emu::cur->linear % 32], 16);
#endif
}

DEVICE void ldmatrix_transposed(uint32_t r[4], const void *row)
{
#ifndef CUDA_EMU
    uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
#else
    const emu::slots *out = emu::meet(~0u, row, "ldmatrix.trans", ldmatrix_combine<true>);
    memcpy(r, (*out)[emu::cur->linear % 32], 16);
#endif
}

/* --- asynchronous copies -------------------------------------------------- */

/* 16 bytes of shared memory = the first `bytes` (0 or 16) at from, then zeros. Both aligned. */
DEVICE void copy_async(void *shared, const void *from, uint32_t bytes)
{
#ifndef CUDA_EMU
    uint32_t at = (uint32_t)__cvta_generic_to_shared(shared);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(at), "l"(from), "r"(bytes)
                 : "memory");
#else
    if ((uintptr_t)shared % 16 || (uintptr_t)from % 16) emu::die("cp.async: not 16-byte aligned");
    auto &groups = emu::cur->copies;
    if (groups.empty()) groups.emplace_back();
    groups.back().push_back({shared, from, bytes});
#endif
}
/* ends a group of copies */
DEVICE void copy_commit()
{
#ifndef CUDA_EMU
    asm volatile("cp.async.commit_group;\n" ::: "memory");
#else
    emu::cur->copies.emplace_back();
#endif
}
/* waits for this thread's copies but those of the last `newest` groups */
template <int newest> DEVICE void copy_wait()
{
#ifndef CUDA_EMU
    asm volatile("cp.async.wait_group %0;\n" ::"n"(newest) : "memory");
#else
    /* the last list is the group still open */
    auto &groups = emu::cur->copies;
    while ((int)groups.size() > newest + 1) {
        for (const emu::async_copy &copy : groups.front()) {
            memset(copy.to, 0, 16);
            memcpy(copy.to, copy.from, copy.bytes);
        }
        groups.erase(groups.begin());
    }
#endif
}

/* --- approximations ------------------------------------------------------- */

/* 2^x; relative error below 2^-22, 2^-inf = 0, NaN stays */
DEVICE float exp2_fast(float x)
{
#ifndef CUDA_EMU
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#else
    return emu::exp2_least_exact(x);
#endif
}

#endif
