/* a NaN that enters an op comes out of it: fast maxima and exponentials must not swallow what the
 * flag of accumulate is there to see                                                            */
#include "op_test.h"
#include "support/near.h"

#include <math.h>

static void set_nan(tensor t, int64_t i)
{
    if (t.type == DTYPE_F32) ((float *)t.data)[i] = NAN;
    if (t.type == DTYPE_BF16) ((uint16_t *)t.data)[i] = 0x7fc0;
}

static bool has_nan(const op_call *call)
{
    for (int i = 0; i < op_table[call->op].fields; i++) {
        tensor t = op_field_get(call->op, &call->args, i);
        if (!t.data || op_table[call->op].field[i].role == FIELD_IN) continue;
        for (int64_t j = 0; j < tensor_count(t); j++)
            if (isnan(near_value(t, j))) return true;
    }
    return false;
}

static bool floating(tensor t) { return t.data && (t.type == DTYPE_F32 || t.type == DTYPE_BF16); }

/* row 0 of an embedding may belong to no token */
static bool always_read(op_id op, const char *field, int64_t i)
{
    return !(op == OP_embed && strcmp(field, "table") == 0 && i == 0);
}

static void run_case(const op_target *t, const op_case *c, dtype act)
{
    op_call clean;
    op_call_build(&clean, c, act);
    for (int f = 0; f < op_table[c->op].fields; f++) {
        tensor input = op_field_get(c->op, &clean.args, f);
        const op_field *field = &op_table[c->op].field[f];
        int64_t n = tensor_count(input), places[] = {0, n - 1};
        if (field->role != FIELD_IN || !floating(input) || n == 0) continue;
        for (int p = 0; p < 2; p++) {
            op_call call;
            if (!always_read(c->op, field->name, places[p])) continue;
            op_call_copy(&call, &clean);
            set_nan(op_field_get(c->op, &call.args, f), places[p]);
            cr_assert(op_call_run(&call, t->o, t->d, 0) == OK, "%s", status_message());
            cr_expect(has_nan(&call), "%s %s: a NaN in %s[%lld] disappears", t->name, call.name,
                      field->name, (long long)places[p]);
            op_call_free(&call);
        }
    }
    op_call_free(&clean);
}

ParameterizedTestParameters(ops, let_no_nan_disappear) { return op_test_indices(target_count()); }

ParameterizedTest(int *index, ops, let_no_nan_disappear)
{
    op_target t = op_target_open(*index, false);
    for (int i = 0; i < op_case_count(); i++) {
        const op_case *c = &op_cases[i];
        if (c->B * c->T == 0) continue;
        /* sums and digests have their own laws in ops_exact.c; the largest shapes add only time */
        if (c->op >= OP_accumulate || c->T > 150 || c->V > 2000 || c->B * c->T * c->C > 40000)
            continue;
        run_case(&t, c, DTYPE_F32);
        if (op_case_uses_act(c)) run_case(&t, c, DTYPE_BF16);
    }
    t.o->close(t.d);
}
