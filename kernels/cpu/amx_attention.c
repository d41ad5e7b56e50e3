/* amx_attention.c — forward pass of causal attention on the AMX unit (after Dao et al. 2022,
 * "FlashAttention"). The work of a head is a list of items: 32 queries by at most 128 keys that
 * they see. While the vector units turn the scores of item i into probabilities, the AMX unit makes
 * the scores of item i + 1 and adds the values of item i - 1: one step of it after every few rows.
 * Exponents count from the score of the first key, r; all keys being equal before the softmax, any
 * reference serves that is not far below the largest. Should one lie far above, sums are rescaled.
 */
#include "kernels/cpu/amx_attention.h"
#include "kernels/cpu/amx_ops.h"
#include "kernels/cpu/vmath.h"

#include <math.h>

enum { KEYS = 128 };
#define FAR 60.f /* in powers of two */

/* What 32 queries have gathered so far. */
typedef struct query_state {
    float *out;      /* (HSp, 32): d, query                               */
    vf reference[2]; /* r, in powers of two                               */
    vf total[2];     /* sums of exponentials                              */
} query_state;

/* 32 queries by `count` keys. */
typedef struct item {
    int64_t q0, k0, count;
    bool first, last; /* of its queries                              */
    bool raised;      /* older sums must shrink first                */
    vf shrink[2];
} item;

typedef struct forward_work {
    uint16_t *keys;    /* left panels of 32 keys                       */
    uint16_t *values;  /* left panels of 32 columns d                  */
    uint16_t *queries; /* right panels of 32 queries                   */
    float *scores[2];  /* (KEYS, 32) of items, taking turns            */
    uint16_t *p[2];    /* (KEYS / 32) steps of two right tiles         */
    query_state state[2];
    int64_t HSp, Tp;
    float scale; /* log2(e) / sqrt(HS)                           */
} forward_work;

static forward_work forward_take(cpu_scratch *s, int64_t T, int64_t HS)
{
    forward_work w = {.HSp = amx_pad(HS),
                      .Tp = amx_pad(T),
                      .scale = 1.44269504f / sqrtf((float)HS)};
    w.keys = scratch_take(s, w.Tp * w.HSp * 2);
    w.values = scratch_take(s, w.Tp * w.HSp * 2);
    w.queries = scratch_take(s, w.Tp * w.HSp * 2);
    for (int i = 0; i < 2; i++) {
        w.scores[i] = scratch_take(s, KEYS * STEP * 4);
        w.p[i] = scratch_take(s, KEYS * STEP * 2);
        w.state[i].out = scratch_take(s, STEP * w.HSp * 4);
    }
    return w;
}

/* Steps of the AMX unit still to do: scores first, then values. */
typedef struct tile_jobs {
    const char *keys, *queries; /* panels                                                */
    float *scores;
    int64_t blocks, steps; /* of 32 keys; along d                                   */
    const char *values, *p;
    float *out;
    int64_t panels, panel_bytes, key_steps;
    bool fresh; /* out starts from zero                                  */
    int64_t count, outer, inner;
} tile_jobs;

INLINE void score_job(tile_jobs *j)
{
    const int64_t at = j->inner * 2 * TILE_BYTES;
    const char *left = j->keys + j->outer * j->steps * 2 * TILE_BYTES + at,
               *right = j->queries + at;
    if (j->inner == 0) amx_zero_sums();
    amx_step(left, left + TILE_BYTES, 64, right, right + TILE_BYTES);
    if (++j->inner < j->steps) return;
    amx_store_sums(j->scores + j->outer * STEP * STEP, STEP * 4);
    j->inner = 0;
    if (++j->outer == j->blocks) j->blocks = j->outer = 0;
}

INLINE void value_job(tile_jobs *j)
{
    const int64_t at = j->inner * 2 * TILE_BYTES;
    const char *left = j->values + j->outer * j->panel_bytes + at, *right = j->p + at;
    float *out = j->out + j->outer * STEP * STEP;
    if (j->inner == 0) {
        if (j->fresh)
            amx_zero_sums();
        else
            amx_load_sums(out, STEP * 4);
    }
    amx_step(left, left + TILE_BYTES, 64, right, right + TILE_BYTES);
    if (++j->inner < j->key_steps) return;
    amx_store_sums(out, STEP * 4);
    j->inner = 0;
    j->outer++;
}

INLINE void job_run(tile_jobs *j)
{
    if (j->blocks)
        score_job(j);
    else
        value_job(j);
    j->count--;
}

