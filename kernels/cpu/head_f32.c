/* head_f32.c — logits, losses and both gradients over blocks of tokens; f32 products. The logits of
 * one block at a time exist, at most HEAD_BYTES of them (and at least HEAD_ROWS tokens'). */
#include "kernels/cpu/gemm_f32.h"
#include "kernels/cpu/vmath.h"

enum { HEAD_ROWS = 64, HEAD_BYTES = 16 << 20 };

static int64_t head_block(int64_t N, int64_t V)
{
    int64_t rows = HEAD_BYTES / (4 * V) / HEAD_ROWS * HEAD_ROWS;
    if (rows < HEAD_ROWS) rows = HEAD_ROWS;
    return rows < N ? rows : N;
}

/* Logits of one token to its loss and, if asked, in place to dlogits. */
static float head_row(float *row, int64_t V, int32_t target, float z_loss, float per_token,
                      bool gradient)
{
    vf top = vf_set(-INFINITY);
    for (int64_t v = 0; v < V; v += VL) {
        const int64_t left = lanes_at(v, V);
        const vf x = vf_load_n(row + v, left);
        /* lanes past the row repeat the maximum so far; a NaN stays: it is the second one */
        top = vf_max(top, left < VL ? vf_blend_n(x, top, left) : x);
    }
    const float most = vf_top(top), hit = row[target];
    vf sum = vf_set(0);
    for (int64_t v = 0; v < V; v += VL) {
        const int64_t left = lanes_at(v, V);
        const vf e = vf_exp(vf_sub(vf_load_n(row + v, left), vf_set(most)));
        sum = vf_add(sum, left < VL ? vf_first(e, left) : e);
        if (gradient) vf_store_n(row + v, e, left);
    }
    const float total = vf_sum(sum), lse = most + log_f32(total);
    if (gradient) {
        const vf scale = vf_set((1.f + 2.f * z_loss * lse) / total * per_token);
        for (int64_t v = 0; v < V; v += VL)
            vf_store_n(row + v, vf_mul(vf_load_n(row + v, lanes_at(v, V)), scale), lanes_at(v, V));
        row[target] -= per_token;
    }
    return lse - hit;
}

static void head_f32(cpu_scratch s, const head_args *a)
{
    const int64_t N = a->x.dim[0], C = a->x.dim[1], V = a->w.dim[0];
    const bool bf16 = a->x.type == DTYPE_BF16;
    const int64_t rows = head_block(N, V);
    float *logits = scratch_take(&s, rows * V * 4);
    const gemm_matrix w = {a->w.data, C, 1, bf16}, w_t = {a->w.data, 1, C, bf16};
    if (N == 0 && a->dw.data) memset(a->dw.data, 0, (size_t)(V * C) * 4);
    for (int64_t n0 = 0; n0 < N; n0 += rows) {
        const int64_t count = N - n0 < rows ? N - n0 : rows;
        const char *x_at = (const char *)a->x.data + n0 * C * dtype_bytes(a->x.type);
        const gemm_matrix x = {x_at, C, 1, bf16};
        const gemm_target to = {.out = logits, .ld = V};
        CPU_FN(gemm_f32)(s, (int64_t[3]){count, V, C}, x, w_t, &to);
        for (int64_t n = 0; n < count; n++)
            ((float *)a->losses.data)[n0 + n] =
                head_row(logits + n * V, V, ((const int32_t *)a->targets.data)[n0 + n], a->z_loss,
                         1.f / (float)N, a->dx.data != NULL);
        if (!a->dx.data) continue;
        /* dx = dlogits w; dw (+)= dlogits^T x */
        char *dx = (char *)a->dx.data + n0 * C * dtype_bytes(a->dx.type);
        const gemm_target to_dx = {.out = dx, .ld = C, .out_bf16 = bf16};
        CPU_FN(gemm_f32)
        (s, (int64_t[3]){count, C, V}, (gemm_matrix){logits, V, 1, false}, w, &to_dx);
        const gemm_target to_dw = {.out = a->dw.data, .ld = C, .add = n0 > 0};
        CPU_FN(gemm_f32)
        (s, (int64_t[3]){V, C, count}, (gemm_matrix){logits, 1, V, false}, x, &to_dw);
    }
}

void CPU_FN(head)(cpu_scratch s, const head_args *a) { CPU_CHOOSE(a->x.type, head)(s, a); }

int64_t CPU_FN(head_bytes)(const op_shapes *shapes)
{
    const int64_t N = shapes->B * shapes->T, V = shapes->V;
    const int64_t rows = head_block(N, V);
    return cpu_piece(rows * V * 4) + CPU_FN(gemm_f32_bytes)(rows > V ? rows : V);
}
