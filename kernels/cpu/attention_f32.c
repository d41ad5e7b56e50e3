/* attention_f32.c — causal attention in tiles of 64 queries by 64 keys with a running maximum and
 * sum (Dao et al. 2022, "FlashAttention"); f32 products. Tiles are kept as (key, query), so that a
 * query is a vector lane and its softmax needs no sums across lanes. Tiles above the diagonal are
 * not visited. */
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/vmath.h"

enum { BT = 64, NV = 2, NR = NV * VL };
#if defined(CPU_AVX512)
enum { MR = 8 };
#else
enum { MR = 4 };
#endif

#define MASKED (-1e30f)

/* out (BT, columns) with stride ld (+)= sum_k a(i, k) b(k, j): a(i, k) = a[i * ai + k * ak], b has
 * rows of ldb; columns is a multiple of NR */
INLINE void tile_product(float *out, int64_t ld, const float *a, const int64_t ai, const int64_t ak,
                         const float *b, int64_t ldb, int64_t columns, int64_t K, const bool add)
{
    for (int64_t j = 0; j < columns; j += NR)
        for (int64_t i = 0; i < BT; i += MR) {
            vf sum[MR][NV];
            UNROLL
            for (int r = 0; r < MR; r++) UNROLL
            for (int v = 0; v < NV; v++)
                sum[r][v] = add ? vf_load(out + (i + r) * ld + j + v * VL) : vf_set(0);
            for (int64_t k = 0; k < K; k++) {
                vf row[NV];
                UNROLL
                for (int v = 0; v < NV; v++) row[v] = vf_load(b + k * ldb + j + v * VL);
                UNROLL
                for (int r = 0; r < MR; r++) {
                    const vf x = vf_set(a[(i + r) * ai + k * ak]);
                    UNROLL
                    for (int v = 0; v < NV; v++) sum[r][v] = vf_fma(x, row[v], sum[r][v]);
                }
            }
            UNROLL
            for (int r = 0; r < MR; r++) UNROLL
            for (int v = 0; v < NV; v++) vf_store(out + (i + r) * ld + j + v * VL, sum[r][v]);
        }
}

/* Where the rows of one head lie. */
typedef struct head_view {
    const void *data;
    int64_t first, stride; /* element of position 0; elements between positions */
    bool bf16;
} head_view;

/* Positions [t0, t0 + count) of a head as (count, wide) rows times scale, padded with zeros to
 * (rows, wide), and as (HS, ld) columns; either target may be NULL. */
static void head_pack(float *rows_out, float *columns_out, head_view h, const int64_t t0,
                      int64_t count, int64_t rows, int64_t HS, int64_t wide, int64_t ld,
                      float scale)
{
    for (int64_t t = 0; t < rows; t++)
        for (int64_t i = 0; i < wide; i++) {
            const bool real = t < count && i < HS;
            const float v =
                real ? act_get(h.data, h.first + (t0 + t) * h.stride + i, h.bf16) * scale : 0.f;
            if (rows_out) rows_out[t * wide + i] = v;
            if (columns_out && i < HS) columns_out[i * ld + t] = v;
        }
}

static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* scores (key, query) of one tile; keys after the query are masked on the diagonal */
static void tile_scores(float *s, const float *keys, int64_t ldk, const float *queries, int64_t HS,
                        bool diagonal)
{
    tile_product(s, BT, keys, 1, ldk, queries, BT, BT, HS, false);
    if (!diagonal) return;
    for (int k = 1; k < BT; k++)
        for (int q = 0; q < k; q++) s[k * BT + q] = MASKED;
}

/* One step of the running softmax: s becomes exp(s - new maximum); factor tells what the older sums
 * and outputs shrink by. */
