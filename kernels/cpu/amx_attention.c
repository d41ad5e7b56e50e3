/* amx_attention.c — forward pass of causal attention on the AMX unit: 32 queries against blocks of 128 keys
 * with a running maximum and sum (Dao et al. 2022, "FlashAttention"). Keys after the last query of the
 * 32 are never visited.                                                                           */
#include "kernels/cpu/amx_attention.h"
#include "kernels/cpu/amx_ops.h"
#include "kernels/cpu/vmath.h"

#include <math.h>

enum { KEYS = 128 };

typedef struct forward_work {
    uint16_t *keys;    /* left panels of 32 keys                     */
    uint16_t *values;  /* left panels of 32 columns d                */
    uint16_t *queries; /* right panel of 32 queries                  */
    float *scores;     /* (KEYS, 32)                                 */
    uint16_t *p;       /* (KEYS / 32) steps of two right tiles       */
    float *out;        /* (HSp, 32): d, query                        */
    int64_t HSp, Tp;
} forward_work;

static forward_work forward_take(cpu_scratch *s, int64_t T, int64_t HS)
{
    forward_work w = {.HSp = amx_pad(HS), .Tp = amx_pad(T)};
    w.keys = scratch_take(s, w.Tp * w.HSp * 2);
    w.values = scratch_take(s, w.Tp * w.HSp * 2);
    w.queries = scratch_take(s, STEP * w.HSp * 2);
    w.scores = scratch_take(s, KEYS * STEP * 4);
    w.p = scratch_take(s, KEYS * STEP * 2);
    w.out = scratch_take(s, STEP * w.HSp * 4);
    return w;
}

/* the running softmax of 32 queries */
typedef struct softmax_state {
    vf top[2], total[2]; /* largest score; sum of exponentials */
} softmax_state;

INLINE void mask_diagonal(float *scores)
{
    for (int k = 1; k < STEP; k++)
        for (int half = 0; half < 2; half++) {
            float *at = scores + k * STEP + half * 16;
            vf_store(at, _mm512_mask_mov_ps(vf_set(MASKED), sees(k, half), vf_load(at)));
        }
}

/* Scores of `count` keys to probabilities; returns what older sums shrink by, one factor per query. */
INLINE void softmax_block(softmax_state *state, const float *scores, uint16_t *p, int64_t count, float scale,
                          vf shrink[2])
{
    const vf c = vf_set(scale);
    for (int half = 0; half < 2; half++) {
        const float *column = scores + half * 16;
        vf top[4] = {state->top[half], state->top[half], state->top[half], state->top[half]};
        for (int64_t k = 0; k < count; k += 4)
            UNROLL
            for (int j = 0; j < 4; j++) top[j] = vf_max(top[j], vf_load(column + (k + j) * STEP));
        const vf now = vf_max(vf_max(top[0], top[1]), vf_max(top[2], top[3]));
        const vf offset = vf_mul(now, c);
        shrink[half] = vf_exp2_f32(vf_sub(vf_mul(state->top[half], c), offset));
        vf even = vf_set(0), odd = vf_set(0);
        for (int64_t k = 0; k < count; k += 2) {
            const vf a = vf_exp2_f32(_mm512_fmsub_ps(vf_load(column + k * STEP), c, offset));
            const vf b = vf_exp2_f32(_mm512_fmsub_ps(vf_load(column + (k + 1) * STEP), c, offset));
            even = vf_add(even, a);
            odd = vf_add(odd, b);
            _mm512_storeu_si512(p + k / STEP * (STEP * STEP) + half * 512 + k % STEP / 2 * STEP, amx_pairs(a, b));
        }
        state->top[half] = now;
        state->total[half] = vf_fma(state->total[half], shrink[half], vf_add(even, odd));
    }
}

