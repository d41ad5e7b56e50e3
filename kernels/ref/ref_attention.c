#include "kernels/ref/ref.h"

status ref_rope(device *d, const rope_args *a)
{
    (void)d;
    int64_t HS = a->HS, half = HS / 2, W = (a->NH + 2 * a->NKV) * HS, N = rows(a->qkv);
    ASSERT(HS % 2 == 0 && width(a->qkv) == W && tensor_count(a->table) == a->T * HS);
    for (int64_t n = 0; n < N; n++)
        for (int64_t h = 0; h < a->NH + a->NKV; h++)
            for (int64_t i = 0; i < half; i++) {
                int64_t at = n * W + h * HS + i, angle = (n % a->T * half + i) * 2;
                double c = load(a->table, angle), s = load(a->table, angle + 1);
                double x = load(a->qkv, at), y = load(a->qkv, at + half);
                if (a->inverse) s = -s;
                store(a->qkv, at, x * c - y * s);
                store(a->qkv, at + half, y * c + x * s);
            }
    return OK;
}

/* where things of one head lie: offsets of rows in qkv, out and lse */
typedef struct head_place {
    int64_t HS, W, out_width;
    int64_t q, k, v;  /* of position 0 in qkv, rows W apart          */
    int64_t out, lse; /* of position 0, rows out_width and 1 apart   */
    double scale;
} head_place;

static head_place place(int64_t b, int64_t h, int64_t T, int64_t NH, int64_t NKV, int64_t HS)
{
    int64_t W = (NH + 2 * NKV) * HS, row = b * T * W, kv = h / (NH / NKV);
    return (head_place){
        .HS = HS,
        .W = W,
        .out_width = NH * HS,
        .q = row + h * HS,
        .k = row + (NH + kv) * HS,
        .v = row + (NH + NKV + kv) * HS,
        .out = b * T * NH * HS + h * HS,
        .lse = (b * NH + h) * T,
        .scale = 1 / sqrt((double)HS),
    };
}

/* one query against all keys up to its own position */
static void attend(const attention_args *a, head_place p, int64_t t, double *score, double *acc)
{
    double highest = -INFINITY, total = 0;
    for (int64_t j = 0; j <= t; j++) {
        score[j] = p.scale * ref_dot(a->qkv, p.q + t * p.W, a->qkv, p.k + j * p.W, p.HS);
        if (score[j] > highest) highest = score[j];
    }
    for (int64_t j = 0; j <= t; j++) total += exp(score[j] - highest);
    double lse = highest + log(total);
    for (int64_t i = 0; i < p.HS; i++) acc[i] = 0;
    for (int64_t j = 0; j <= t; j++)
        ref_add_scaled(acc, exp(score[j] - lse), a->qkv, p.v + j * p.W, p.HS);
    ref_store_row(a->out, p.out + t * p.out_width, acc, p.HS);
    store(a->lse, p.lse + t, lse);
}

status ref_attention(device *d, const attention_args *a)
{
    int64_t B = a->B, T = a->T, NH = a->NH, NKV = a->NKV, HS = a->HS;
    double *score = ref_scratch(d, T + HS), *acc = score + T;
    ASSERT(NKV > 0 && NH % NKV == 0 && shaped(a->qkv, B * T, (NH + 2 * NKV) * HS));
    ASSERT(shaped(a->out, B * T, NH * HS) && tensor_count(a->lse) == B * NH * T);
    for (int64_t b = 0; b < B; b++)
        for (int64_t h = 0; h < NH; h++)
            for (int64_t t = 0; t < T; t++) attend(a, place(b, h, T, NH, NKV, HS), t, score, acc);
    return OK;
}

/* P = exp(S - lse); dV = P^T dO; dP = dO V^T; dS = P (dP - rowsum(dO O)); dQ = dS K; dK = dS^T Q
 * (Dao et al. 2022, "FlashAttention", algorithm 4) for one row of S */
static void attend_backward(const attention_backward_args *a, head_place p, int64_t t, double *dq,
                            double *dk, double *dv)
{
    int64_t HS = p.HS, q = p.q + t * p.W, row = p.out + t * p.out_width;
    double lse = load(a->lse, p.lse + t), delta = ref_dot(a->dout, row, a->out, row, HS);
    for (int64_t i = 0; i < HS; i++) dq[i] = 0;
    for (int64_t j = 0; j <= t; j++) {
        int64_t k = p.k + j * p.W, v = p.v + j * p.W;
        double weight = exp(p.scale * ref_dot(a->qkv, q, a->qkv, k, HS) - lse);
        double dscore = weight * (ref_dot(a->dout, row, a->qkv, v, HS) - delta) * p.scale;
        ref_add_scaled(dv + j * HS, weight, a->dout, row, HS);
        ref_add_scaled(dk + j * HS, dscore, a->qkv, q, HS);
        ref_add_scaled(dq, dscore, a->qkv, k, HS);
    }
    ref_store_row(a->dqkv, q, dq, HS);
}

status ref_attention_backward(device *d, const attention_backward_args *a)
{
    int64_t B = a->B, T = a->T, NH = a->NH, NKV = a->NKV, HS = a->HS, W = (NH + 2 * NKV) * HS;
    double *dq = ref_scratch(d, HS + 2 * T * HS), *dk = dq + HS, *dv = dk + T * HS;
    ASSERT(NKV > 0 && NH % NKV == 0 && shaped(a->qkv, B * T, W) && shaped(a->dqkv, B * T, W));
    ASSERT(shaped(a->out, B * T, NH * HS) && shaped(a->dout, B * T, NH * HS));
    ASSERT(tensor_count(a->lse) == B * NH * T);
    for (int64_t b = 0; b < B; b++)
        for (int64_t kv = 0; kv < NKV; kv++) {
            /* the query heads that share these keys add up */
            head_place p = {0};
            for (int64_t i = 0; i < 2 * T * HS; i++) dk[i] = 0;
            for (int64_t h = kv * (NH / NKV); h < (kv + 1) * (NH / NKV); h++) {
                p = place(b, h, T, NH, NKV, HS);
                for (int64_t t = 0; t < T; t++) attend_backward(a, p, t, dq, dk, dv);
            }
            for (int64_t t = 0; t < T; t++) {
                ref_store_row(a->dqkv, p.k + t * W, dk + t * HS, HS);
                ref_store_row(a->dqkv, p.v + t * W, dv + t * HS, HS);
            }
        }
    return OK;
}
