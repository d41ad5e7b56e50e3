/* op_cases.h — ONE list of cases for all backends: op, shapes (one, odd, empty, large), options.
 * A case becomes a call: arguments in host memory, filled by counter-based random numbers, so the
 * same (case, act) is the same call everywhere. Adding a case is one row of op_cases.c.     */
#ifndef SUPPORT_OP_CASES_H
#define SUPPORT_OP_CASES_H

#include "support/op_table.h"

enum op_option {
    OPT_BIAS = 1 << 0,      /* linear, norm: with bias                                  */
    OPT_POSITIONS = 1 << 1, /* embed: learned positions                                 */
    OPT_LAYER = 1 << 2,     /* norm: layernorm instead of rmsnorm                       */
    OPT_DELTA = 1 << 3,     /* norm: adds delta to the stream                           */
    OPT_SUM = 1 << 4,       /* norm: writes sum although there is no delta              */
    OPT_ALIAS = 1 << 5,     /* norm: sum is x                                           */
    OPT_COPY = 1 << 6,      /* norm_backward: copy of dx in act; adamw: bf16 copy       */
    OPT_GELU = 1 << 7,      /* linear: with activation                                  */
    OPT_F32_OUT = 1 << 8,   /* linear: f32 logits                                       */
    OPT_LOSS_ONLY = 1 << 9, /* head: no gradients                                       */
    OPT_Z_LOSS = 1 << 10,   /* head                                                     */
    OPT_INVERSE = 1 << 11,  /* rope                                                     */
    OPT_FIRST = 1 << 12,    /* accumulate                                               */
    OPT_FAST = 1 << 13,     /* f32 sums instead of i64                                  */
    OPT_CLIP = 1 << 14,  /* clip_scalars: the norm is above the limit; accumulate: a lower limit */
    OPT_DECAY = 1 << 15, /* adamw                                                    */
    OPT_SKIP = 1 << 16,  /* adamw: scalars say skip; clip_scalars: the flag is set   */
    OPT_LARGE = 1 << 17, /* values that overflow a careless exp; accumulate: not finite ones */
    OPT_TO_BF16 = 1 << 18, /* convert                                                  */
    OPT_SAME = 1 << 19,    /* convert: a copy, from the type it goes to                */
};

/* Tokens N = B T. Linear products are (N, C) by (F, C); vectors have N elements. */
typedef struct op_case {
    op_id op;
    int options;
    int64_t B, T, C, F, V, NH, NKV, HS;
} op_case;

extern const op_case op_cases[];
int op_case_count(void);
/* False where the op has no activation type, so that one type is enough. */
bool op_case_uses_act(const op_case *c);

enum { OP_CALL_OWNED_MAX = 32 };
typedef struct op_call {
    op_id op;
    dtype act;        /* f64: all floating tensors are f64, for ref only               */
    op_shapes shapes; /* for reserve                                                   */
    op_args args;     /* pointers into owned memory, outputs included                  */
    char name[128];   /* of the case                                                   */
    void *owned[OP_CALL_OWNED_MAX];
    int owned_count;
} op_call;

/* The caller frees. Inputs that an earlier op makes (lse, rstd) come from ref. */
void op_call_build(op_call *out, const op_case *c, dtype act);
/* A call with memory of its own and the same aliases. */
void op_call_copy(op_call *out, const op_call *from);
void op_call_free(op_call *call);
/* A tensor owned by the call: zeros, or normal numbers times scale (stream keeps tensors apart). */
tensor op_call_tensor(op_call *call, tensor shape);
tensor op_call_normal(op_call *call, tensor shape, double scale);
/* Runs the call on the device: alloc, workspace filled with dirt, upload, op, sync, download into
 * the call's memory, release. */
status op_call_run(op_call *call, const ops *o, device *d, unsigned char dirt);

#endif
