#include "data/zipf_facts.h"

#include "data/samples.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

static const zipf_config usual = {
    .keys = 100000, .exponent = 0.5, .values = 64, .noise = 0.1, .base = 16};
enum { RECORD = 6 }; /* five digits and a value */

static zipf_facts *opened(const zipf_config *cfg, uint64_t seed, uint64_t stream)
{
    zipf_facts *z = NULL;
    cr_assert_eq(zipf_facts_open(&z, cfg, seed, stream), OK, "%s", status_message());
    return z;
}

Test(zipf_facts, closed_form_matches_the_published_example)
{
    zipf_facts *z = opened(&usual, 1, 0);
    zipf_entropy h = zipf_facts_entropy(z);
    cr_expect_eq(h.digits, 5);
    cr_expect_float_eq(h.key, 3.1720, 5e-5, "%.6f", h.key);
    cr_expect_float_eq(h.value, 0.7295, 5e-5, "%.6f", h.value);
    cr_expect_float_eq(h.token, 0.6502, 5e-5, "%.6f", h.token);
    zipf_facts_close(z);
}

Test(zipf_facts, mean_log_probability_approaches_the_closed_form)
{
    enum { SAMPLES = 4000, RECORDS = 50, COUNT = RECORDS * RECORD };
    zipf_facts *z = opened(&usual, 3, 1);
    zipf_entropy h = zipf_facts_entropy(z);
    double sum = 0, squares = 0;
    int32_t tokens[COUNT];
    for (int64_t k = 0; k < SAMPLES; k++) {
        /* the first token is not scored; its own marginal completes the whole records */
        zipf_facts_read(z, k, COUNT, tokens);
        double nats = (zipf_facts_nats(z, k, COUNT) + zipf_facts_first_nats(z, tokens[0])) / COUNT;
        sum += nats;
        squares += nats * nats;
    }
    double mean = sum / SAMPLES, error = sqrt((squares / SAMPLES - mean * mean) / SAMPLES);
    cr_expect_lt(fabs(mean - h.token), 4 * error, "%.6f against %.6f +- %.6f", mean, h.token,
                 error);
    cr_expect_lt(error, 0.003);
    zipf_facts_close(z);
}

/* a longer window of the same sample only adds -ln p of its new tokens: none is negative */
static void check_prefixes(const zipf_facts *z, int64_t k, int64_t count)
{
    double before = 0;
    for (int64_t n = 2; n <= count; n++) {
        double now = zipf_facts_nats(z, k, n);
        cr_expect_geq(now, before - 1e-12);
        before = now;
    }
}

Test(zipf_facts, token_probabilities_are_the_frequencies)
{
    /* few keys: the frequency of each digit after each prefix can be counted */
    zipf_config small = {.keys = 20, .exponent = 0.7, .values = 3, .noise = 0.3, .base = 4};
    enum { RECORDS = 200000, M = 3, LENGTH = M + 1 };
    zipf_facts *z = opened(&small, 11, 0);
    cr_assert_eq(zipf_facts_entropy(z).digits, M);
    double counts[4] = {0};
    int32_t tokens[LENGTH];
    for (int64_t k = 0; k < RECORDS; k++) {
        zipf_facts_read(z, k, LENGTH, tokens);
        counts[tokens[0]]++;
        cr_assert(tokens[M] >= 4 && tokens[M] < 7);
        if (k < 50) check_prefixes(z, k, LENGTH);
    }
    for (int32_t d = 0; d < 4; d++) {
        double p = exp(-zipf_facts_first_nats(z, d)), error = sqrt(p * (1 - p) / RECORDS);
        cr_expect_lt(fabs(counts[d] / RECORDS - p), 4 * error + 1e-12, "digit %d", d);
    }
    zipf_facts_close(z);
}

