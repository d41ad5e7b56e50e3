#include "data/permutation.h"
#include "data/samples.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* counts every image of one permutation; true if each index comes exactly once */
static bool is_bijective(uint64_t seed, uint64_t epoch, int64_t count)
{
    uint8_t *seen = calloc((size_t)count, 1);
    bool ok = true;
    for (int64_t i = 0; i < count && ok; i++) {
        int64_t image = samples_permute(seed, epoch, i, count);
        ok = image >= 0 && image < count && !seen[image];
        if (ok) seen[image] = 1;
    }
    free(seen);
    return ok;
}

Test(permutation, every_sample_comes_once_an_epoch)
{
    for (int64_t count = 1; count <= 300; count++)
        for (uint64_t epoch = 0; epoch < 2; epoch++)
            cr_assert(is_bijective(1, epoch, count), "%lld samples", (long long)count);
    int64_t large[] = {1023, 1024, 1025, 4095, 4096, 4097, 16384, 16385, 100003};
    for (int i = 0; i < 9; i++)
        cr_assert(is_bijective(99, 3, large[i]), "%lld", (long long)large[i]);
}

Test(permutation, images_stay_in_range_for_huge_counts)
{
    int64_t counts[] = {INT32_MAX, (int64_t)1 << 40, ((int64_t)1 << 40) + 1,
                        ((int64_t)1 << 61) + 5};
    for (int c = 0; c < 4; c++)
        for (int64_t i = 0; i < 100; i++) {
            int64_t index = counts[c] - 1 - i * (counts[c] / 101);
            int64_t image = permutation_at(5, 0, index, counts[c]);
            cr_assert(image >= 0 && image < counts[c]);
        }
}

Test(permutation, seeds_and_epochs_give_other_orders)
{
    enum { N = 1000 };
    int same_epoch = 0, same_seed = 0, fixed = 0, neighbours = 0;
    for (int64_t i = 0; i < N; i++) {
        int64_t here = samples_permute(1, 0, i, N);
        same_epoch += here == samples_permute(1, 1, i, N);
        same_seed += here == samples_permute(2, 0, i, N);
        fixed += here == i;
        neighbours += i > 0 && llabs(here - samples_permute(1, 0, i - 1, N)) <= 1;
    }
    /* of a random order about one is expected, of neighbours about two */
    cr_assert_leq(same_epoch, 8);
    cr_assert_leq(same_seed, 8);
    cr_assert_leq(fixed, 8);
    cr_assert_leq(neighbours, 10);
}

Test(permutation, the_order_is_fixed_for_ever)
{
    /* from an independent program (Python); a change would change every run that was ever made */
    const int64_t expected[8] = {10436, 3610, 17617, 5306, 26566, 15388, 24912, 9385};
    for (int64_t i = 0; i < 8; i++)
        cr_expect_eq(samples_permute(1, 0, i, 27763), expected[i], "%lld: %lld", (long long)i,
                     (long long)samples_permute(1, 0, i, 27763));
}
