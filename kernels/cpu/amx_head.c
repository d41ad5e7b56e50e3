/* amx_head.c — output layer, losses and gradients on the AMX unit, for blocks of at most HEAD_BYTES
 * of exponentials. Logits are made as (vocabulary, token): a token is a vector lane. pass 1, per
 * chunk of the vocabulary: e = exp(logit - r_n) as bf16, sum_n e in f32; dx_n += e w pass 2: dw =
 * e^T (f_n x_n) with f_n = (1 + 2 z lse_n) / (N sum_n e) The target's own coefficient g_n = f_n
 * e_target - 1/N would lose its digits in bf16 when the model is sure of it, so e_target is left
 * out of both products and g_n w, g_n x are added in f32. r_n is the largest of the token's first
 * 32 logits; should a later one be far above, what exists is rescaled.            */
#include "kernels/cpu/amx_gemm.h"
#include "kernels/cpu/amx_ops.h"
#include "kernels/cpu/vmath.h"

#include <math.h>

enum { HEAD_BYTES = 64 << 20, HEAD_TOKENS = 256, CHUNK_ROWS = 512 };
#define LOG2E 1.44269504f
#define FAR   58.f /* in powers of two: far above the reference */

typedef struct head_work {
    uint16_t *x_right;    /* right panels of 32 tokens over C                          */
    uint16_t *w_left;     /* left panels of 32 words of the chunk over C               */
    uint16_t *w_turned;   /* left panels of 32 columns over the chunk                  */
    uint16_t *e;          /* left panels of 32 words over tokens: the exponentials     */
    uint16_t *e_right;    /* right panels of 32 tokens over the chunk                  */
    float *dx;            /* (Cp, Np): column, token                                   */
    float *reference;     /* (Np) r_n log2(e)                                          */
    float *total;         /* (Np) sums of e                                            */
    float *hit;           /* (Np) logits of the targets                                */
    float *factor;        /* (Np) f_n                                                  */
    float *target_factor; /* (Np) g_n                                                  */
    float *sums;          /* two blocks                                                */
    int32_t *targets;     /* (Np)                                                      */
    int64_t N, C, V, Np, Cp, Vp;
    bool gradient;
} head_work;

/* tokens whose exponentials fit */
static int64_t head_tokens(int64_t N, int64_t V)
{
    int64_t tokens = HEAD_BYTES / (2 * amx_pad(V)) / STEP * STEP;
    if (tokens < HEAD_TOKENS) tokens = HEAD_TOKENS;
    return tokens < amx_pad(N) ? tokens : amx_pad(N);
}

static head_work head_take(cpu_scratch *s, int64_t N, int64_t C, int64_t V)
{
    head_work w = {.C = C, .V = V, .Np = head_tokens(N, V), .Cp = amx_pad(C), .Vp = amx_pad(V)};
    w.x_right = scratch_take(s, w.Np * w.Cp * 2);
    w.w_left = scratch_take(s, CHUNK_ROWS * w.Cp * 2);
    w.w_turned = scratch_take(s, CHUNK_ROWS * w.Cp * 2);
    w.e = scratch_take(s, w.Vp * w.Np * 2);
    w.e_right = scratch_take(s, CHUNK_ROWS * w.Np * 2);
    w.dx = scratch_take(s, w.Cp * w.Np * 4);
    float **vectors[5] = {&w.reference, &w.total, &w.hit, &w.factor, &w.target_factor};
    for (int i = 0; i < 5; i++) *vectors[i] = scratch_take(s, w.Np * 4);
    w.sums = scratch_take(s, 2 * STEP * STEP * 4);
    w.targets = scratch_take(s, w.Np * 4);
    return w;
}

/* A block of (32 words, 32 tokens) logits whose products are done. */
typedef struct head_pending {
    const float *sums;
    int64_t word, token; /* of its first element                       */
    int64_t rows;        /* words that exist; 0: nothing to do         */
    vf reference[2], total[2], top[2];
} head_pending;

static void head_start(const head_work *w, head_pending *p, const float *sums, int64_t word,
                       int64_t token)
{
    p->sums = sums;
    p->word = word;
    p->token = token;
    p->rows = w->V - word < STEP ? w->V - word : STEP;
    for (int half = 0; half < 2; half++) {
        p->reference[half] = vf_load(w->reference + token + 16 * half);
        p->total[half] = vf_load(w->total + token + 16 * half);
        p->top[half] = vf_set(-1e30f);
    }
}

