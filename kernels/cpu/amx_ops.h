/* amx_ops.h — the ops of the amx path for bf16 activations, and the scratch each needs. */
#ifndef CPU_AMX_OPS_H
#define CPU_AMX_OPS_H

#include "kernels/cpu/cpu.h"

void amx_linear(cpu_scratch s, const linear_args *a);
void amx_linear_backward_input(cpu_scratch s, const linear_backward_input_args *a);
void amx_linear_backward_weight(cpu_scratch s, const linear_backward_weight_args *a);
void amx_attention(cpu_scratch s, const attention_args *a);
void amx_attention_backward(cpu_scratch s, const attention_backward_args *a);
void amx_head(cpu_scratch s, const head_args *a);

/* N outputs from K inputs */
int64_t amx_linear_bytes(int64_t N, int64_t K);
int64_t amx_weight_bytes(int64_t N);
int64_t amx_attention_bytes(int64_t T, int64_t HS);
int64_t amx_attention_backward_bytes(int64_t T, int64_t HS);
int64_t amx_head_bytes(int64_t N, int64_t C, int64_t V);

/* Products per second of this core now, tiles in registers, about 5 ms. */
double amx_burst(void);

#endif
