#include "data/overlap.h"

#include "data/data_files.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* bytes of held-out text inside a string of 50 that occurs in train, by comparing all with all */
static int64_t plainly(const uint8_t *held, int64_t held_bytes, const uint8_t *train,
                       int64_t train_bytes)
{
    int64_t inside = 0, until = 0;
    for (int64_t i = 0; i + OVERLAP_BYTES <= held_bytes; i++) {
        if (!memmem(train, (size_t)train_bytes, held + i, OVERLAP_BYTES)) continue;
        inside += i + OVERLAP_BYTES - (i > until ? i : until);
        until = i + OVERLAP_BYTES;
    }
    return inside;
}

static overlap_share measured(const uint8_t *held, int64_t held_bytes, const uint8_t *train,
                              int64_t train_bytes)
{
    overlap *o = NULL;
    cr_assert_eq(overlap_open(&o), OK);
    cr_assert_eq(overlap_hold(o, 1, held, held_bytes), OK);
    cr_assert_eq(overlap_hold(o, 2, (const uint8_t *)"something else", 14), OK);
    cr_assert_eq(overlap_seal(o), OK);
    overlap_scan(o, train, train_bytes);
    overlap_share s = overlap_measure(o, 1);
    cr_expect_eq(overlap_measure(o, 2).inside, 0);
    cr_expect_eq(overlap_measure(o, 0).measured, 0);
    overlap_close(o);
    return s;
}

Test(overlap, counts_what_comparing_everything_counts)
{
    enum { HELD = 3000, TRAIN = 6000 };
    uint8_t *held = (uint8_t *)files_words(1, HELD), *train = (uint8_t *)files_words(2, TRAIN);
    /* pieces of held-out text in train: 49, 50, 51 and 400 bytes, some at the ends */
    memcpy(train, held + 10, 49);
    memcpy(train + 1000, held + 500, 50);
    memcpy(train + 2000, held + 530, 51);
    memcpy(train + 3000, held + 1000, 400);
    memcpy(train + TRAIN - 60, held + HELD - 60, 60);
    int64_t expected = plainly(held, HELD, train, TRAIN);
    cr_assert_geq(expected, 50 + 31 + 400 + 60);
    overlap_share s = measured(held, HELD, train, TRAIN);
    cr_expect_eq(s.measured, HELD);
    cr_expect_eq(s.inside, expected, "%lld, not %lld", (long long)s.inside, (long long)expected);
    cr_expect_float_eq(s.share, (double)expected / HELD, 1e-12);
    free(held);
    free(train);
}

Test(overlap, all_or_nothing_at_the_edges)
{
    uint8_t *text = (uint8_t *)files_words(3, 200), same[300];
    memset(same, 'a', sizeof same);
    cr_expect_eq(measured(text, 200, text, 200).inside, 200);
    cr_expect_eq(measured(text, 49, text, 200).inside, 0);
    cr_expect_eq(measured(text, 50, text, 50).inside, 50);
    cr_expect_eq(measured(text, 200, text, 49).inside, 0);
    cr_expect_eq(measured(same, 300, same, 50).inside, 300);
    cr_expect_eq(measured(same, 0, same, 50).measured, 0);
    free(text);
}