INLINE uint16_t *head_e(const head_work *w, int64_t word, int64_t token)
{
    return w->e + word * w->Np + token * STEP;
}

/* e of one word for 32 tokens */
INLINE void head_row(const head_work *w, head_pending *p, int64_t row)
{
    vf e[2];
    UNROLL
    for (int half = 0; half < 2; half++) {
        const vf x = _mm512_fmsub_ps(vf_load(p->sums + row * STEP + 16 * half), vf_set(LOG2E),
                                     p->reference[half]);
        p->top[half] = vf_max(p->top[half], x);
        e[half] = vf_exp2_f32(x);
        p->total[half] = vf_add(p->total[half], e[half]);
    }
    if (w->gradient)
        _mm512_storeu_si512(head_e(w, p->word, p->token) + row * STEP, bf16x32(e[0], e[1]));
}

/* A logit of lane `token` lies far above its reference: raises that, and shrinks what was made with
 * the old one. */
static void head_raise(const head_work *w, const head_pending *p, int64_t token, float by)
{
    const float factor = ldexpf(1.f, -(int)fminf(by, 300.f));
    w->reference[token] += by;
    w->total[token] *= factor;
    if (!w->gradient) return;
    const int64_t lane = token - token % STEP, at = token % STEP;
    for (int64_t word = 0; word < p->word; word++) {
        uint16_t *e = head_e(w, word - word % STEP, lane) + word % STEP * STEP + at;
        *e = bf16_from_f32(f32_from_bf16(*e) * factor);
    }
    for (int64_t c = 0; c < w->Cp; c++) w->dx[c * w->Np + token] *= factor;
}

/* Notes the logits of the targets among these words, and takes them out of e. */
static void head_targets(const head_work *w, const head_pending *p)
{
    const __m512i first = _mm512_set1_epi32((int)p->word),
                  end = _mm512_set1_epi32((int)(p->word + p->rows));
    for (int half = 0; half < 2; half++) {
        const __m512i target = _mm512_loadu_si512(w->targets + p->token + 16 * half);
        __mmask16 here =
            _mm512_cmpge_epi32_mask(target, first) & _mm512_cmplt_epi32_mask(target, end);
        for (; here; here &= (__mmask16)(here - 1)) {
            const int64_t lane = 16 * half + __builtin_ctz(here),
                          word = w->targets[p->token + lane] - p->word;
            w->hit[p->token + lane] = p->sums[word * STEP + lane];
            if (w->gradient) head_e(w, p->word, p->token)[word * STEP + lane] = 0;
        }
    }
}

/* what is left when all rows of a block are done */
static void head_finish(const head_work *w, head_pending *p)
{
    const __mmask16 far = _mm512_cmp_ps_mask(p->top[0], vf_set(FAR), _CMP_GT_OQ) |
                          _mm512_cmp_ps_mask(p->top[1], vf_set(FAR), _CMP_GT_OQ);
    if (far) {
        float top[STEP];
        for (int half = 0; half < 2; half++) vf_store(top + 16 * half, p->top[half]);
        for (int lane = 0; lane < STEP; lane++)
            if (top[lane] > FAR) head_raise(w, p, p->token + lane, ceilf(top[lane]));
        head_pending again;
        head_start(w, &again, p->sums, p->word, p->token);
        for (int64_t row = 0; row < again.rows; row++) head_row(w, &again, row);
        *p = again;
    }
    for (int half = 0; half < 2; half++) vf_store(w->total + p->token + 16 * half, p->total[half]);
    head_targets(w, p);
    if (w->gradient && p->rows < STEP)
        memset(head_e(w, p->word, p->token) + p->rows * STEP, 0,
               (size_t)((STEP - p->rows) * STEP) * 2);
    p->rows = 0;
}

