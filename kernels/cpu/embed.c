/* embed.c — rows of the token and position tables, and their gradients. */
#include "kernels/cpu/kernels.h"

INLINE void embed_rows(const embed_args *a, const bool bf16)
{
    const int64_t N = a->out.dim[0], C = a->out.dim[1];
    const int32_t *tokens = a->tokens.data;
    for (int64_t n = 0; n < N; n++) {
        float *out = (float *)a->out.data + n * C;
        const int64_t row = tokens[n] * C, at = a->positions.data ? n % a->T * C : 0;
        for (int64_t c = 0; c < C; c += VL) {
            const int64_t left = lanes_at(c, C);
            vf v = act_load_n(a->table.data, row + c, left, bf16);
            if (a->positions.data) v = vf_add(v, act_load_n(a->positions.data, at + c, left, bf16));
            vf_store_n(out + c, v, left);
        }
    }
}

void CPU_FN(embed)(const embed_args *a)
{
    if (a->table.type == DTYPE_BF16)
        embed_rows(a, true);
    else
        embed_rows(a, false);
}

INLINE void add_row(float *to, const float *from, int64_t C)
{
    int64_t c = 0;
    for (; c + VL <= C; c += VL) vf_store(to + c, vf_add(vf_load(to + c), vf_load(from + c)));
    if (c < C)
        vf_store_n(to + c, vf_add(vf_load_n(to + c, C - c), vf_load_n(from + c, C - c)), C - c);
}

void CPU_FN(embed_backward)(const embed_backward_args *a)
{
    const int64_t N = a->dout.dim[0], C = a->dout.dim[1];
    const int32_t *tokens = a->tokens.data;
    const float *dout = a->dout.data;
    float *dtable = a->dtable.data, *dpositions = a->dpositions.data;
    for (int64_t n = 0; n < N; n++) add_row(dtable + tokens[n] * C, dout + n * C, C);
    if (!dpositions) return;
    /* rows of the table past the longest sequence get no gradient */
    memset(dpositions, 0, (size_t)tensor_bytes(a->dpositions));
    for (int64_t n = 0; n < N; n++) add_row(dpositions + n % a->T * C, dout + n * C, C);
}
