/* amx_linear.c — linear layers with bf16 products on the AMX unit. The right operand (weights) is
 * packed in blocks that stay in L2; the left one is read where it lies, or packed where its rows do
 * not make tiles. */
#include "kernels/cpu/amx_gemm.h"
#include "kernels/cpu/amx_ops.h"

enum { RIGHT_BYTES = 768 << 10 }; /* a packed block of weights                        */

typedef struct amx_product {
    int64_t M, N, K;
    const uint16_t *left; /* (M, K)                              */
    amx_rect right;       /* the weights                         */
    bool right_columns;   /* its columns, not rows, are outputs  */
    void *out;            /* (M, N)                              */
    uint16_t *pre;        /* (M, N)                              */
    const uint16_t *bias; /* (N) or NULL                         */
} amx_product;

/* columns of the right operand packed at a time */
static int64_t block_columns(int64_t N, int64_t K)
{
    int64_t columns = RIGHT_BYTES / (2 * amx_pad(K)) / STEP * STEP;
    if (columns < STEP) columns = STEP;
    return columns < amx_pad(N) ? columns : amx_pad(N);
}

static void pack_right(uint16_t *to, const amx_product *p, int64_t n0, int64_t columns)
{
    if (p->right_columns)
        amx_pack_right_columns(to, (amx_rect){p->right.data + n0, p->right.ld, p->K, columns},
                               amx_pad(p->K));
    else
        amx_pack_right_rows(to,
                            (amx_rect){p->right.data + n0 * p->right.ld, p->right.ld, columns,
                                       p->K},
                            amx_pad(columns));
}

/* rows [m0, m0 + 32) of the left operand, in place where that is possible */
INLINE amx_left left_panel(const amx_product *p, int64_t m0, uint16_t *room)
{
    const int64_t rows = p->M - m0 < STEP ? p->M - m0 : STEP;
    if (rows == STEP && p->K % STEP == 0) {
        const char *at = (const char *)(p->left + m0 * p->K);
        return (amx_left){at, at + 32 * p->K, 2 * p->K, 64};
    }
    amx_pack_left_rows(room, (amx_rect){p->left + m0 * p->K, p->K, rows, p->K}, STEP);
    return (amx_left){(const char *)room, (const char *)room + TILE_BYTES, 64, 2 * TILE_BYTES};
}

INLINE void amx_product_run(cpu_scratch s, const amx_product *p, const amx_finish kind)
{
    const int64_t depth = amx_pad(p->K), width = block_columns(p->N, p->K);
    uint16_t *right = scratch_take(&s, width * depth * 2);
    uint16_t *room = scratch_take(&s, STEP * depth * 2);
    float *bias = scratch_take(&s, amx_pad(p->N) * 4);
    float *sums = scratch_take(&s, 2 * STEP * STEP * 4);
    const int64_t unit = kind == FINISH_F32 ? 4 : 2;
    for (int64_t n = 0; n < amx_pad(p->N); n++)
        bias[n] = p->bias && n < p->N ? f32_from_bf16(p->bias[n]) : 0.f;
    amx_pending pending = {.rows = 0};
    int64_t turn = 0;
    amx_begin();
    for (int64_t n0 = 0; n0 < p->N; n0 += width) {
        const int64_t columns = p->N - n0 < width ? p->N - n0 : width;
        pack_right(right, p, n0, columns);
        for (int64_t m = 0; m < p->M; m += STEP) {
            const amx_left left = left_panel(p, m, room);
            for (int64_t n = 0; n < columns; n += STEP) {
                const int64_t at = m * p->N + n0 + n, wide = columns - n;
                const amx_pending next = {
                    .sums = sums + (turn++ & 1) * STEP * STEP,
                    .out = (char *)p->out + at * unit,
                    .pre = p->pre ? p->pre + at : NULL,
                    .bias = bias + n0 + n,
                    .ld = p->N,
                    .rows = p->M - m < STEP ? p->M - m : STEP,
                    .columns = wide < STEP ? (1u << wide) - 1u : 0xffffffffu,
                };
                amx_block(&next, left, (const char *)(right + n * depth), depth / STEP, &pending,
                          kind);
                pending = next;
            }
        }
    }
    amx_end();
    for (int64_t row = 0; row < pending.rows; row++) amx_finish_row(&pending, row, kind);
}

void amx_linear(cpu_scratch s, const linear_args *a)
{
    const int64_t M = a->x.dim[0], K = a->x.dim[1], N = a->w.dim[0];
    const amx_product p = {.M = M,
                           .N = N,
                           .K = K,
                           .left = a->x.data,
                           .right = {a->w.data, K, N, K},
                           .out = a->out.data,
                           .pre = a->pre.data,
                           .bias = a->bias.data};
    if (a->act == ACT_GELU)
        amx_product_run(s, &p, FINISH_GELU);
    else if (a->out.type == DTYPE_BF16)
        amx_product_run(s, &p, FINISH_BF16);
    else
        amx_product_run(s, &p, FINISH_F32);
}

void amx_linear_backward_input(cpu_scratch s, const linear_backward_input_args *a)
{
    const int64_t M = a->dy.dim[0], N = a->dy.dim[1], K = a->w.dim[1];
    const amx_product p = {.M = M,
                           .N = K,
                           .K = N,
                           .left = a->dy.data,
                           .right = {a->w.data, K, N, K},
                           .right_columns = true,
                           .out = a->dx.data,
                           .pre = a->pre.data};
    if (a->act == ACT_GELU)
        amx_product_run(s, &p, FINISH_GELU_GRAD);
    else
        amx_product_run(s, &p, FINISH_BF16);
}

int64_t amx_linear_bytes(int64_t N, int64_t K)
{
    const int64_t depth = amx_pad(K);
    return cpu_piece(block_columns(N, K) * depth * 2) + cpu_piece(STEP * depth * 2) +
           cpu_piece(amx_pad(N) * 4) + cpu_piece(2 * STEP * STEP * 4);
}