/* sums = 32 words by 32 tokens, while the block before is turned into exponentials */
INLINE void head_block(const head_work *w, float *sums, const char *left, const char *right,
                       head_pending *p)
{
    const int64_t steps = w->Cp / STEP, share = (STEP + steps - 1) / steps;
    int64_t row = 0;
    amx_zero_sums();
    for (int64_t k = 0; k < steps; k++) {
        const int64_t at = k * 2 * TILE_BYTES;
        amx_step(left + at, left + at + TILE_BYTES, 64, right + at, right + at + TILE_BYTES);
        for (int64_t stop = row + share < p->rows ? row + share : p->rows; row < stop; row++)
            head_row(w, p, row);
    }
    amx_store_sums(sums, STEP * 4);
    if (p->rows) head_finish(w, p);
}

/* the first block of 32 tokens: its largest logits are their references */
static void head_first(const head_work *w, const float *sums, int64_t token)
{
    const int64_t rows = w->V < STEP ? w->V : STEP;
    for (int half = 0; half < 2; half++) {
        vf top = vf_load(sums + 16 * half);
        for (int64_t row = 1; row < rows; row++)
            top = vf_max(top, vf_load(sums + row * STEP + 16 * half));
        vf_store(w->reference + token + 16 * half, vf_mul(top, vf_set(LOG2E)));
        vf_store(w->total + token + 16 * half, vf_set(0));
    }
    head_pending p;
    head_start(w, &p, sums, 0, token);
    for (int64_t row = 0; row < p.rows; row++) head_row(w, &p, row);
    head_finish(w, &p);
}

/* exponentials of words [v0, v0 + count) for all tokens */
static void head_logits(const head_work *w, const uint16_t *words, int64_t v0, int64_t count)
{
    const int64_t padded = amx_pad(count), steps = w->Cp / STEP;
    head_pending pending = {.rows = 0};
    int64_t turn = 0;
    amx_pack_left_rows(w->w_left, (amx_rect){words + v0 * w->C, w->C, count, w->C}, padded);
    for (int64_t v = 0; v < padded; v += STEP)
        for (int64_t n = 0; n < w->Np; n += STEP) {
            float *sums = w->sums + (turn++ & 1) * STEP * STEP;
            const char *left = (const char *)(w->w_left + v * w->Cp),
                       *right = (const char *)(w->x_right + n * w->Cp);
            if (v0 + v == 0) {
                amx_scores(sums, left, right, steps);
                head_first(w, sums, n);
                continue;
            }
            head_block(w, sums, left, right, &pending);
            head_start(w, &pending, sums, v0 + v, n);
        }
    for (int64_t row = 0; row < pending.rows; row++) head_row(w, &pending, row);
    if (pending.rows) head_finish(w, &pending);
}

/* dx (Cp, Np) += w^T e over words [v0, v0 + count) */
static void head_dx(const head_work *w, const uint16_t *words, int64_t v0, int64_t count)
{
    const int64_t padded = amx_pad(count);
    amx_pack_left_columns(w->w_turned, (amx_rect){words + v0 * w->C, w->C, count, w->C}, padded,
                          NULL);
    for (int64_t v = 0; v < padded;
         v += STEP) // e is (word, token) already; only pairs of words are formed
        for (int64_t n = 0; n < w->Np; n += STEP) {
            const amx_rect tile = {head_e(w, v0 + v, n), STEP, STEP, STEP};
            amx_pack_right_columns(w->e_right + n * padded + v * STEP, tile, STEP);
        }
    for (int64_t c = 0; c < w->Cp; c += STEP)
        for (int64_t n = 0; n < w->Np; n += STEP)
            amx_add_product(w->dx + c * w->Np + n, w->Np, w->w_turned + c * padded,
                            w->e_right + n * padded, padded / STEP, v0 > 0);
}

/* losses, and the factors of the gradients */
static void head_losses(const head_work *w, const head_args *a, int64_t n0)
{
    float *losses = (float *)a->losses.data + n0;
    for (int64_t n = 0; n < w->Np; n++) {
        const float lse = w->reference[n] / LOG2E + log_f32(w->total[n]);
        if (n < w->N) losses[n] = lse - w->hit[n];
        const float slope = 1.f + 2.f * a->z_loss * lse, each = 1.f / (float)a->x.dim[0];
        w->factor[n] = n < w->N ? slope / w->total[n] * each : 0.f;
        w->target_factor[n] = (slope * exp_f32(w->hit[n] - lse) - 1.f) * each;
    }
}

