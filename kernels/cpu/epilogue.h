/* epilogue.h — what follows a tile of products: bias, activation, rounding, store. */
#ifndef CPU_EPILOGUE_H
#define CPU_EPILOGUE_H

#include "kernels/cpu/gemm_f32.h"
#include "kernels/cpu/vmath.h"

INLINE void epilogue_row(const gemm_target *t, const float *row, int64_t at, int64_t n0,
                         int64_t wide)
{
    for (int64_t j = 0; j < wide; j += VL) {
        const int64_t left = lanes_at(j, wide);
        vf v = vf_load_n(row + j, left);
        if (t->bias) v = vf_add(v, act_load_n(t->bias, n0 + j, left, t->act_bf16));
        if (t->after == AFTER_GELU) {
            act_store_n(t->pre, at + j, v, left, t->act_bf16);
            v = vf_gelu(v);
        } else if (t->after == AFTER_GELU_GRAD) {
            v = vf_mul(v, vf_gelu_grad(act_load_n(t->pre, at + j, left, t->act_bf16)));
        }
        if (t->add) v = vf_add(v, vf_load_n((const float *)t->out + at + j, left));
        act_store_n(t->out, at + j, v, left, t->out_bf16);
    }
}

/* rows [m0, m0 + high) and columns [n0, n0 + wide) of the target from a tile with the stride ld */
INLINE void epilogue_tile(const gemm_target *t, const float *tile, int64_t ld, int64_t m0,
                          int64_t n0, int64_t high, int64_t wide)
{
    for (int64_t i = 0; i < high; i++)
        epilogue_row(t, tile + i * ld, (m0 + i) * t->ld + n0, n0, wide);
}

#endif
