#include "support/op_near.h"
#include "support/near.h"

#include <math.h>
#include <stdio.h>

/* what each skipped step and clip factor depends on: integers alike, doubles to the last few bits
 */
static bool near_scalars(const step_scalars *got, const step_scalars *expected)
{
    bool norms = got->grad_norm == expected->grad_norm ||
                 fabs(got->grad_norm - expected->grad_norm) <= 4e-16 * fabs(expected->grad_norm) ||
                 (isnan(got->grad_norm) && isnan(expected->grad_norm));
    bool scales = got->gradient_scale == expected->gradient_scale ||
                  fabs(got->gradient_scale - expected->gradient_scale) <=
                      8e-16 * fabs(expected->gradient_scale);
    return norms && scales && got->skip == expected->skip &&
           memcmp(got, expected, offsetof(step_scalars, gradient_scale)) == 0;
}

/* losses stay plain: the contract has them in full precision */
static near_kind kind_of(op_id op, const char *field)
{
    bool behind = (op == OP_attention && strcmp(field, "out") == 0) ||
                  op == OP_attention_backward || (op == OP_head && field[0] == 'd');
    if (strcmp(field, "lse") == 0) return NEAR_LSE;
    return behind ? NEAR_SOFTMAX : NEAR_PLAIN;
}

bool op_near(const op_call *got, const op_call *expected, const char *target, char *text,
             size_t bytes)
{
    const op_row *row = &op_table[got->op];
    for (int i = 0; i < row->fields; i++) {
        tensor g = op_field_get(got->op, &got->args, i),
               e = op_field_get(got->op, &expected->args, i);
        char what[200];
        if (!g.data || row->field[i].role == FIELD_IN) continue;
        (void)snprintf(what, sizeof what, "%s %s: %s", target, got->name, row->field[i].name);
        if (row->field[i].kind == FIELD_SCALARS) {
            if (near_scalars(g.data, e.data)) continue;
            (void)snprintf(text, bytes, "%s differ", what);
            return false;
        }
        if (!near_tensor(g, e, got->act, kind_of(got->op, row->field[i].name), what, text, bytes))
            return false;
    }
    return true;
}