/* jobs of the scores of `next` and the values of `before`; either may be NULL */
static tile_jobs jobs_of(const forward_work *w, const item *next, const item *before, int64_t turn)
{
    tile_jobs j = {.steps = w->HSp / STEP, .panel_bytes = w->Tp * STEP * 2};
    if (next) {
        j.keys = (const char *)(w->keys + next->k0 * w->HSp);
        j.queries = (const char *)(w->queries + next->q0 * w->HSp);
        j.scores = w->scores[(turn + 1) & 1];
        j.blocks = next->count / STEP;
        j.count += j.blocks * j.steps;
    }
    if (before) {
        j.values = (const char *)(w->values + before->k0 * STEP);
        j.p = (const char *)w->p[(turn - 1) & 1];
        j.out = w->state[before->q0 / STEP & 1].out;
        j.panels = w->HSp / STEP;
        j.key_steps = before->count / STEP;
        j.fresh = before->first;
        j.count += j.panels * j.key_steps;
    }
    return j;
}

/* Probabilities of two keys, for all 32 queries; returns their exponents' maximum in top. */
INLINE void softmax_rows(const float *scores, uint16_t *p, int64_t k, vf c, const vf reference[2],
                         vf total[2], vf top[2], const bool diagonal)
{
    UNROLL
    for (int half = 0; half < 2; half++) {
        vf e[2];
        UNROLL
        for (int row = 0; row < 2; row++) {
            const vf x =
                _mm512_fmsub_ps(vf_load(scores + (k + row) * STEP + half * 16), c, reference[half]);
            /* keys that a query does not see neither count nor raise its reference */
            const __mmask16 seen = diagonal ? sees((int)(k + row) % STEP, half) : (__mmask16)~0;
            top[half] = _mm512_mask_max_ps(top[half], seen, top[half], x);
            e[row] = _mm512_maskz_mov_ps(seen, vf_exp2_f32(x));
            total[half] = vf_add(total[half], e[row]);
        }
        _mm512_storeu_si512(p + k / STEP * (STEP * STEP) + half * 512 + k % STEP / 2 * STEP,
                            amx_pairs(e[0], e[1]));
    }
}

/* Scores of an item to probabilities, running jobs meanwhile; the last 32 keys lie on the diagonal
 * if the item is the last of its queries. */
static void softmax_item(const forward_work *w, const item *t, query_state *state, int64_t turn,
                         tile_jobs *jobs, vf top[2])
{
    const float *scores = w->scores[turn & 1];
    uint16_t *p = w->p[turn & 1];
    const vf c = vf_set(w->scale);
    const vf reference[2] = {state->reference[0], state->reference[1]};
    vf total[2] = {state->total[0], state->total[1]};
    const int64_t plain = t->last ? t->count - STEP : t->count, all = jobs->count;
    for (int64_t k = 0; k < plain; k += 2) {
        softmax_rows(scores, p, k, c, reference, total, top, false);
        while ((all - jobs->count) * t->count < all * (k + 2)) job_run(jobs);
    }
    for (int64_t k = plain; k < t->count; k += 2) {
        softmax_rows(scores, p, k, c, reference, total, top, true);
        while ((all - jobs->count) * t->count < all * (k + 2)) job_run(jobs);
    }
    state->total[0] = total[0];
    state->total[1] = total[1];
}

/* What exists of these queries counts from a reference too far below: raise it, and do the item
 * again. */
static void raise_item(const forward_work *w, item *t, query_state *state, int64_t turn,
                       const vf before[2], const vf top[2])
{
    tile_jobs none = {.count = 0};
    vf again[2] = {vf_set(0), vf_set(0)};
    for (int half = 0; half < 2; half++) {
        const vf by =
            _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(top[half], vf_set(FAR), _CMP_GT_OQ), top[half]);
        t->shrink[half] = vf_exp2_f32(vf_sub(vf_set(0), by));
        state->reference[half] = vf_add(state->reference[half], by);
        state->total[half] = vf_mul(before[half], t->shrink[half]);
    }
    t->raised = true;
    softmax_item(w, t, state, turn, &none, again);
}

