#include "cli.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

Test(cli, three_digits_never_become_four)
{
    const struct {
        double value;
        const char *text;
    } counts[] = {{0, "0"},          {999.4, "999"},     {999.6, "1K"},
                  {1000, "1K"},      {999499, "999K"},   {999500.01, "1M"},
                  {999999.99, "1M"}, {1234567, "1.23M"}, {-999999.99, "-1M"},
                  {999.6e9, "1T"},   {3.21e15, "3210T"}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        cr_expect_str_eq(cli_count(counts[i].value).text, counts[i].text, "%.17g", counts[i].value);
    cr_expect_str_eq(cli_bytes(1023.7).text, "1 KiB");
    cr_expect_str_eq(cli_bytes(1000.0 * 1048576).text, "1000 MiB");
    cr_expect_str_eq(cli_bytes(1024.0 * 1048576 - 1).text, "1 GiB");
}

Test(cli, durations_of_any_length_are_told)
{
    const struct {
        double seconds;
        const char *text;
    } told[] = {{0.4, "0s"},         {59.7, "1m00s"},      {3599.6, "1h00m"}, {7505, "2h05m"},
                {3e9, "833333h20m"}, {5.4e14, "1.5e+11h"}, {INFINITY, "?"},   {NAN, "?"}};
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
        cr_expect_str_eq(cli_duration(told[i].seconds).text, told[i].text, "%g", told[i].seconds);
}

Test(cli, options_without_text_keep_their_value_and_wrong_ones_name_the_nearest)
{
    double x = 3;
    int64_t n = 4;
    cr_assert_eq(cli_number(&x, "--x", NULL, 0, 1), OK);
    cr_assert_eq(cli_positive(&x, "--x", NULL, 1), OK);
    cr_assert_eq(cli_integer(&n, "--n", NULL, 0, 1), OK);
    cr_assert(x == 3 && n == 4);
    cr_assert_eq(cli_number(&x, "--x", "2", 0, 1), ERR_CONFIG);
    cr_assert(strstr(status_message(), "--x: 2 is outside [0, 1]; nearest: 1"));
    cr_assert_eq(cli_integer(&n, "--n", "-1", 0, 9), ERR_CONFIG);
    cr_assert(strstr(status_message(), "--n: -1 is outside [0, 9]; nearest: 0"));
    cr_assert_eq(cli_integer(&n, "--n", "1.5", 0, 9), ERR_CONFIG);
    cr_assert_eq(cli_positive(&x, "--x", "0", 9), ERR_CONFIG);
    cr_assert_eq(cli_number(&x, "--x", "nan", -INFINITY, INFINITY), ERR_CONFIG);
    cr_assert(x == 3 && n == 4, "a refused value changed something");
    cr_assert_eq(cli_integer(&n, "--n", "2K", 0, 9000), OK);
    cr_assert_eq(n, 2000);
}