static void tile_softmax(float *s, float *top, float *total, float *factor)
{
    for (int q = 0; q < BT; q += VL) {
        const vf old = vf_load(top + q);
        vf now = old;
        for (int k = 0; k < BT; k++) now = vf_max(now, vf_load(s + k * BT + q));
        const vf shrink = vf_exp(vf_sub(old, now));
        vf sum = vf_mul(vf_load(total + q), shrink);
        for (int k = 0; k < BT; k++) {
            const vf p = vf_exp(vf_sub(vf_load(s + k * BT + q), now));
            vf_store(s + k * BT + q, p);
            sum = vf_add(sum, p);
        }
        vf_store(top + q, now);
        vf_store(total + q, sum);
        vf_store(factor + q, shrink);
    }
}

typedef struct forward_tiles {
    float *s;       /* (BT, BT) key, query                       */
    float *queries; /* (HS, BT)                                  */
    float *out;     /* (BT, wide)                                */
    float *keys;    /* (HS, Tp)                                  */
    float *values;  /* (Tp, wide)                                */
    int64_t wide, Tp;
} forward_tiles;

static void attention_query_tile(const attention_args *a, const forward_tiles *f, int64_t q0,
                                 int64_t n0, int64_t h, float *lse)
{
    const int64_t HS = a->HS, count = a->T - q0 < BT ? a->T - q0 : BT;
    float top[BT], total[BT], factor[BT];
    for (int q = 0; q < BT; q++) {
        top[q] = MASKED;
        total[q] = 0;
    }
    memset(f->out, 0, (size_t)(BT * f->wide) * 4);
    for (int64_t k0 = 0; k0 <= q0; k0 += BT) {
        tile_scores(f->s, f->keys + k0, f->Tp, f->queries, HS, k0 == q0);
        tile_softmax(f->s, top, total, factor);
        for (int64_t q = 0; q < BT && k0 > 0; q++)
            for (int64_t i = 0; i < f->wide; i += VL) {
                float *o = f->out + q * f->wide + i;
                vf_store(o, vf_mul(vf_load(o), vf_set(factor[q])));
            }
        tile_product(f->out, f->wide, f->s, 1, BT, f->values + k0 * f->wide, f->wide, f->wide, BT,
                     true);
    }
    for (int64_t q = 0; q < count; q++) {
        const vf inverse = vf_set(1.f / total[q]);
        for (int64_t i = 0; i < HS; i += VL)
            act_store_n(a->out.data, (n0 + q0 + q) * a->NH * HS + h * HS + i,
                        vf_mul(vf_load(f->out + q * f->wide + i), inverse), lanes_at(i, HS),
                        a->out.type == DTYPE_BF16);
        lse[q0 + q] = top[q] + log_f32(total[q]);
    }
}

static void attention_f32(cpu_scratch s, const attention_args *a)
{
    const int64_t T = a->T, HS = a->HS, width = (a->NH + 2 * a->NKV) * HS;
    const int64_t wide = round_up(HS, NR), Tp = round_up(T, BT), group = a->NH / a->NKV;
    const bool bf16 = a->qkv.type == DTYPE_BF16;
    forward_tiles f = {.wide = wide, .Tp = Tp};
    f.s = scratch_take(&s, BT * BT * 4);
    f.queries = scratch_take(&s, HS * BT * 4);
    f.out = scratch_take(&s, BT * wide * 4);
    f.keys = scratch_take(&s, HS * Tp * 4);
    f.values = scratch_take(&s, Tp * wide * 4);
    for (int64_t b = 0; b < a->B; b++)
        for (int64_t kv = 0; kv < a->NKV; kv++) {
            const int64_t at = b * T * width;
            const head_view k = {a->qkv.data, at + (a->NH + kv) * HS, width, bf16};
            const head_view v = {a->qkv.data, at + (a->NH + a->NKV + kv) * HS, width, bf16};
            head_pack(NULL, f.keys, k, 0, T, Tp, HS, wide, Tp, 1.f);
            head_pack(f.values, NULL, v, 0, T, Tp, HS, wide, Tp, 1.f);
            for (int64_t h = kv * group; h < (kv + 1) * group; h++)
                for (int64_t q0 = 0; q0 < T; q0 += BT) {
                    const head_view q = {a->qkv.data, at + h * HS, width, bf16};
                    const int64_t count = T - q0 < BT ? T - q0 : BT;
                    head_pack(NULL, f.queries, q, q0, count, BT, HS, wide, BT,
                              1.f / sqrtf((float)HS));
                    attention_query_tile(a, &f, q0, b * T, h,
                                         (float *)a->lse.data + (b * a->NH + h) * T);
                }
        }
}

