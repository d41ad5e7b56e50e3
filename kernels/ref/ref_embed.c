#include "kernels/ref/ref.h"

status ref_embed(device *d, const embed_args *a)
{
    (void)d;
    int64_t N = tensor_count(a->tokens), C = width(a->table), V = rows(a->table);
    const int32_t *tokens = a->tokens.data;
    ASSERT(shaped(a->out, N, C) && none_or(a->positions, a->T, C) && a->tokens.type == DTYPE_I32);
    for (int64_t n = 0; n < N; n++) {
        REQUIRE(tokens[n] >= 0 && tokens[n] < V, ERR_INTERNAL,
                "embed: token %d at %lld is outside [0, %lld)", tokens[n], (long long)n,
                (long long)V);
        for (int64_t c = 0; c < C; c++) {
            double value = load(a->table, tokens[n] * C + c);
            if (some(a->positions)) value += load(a->positions, n % a->T * C + c);
            store(a->out, n * C + c, value);
        }
    }
    return OK;
}

/* the whole row of one token: all its places in order, then added to what the table holds */
static void add_token_row(const embed_backward_args *a, double *acc, int64_t first, int64_t N,
                          int64_t C)
{
    const int32_t *tokens = a->tokens.data;
    int64_t token = tokens[first];
    for (int64_t c = 0; c < C; c++) acc[c] = load(a->dtable, token * C + c);
    for (int64_t n = first; n < N; n++)
        if (tokens[n] == token) ref_add_scaled(acc, 1, a->dout, n * C, C);
    ref_store_row(a->dtable, token * C, acc, C);
}

static bool seen_before(const int32_t *tokens, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (tokens[i] == tokens[n]) return true;
    return false;
}

status ref_embed_backward(device *d, const embed_backward_args *a)
{
    int64_t N = tensor_count(a->tokens), C = width(a->dtable), V = rows(a->dtable);
    const int32_t *tokens = a->tokens.data;
    double *acc = ref_scratch(d, C);
    ASSERT(shaped(a->dout, N, C) && none_or(a->dpositions, a->T, C) && a->tokens.type == DTYPE_I32);
    for (int64_t n = 0; n < N; n++) {
        REQUIRE(tokens[n] >= 0 && tokens[n] < V, ERR_INTERNAL,
                "embed_backward: token %d at %lld is outside [0, %lld)", tokens[n], (long long)n,
                (long long)V);
        if (!seen_before(tokens, n)) add_token_row(a, acc, n, N, C);
    }
    if (!some(a->dpositions)) return OK;
    for (int64_t t = 0; t < a->T; t++) {
        for (int64_t c = 0; c < C; c++) acc[c] = 0;
        for (int64_t n = t; n < N; n += a->T) ref_add_scaled(acc, 1, a->dout, n * C, C);
        ref_store_row(a->dpositions, t * C, acc, C);
    }
    return OK;
}
