/* op_table.h — every op of kernels/ops.h as data: its name, the fields of its arguments and who may
 * write them. The case list, the strict backend and the repeat tests are loops over this table.
 * A new op needs a line in OP_LIST and its fields in op_table.c; without them nothing compiles.  */
#ifndef SUPPORT_OP_TABLE_H
#define SUPPORT_OP_TABLE_H

#include "kernels/ops.h"

/* in the order of struct ops */
#define OP_LIST(X)                                                                                 \
    X(embed)                                                                                       \
    X(embed_backward)                                                                              \
    X(norm)                                                                                        \
    X(norm_backward)                                                                               \
    X(linear)                                                                                      \
    X(linear_backward_input)                                                                       \
    X(linear_backward_weight)                                                                      \
    X(swiglu)                                                                                      \
    X(swiglu_backward)                                                                             \
    X(rope)                                                                                        \
    X(attention)                                                                                   \
    X(attention_backward)                                                                          \
    X(head)                                                                                        \
    X(accumulate)                                                                                  \
    X(sum_squares)                                                                                 \
    X(clip_scalars)                                                                                \
    X(adamw)                                                                                       \
    X(digest)                                                                                      \
    X(convert)

/* the two ops whose arguments have another name or no struct in ops.h */
typedef clip_args clip_scalars_args;
typedef struct convert_args {
    tensor to, from;
} convert_args;

typedef enum op_id {
#define AS_ID(name) OP_##name,
    OP_LIST(AS_ID)
#undef AS_ID
        OP_COUNT
} op_id;

typedef union op_args {
#define AS_MEMBER(name) name##_args name;
    OP_LIST(AS_MEMBER)
#undef AS_MEMBER
} op_args;

typedef enum field_role { FIELD_IN, FIELD_OUT, FIELD_INOUT } field_role;
typedef enum field_kind { FIELD_TENSOR, FIELD_FLAG, FIELD_SCALARS } field_kind;

typedef struct op_field {
    const char *name;
    size_t offset; /* in the op's arguments */
    field_role role;
    field_kind kind;
} op_field;

enum { OP_FIELDS_MAX = 9 };
typedef struct op_row {
    const char *name;
    size_t args_bytes;
    int fields;
    const op_field *field; /* fields of them */
} op_row;

extern const op_row op_table[OP_COUNT];

/* Calls the op of this backend. */
status op_run(const ops *o, device *d, op_id op, const op_args *a);
/* The memory of field i as a tensor; a flag is one i32, the scalars are u64 words; data NULL =
 * none. */
tensor op_field_get(op_id op, const op_args *a, int i);
void op_field_set(op_id op, op_args *a, int i, tensor t);
/* The role of field i in this call: an output that shares memory with an input, and a sum that is
 * added to, are FIELD_INOUT. */
field_role op_field_role(op_id op, const op_args *a, int i);
/* Floating-point operations of the matrix products of this call as the `model` count has them:
 * full-square attention, backward = twice forward, nothing for work that is computed again. */
double op_flops(op_id op, const op_args *a);
/* Each tensor of the call counted once. */
int64_t op_bytes(op_id op, const op_args *a);

#endif