Test(zipf_facts, a_sample_is_a_function_of_seed_and_index)
{
    enum { COUNT = 65 };
    zipf_facts *a = opened(&usual, 5, 0), *b = opened(&usual, 5, 0), *other = opened(&usual, 6, 0);
    int32_t x[COUNT], y[COUNT];
    int differs = 0;
    for (int64_t k = 999; k >= 0; k--) {
        zipf_facts_read(a, 999 - k, COUNT, x);
        zipf_facts_read(b, 999 - k, COUNT, y);
        cr_assert_arr_eq(x, y, sizeof x);
        zipf_facts_read(other, 999 - k, COUNT, y);
        differs += memcmp(x, y, sizeof x) != 0;
    }
    cr_expect_eq(differs, 1000);
    zipf_facts_close(a);
    zipf_facts_close(b);
    zipf_facts_close(other);
}

/* the value seen most often for each key, by its digits */
static void learn(const zipf_facts *z, int32_t facts[4096], int64_t records)
{
    static int32_t votes[4096][8];
    int32_t t[RECORD];
    memset(votes, 0, sizeof votes);
    for (int64_t k = 0; k < records; k++) {
        zipf_facts_read(z, k, 4, t);
        votes[t[0] * 256 + t[1] * 16 + t[2]][t[3] - 16]++;
    }
    for (int i = 0; i < 4096; i++) {
        facts[i] = -1;
        for (int v = 0, most = 20; v < 8; v++)
            if (votes[i][v] > most) most = votes[i][v], facts[i] = v;
    }
}

Test(zipf_facts, validation_asks_for_the_facts_that_train_teaches_in_other_samples)
{
    zipf_config cfg = {.keys = 4000, .exponent = 0.5, .values = 8, .noise = 0.2, .base = 16};
    zipf_facts *train = opened(&cfg, 2, 0), *validation = opened(&cfg, 2, 1);
    int32_t a[4096], b[4096], x[24], y[24], common = 0, equal = 0, same = 0;
    learn(train, a, 100000);
    learn(validation, b, 100000);
    for (int i = 0; i < 4096; i++) {
        common += a[i] >= 0 && b[i] >= 0;
        equal += a[i] >= 0 && a[i] == b[i];
    }
    cr_expect_gt(common, 100);
    cr_expect_eq(equal, common);
    for (int64_t k = 0; k < 1000; k++) {
        zipf_facts_read(train, k, 24, x);
        zipf_facts_read(validation, k, 24, y);
        same += memcmp(x, y, sizeof x) == 0;
    }
    cr_expect_eq(same, 0);
    zipf_facts_close(train);
    zipf_facts_close(validation);
}

Test(zipf_facts, samples_know_their_exact_entropy)
{
    config cfg = {.model = {.context = 59, .vocab = 80},
                  .data = {.seed = 4, .synthetic = SYNTHETIC_ZIPF_FACTS}};
    cfg.zipf = usual;
    samples *s = NULL;
    cr_assert_eq(samples_open(&s, &cfg, SPLIT_TRAIN), OK, "%s", status_message());
    const samples_info *about = samples_about(s);
    cr_expect_eq(about->count, INT64_MAX);
    cr_expect_eq(about->vocab, 80);
    cr_expect(about->has_entropy && !about->has_bytes);
    cr_expect_str_eq(about->tokenizer, "zipf_facts");
    int32_t tokens[60];
    double nats = 0;
    for (int64_t k = 0; k < 100; k++) {
        int64_t far = samples_order(s, (INT64_C(1) << 60) + k);
        cr_assert_eq(samples_read(s, far, tokens), OK);
        cr_assert_eq(samples_entropy(s, far, &nats), OK);
        cr_expect(nats > 0 && nats < 60 * log(80));
        for (int i = 0; i < 60; i++) cr_assert(tokens[i] >= 0 && tokens[i] < 80);
    }
    samples_close(s);
    cfg.model.vocab = 79;
    cr_expect_eq(samples_open(&s, &cfg, SPLIT_TRAIN), ERR_CONFIG);
    cr_expect(strstr(status_message(), "model.vocab=80"), "%s", status_message());
}
