#include "support/op_table.h"

/* every function between embed and burst has its row */
_Static_assert(offsetof(ops, burst) - offsetof(ops, embed) == OP_COUNT * sizeof(void (*)(void)),
               "an op of struct ops is missing from OP_LIST");
_Static_assert(sizeof(step_scalars) % 8 == 0, "scalars are compared as words");

// clang-format off
#define T_IN(op, name)    { #name, offsetof(op##_args, name), FIELD_IN,    FIELD_TENSOR },
#define T_OUT(op, name)   { #name, offsetof(op##_args, name), FIELD_OUT,   FIELD_TENSOR },
#define T_INOUT(op, name) { #name, offsetof(op##_args, name), FIELD_INOUT, FIELD_TENSOR },
#define P(op, name, role, kind) { #name, offsetof(op##_args, name), role, kind },

static const op_field embed_fields[] = {
    T_OUT(embed, out) T_IN(embed, table) T_IN(embed, positions) T_IN(embed, tokens) };
static const op_field embed_backward_fields[] = {
    T_INOUT(embed_backward, dtable) T_OUT(embed_backward, dpositions) T_IN(embed_backward, dout)
    T_IN(embed_backward, tokens) };
static const op_field norm_fields[] = {
    T_OUT(norm, out) T_OUT(norm, sum) T_OUT(norm, mean) T_OUT(norm, rstd) T_IN(norm, x) T_IN(norm, delta)
    T_IN(norm, gain) T_IN(norm, bias) };
static const op_field norm_backward_fields[] = {
    T_INOUT(norm_backward, dx) T_OUT(norm_backward, dx_act) T_OUT(norm_backward, dgain)
    T_OUT(norm_backward, dbias) T_IN(norm_backward, dout) T_IN(norm_backward, x) T_IN(norm_backward, mean)
    T_IN(norm_backward, rstd) T_IN(norm_backward, gain) };
static const op_field linear_fields[] = {
    T_OUT(linear, out) T_OUT(linear, pre) T_IN(linear, x) T_IN(linear, w) T_IN(linear, bias) };
static const op_field linear_backward_input_fields[] = {
    T_OUT(linear_backward_input, dx) T_IN(linear_backward_input, dy) T_IN(linear_backward_input, w)
    T_IN(linear_backward_input, pre) };
static const op_field linear_backward_weight_fields[] = {
    T_OUT(linear_backward_weight, dw) T_OUT(linear_backward_weight, dbias) T_IN(linear_backward_weight, dy)
    T_IN(linear_backward_weight, x) };
static const op_field swiglu_fields[] = { T_OUT(swiglu, out) T_IN(swiglu, gate_up) };
static const op_field swiglu_backward_fields[] = {
    T_OUT(swiglu_backward, dgate_up) T_IN(swiglu_backward, dout) T_IN(swiglu_backward, gate_up) };
static const op_field rope_fields[] = { T_INOUT(rope, qkv) T_IN(rope, table) };
static const op_field attention_fields[] = {
    T_OUT(attention, out) T_OUT(attention, lse) T_IN(attention, qkv) };
static const op_field attention_backward_fields[] = {
    T_OUT(attention_backward, dqkv) T_IN(attention_backward, dout) T_IN(attention_backward, out)
    T_IN(attention_backward, lse) T_IN(attention_backward, qkv) };
static const op_field head_fields[] = {
    T_OUT(head, losses) T_OUT(head, dx) T_OUT(head, dw) T_IN(head, x) T_IN(head, w) T_IN(head, targets) };
static const op_field accumulate_fields[] = {
    T_INOUT(accumulate, sum) T_IN(accumulate, gradient) P(accumulate, flag, FIELD_INOUT, FIELD_FLAG) };
static const op_field sum_squares_fields[] = { T_OUT(sum_squares, out) T_IN(sum_squares, values) };
static const op_field clip_scalars_fields[] = {
    P(clip_scalars, scalars, FIELD_INOUT, FIELD_SCALARS) T_IN(clip_scalars, squares)
    P(clip_scalars, flag, FIELD_IN, FIELD_FLAG) };
/* the copy is left alone when the step is skipped, so it is not an output that must be written */
static const op_field adamw_fields[] = {
    T_INOUT(adamw, weights) T_INOUT(adamw, copy) T_INOUT(adamw, m) T_INOUT(adamw, v) T_IN(adamw, gradient)
    P(adamw, scalars, FIELD_IN, FIELD_SCALARS) };
