/* the strict backend notices what it is there for */
#include "support/strict_ops.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* --- three ways to be wrong ----------------------------------------------- */

static status forgets_the_last(device *d, tensor to, tensor from)
{
    to.dim[0]--, from.dim[0]--;
    return ref_ops.convert(d, to, from);
}
static status writes_one_more(device *d, tensor to, tensor from)
{
    ((uint16_t *)to.data)[to.dim[0]] = 1;
    return ref_ops.convert(d, to, from);
}
static status writes_one_before(device *d, tensor to, tensor from)
{
    ((uint16_t *)to.data)[-1] = 1;
    return ref_ops.convert(d, to, from);
}
static status changes_its_input(device *d, tensor to, tensor from)
{
    ((float *)from.data)[3] += 1;
    return ref_ops.convert(d, to, from);
}

/* runs convert of 5 values by this function through strict */
static status run(status (*convert)(device *, tensor, tensor))
{
    static const float values[5] = {1, 2, 3, 4, 5};
    ops faulty = ref_ops;
    device *d;
    void *to, *from;
    faulty.convert = convert;
    cr_assert(strict_open_over(&d, &faulty, NULL) == OK);
    cr_assert(strict_ops.alloc(d, &to, 10) == OK && strict_ops.alloc(d, &from, 20) == OK);
    cr_assert(strict_ops.upload(d, from, values, 20) == OK);
    status s = strict_ops.convert(d, tensor_1(to, DTYPE_BF16, 5), tensor_1(from, DTYPE_F32, 5));
    strict_ops.release(d, to, 10);
    strict_ops.release(d, from, 20);
    strict_ops.close(d);
    return s;
}

static void expect_breach(status s, const char *message)
{
    cr_expect(s == ERR_INTERNAL);
    cr_expect(strstr(status_message(), message), "'%s' does not say '%s'", status_message(),
              message);
}

Test(strict, an_honest_op_passes) { cr_expect(run(ref_ops.convert) == OK, "%s", status_message()); }
Test(strict, an_output_left_unwritten_is_found)
{
    expect_breach(run(forgets_the_last), "convert left to[4] unwritten");
}
Test(strict, a_write_behind_an_allocation_is_found)
{
    expect_breach(run(writes_one_more), "convert wrote behind an allocation of 10 bytes");
}
Test(strict, a_write_before_an_allocation_is_found)
{
    expect_breach(run(writes_one_before), "convert wrote before an allocation of 10 bytes");
}
Test(strict, a_changed_input_is_found)
{
    expect_breach(run(changes_its_input), "changed its input from");
}

Test(strict, calls_flops_and_bytes_are_counted)
{
    device *d;
    void *memory;
    cr_assert(strict_ops.open(&d, &(device_options){.path = "ref"}) == OK);
    cr_assert(strict_ops.alloc(d, &memory, 4 * (15 + 35 + 21)) == OK);
    float *x = memory, *w = x + 15, *out = w + 35;
    linear_args a = {.out = tensor_2(out, DTYPE_F32, 3, 7),
                     .x = tensor_2(x, DTYPE_F32, 3, 5),
                     .w = tensor_2(w, DTYPE_F32, 7, 5)};
    cr_expect(strict_ops.linear(d, &a) == OK && strict_ops.linear(d, &a) == OK);
    const strict_counts *counts = strict_counts_view(d);
    cr_expect(counts->calls[OP_linear] == 2 && counts->calls[OP_head] == 0);
    cr_expect(counts->flops == 2 * 2.0 * 3 * 5 * 7);
    cr_expect(counts->bytes == 2 * 4 * (15 + 35 + 21));
    cr_expect(counts->allocated_bytes == 4 * (15 + 35 + 21));
    strict_ops.release(d, memory, 4 * (15 + 35 + 21));
    cr_expect(counts->allocated_bytes == 0);
    strict_ops.close(d);
}