typedef struct backward_tiles {
    float *p, *ds;                   /* (BT, BT) key, query                     */
    float *queries_t, *queries;      /* (HS, BT), (BT, wide), scaled            */
    float *dout_t, *dout;            /* (HS, BT), (BT, wide)                    */
    float *dq;                       /* (BT, wide)                              */
    float *keys_t, *keys, *values_t; /* (HS, Tp), (Tp, wide), (HS, Tp)          */
    float *dk, *dv;                  /* (Tp, wide)                              */
    int64_t wide, Tp;
} backward_tiles;

static backward_tiles backward_take(cpu_scratch *s, int64_t T, int64_t HS)
{
    backward_tiles w = {.wide = round_up(HS, NR), .Tp = round_up(T, BT)};
    w.p = scratch_take(s, BT * BT * 4);
    w.ds = scratch_take(s, BT * BT * 4);
    w.queries_t = scratch_take(s, HS * BT * 4);
    w.queries = scratch_take(s, BT * w.wide * 4);
    w.dout_t = scratch_take(s, HS * BT * 4);
    w.dout = scratch_take(s, BT * w.wide * 4);
    w.dq = scratch_take(s, BT * w.wide * 4);
    w.keys_t = scratch_take(s, HS * w.Tp * 4);
    w.keys = scratch_take(s, w.Tp * w.wide * 4);
    w.values_t = scratch_take(s, HS * w.Tp * 4);
    w.dk = scratch_take(s, w.Tp * w.wide * 4);
    w.dv = scratch_take(s, w.Tp * w.wide * 4);
    return w;
}

/* p = exp(s - lse), ds = p (dp - delta) */
static void tile_gradients(float *p, float *ds, const float *lse, const float *delta)
{
    for (int q = 0; q < BT; q += VL) {
        const vf top = vf_load(lse + q), mean = vf_load(delta + q);
        for (int k = 0; k < BT; k++) {
            float *at = p + k * BT + q, *d = ds + k * BT + q;
            const vf v = vf_exp(vf_sub(vf_load(at), top));
            vf_store(at, v);
            vf_store(d, vf_mul(v, vf_sub(vf_load(d), mean)));
        }
    }
}

/* writes (count, HS) act rows from (count, wide) f32 rows times scale */
static void head_unpack(void *data, int64_t first, int64_t stride, bool bf16, const float *from,
                        int64_t count, int64_t HS, int64_t wide, float scale)
{
    for (int64_t t = 0; t < count; t++)
        for (int64_t i = 0; i < HS; i += VL)
            act_store_n(data, first + t * stride + i,
                        vf_mul(vf_load(from + t * wide + i), vf_set(scale)), lanes_at(i, HS), bf16);
}

