/* amx_attention_back.c — gradients of causal attention on the AMX unit. Blocks of 64 keys stay
 * while the queries that see them pass by; probabilities are computed again from the stored log
 * sums. p = exp(s - lse), dp = v do^T, ds = p (dp - sum(do out)); dv = p do, dk = ds q, dq = ds^T k
 */
#include "kernels/cpu/amx_attention.h"
#include "kernels/cpu/amx_ops.h"

#include <math.h>

enum { BLOCK = 64 }; /* keys, and queries, per block */

typedef struct backward_work {
    uint16_t *keys, *values;      /* left panels of 32 keys                            */
    uint16_t *keys_turned;        /* left panels of 32 columns d, over keys            */
    uint16_t *queries, *dout;     /* right panels of 32 queries                        */
    uint16_t *queries_d, *dout_d; /* right panels of 32 columns d, over queries        */
    float *lse, *delta;           /* (Tp): log2 of the sums; sum(do out)               */
    float *dq;                    /* (HSp, Tp): d, query                               */
    float *dk, *dv;               /* (Tp, HSp)                                         */
    float *s, *dp;                /* (32, 32) key, query                               */
    uint16_t *p_left, *ds_left;   /* left panels of 32 keys over BLOCK queries         */
    uint16_t *ds_right;           /* right panels of 32 queries over BLOCK keys        */
    int64_t HSp, Tp, HS;
} backward_work;

static int64_t pad_block(int64_t n) { return (n + BLOCK - 1) / BLOCK * BLOCK; }

static backward_work backward_take(cpu_scratch *s, int64_t T, int64_t HS)
{
    backward_work w = {.HSp = amx_pad(HS), .Tp = pad_block(T), .HS = HS};
    uint16_t **packed[7] = {&w.keys, &w.values,    &w.keys_turned, &w.queries,
                            &w.dout, &w.queries_d, &w.dout_d};
    for (int i = 0; i < 7; i++) *packed[i] = scratch_take(s, w.Tp * w.HSp * 2);
    float **wide[3] = {&w.dq, &w.dk, &w.dv};
    for (int i = 0; i < 3; i++) *wide[i] = scratch_take(s, w.Tp * w.HSp * 4);
    w.lse = scratch_take(s, w.Tp * 4);
    w.delta = scratch_take(s, w.Tp * 4);
    w.s = scratch_take(s, STEP * STEP * 4);
    w.dp = scratch_take(s, STEP * STEP * 4);
    w.p_left = scratch_take(s, BLOCK * BLOCK * 2);
    w.ds_left = scratch_take(s, BLOCK * BLOCK * 2);
    w.ds_right = scratch_take(s, BLOCK * BLOCK * 2);
    return w;
}

/* p and ds of 32 keys k0 and 32 queries q0, and their places in the operands of the next products
 */
INLINE void gradient_tile(const backward_work *w, int64_t kb, int64_t qb, int64_t q0, float scale,
                          bool diagonal)
{
    const vf c = vf_set(scale);
    uint16_t *p_left = w->p_left + (kb * BLOCK + qb * STEP) * STEP;
    uint16_t *ds_left = w->ds_left + (kb * BLOCK + qb * STEP) * STEP;
    uint16_t *ds_right = w->ds_right + (qb * BLOCK + kb * STEP) * STEP;
    const vf lse[2] = {vf_load(w->lse + q0), vf_load(w->lse + q0 + 16)};
    const vf delta[2] = {vf_load(w->delta + q0), vf_load(w->delta + q0 + 16)};
    for (int k = 0; k < STEP; k += 2) {
        vf p[2][2], ds[2][2]; // row, half
        UNROLL
        for (int row = 0; row < 2; row++) UNROLL
        for (int half = 0; half < 2; half++) {
            const int64_t at = (k + row) * STEP + half * 16;
            vf v = vf_exp2_bf16(_mm512_fmsub_ps(vf_load(w->s + at), c, lse[half]));
            if (diagonal) v = _mm512_maskz_mov_ps(sees(k + row, half), v);
            p[row][half] = v;
            ds[row][half] = vf_mul(v, vf_sub(vf_load(w->dp + at), delta[half]));
        }
        UNROLL
        for (int row = 0; row < 2; row++) {
            _mm512_storeu_si512(p_left + (k + row) * STEP,
                                (__m512i)_mm512_cvtne2ps_pbh(p[row][1], p[row][0]));
            _mm512_storeu_si512(ds_left + (k + row) * STEP,
                                (__m512i)_mm512_cvtne2ps_pbh(ds[row][1], ds[row][0]));
        }
        UNROLL
        for (int half = 0; half < 2; half++)
            _mm512_storeu_si512(ds_right + half * 512 + k / 2 * STEP,
                                amx_pairs(ds[0][half], ds[1][half]));
    }
}