/* dx rows = f * (column, token) sums + g * w[target] */
static void head_store_dx(const head_work *w, const head_args *a, int64_t n0)
{
    const uint16_t *words = a->w.data;
    for (int64_t n = 0; n < w->N; n += 16)
        for (int64_t c = 0; c < w->C; c += 16) {
            __m512i r[16];
            UNROLL
            for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_si512(w->dx + (c + i) * w->Np + n);
            amx_transpose(r);
            const int64_t left = lanes_at(c, w->C);
            for (int i = 0; i < 16 && n + i < w->N; i++) {
                const vf target = vf_load_bf16_n(words + w->targets[n + i] * w->C + c, left);
                const vf sum = vf_mul(_mm512_castsi512_ps(r[i]), vf_set(w->factor[n + i]));
                vf_store_bf16_n((uint16_t *)a->dx.data + (n0 + n + i) * w->C + c,
                                vf_fma(target, vf_set(w->target_factor[n + i]), sum), left);
            }
        }
}

/* dw (V, C) (+)= e^T (f x), and g x to the targets' rows */
static void head_store_dw(const head_work *w, const head_args *a, int64_t n0, uint16_t *scaled)
{
    const uint16_t *x = (const uint16_t *)a->x.data + n0 * w->C;
    float *dw = a->dw.data;
    for (int64_t n = 0; n < w->N; n++)
        for (int64_t c = 0; c < w->C; c += VL)
            vf_store_bf16_n(scaled + n * w->C + c,
                            vf_mul(vf_load_bf16_n(x + n * w->C + c, lanes_at(c, w->C)),
                                   vf_set(w->factor[n])),
                            lanes_at(c, w->C));
    amx_pack_right_columns(w->x_right, (amx_rect){scaled, w->C, w->N, w->C}, w->Np);
    for (int64_t v = 0; v < w->V; v += STEP)
        for (int64_t c = 0; c < w->C; c += STEP)
            amx_add_product_edge(dw + v * w->C + c, w->C, w->V - v, w->C - c, w->e + v * w->Np,
                                 w->x_right + c * w->Np, w->Np / STEP, n0 > 0);
    for (int64_t n = 0; n < w->N; n++)
        for (int64_t c = 0; c < w->C; c += VL) {
            const int64_t left = lanes_at(c, w->C);
            float *row = dw + w->targets[n] * w->C + c;
            const vf value = vf_load_bf16_n(x + n * w->C + c, left);
            vf_store_n(row, vf_fma(value, vf_set(w->target_factor[n]), vf_load_n(row, left)), left);
        }
}

void amx_head(cpu_scratch s, const head_args *a)
{
    const int64_t N = a->x.dim[0], C = a->x.dim[1], V = a->w.dim[0];
    head_work w = head_take(&s, N, C, V);
    const int64_t step = w.Np;
    w.gradient = a->dx.data != NULL;
    if (N == 0 && w.gradient) memset(a->dw.data, 0, (size_t)(V * C) * 4);
    amx_begin();
    for (int64_t n0 = 0; n0 < N; n0 += step) {
        w.N = N - n0 < step ? N - n0 : step;
        w.Np = amx_pad(w.N);
        amx_pack_right_rows(w.x_right, (amx_rect){(const uint16_t *)a->x.data + n0 * C, C, w.N, C},
                            w.Np);
        for (int64_t n = 0; n < w.Np; n++)
            w.targets[n] = n < w.N ? ((const int32_t *)a->targets.data)[n0 + n] : -1;
        for (int64_t v0 = 0; v0 < V; v0 += CHUNK_ROWS) {
            const int64_t count = V - v0 < CHUNK_ROWS ? V - v0 : CHUNK_ROWS;
            head_logits(&w, a->w.data, v0, count);
            if (w.gradient) head_dx(&w, a->w.data, v0, count);
        }
        head_losses(&w, a, n0);
        if (!w.gradient) continue;
        head_store_dx(&w, a, n0);
        head_store_dw(&w, a, n0, (uint16_t *)w.dx); // dx is done with its sums
    }
    amx_end();
}

int64_t amx_head_bytes(int64_t N, int64_t C, int64_t V)
{
    cpu_scratch all = {NULL, INT64_MAX / 2};
    head_take(&all, N, C, V);
    return INT64_MAX / 2 - all.bytes;
}
