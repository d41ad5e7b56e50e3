/* a GPU's meter is read, and absent is absent; the library is fake_nvml.c's */
#include "measure/nvml.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

Test(nvml, joules_and_watts_come_from_the_library)
{
    char why[100] = "";
    nvml *n = nvml_open("0000:1B:00.0", why, sizeof why);
    cr_assert(n, "%s", why);
    double before = nvml_energy_j(n);
    nvml_sample s;
    nvml_read(n, &s);
    cr_expect(s.energy_j - before == 0.25);
    cr_expect(s.power_w == 698.5);
    char text[100];
    nvml_throttle_text(s.throttle, text, sizeof text);
    cr_expect_str_eq(text, "power cap, thermal");
    nvml_about about;
    nvml_describe(n, &about);
    cr_expect_str_eq(about.name, "a GPU");
    nvml_close(n);
}

Test(nvml, what_the_library_does_not_know_is_absent)
{
    nvml *n = nvml_open("0000:1B:00.0", NULL, 0);
    nvml_sample s;
    nvml_about about;
    cr_assert(n);
    nvml_read(n, &s);
    nvml_describe(n, &about);
    /* refused, and missing from an older library */
    cr_expect(isnan(s.temperature_c) && isnan(s.sm_clock_mhz) && isnan(s.ecc_uncorrected));
    cr_expect(isnan(about.power_limit_w) && about.driver[0] == '\0' && s.xid == 0);
    nvml_close(n);
}

Test(nvml, another_gpu_is_not_found)
{
    char why[100] = "";
    cr_expect(nvml_open("0000:99:00.0", why, sizeof why) == NULL);
    cr_expect_str_eq(why, "NVML does not know this GPU");
    nvml_close(NULL);
}
