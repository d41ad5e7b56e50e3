/* Laws of the learning-rate schedules. */
#include "train/schedule.h"

#include <criterion/criterion.h>
#include <math.h>

static schedule_config of(int32_t name)
{
    return (schedule_config){.name = name,
                             .warmup_tokens = 100,
                             .decay_tokens = 200,
                             .final_ratio = 0.1};
}

Test(schedule, every_shape_warms_up_linearly_to_the_peak)
{
    for (int32_t name = SCHEDULE_COSINE; name <= SCHEDULE_WSD; name++) {
        schedule_config s = of(name);
        cr_assert_float_eq(schedule_rate(&s, 2.0, 0, 10, 1000), 0.2, 1e-12);
        cr_assert_float_eq(schedule_rate(&s, 2.0, 40, 10, 1000), 1.0, 1e-12);
        cr_assert_float_eq(schedule_rate(&s, 2.0, 90, 10, 1000), 2.0, 1e-12);
    }
}

Test(schedule, falling_shapes_end_at_the_final_ratio)
{
    const int32_t falling[] = {SCHEDULE_COSINE, SCHEDULE_LINEAR, SCHEDULE_WSD};
    for (int i = 0; i < 3; i++) {
        schedule_config s = of(falling[i]);
        cr_assert_float_eq(schedule_rate(&s, 2.0, 990, 10, 1000), 0.2, 1e-12, "shape %d",
                           falling[i]);
    }
    schedule_config constant = of(SCHEDULE_CONSTANT);
    cr_assert_float_eq(schedule_rate(&constant, 2.0, 990, 10, 1000), 2.0, 1e-12);
}

Test(schedule, rates_never_rise_after_the_warm_up)
{
    for (int32_t name = SCHEDULE_COSINE; name <= SCHEDULE_WSD; name++) {
        schedule_config s = of(name);
        double last = 2.0;
        for (int64_t done = 90; done < 1000; done += 10) {
            double rate = schedule_rate(&s, 2.0, done, 10, 1000);
            cr_assert(rate <= last + 1e-12 && rate >= 0.2 - 1e-12, "shape %d at %lld: %g", name,
                      (long long)done, rate);
            last = rate;
        }
    }
}

Test(schedule, cosine_is_half_way_at_half_time_and_wsd_holds_until_its_decay)
{
    schedule_config cosine = of(SCHEDULE_COSINE), wsd = of(SCHEDULE_WSD);
    cr_assert_float_eq(schedule_rate(&cosine, 2.0, 540, 10, 1000), 0.5 * (2.0 + 0.2), 1e-12);
    cr_assert_float_eq(schedule_rate(&wsd, 2.0, 790, 10, 1000), 2.0, 1e-12);
    cr_assert_float_eq(schedule_rate(&wsd, 2.0, 890, 10, 1000), 0.5 * (2.0 + 0.2), 1e-12);
}
