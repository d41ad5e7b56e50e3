/* each op on each backend and path, through the strict backend, against ref */
#include "op_test.h"
#include "support/near.h"
#include "support/op_near.h"

#include <math.h>

/* ref computes a case once, for all targets */
static void run_case(const op_target *targets, int count, device *ref, const op_case *c, dtype act)
{
    op_call expected, inputs;
    op_call_build(&inputs, c, act);
    op_call_copy(&expected, &inputs);
    cr_assert(op_call_run(&expected, &ref_ops, ref, 0xff) == OK, "ref %s: %s", expected.name,
              status_message());
    for (int i = 0; i < count; i++) {
        const op_target *t = &targets[i];
        op_call got;
        if (!t->o) continue;
        op_call_copy(&got, &inputs);
        cr_assert(op_call_run(&got, t->o, t->d, 0xff) == OK, "%s %s: %s", t->name, got.name,
                  status_message());
        char text[800] = "";
        cr_expect(op_near(&got, &expected, t->name, text, sizeof text), "%s", text);
        op_call_free(&got);
    }
    op_call_free(&expected), op_call_free(&inputs);
}

ParameterizedTestParameters(ops, every_op_matches_ref) { return op_test_indices(OP_COUNT); }

ParameterizedTest(int *op, ops, every_op_matches_ref)
{
    op_target targets[TARGETS_MAX];
    int cases = 0, count = target_count();
    device *ref;
    cr_assert(count <= TARGETS_MAX && ref_ops.open(&ref, NULL) == OK);
    for (int i = 0; i < count; i++) targets[i] = op_target_try(i, true);
    for (int i = 0; i < op_case_count(); i++) {
        if ((int)op_cases[i].op != *op) continue;
        run_case(targets, count, ref, &op_cases[i], DTYPE_F32);
        if (op_case_uses_act(&op_cases[i])) run_case(targets, count, ref, &op_cases[i], DTYPE_BF16);
        cases++;
    }
    cr_expect(cases >= 5, "%s has %d cases", op_table[*op].name, cases);
    ref_ops.close(ref);
    for (int i = 0; i < count; i++)
        if (targets[i].o) targets[i].o->close(targets[i].d);
}

/* what every_op_matches_ref leaves out is counted as skipped here */
ParameterizedTestParameters(ops, every_target_opens) { return op_test_indices(target_count()); }

ParameterizedTest(int *index, ops, every_target_opens)
{
    op_target t = op_target_open(*index, true);
    t.o->close(t.d);
}

/* --- products large enough to hurt, by the random-vector identity --------- */

/* y += m x or y += m^T x for a row-major m, in double */
static void multiply(double *y, tensor m, const double *x, bool transposed)
{
    for (int64_t i = 0; i < m.dim[0]; i++)
        for (int64_t j = 0; j < m.dim[1]; j++)
            y[transposed ? j : i] += near_value(m, i * m.dim[1] + j) * x[transposed ? i : j];
}

static double *vector(int64_t n, bool random)
{
    double *v = calloc((size_t)n, sizeof *v);
    cr_assert(v);
    for (int64_t i = 0; i < n && random; i++) v[i] = (double)(i * 7919 % 13 - 6);
    return v;
}

/* product t must equal left (right t); returns the normalised mean square error */
static double identity_error(tensor product, tensor left, bool left_t, tensor right, bool right_t)
{
    int64_t n = product.dim[1], m = product.dim[0], k = left.dim[left_t ? 0 : 1];
    double *t = vector(n, true), *got = vector(m, false), *middle = vector(k, false),
           *expected = vector(m, false), error = 0, square = 0;
    multiply(got, product, t, false);
    multiply(middle, right, t, right_t);
    multiply(expected, left, middle, left_t);
    for (int64_t i = 0; i < m; i++) {
        error += (got[i] - expected[i]) * (got[i] - expected[i]);
        square += expected[i] * expected[i];
    }
    free(t), free(got), free(middle), free(expected);
    return error / square;
}

ParameterizedTestParameters(ops, products_keep_the_random_vector_identity)
{
    return op_test_indices(target_count() * 2);
}

ParameterizedTest(int *index, ops, products_keep_the_random_vector_identity)
{
    op_target t = op_target_open(*index / 2, false);
    dtype act = *index % 2 ? DTYPE_BF16 : DTYPE_F32;
    static const op_id products[] = {OP_linear, OP_linear_backward_input,
                                     OP_linear_backward_weight};
    for (int p = 0; p < 3; p++) {
        op_case c = {products[p], .B = 1, .T = 515, .C = 387, .F = 770};
        op_call call;
        op_call_build(&call, &c, act);
        cr_assert(op_call_run(&call, t.o, t.d, 0) == OK, "%s: %s", t.name, status_message());
        const linear_args *l = &call.args.linear;
        const linear_backward_input_args *bi = &call.args.linear_backward_input;
        const linear_backward_weight_args *bw = &call.args.linear_backward_weight;
        double error = p == 0   ? identity_error(l->out, l->x, false, l->w, true)
                       : p == 1 ? identity_error(bi->dx, bi->dy, false, bi->w, false)
                                : identity_error(bw->dw, bw->dy, true, bw->x, false);
        dtype out = op_field_get(call.op, &call.args, 0).type;
        double allowed = near_find(act, out, NEAR_IDENTITY).nmse;
        /* tensor cores may cut off what they add: 2.8e-13 as tests/cuda_emu/tensor_core.h does */
        if (strcmp(t.name, "cuda") == 0 && act == DTYPE_BF16) allowed *= 8;
        if (near_scale() == 0)
            (void)fprintf(stderr, "identity %s %s: %.3g\n", t.name, call.name, error);
        cr_expect(error <= allowed || near_scale() == 0, "%s: %s: error %.3g, allowed %.3g", t.name,
                  call.name, error, allowed);
        op_call_free(&call);
    }
    t.o->close(t.d);
}