static void attention_backward_tile(const attention_backward_args *a, const backward_tiles *w,
                                    int64_t b, int64_t h, int64_t q0)
{
    const int64_t T = a->T, HS = a->HS, wide = w->wide, width = (a->NH + 2 * a->NKV) * HS;
    const bool bf16 = a->qkv.type == DTYPE_BF16;
    const int64_t count = T - q0 < BT ? T - q0 : BT, at = (b * T * a->NH + h) * HS;
    const float scale = 1.f / sqrtf((float)HS);
    const head_view q = {a->qkv.data, b * T * width + h * HS, width, bf16};
    const head_view dout = {a->dout.data, at, a->NH * HS, bf16};
    head_pack(w->queries, w->queries_t, q, q0, count, BT, HS, wide, BT, scale);
    head_pack(w->dout, w->dout_t, dout, q0, count, BT, HS, wide, BT, 1.f);
    /* delta = sum_i dout out; queries past the end get p = 0 */
    float lse[BT], delta[BT];
    for (int64_t t = 0; t < BT; t++) {
        lse[t] = t < count ? ((const float *)a->lse.data)[(b * a->NH + h) * T + q0 + t] : 1e30f;
        vf sum = vf_set(0);
        for (int64_t i = 0; i < HS && t < count; i += VL)
            sum = vf_fma(vf_load_n(w->dout + t * wide + i, lanes_at(i, HS)),
                         act_load_n(a->out.data, at + (q0 + t) * a->NH * HS + i, lanes_at(i, HS),
                                    bf16),
                         sum);
        delta[t] = vf_sum(sum);
    }
    memset(w->dq, 0, (size_t)(BT * wide) * 4);
    for (int64_t k0 = 0; k0 <= q0; k0 += BT) {
        tile_scores(w->p, w->keys_t + k0, w->Tp, w->queries_t, HS, k0 == q0);
        tile_product(w->ds, BT, w->values_t + k0, 1, w->Tp, w->dout_t, BT, BT, HS, false);
        tile_gradients(w->p, w->ds, lse, delta);
        tile_product(w->dq, wide, w->ds, 1, BT, w->keys + k0 * wide, wide, wide, BT, true);
        tile_product(w->dk + k0 * wide, wide, w->ds, BT, 1, w->queries, wide, wide, BT, true);
        tile_product(w->dv + k0 * wide, wide, w->p, BT, 1, w->dout, wide, wide, BT, true);
    }
    head_unpack(a->dqkv.data, (b * T + q0) * width + h * HS, width, bf16, w->dq, count, HS, wide,
                scale);
}

static void attention_backward_f32(cpu_scratch s, const attention_backward_args *a)
{
    const int64_t T = a->T, HS = a->HS, width = (a->NH + 2 * a->NKV) * HS, group = a->NH / a->NKV;
    const bool bf16 = a->qkv.type == DTYPE_BF16;
    const backward_tiles w = backward_take(&s, T, HS);
    for (int64_t b = 0; b < a->B; b++)
        for (int64_t kv = 0; kv < a->NKV; kv++) {
            const int64_t k_at = b * T * width + (a->NH + kv) * HS, v_at = k_at + a->NKV * HS;
            const head_view k = {a->qkv.data, k_at, width, bf16},
                            v = {a->qkv.data, v_at, width, bf16};
            head_pack(w.keys, w.keys_t, k, 0, T, w.Tp, HS, w.wide, w.Tp, 1.f);
            head_pack(NULL, w.values_t, v, 0, T, w.Tp, HS, w.wide, w.Tp, 1.f);
            memset(w.dk, 0, (size_t)(w.Tp * w.wide) * 4);
            memset(w.dv, 0, (size_t)(w.Tp * w.wide) * 4);
            for (int64_t h = kv * group; h < (kv + 1) * group; h++)
                for (int64_t q0 = 0; q0 < T; q0 += BT) attention_backward_tile(a, &w, b, h, q0);
            head_unpack(a->dqkv.data, k_at, width, bf16, w.dk, T, HS, w.wide, 1.f);
            head_unpack(a->dqkv.data, v_at, width, bf16, w.dv, T, HS, w.wide, 1.f);
        }
}

void CPU_FN(attention)(cpu_scratch s, const attention_args *a)
{
    CPU_CHOOSE(a->qkv.type, attention)(s, a);
}

void CPU_FN(attention_backward)(cpu_scratch s, const attention_backward_args *a)
{
    CPU_CHOOSE(a->qkv.type, attention_backward)(s, a);
}

int64_t CPU_FN(attention_bytes)(const op_shapes *shapes)
{
    cpu_scratch all = {NULL, INT64_MAX / 2};
    backward_take(&all, shapes->T, shapes->HS);
    return INT64_MAX / 2 - all.bytes;
}
