/* each op gives the same bits for the same inputs and shapes, whatever ran before it; and what is
 * uploaded arrives, whatever the host does next */
#include "base/rng.h"
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

/* --- uploads -------------------------------------------------------------- */

enum { UPLOADS = 300, SMALL_MOST = 5000, LARGE = (9 << 20) + 5 };

static int64_t size_of_upload(int i)
{
    if (i == UPLOADS / 3 || i == 2 * UPLOADS / 3) return LARGE;
    return 1 + (int64_t)(rng_uniform(5, RNG_TEST, 0, (uint64_t)i) * SMALL_MOST);
}

ParameterizedTestParameters(uploads, arrive_as_they_were_though_their_source_changes_at_once)
{
    return op_test_indices(target_count());
}

ParameterizedTest(int *index, uploads, arrive_as_they_were_though_their_source_changes_at_once)
{
    op_target t = op_target_open(*index, false);
    int64_t total = 0, at = 0;
    for (int i = 0; i < UPLOADS; i++) total += size_of_upload(i);
    char *host = malloc(LARGE), *back = malloc((size_t)total), *there;
    cr_assert(host && back && t.o->alloc(t.d, (void **)&there, total) == OK);
    for (int i = 0; i < UPLOADS; at += size_of_upload(i++)) {
        memset(host, i % 251, (size_t)size_of_upload(i));
        cr_assert(t.o->upload(t.d, there + at, host, size_of_upload(i)) == OK);
    }
    cr_assert(t.o->download(t.d, back, there, total) == OK, "%s", status_message());
    at = 0;
    for (int i = 0; i < UPLOADS; at += size_of_upload(i++)) {
        memset(host, i % 251, (size_t)size_of_upload(i));
        cr_expect(memcmp(back + at, host, (size_t)size_of_upload(i)) == 0, "%s: upload %d", t.name,
                  i);
    }
    t.o->release(t.d, there, total);
    t.o->close(t.d);
    free(host), free(back);
}