/* one block of keys and one of queries */
static void gradient_block(const backward_work *w, int64_t k0, int64_t q0)
{
    const int64_t HSp = w->HSp, steps = HSp / STEP;
    const float scale = 1.44269504f / sqrtf((float)w->HS);
    for (int64_t kb = 0; kb < BLOCK / STEP; kb++)
        for (int64_t qb = 0; qb < BLOCK / STEP; qb++) {
            const int64_t k = k0 + kb * STEP, q = q0 + qb * STEP;
            if (k > q) { // no query here sees these keys
                const int64_t at = (kb * BLOCK + qb * STEP) * STEP,
                              turned = (qb * BLOCK + kb * STEP) * STEP;
                memset(w->p_left + at, 0, 2 * TILE_BYTES);
                memset(w->ds_left + at, 0, 2 * TILE_BYTES);
                memset(w->ds_right + turned, 0, 2 * TILE_BYTES);
                continue;
            }
            amx_scores(w->s, (const char *)(w->keys + k * HSp),
                       (const char *)(w->queries + q * HSp), steps);
            amx_scores(w->dp, (const char *)(w->values + k * HSp),
                       (const char *)(w->dout + q * HSp), steps);
            if (k == q)
                gradient_tile(w, kb, qb, q, scale, true);
            else
                gradient_tile(w, kb, qb, q, scale, false);
        }
    for (int64_t d = 0; d < HSp; d += STEP)
        for (int64_t i = 0; i < BLOCK / STEP; i++) {
            const int64_t at = i * BLOCK * STEP, rows = (k0 + i * STEP) * HSp + d;
            amx_add_product(w->dv + rows, HSp, w->p_left + at, w->dout_d + d * w->Tp + q0 * STEP,
                            BLOCK / STEP, true);
            amx_add_product(w->dk + rows, HSp, w->ds_left + at,
                            w->queries_d + d * w->Tp + q0 * STEP, BLOCK / STEP, true);
            amx_add_product(w->dq + d * w->Tp + q0 + i * STEP, w->Tp,
                            w->keys_turned + d * w->Tp + k0 * STEP, w->ds_right + at, BLOCK / STEP,
                            true);
        }
}

/* log2 sums, and sum(do out) per query; queries past the end get p = 0 */
static void take_statistics(const backward_work *w, const attention_backward_args *a, int64_t b,
                            int64_t h)
{
    const int64_t D = a->NH * a->HS;
    const float *lse = (const float *)a->lse.data + (b * a->NH + h) * a->T;
    for (int64_t t = 0; t < w->Tp; t++) {
        w->lse[t] = t < a->T ? lse[t] * 1.44269504f : 1e30f;
        w->delta[t] = 0;
        const int64_t at = (b * a->T + t) * D + h * a->HS;
        vf sum = vf_set(0);
        for (int64_t i = 0; i < a->HS && t < a->T; i += VL)
            sum = vf_fma(act_load_n(a->dout.data, at + i, lanes_at(i, a->HS), true),
                         act_load_n(a->out.data, at + i, lanes_at(i, a->HS), true), sum);
        if (t < a->T) w->delta[t] = vf_sum(sum);
    }
}