/* the vector units' part of item `turn` */
static void soften(forward_work *w, item *t, int64_t turn, tile_jobs *jobs)
{
    query_state *state = &w->state[t->q0 / STEP & 1];
    for (int half = 0; half < 2 && t->first; half++) {
        state->reference[half] = vf_mul(vf_load(w->scores[turn & 1] + 16 * half), vf_set(w->scale));
        state->total[half] = vf_set(0);
    }
    const vf before[2] = {state->total[0], state->total[1]};
    vf top[2] = {vf_set(-FAR), vf_set(-FAR)};
    softmax_item(w, t, state, turn, jobs, top);
    const __mmask16 far = _mm512_cmp_ps_mask(top[0], vf_set(FAR), _CMP_GT_OQ) |
                          _mm512_cmp_ps_mask(top[1], vf_set(FAR), _CMP_GT_OQ);
    if (far) raise_item(w, t, state, turn, before, top);
}

/* Outputs and log sums of 32 queries whose last item is done. */
static void finish_queries(const forward_work *w, const attention_args *a, int64_t b, int64_t h,
                           int64_t q0)
{
    const query_state *state = &w->state[q0 / STEP & 1];
    const int64_t D = a->NH * a->HS, rows = a->T - q0 < STEP ? a->T - q0 : STEP;
    const vf one = vf_set(1.f);
    uint16_t *out = (uint16_t *)a->out.data + (b * a->T + q0) * D + h * a->HS;
    for (int64_t d = 0; d < a->HS; d += STEP)
        amx_store_turned(out + d, D, state->out + d * STEP, STEP, vf_div(one, state->total[0]),
                         vf_div(one, state->total[1]), rows, a->HS - d);
    float reference[STEP], total[STEP], *lse = (float *)a->lse.data + (b * a->NH + h) * a->T + q0;
    for (int half = 0; half < 2; half++) {
        vf_store(reference + half * 16, state->reference[half]);
        vf_store(total + half * 16, state->total[half]);
    }
    for (int64_t q = 0; q < rows; q++) lse[q] = reference[q] * 0.69314718f + log_f32(total[q]);
}

/* the item after t, or false */
static bool item_next(const forward_work *w, item *t)
{
    const bool more = t->k0 + t->count < t->q0 + STEP;
    const int64_t q0 = more ? t->q0 : t->q0 + STEP, k0 = more ? t->k0 + t->count : 0;
    if (q0 >= w->Tp) return false;
    const int64_t seen = q0 + STEP - k0;
    *t = (item){.q0 = q0,
                .k0 = k0,
                .count = seen < KEYS ? seen : KEYS,
                .first = k0 == 0,
                .last = seen <= KEYS};
    return true;
}

static void shrink_out(const forward_work *w, const item *t)
{
    float *out = w->state[t->q0 / STEP & 1].out;
    for (int64_t d = 0; d < w->HSp; d++)
        for (int half = 0; half < 2; half++) {
            float *at = out + d * STEP + half * 16;
            vf_store(at, vf_mul(vf_load(at), t->shrink[half]));
        }
}

/* all queries of a head, its keys, values and queries being packed */
static void attend(forward_work *w, const attention_args *a, int64_t b, int64_t h)
{
    item before = {0}, now = {.count = 0}, next = {.count = STEP, .first = true, .last = true};
    bool any_before = false, any_now = false, any_next = true;
    for (int64_t turn = -1; any_next || any_now || any_before; turn++) {
        if (any_before && before.raised && !before.first) shrink_out(w, &before);
        tile_jobs jobs = jobs_of(w, any_next ? &next : NULL, any_before ? &before : NULL, turn);
        if (any_now) soften(w, &now, turn, &jobs);
        while (jobs.count) job_run(&jobs);
        if (any_before && before.last) finish_queries(w, a, b, h, before.q0);
        before = now, any_before = any_now;
        now = next, any_now = any_next;
        any_next = any_next && item_next(w, &next);
    }
}

void amx_attention(cpu_scratch s, const attention_args *a)
{
    const int64_t T = a->T, HS = a->HS, width = (a->NH + 2 * a->NKV) * HS, group = a->NH / a->NKV;
    forward_work w = forward_take(&s, T, HS);
    amx_begin();
    for (int64_t b = 0; b < a->B && T; b++)
        for (int64_t kv = 0; kv < a->NKV; kv++) {
            const uint16_t *qkv = (const uint16_t *)a->qkv.data + b * T * width;
            const uint16_t *k = qkv + (a->NH + kv) * HS;
            amx_pack_left_rows(w.keys, (amx_rect){k, width, T, HS}, w.Tp);
            amx_pack_left_columns(w.values, (amx_rect){k + a->NKV * HS, width, T, HS}, w.Tp, NULL);
            for (int64_t h = kv * group; h < (kv + 1) * group; h++) {
                amx_pack_right_rows(w.queries, (amx_rect){qkv + h * HS, width, T, HS}, w.Tp);
                attend(&w, a, b, h);
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