static const op_field digest_fields[] = { T_OUT(digest, out) T_IN(digest, values) };
static const op_field convert_fields[] = { T_OUT(convert, to) T_IN(convert, from) };

const op_row op_table[OP_COUNT] = {
#define AS_ROW(name) [OP_##name] = { #name, sizeof(name##_args), \
                      (int)(sizeof name##_fields / sizeof *name##_fields), name##_fields },
    OP_LIST(AS_ROW)
};
// clang-format on

static status run_convert(const ops *o, device *d, const convert_args *a)
{
    return o->convert(d, a->to, a->from);
}

status op_run(const ops *o, device *d, op_id op, const op_args *a)
{
    switch (op) {
#define AS_CALL(name)                                                                              \
    case OP_##name:                                                                                \
        return o->name(d, &a->name);
        AS_CALL(embed)
        AS_CALL(embed_backward)
        AS_CALL(norm)
        AS_CALL(norm_backward)
        AS_CALL(linear)
        AS_CALL(linear_backward_input)
        AS_CALL(linear_backward_weight)
        AS_CALL(swiglu)
        AS_CALL(swiglu_backward)
        AS_CALL(rope)
        AS_CALL(attention)
        AS_CALL(attention_backward)
        AS_CALL(head)
        AS_CALL(accumulate)
        AS_CALL(sum_squares)
        AS_CALL(clip_scalars)
        AS_CALL(adamw)
        AS_CALL(digest)
    case OP_convert:
        return run_convert(o, d, &a->convert);
    case OP_COUNT:
        break;
    }
    FAIL(ERR_INTERNAL, "no op %d", (int)op);
}

tensor op_field_get(op_id op, const op_args *a, int i)
{
    const op_field *f = &op_table[op].field[i];
    const char *at = (const char *)a + f->offset;
    tensor t;
    void *data;
    if (f->kind == FIELD_TENSOR) {
        memcpy(&t, at, sizeof t);
        return t;
    }
    memcpy(&data, at, sizeof data);
    if (f->kind == FIELD_FLAG) return tensor_1(data, DTYPE_I32, 1);
    return tensor_1(data, DTYPE_U64, (int64_t)(sizeof(step_scalars) / 8));
}

void op_field_set(op_id op, op_args *a, int i, tensor t)
{
    const op_field *f = &op_table[op].field[i];
    char *at = (char *)a + f->offset;
    if (f->kind == FIELD_TENSOR)
        memcpy(at, &t, sizeof t);
    else
        memcpy(at, &t.data, sizeof t.data);
}

field_role op_field_role(op_id op, const op_args *a, int i)
{
    field_role role = op_table[op].field[i].role;
    tensor t = op_field_get(op, a, i);
    if (op == OP_accumulate && i == 0) return a->accumulate.first ? FIELD_OUT : FIELD_INOUT;
    for (int j = 0; j < op_table[op].fields && t.data; j++)
        if (j != i && op_field_get(op, a, j).data == t.data && op_table[op].field[j].role != role)
            return FIELD_INOUT;
    return role;
}

double op_flops(op_id op, const op_args *a)
{
    const attention_args *at = &a->attention;
    const attention_backward_args *ab = &a->attention_backward;
    switch (op) {
    case OP_linear:
        return 2.0 * (double)tensor_count(a->linear.out) * (double)a->linear.w.dim[1];
    case OP_linear_backward_input:
        return 2.0 * (double)tensor_count(a->linear_backward_input.dy) *
               (double)a->linear_backward_input.w.dim[1];
    case OP_linear_backward_weight:
        return 2.0 * (double)tensor_count(a->linear_backward_weight.dw) *
               (double)a->linear_backward_weight.x.dim[0];
    case OP_attention:
        return 4.0 * (double)(at->B * at->NH * at->T * at->T * at->HS);
    case OP_attention_backward:
        return 8.0 * (double)(ab->B * ab->NH * ab->T * ab->T * ab->HS);
    case OP_head:
        return (a->head.dx.data ? 6.0 : 2.0) * (double)tensor_count(a->head.x) *
               (double)a->head.w.dim[0];
    default:
        return 0;
    }
}

int64_t op_bytes(op_id op, const op_args *a)
{
    int64_t bytes = 0;
    for (int i = 0; i < op_table[op].fields; i++) {
        tensor t = op_field_get(op, a, i);
        bool counted = t.data == NULL;
        for (int j = 0; j < i; j++) counted |= op_field_get(op, a, j).data == t.data;
        if (!counted) bytes += tensor_bytes(t);
    }
    return bytes;
}
