/* cpu.h — inside of the CPU backend: the device, and the table of kernels each instruction path
 * fills. table.c checks arguments and calls through the table; the kernels themselves cannot fail.
 */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include "kernels/ops.h"

/* Slowest first: "auto" takes the last one this build and this machine have. */
typedef enum cpu_path { PATH_PORTABLE, PATH_AVX2, PATH_AVX512, PATH_AMX, PATHS } cpu_path;

/* Part of the arithmetic id: raised whenever a kernel's results change. */
enum { CPU_KERNELS_VERSION = 1 };

/* Scratch of one device; the caller owns the memory. */
typedef struct cpu_scratch {
    char *base;
    int64_t bytes;
} cpu_scratch;

typedef struct cpu_kernels {
    void (*embed)(const embed_args *a);
    void (*embed_backward)(const embed_backward_args *a);
    void (*norm)(const norm_args *a);
    void (*norm_backward)(cpu_scratch s, const norm_backward_args *a);
    void (*linear)(cpu_scratch s, const linear_args *a);
    void (*linear_backward_input)(cpu_scratch s, const linear_backward_input_args *a);
    void (*linear_backward_weight)(cpu_scratch s, const linear_backward_weight_args *a);
    void (*swiglu)(const swiglu_args *a);
    void (*swiglu_backward)(const swiglu_backward_args *a);
    void (*rope)(const rope_args *a);
    void (*attention)(cpu_scratch s, const attention_args *a);
    void (*attention_backward)(cpu_scratch s, const attention_backward_args *a);
    void (*head)(cpu_scratch s, const head_args *a);
    void (*accumulate)(const accumulate_args *a);
    void (*sum_squares)(const sum_squares_args *a);
    void (*adamw)(const adamw_args *a);
    void (*digest)(const digest_args *a);
    void (*convert)(tensor to, tensor from);
    double (*burst)(dtype type);
    /* most scratch any of the above needs for these shapes */
    int64_t (*scratch_bytes)(const op_shapes *shapes);
} cpu_kernels;

/* Bytes rounded up to a cache line: pieces of scratch start at such borders. */
static inline int64_t cpu_piece(int64_t bytes) { return (bytes + 63) / 64 * 64; }

/* dispatch.c: what this machine and build can run */
const char *path_name(cpu_path path);
const cpu_kernels *path_kernels(cpu_path path);
/* "auto", or a name; fails with ERR_CONFIG naming the paths of this machine. */
status path_choose(cpu_path *out, const char *name);

#endif
