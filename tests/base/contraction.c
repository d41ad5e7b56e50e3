/* Compiled as the flags of a user might have it: see the CMakeLists.txt beside this file. */
#include <criterion/criterion.h>

/* a * b is a little above 1, and the rest of it is lost when it is rounded before the sum */
static double product_and_sum(double a, double b, double c) { return a * b + c; }

Test(arithmetic, a_product_is_rounded_before_it_is_added_to)
{
#if defined(__FMA__)
    if (!__builtin_cpu_supports("fma")) cr_skip_test("this processor cannot fuse them");
#endif
    volatile double a = 1 + 0x1p-30, b = 1 - 0x1p-30, c = -1;
    cr_assert_eq(product_and_sum(a, b, c), 0, "the compiler fused them");
}
