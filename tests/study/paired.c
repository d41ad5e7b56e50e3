/* Student's t against printed tables, and intervals that hold what they should. */
#include "study/paired.h"

#include "base/rng.h"

#include <criterion/criterion.h>
#include <math.h>

Test(paired, quantiles_are_those_of_printed_tables)
{
    static const struct {
        int32_t df;
        double level, t;
    } table[] = {{1, .95, 12.7062047}, {2, .95, 4.3026527},  {3, .95, 3.1824463},
                 {5, .95, 2.5705818},  {10, .95, 2.2281389}, {30, .95, 2.0422725},
                 {2, .80, 1.8856181},  {9, .99, 3.2498355}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        cr_expect_float_eq(paired_t_quantile(table[i].level, table[i].df), table[i].t, 1e-6);
}

Test(paired, the_interval_of_a_worked_example)
{
    /* mean 2, sd 1, n 3: half width 4.3026527 / sqrt(3) */
    const double d[] = {1, 2, 3};
    const paired p = paired_interval(d, 3, 0.95);
    cr_expect_float_eq(p.mean, 2, 1e-12);
    cr_expect_float_eq(p.high - p.mean, 4.3026527 / sqrt(3), 1e-6);
    cr_expect_float_eq(p.mean - p.low, p.high - p.mean, 1e-12);
}

Test(paired, one_pair_has_no_interval)
{
    const double d[] = {1};
    const paired p = paired_interval(d, 1, 0.95);
    cr_expect(p.mean == 1 && isnan(p.low) && isnan(p.high));
    cr_expect(isnan(paired_interval(d, 0, 0.95).mean));
}

Test(paired, ninety_five_of_a_hundred_intervals_hold_the_mean)
{
    int32_t held = 0;
    for (uint64_t t = 0; t < 4000; t++) {
        double d[4];
        rng_normal2(1, RNG_TEST, t, 0, d);
        rng_normal2(1, RNG_TEST, t, 1, d + 2);
        const paired p = paired_interval(d, 3, 0.95);
        held += p.low <= 0 && p.high >= 0;
    }
    /* 4000 draws: three standard errors are 0.010 */
    cr_expect_float_eq(held / 4000.0, 0.95, 0.0105, "%d of 4000", held);
}