/* (T, HS) bf16 rows from (Tp, HSp) sums */
static void store_rows(uint16_t *to, int64_t ld, const float *from, int64_t T, int64_t HS,
                       int64_t HSp, float scale)
{
    for (int64_t t = 0; t < T; t++)
        for (int64_t i = 0; i < HS; i += VL)
            vf_store_bf16_n(to + t * ld + i, vf_mul(vf_load(from + t * HSp + i), vf_set(scale)),
                            lanes_at(i, HS));
}

/* all queries of one head; dk and dv grow */
static void head_gradients(const attention_backward_args *a, const backward_work *w, int64_t b,
                           int64_t h)
{
    const int64_t T = a->T, HS = a->HS, width = (a->NH + 2 * a->NKV) * HS, D = a->NH * HS;
    const uint16_t *q = (const uint16_t *)a->qkv.data + b * T * width + h * HS;
    const uint16_t *dout = (const uint16_t *)a->dout.data + b * T * D + h * HS;
    amx_pack_right_rows(w->queries, (amx_rect){q, width, T, HS}, w->Tp);
    amx_pack_right_rows(w->dout, (amx_rect){dout, D, T, HS}, w->Tp);
    amx_pack_right_columns(w->queries_d, (amx_rect){q, width, T, HS}, w->Tp);
    amx_pack_right_columns(w->dout_d, (amx_rect){dout, D, T, HS}, w->Tp);
    take_statistics(w, a, b, h);
    memset(w->dq, 0, (size_t)(w->Tp * w->HSp) * 4);
    for (int64_t k0 = 0; k0 < T; k0 += BLOCK)
        for (int64_t q0 = k0; q0 < T; q0 += BLOCK) gradient_block(w, k0, q0);
    const vf scale = vf_set(1.f / sqrtf((float)HS));
    uint16_t *dq = (uint16_t *)a->dqkv.data + b * T * width + h * HS;
    for (int64_t t = 0; t < T; t += STEP)
        for (int64_t d = 0; d < HS; d += STEP)
            amx_store_turned(dq + t * width + d, width, w->dq + d * w->Tp + t, w->Tp, scale, scale,
                             T - t, HS - d);
}

void amx_attention_backward(cpu_scratch s, const attention_backward_args *a)
{
    const int64_t T = a->T, HS = a->HS, width = (a->NH + 2 * a->NKV) * HS, group = a->NH / a->NKV;
    const backward_work w = backward_take(&s, T, HS);
    amx_begin();
    for (int64_t b = 0; b < a->B; b++)
        for (int64_t kv = 0; kv < a->NKV; kv++) {
            const int64_t k_at = b * T * width + (a->NH + kv) * HS, v_at = k_at + a->NKV * HS;
            const amx_rect k = {(const uint16_t *)a->qkv.data + k_at, width, T, HS};
            const amx_rect v = {(const uint16_t *)a->qkv.data + v_at, width, T, HS};
            amx_pack_left_rows(w.keys, k, w.Tp);
            amx_pack_left_rows(w.values, v, w.Tp);
            amx_pack_left_columns(w.keys_turned, k, w.Tp, NULL);
            memset(w.dk, 0, (size_t)(w.Tp * w.HSp) * 4);
            memset(w.dv, 0, (size_t)(w.Tp * w.HSp) * 4);
            for (int64_t h = kv * group; h < (kv + 1) * group; h++) head_gradients(a, &w, b, h);
            uint16_t *out = a->dqkv.data;
            store_rows(out + k_at, width, w.dk, T, HS, w.HSp, 1.f / sqrtf((float)HS));
            store_rows(out + v_at, width, w.dv, T, HS, w.HSp, 1.f);
        }
    amx_end();
}

int64_t amx_attention_backward_bytes(int64_t T, int64_t HS)
{
    cpu_scratch all = {NULL, INT64_MAX / 2};
    backward_take(&all, T, HS);
    return INT64_MAX / 2 - all.bytes;
}
