/* each op gives the same bits for the same inputs and shapes, whatever ran before it */
#include "op_test.h"

static void expect_same(const op_call *a, const op_call *b, const char *target, const char *what)
{
    for (int i = 0; i < op_table[a->op].fields; i++) {
        tensor x = op_field_get(a->op, &a->args, i), y = op_field_get(b->op, &b->args, i);
        if (x.data)
            cr_expect(memcmp(x.data, y.data, (size_t)tensor_bytes(x)) == 0, "%s %s: %s differs: %s",
                      target, a->name, op_table[a->op].field[i].name, what);
    }
}

/* first on a fresh device, then on one that has run everything, with another workspace content */
static void run_case(const op_target *used, int index, const op_case *c, dtype act)
{
    op_target fresh = op_target_open(index, false);
    op_call first, second, third;
    op_call_build(&first, c, act);
    op_call_copy(&second, &first);
    op_call_copy(&third, &first);
    cr_assert(op_call_run(&first, fresh.o, fresh.d, 0) == OK, "%s", status_message());
    cr_assert(op_call_run(&second, used->o, used->d, 0xff) == OK, "%s", status_message());
    /* room for larger shapes changes nothing either */
    third.shapes.B += 1, third.shapes.T += 3, third.shapes.C += 5, third.shapes.F += 70;
    third.shapes.V += 9, third.shapes.NH *= 2;
    cr_assert(op_call_run(&third, used->o, used->d, 0x41) == OK, "%s", status_message());
    expect_same(&first, &second, used->name, "dirty workspace, used device");
    expect_same(&first, &third, used->name, "larger workspace");
    op_call_free(&first), op_call_free(&second), op_call_free(&third);
    fresh.o->close(fresh.d);
}

ParameterizedTestParameters(ops, repeat_their_bits_whatever_ran_before)
{
    return op_test_indices(target_count());
}

ParameterizedTest(int *index, ops, repeat_their_bits_whatever_ran_before)
{
    op_target t = op_target_open(*index, false);
    for (int i = 0; i < op_case_count(); i++) {
        run_case(&t, *index, &op_cases[i], DTYPE_F32);
        if (op_case_uses_act(&op_cases[i])) run_case(&t, *index, &op_cases[i], DTYPE_BF16);
    }
    t.o->close(t.d);
}
