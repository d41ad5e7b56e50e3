#include "base/status.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

static status fails(int value) { FAIL(ERR_CONFIG, "model.heads: %d is outside [1, 512]", value); }
static status passes_up(int value)
{
    TRY(fails(value));
    return OK;
}
static status requires(int value)
{
    REQUIRE(value > 0, ERR_IO, "value %d", value);
    return OK;
}

Test(status, a_failure_keeps_its_code_and_message_on_the_way_up)
{
    cr_expect(passes_up(0) == ERR_CONFIG);
    cr_expect_str_eq(status_message(), "model.heads: 0 is outside [1, 512]");
}

Test(status, require_fails_only_when_its_condition_does)
{
    cr_expect(requires(1) == OK);
    cr_expect(requires(-4) == ERR_IO);
    cr_expect_str_eq(status_message(), "value -4");
}

Test(status, a_prefix_goes_before_the_message)
{
    cr_expect(status_prefix(fails(9), "%s:%d", "run.yaml", 12) == ERR_CONFIG);
    cr_expect_str_eq(status_message(), "run.yaml:12: model.heads: 9 is outside [1, 512]");
}

Test(status, a_message_is_one_line_whatever_names_hold)
{
    (void)status_set(ERR_IO, "file.c", 1, "cannot open %s: no such file", "a\nb\x1b[2J\xc3\xbc");
    cr_expect_str_eq(status_message(), "cannot open a?b?[2J\xc3\xbc: no such file");
    (void)status_prefix(ERR_IO, "%s", "x\ny");
    cr_expect_str_eq(status_message(), "x?y: cannot open a?b?[2J\xc3\xbc: no such file");
}

Test(status, an_internal_error_says_where_it_was_noticed)
{
    (void)status_set(ERR_INTERNAL, "step.c", 41, "ranks disagree");
    cr_expect_str_eq(status_message(), "ranks disagree (step.c:41)");
}

Test(status, a_message_longer_than_its_place_is_cut_not_spilled)
{
    char word[4000];
    memset(word, 'x', sizeof word);
    word[sizeof word - 1] = '\0';
    (void)status_set(ERR_INTERNAL, "a.c", 1, "%s", word);
    cr_expect(strlen(status_message()) == 1023);
    (void)status_prefix(ERR_IO, "%s", word);
    cr_expect(strlen(status_message()) == 1023);
}

Test(status, codes_are_the_exit_codes)
{
    cr_expect(OK == 0 && ERR_INTERNAL == 1 && ERR_CONFIG == 2 && ERR_IO == 3 && ERR_MEMORY == 4);
    cr_expect(ERR_DEVICE == 5 && ERR_COMM == 6 && ERR_NUMERIC == 7 && FOUND == 10 &&
              INTERRUPTED == 75);
    cr_expect_str_eq(status_name(ERR_NUMERIC), "numeric");
    cr_expect_str_eq(status_name((status)99), "unknown");
}

Test(status, a_broken_assertion_ends_the_process, .signal = SIGABRT) { ASSERT(1 + 1 == 3); }
