/* Laws of config_number and config_integer. */
#include "config/config.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

typedef struct whole {
    const char *text;
    int64_t value;
} whole;

Test(number, whole_numbers_are_read_exactly)
{
    static const whole cases[] = {
        {"0", 0},
        {"-0", 0},
        {"+7", 7},
        {"0012", 12},
        {"70B", 70000000000},
        {"1.4T", 1400000000000},
        {"512K", 512000},
        {"64Ki", 65536},
        {"1.5Ki", 1536},
        {"3Mi", 3145728},
        {"2Gi", 2147483648},
        {"1Ti", 1099511627776},
        {"3d", 259200},
        {"2h", 7200},
        {"0.5h", 1800},
        {"1e9", 1000000000},
        {"1E+3", 1000},
        {"2.5e3", 2500},
        {"1.0", 1},
        {"1e-0", 1},
        {"1000e-3", 1},
        {"0e99999", 0},
        {".5K", 500},
        {"5.", 5},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775807", -INT64_MAX},
        {"9.223372036854775807e18", INT64_MAX},
        {"0.0000000000000000000000001e25", 1},
        {"123456789012345678", 123456789012345678},
        {"1.00000000000000000000000000000000", 1},
        {"8589934591Gi", 8589934591ll << 30},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t value = -1;
        cr_assert_eq(config_integer(&value, cases[i].text), OK, "%s", status_message());
        cr_assert_eq(value, cases[i].value, "%s: %lld", cases[i].text, (long long)value);
    }
}

Test(number, what_is_no_whole_number_of_64_bits_is_refused)
{
    static const char *const cases[] = {
        "",
        " ",
        "1 ",
        " 1",
        "1 2",
        "abc",
        "0x10",
        "1e",
        "1e+",
        ".",
        "-",
        "+",
        "--1",
        "1,000",
        "1_000",
        "nan",
        "inf",
        "1KB",
        "1k",
        "1m",
        "1Kib",
        "1e5.5",
        "1.2.3",
        "1.5",
        "0.1",
        "1e-1",
        "1.2345K",
        "9223372036854775808",
        "-9223372036854775808",
        "1e19",
        "1e99999999999999999999",
        "9e18K",
        "8589934592Gi",
        "0.00000000000000000000000000000001e25",
        "true",
        "12\n",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t value = 42;
        cr_assert_eq(config_integer(&value, cases[i]), ERR_CONFIG, "accepted '%s' as %lld",
                     cases[i], (long long)value);
        cr_assert_eq(value, 42);
    }
}

Test(number, a_long_number_is_refused_and_not_cut)
{
    char text[5000];
    memset(text, '9', sizeof text);
    text[sizeof text - 1] = '\0';
    int64_t value;
    double real;
    cr_assert_eq(config_integer(&value, text), ERR_CONFIG);
    cr_assert_eq(config_number(&real, text), ERR_CONFIG);
    memset(text, '0', sizeof text - 1);
    cr_assert_eq(config_integer(&value, text), ERR_CONFIG);
}

Test(number, every_suffix_multiplies_by_its_factor)
{
    static const whole factors[] = {
        {"", 1},           {"K", 1000},          {"M", 1000000},
        {"B", 1000000000}, {"T", 1000000000000}, {"Ki", 1ll << 10},
        {"Mi", 1ll << 20}, {"Gi", 1ll << 30},    {"Ti", 1ll << 40},
        {"h", 3600},       {"d", 86400},
    };
    for (size_t f = 0; f < sizeof factors / sizeof factors[0]; f++)
        for (int64_t n = 0; n < 100000; n = n * 3 + 1) {
            char text[64];
            int64_t value;
            double real;
            (void)snprintf(text, sizeof text, "%lld%s", (long long)n, factors[f].text);
            cr_assert_eq(config_integer(&value, text), OK);
            cr_assert_eq(value, n * factors[f].value, "%s", text);
            cr_assert_eq(config_number(&real, text), OK);
            cr_assert_eq(real, (double)n * (double)factors[f].value, "%s", text);
        }
}

Test(number, real_numbers_round_as_the_library_does)
{
    static const char *const cases[] = {"1e21", "0.1",   "6e-4",     "1e-8",   "3.141592653589793",
                                        "-2.5", "1e308", "4.9e-324", "1e-400", "123456789.125"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double value;
        cr_assert_eq(config_number(&value, cases[i]), OK);
        cr_assert_eq(value, strtod(cases[i], NULL), "%s", cases[i]);
    }
    static const char *const bad[] = {"1e309", "inf", "nan", "0x1p3", "1e21x", "", "1e308K"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        double value;
        cr_assert_eq(config_number(&value, bad[i]), ERR_CONFIG, "accepted %s", bad[i]);
    }
}
