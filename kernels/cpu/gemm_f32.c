/* gemm_f32.c — packed panels and a register-blocked micro-kernel (Goto & van de Geijn 2008,
 * "Anatomy of high-performance matrix multiplication"): B blocks of KC x NC stay in L2, A panels
 * stream from it. */
#include "kernels/cpu/gemm_f32.h"

#include "kernels/cpu/epilogue.h"

#if defined(CPU_AVX512)
enum { MR = 14, NV = 2 };
#elif defined(CPU_AVX2)
enum { MR = 6, NV = 2 };
#else
enum { MR = 4, NV = 2 };
#endif
enum { NR = NV * VL, KC = 384, NC = 512, MC = MR * 8 };

/* tile (MR, NR) (+)= a (K, MR)^T b (K, NR) */
INLINE void gemm_tile(float *tile, const float *a, const float *b, int64_t K, bool resume)
{
    vf sum[MR][NV];
    UNROLL
    for (int i = 0; i < MR; i++) UNROLL
    for (int j = 0; j < NV; j++) sum[i][j] = resume ? vf_load(tile + i * NR + j * VL) : vf_set(0);
    for (int64_t k = 0; k < K; k++) {
        vf row[NV];
        UNROLL
        for (int j = 0; j < NV; j++) row[j] = vf_load(b + k * NR + j * VL);
        UNROLL
        for (int i = 0; i < MR; i++) {
            const vf x = vf_set(a[k * MR + i]);
            UNROLL
            for (int j = 0; j < NV; j++) sum[i][j] = vf_fma(x, row[j], sum[i][j]);
        }
    }
    UNROLL
    for (int i = 0; i < MR; i++) UNROLL
    for (int j = 0; j < NV; j++) vf_store(tile + i * NR + j * VL, sum[i][j]);
}

/* rows [i0, i0+rows) and columns [k0, k0+depth) of m as panels of `width` rows: (depth, width),
 * short panels filled with zeros */
INLINE void pack_panels(float *to, gemm_matrix m, const int64_t i0, const int64_t rows,
                        const int64_t k0, const int64_t depth, const int64_t width, const bool bf16)
{
    for (int64_t p = 0; p < rows; p += width) {
        float *panel = to + p * depth;
        const int64_t high = rows - p < width ? rows - p : width;
        if (m.row == 1) {
            for (int64_t k = 0; k < depth; k++)
                for (int64_t i = 0; i < width; i += VL) {
                    const int64_t fill = width - i < VL ? width - i : VL;
                    const int64_t left = high - i < fill ? (high > i ? high - i : 0) : fill;
                    const vf v = act_load_n(m.data, i0 + p + i + (k0 + k) * m.col, left, bf16);
                    vf_store_n(panel + k * width + i, v, fill);
                }
        } else {
            for (int64_t i = 0; i < width; i++)
                for (int64_t k = 0; k < depth; k++)
                    panel[k * width + i] =
                        i < high ? act_get(m.data, (i0 + p + i) * m.row + k0 + k, bf16) : 0.f;
        }
    }
}

static void pack(float *to, gemm_matrix m, int64_t i0, int64_t rows, int64_t k0, int64_t depth,
                 bool left)
{
    const int64_t width = left ? MR : NR;
    if (m.bf16)
        pack_panels(to, m, i0, rows, k0, depth, width, true);
    else
        pack_panels(to, m, i0, rows, k0, depth, width, false);
}

static gemm_matrix turned(gemm_matrix m) { return (gemm_matrix){m.data, m.col, m.row, m.bf16}; }

typedef struct gemm_block {
    const float *a, *b; /* packed                                         */
    float *part;        /* (rows, NR) tiles of sums so far, or NULL       */
    int64_t m0, rows, n0, columns, depth;
    bool first, last; /* of the blocks along K                          */
} gemm_block;

static void gemm_run_block(const gemm_block *k, const gemm_target *t)
{
    float local[MR * NR] __attribute__((aligned(64)));
    for (int64_t j = 0; j < k->columns; j += NR)
        for (int64_t i = 0; i < k->rows; i += MR) {
            float *tile = local;
            if (k->part) tile = k->part + (j / NR * ((k->rows + MR - 1) / MR) + i / MR) * MR * NR;
            gemm_tile(tile, k->a + i * k->depth, k->b + j * k->depth, k->depth, !k->first);
            if (!k->last) continue;
            const int64_t high = k->rows - i < MR ? k->rows - i : MR;
            const int64_t wide = k->columns - j < NR ? k->columns - j : NR;
            epilogue_tile(t, tile, NR, k->m0 + i, k->n0 + j, high, wide);
        }
}

void CPU_FN(gemm_f32)(cpu_scratch s, const int64_t size[3], gemm_matrix a, gemm_matrix b,
                      const gemm_target *t)
{
    const int64_t M = size[0], N = size[1], K = size[2];
    float *b_pack = scratch_take(&s, (int64_t)KC * NC * 4);
    float *a_pack = scratch_take(&s, (int64_t)KC * MC * 4);
    /* sums wait in scratch only where K takes more than one block */
    float *part = K > KC ? scratch_take(&s, (M + MC) / MC * MC * NC * 4) : NULL;
    for (int64_t n0 = 0; n0 < N; n0 += NC) {
        const int64_t columns = N - n0 < NC ? N - n0 : NC;
        for (int64_t k0 = 0; k0 < K || k0 == 0; k0 += KC) {
            const int64_t depth = K - k0 < KC ? K - k0 : KC;
            pack(b_pack, turned(b), n0, columns, k0, depth, false);
            for (int64_t m0 = 0; m0 < M; m0 += MC) {
                const int64_t rows = M - m0 < MC ? M - m0 : MC;
                pack(a_pack, a, m0, rows, k0, depth, true);
                const gemm_block block = {a_pack,      b_pack, part ? part + m0 * NC : NULL,
                                          m0,          rows,   n0,
                                          columns,     depth,  k0 == 0,
                                          k0 + KC >= K};
                gemm_run_block(&block, t);
            }
        }
    }
}

int64_t CPU_FN(gemm_f32_bytes)(int64_t M)
{
    return cpu_piece((int64_t)KC * NC * 4) + cpu_piece((int64_t)KC * MC * 4) +
           cpu_piece((M + MC) / MC * MC * NC * 4);
}

INLINE void column_sums_of(float *out, const void *from, int64_t M, int64_t N, const bool bf16)
{
    for (int64_t n = 0; n < N; n += VL) {
        const int64_t left = lanes_at(n, N);
        /* four sums apart: shorter chains, smaller error */
        vf part[4] = {vf_set(0), vf_set(0), vf_set(0), vf_set(0)};
        int64_t m = 0;
        for (; m + 4 <= M; m += 4) UNROLL
        for (int i = 0; i < 4; i++)
            part[i] = vf_add(part[i], act_load_n(from, (m + i) * N + n, left, bf16));
        for (; m < M; m++) part[0] = vf_add(part[0], act_load_n(from, m * N + n, left, bf16));
        vf_store_n(out + n, vf_add(vf_add(part[0], part[1]), vf_add(part[2], part[3])), left);
    }
}

void CPU_FN(column_sums)(float *out, const void *from, int64_t M, int64_t N, bool bf16)
{
    if (bf16)
        column_sums_of(out, from, M, N, true);
    else
        column_sums_of(out, from, M, N, false);
}
