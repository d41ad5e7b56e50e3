/* kernels.h — what the sources of one instruction path share: names with the path's ending, and
 * scratch. */
#ifndef CPU_KERNELS_H
#define CPU_KERNELS_H

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/simd.h"

#include <math.h>

void CPU_FN(embed)(const embed_args *a);
void CPU_FN(embed_backward)(const embed_backward_args *a);
void CPU_FN(norm)(const norm_args *a);
void CPU_FN(norm_backward)(cpu_scratch s, const norm_backward_args *a);
void CPU_FN(linear)(cpu_scratch s, const linear_args *a);
void CPU_FN(linear_backward_input)(cpu_scratch s, const linear_backward_input_args *a);
void CPU_FN(linear_backward_weight)(cpu_scratch s, const linear_backward_weight_args *a);
void CPU_FN(swiglu)(const swiglu_args *a);
void CPU_FN(swiglu_backward)(const swiglu_backward_args *a);
void CPU_FN(rope)(const rope_args *a);
void CPU_FN(attention)(cpu_scratch s, const attention_args *a);
void CPU_FN(attention_backward)(cpu_scratch s, const attention_backward_args *a);
void CPU_FN(head)(cpu_scratch s, const head_args *a);
void CPU_FN(accumulate)(const accumulate_args *a);
void CPU_FN(sum_squares)(const sum_squares_args *a);
void CPU_FN(adamw)(const adamw_args *a);
void CPU_FN(digest)(const digest_args *a);
void CPU_FN(convert)(tensor to, tensor from);
double CPU_FN(burst)(dtype type);
int64_t CPU_FN(scratch_bytes)(const op_shapes *shapes);
/* scratch of one family of ops */
int64_t CPU_FN(attention_bytes)(const op_shapes *shapes);
int64_t CPU_FN(head_bytes)(const op_shapes *shapes);

/* the function of this op for an activation type: bf16 goes to the AMX unit where the path has it
 */
#if defined(CPU_AMX)
#include "kernels/cpu/amx_ops.h"
#define CPU_CHOOSE(type, op) ((type) == DTYPE_BF16 ? amx_##op : op##_f32)
#else
#define CPU_CHOOSE(type, op) op##_f32
#endif

enum { ROPE_HALF_MAX = 1024 }; /* table.c refuses wider heads */

/* Takes the next piece of scratch; s is advanced. Asking for more than was planned is a bug. */
static inline void *scratch_take(cpu_scratch *s, int64_t bytes)
{
    const int64_t piece = cpu_piece(bytes);
    ASSERT(piece <= s->bytes);
    void *out = s->base;
    s->base += piece;
    s->bytes -= piece;
    return out;
}

#endif
