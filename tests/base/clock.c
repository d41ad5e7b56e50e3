#include "base/clock.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

static double stolen_of(const char *text)
{
    FILE *stat = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    const double stolen = clock_stolen_of(stat);
    (void)fclose(stat);
    return stolen;
}

Test(clock, stolen_seconds_are_the_eighth_column)
{
    const double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
    cr_expect_float_eq(stolen_of("cpu  1 2 3 4 5 6 7 800 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n"),
                       800 * tick, 1e-9);
    cr_expect(isnan(stolen_of("cpu  1 2 3 4\n")), "an old kernel has no such column");
    cr_expect(isnan(stolen_of("intr 1 2 3 4 5 6 7 8\n")));
}

Test(clock, what_is_stolen_only_grows)
{
    const double first = clock_stolen_s();
    if (isnan(first)) return;
    cr_expect_geq(first, 0.0);
    cr_expect_geq(clock_stolen_s(), first);
}