/* out (HSp, 32) = out * shrink + values^T p */
INLINE void add_values(const forward_work *w, int64_t k0, int64_t count, bool first, const vf shrink[2])
{
    for (int64_t d = 0; d < w->HSp; d += STEP) {
        float *out = w->out + d * STEP;
        if (first) {
            amx_zero_sums();
        } else {
            for (int i = 0; i < STEP; i++) {
                vf_store(out + i * STEP, vf_mul(vf_load(out + i * STEP), shrink[0]));
                vf_store(out + i * STEP + 16, vf_mul(vf_load(out + i * STEP + 16), shrink[1]));
            }
            amx_load_sums(out, STEP * 4);
        }
        const char *left = (const char *)(w->values + d * w->Tp + k0 * STEP), *right = (const char *)w->p;
        for (int64_t k = 0; k < count; k += STEP) {
            amx_step(left, left + TILE_BYTES, 64, right, right + TILE_BYTES);
            left += 2 * TILE_BYTES;
            right += 2 * TILE_BYTES;
        }
        amx_store_sums(out, STEP * 4);
    }
}

static void attend(const attention_args *a, const forward_work *w, int64_t b, int64_t h, int64_t q0)
{
    const int64_t steps = w->HSp / STEP, D = a->NH * a->HS;
    const int64_t rows = a->T - q0 < STEP ? a->T - q0 : STEP;
    const float scale = 1.44269504f / sqrtf((float)a->HS);
    softmax_state state;
    for (int half = 0; half < 2; half++) {
        state.top[half] = vf_set(MASKED);
        state.total[half] = vf_set(0);
    }
    for (int64_t k0 = 0; k0 <= q0; k0 += KEYS) {
        const int64_t count = q0 + STEP - k0 < KEYS ? q0 + STEP - k0 : KEYS;
        for (int64_t k = 0; k < count; k += STEP)
            amx_scores(w->scores + k * STEP, (const char *)(w->keys + (k0 + k) * w->HSp),
                       (const char *)w->queries, steps);
        if (k0 + count > q0) mask_diagonal(w->scores + (count - STEP) * STEP);
        vf shrink[2];
        softmax_block(&state, w->scores, w->p, count, scale, shrink);
        add_values(w, k0, count, k0 == 0, shrink);
    }
    const vf one = vf_set(1.f);
    uint16_t *out = (uint16_t *)a->out.data + (b * a->T + q0) * D + h * a->HS;
    for (int64_t d = 0; d < a->HS; d += STEP)
        amx_store_turned(out + d, D, w->out + d * STEP, STEP, vf_div(one, state.total[0]),
                         vf_div(one, state.total[1]), rows, a->HS - d);
    float top[STEP], total[STEP], *lse = (float *)a->lse.data + (b * a->NH + h) * a->T + q0;
    for (int half = 0; half < 2; half++) {
        vf_store(top + half * 16, state.top[half]);
        vf_store(total + half * 16, state.total[half]);
    }
    for (int64_t q = 0; q < rows; q++) lse[q] = top[q] / sqrtf((float)a->HS) + log_f32(total[q]);
}

void amx_attention(cpu_scratch s, const attention_args *a)
{
    const int64_t T = a->T, HS = a->HS, width = (a->NH + 2 * a->NKV) * HS, group = a->NH / a->NKV;
    const forward_work w = forward_take(&s, T, HS);
    amx_begin();
    for (int64_t b = 0; b < a->B; b++)
        for (int64_t kv = 0; kv < a->NKV; kv++) {
            const uint16_t *qkv = (const uint16_t *)a->qkv.data + b * T * width;
            const uint16_t *k = qkv + (a->NH + kv) * HS;
            amx_pack_left_rows(w.keys, (amx_rect){k, width, T, HS}, w.Tp);
            amx_pack_left_columns(w.values, (amx_rect){k + a->NKV * HS, width, T, HS}, w.Tp, NULL);
            for (int64_t h = kv * group; h < (kv + 1) * group; h++)
                for (int64_t q0 = 0; q0 < T; q0 += STEP) {
                    const int64_t rows = T - q0 < STEP ? T - q0 : STEP;
                    amx_pack_right_rows(w.queries, (amx_rect){qkv + q0 * width + h * HS, width, rows, HS}, STEP);
                    attend(a, &w, b, h, q0);
                }
        }
    amx_end();
}

int64_t amx_attention_bytes(int64_t T, int64_t HS)
{
    cpu_scratch all = {NULL, INT64_MAX / 2};
    forward_take(&all, T, HS);
    return INT64_MAX / 2 - all.bytes;
}
