#include "data/bpe_train.h"

#include "base/rng.h"
#include "data/data_files.h"
#include "data/tokenizer.h"
#include "data/word_count.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void add(word_count *w, const char *text, int64_t times)
{
    cr_assert_eq(word_count_add(w, (const uint8_t *)text, (int64_t)strlen(text), times), OK);
}

static void token_is(const bpe *b, int32_t id, const char *text)
{
    int32_t length;
    const uint8_t *bytes = bpe_bytes(b, id, &length);
    cr_expect(bytes && length == (int32_t)strlen(text) && memcmp(bytes, text, strlen(text)) == 0,
              "token %d is \"%.*s\", not \"%s\"", id, length, (const char *)bytes, text);
}

Test(bpe_train, merges_the_most_frequent_pair_and_of_equals_the_smaller_ids)
{
    /* the example of Sennrich et al. */
    word_count words = {0};
    bpe *b = NULL;
    add(&words, "low", 5);
    add(&words, "lower", 2);
    add(&words, "newest", 6);
    add(&words, "widest", 3);
    cr_assert_eq(bpe_train(&b, &words, 257 + 6), OK, "%s", status_message());
    /* es and st occur 9 times each, and e comes before s; then est 9; then lo and ow 7, and low */
    token_is(b, 256, "es");
    token_is(b, 257, "est");
    token_is(b, 258, "lo");
    token_is(b, 259, "low");
    cr_expect_eq(bpe_vocab(b), 263);
    cr_expect_eq(bpe_eot(b), 262);
    bpe_close(b);
    word_count_deinit(&words);
}

/* the plain algorithm: count every pair anew for each merge */
typedef struct plain {
    int32_t left[300], right[300];
} plain;

static void train_plainly(const word_count *words, int merges, plain *out)
{
    static int64_t count[330][330];
    static int32_t symbol[2000][64];
    static int64_t length[2000];
    for (int64_t w = 0; w < words->words; w++) {
        length[w] = words->word[w].bytes;
        for (int64_t i = 0; i < length[w]; i++)
            symbol[w][i] = words->text[words->word[w].offset + i];
    }
    for (int m = 0; m < merges; m++) {
        int32_t left = 0, right = 0;
        memset(count, 0, sizeof count);
        for (int64_t w = 0; w < words->words; w++)
            for (int64_t i = 0; i + 1 < length[w]; i++)
                count[symbol[w][i]][symbol[w][i + 1]] += words->word[w].count;
        for (int32_t a = 0; a < 330; a++)
            for (int32_t c = 0; c < 330; c++)
                if (count[a][c] > count[left][right]) left = a, right = c;
        for (int64_t w = 0; w < words->words; w++) {
            int64_t n = 0;
            for (int64_t i = 0; i < length[w]; n++) {
                bool here = i + 1 < length[w] && symbol[w][i] == left && symbol[w][i + 1] == right;
                symbol[w][n] = here ? 256 + m : symbol[w][i];
                i += here ? 2 : 1;
            }
            length[w] = n;
        }
        out->left[m] = left;
        out->right[m] = right;
    }
}

Test(bpe_train, equals_counting_every_pair_anew)
{
    static plain expected;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        word_count words = {0};
        char *text = files_words(seed, 6000);
        for (char *word = strtok(text, " \n"); word; word = strtok(NULL, " \n"))
            if (words.words < 1000) add(&words, word, 1);
        add(&words, "aaaaaaa", 40);
        add(&words, "abababab", 30);
        bpe *b = NULL;
        cr_assert_eq(bpe_train(&b, &words, 257 + 70), OK, "%s", status_message());
        train_plainly(&words, 70, &expected);
        int32_t repeated = 0;
        for (int32_t m = 0; m < 70 && !repeated; m++) {
            bpe_pair p = bpe_merge_at(b, m);
            cr_assert(p.left == expected.left[m] && p.right == expected.right[m],
                      "merge %d: %d %d, not %d %d", m, p.left, p.right, expected.left[m],
                      expected.right[m]);
            /* two merges that spell the same share a token, which the plain algorithm does not know
             */
            repeated = p.merged != 256 + m;
        }
        bpe_close(b);
        word_count_deinit(&words);
        free(text);
    }
}

Test(bpe_train, does_not_depend_on_the_order_or_the_parts_of_the_counts)
{
    char *text = files_words(5, 40000);
    word_count part[3] = {{0}}, other[1] = {{0}}, all = {0}, same = {0};
    int n = 0;
    char *copy = strdup(text);
    for (char *word = strtok(copy, " \n"); word; word = strtok(NULL, " \n"))
        add(&part[n++ % 3], word, 1);
    free(copy);
    for (int64_t end = (int64_t)strlen(text), at = end; at >= 0; at--)
        if (at == 0 || text[at - 1] == ' ' || text[at - 1] == '\n') {
            if (end > at)
                cr_assert_eq(word_count_add(&other[0], (uint8_t *)text + at, end - at, 1), OK);
            end = at - 1;
        }
    cr_assert_eq(word_count_gather(&all, part, 3), OK);
    cr_assert_eq(word_count_gather(&same, other, 1), OK);
    cr_expect_eq(all.words, same.words);
    tokenizer *a = NULL, *b = NULL;
    bpe *x = NULL, *y = NULL;
    cr_assert_eq(bpe_train(&x, &all, 700), OK, "%s", status_message());
    cr_assert_eq(bpe_train(&y, &same, 700), OK, "%s", status_message());
    cr_assert_eq(tokenizer_open_bpe(&a, x), OK);
    cr_assert_eq(tokenizer_open_bpe(&b, y), OK);
    cr_expect_str_eq(tokenizer_sha256(a), tokenizer_sha256(b));
    tokenizer_close(a);
    tokenizer_close(b);
    for (int i = 0; i < 3; i++) word_count_deinit(&part[i]);
    word_count_deinit(&other[0]);
    word_count_deinit(&all);
    word_count_deinit(&same);
    free(text);
}

Test(bpe_train, refuses_more_merges_than_the_text_has_and_says_how_many_it_has)
{
    word_count words = {0};
    bpe *b = NULL;
    add(&words, "abc", 5);
    cr_expect_eq(bpe_train(&b, &words, 300), ERR_CONFIG);
    cr_expect(strstr(status_message(), "at most bpe:259"), "%s", status_message());
    cr_expect_eq(bpe_train(&b, &words, 259), OK, "%s", status_message());
    bpe_close(b);
    cr_expect_eq(bpe_train(&b, &words, 256), ERR_CONFIG);
    word_count_deinit(&words);
}

/* merging as defined: the pair of lowest rank, the leftmost of equals, one at a time */
static int64_t encode_plainly(const bpe *b, const uint8_t *piece, int64_t count, int32_t *id)
{
    for (int64_t i = 0; i < count; i++) id[i] = bpe_byte_id(b, piece[i]);
    for (;;) {
        int32_t best = bpe_merges(b);
        int64_t at = -1;
        for (int64_t i = 0; i + 1 < count; i++)
            for (int32_t r = 0; r < best; r++) {
                bpe_pair p = bpe_merge_at(b, r);
                if (p.left == id[i] && p.right == id[i + 1]) best = r, at = i;
            }
        if (at < 0) return count;
        id[at] = bpe_merge_at(b, best).merged;
        memmove(id + at + 1, id + at + 2, (size_t)(count - at - 2) * sizeof *id);
        count--;
    }
}

Test(bpe, pieces_of_any_length_encode_as_defined)
{
    word_count words = {0};
    bpe *b = NULL;
    add(&words, "aaaaaaaa", 50);
    add(&words, "abcabcabd", 40);
    add(&words, "bcbcddab", 30);
    cr_assert_eq(bpe_train(&b, &words, 257 + 12), OK, "%s", status_message());
    uint8_t piece[200];
    int32_t got[200], expected[200];
    int64_t made;
    /* around the lengths where the method changes: 32 (cache), 64 (heap); twice, for the cache */
    for (int twice = 0; twice < 2; twice++)
        for (int64_t n = 1; n <= 200; n++) {
            for (int64_t i = 0; i < n; i++)
                piece[i] =
                    (uint8_t)("aaabcd"[rng_at(9, RNG_TEST, (uint64_t)n, (uint64_t)i).word[0] % 6]);
            int64_t wanted = encode_plainly(b, piece, n, expected);
            cr_assert_eq(bpe_encode(b, piece, n, got, &made), OK);
            cr_assert_eq(made, wanted, "%lld bytes", (long long)n);
            cr_assert_eq(memcmp(got, expected, (size_t)made * sizeof *got), 0);
        }
    bpe_close(b);
    word_count_deinit(&words);
}

Test(bpe, a_vocabulary_that_does_not_hang_together_is_refused)
{
    bpe *b = NULL;
    cr_assert_eq(bpe_open(&b, 300, 299), OK);
    for (int i = 0; i < 255; i++) {
        uint8_t byte = (uint8_t)i;
        cr_assert_eq(bpe_spell(b, i, &byte, 1), OK);
    }
    cr_expect_eq(bpe_finish(b), ERR_IO);
    cr_expect(strstr(status_message(), "0xff"), "%s", status_message());
    cr_expect_eq(bpe_spell(b, 97, (const uint8_t *)"x", 1), ERR_IO);
    cr_expect_eq(bpe_spell(b, 300, (const uint8_t *)"ab", 2), ERR_IO);
    cr_expect_eq(bpe_spell(b, 299, (const uint8_t *)"ab", 2), ERR_IO);
    cr_expect_eq(bpe_spell(b, 256, (const uint8_t *)"ab", 2), OK);
    cr_expect_eq(bpe_merge(b, 'a', 'c', 256), ERR_IO);
    cr_expect_eq(bpe_merge(b, 'a', 'b', 257), ERR_IO);
    cr_expect_eq(bpe_merge(b, 'a', 'b', 256), OK);
    cr_expect_eq(bpe_merge(b, 'a', 'b', 256), ERR_IO);
    bpe_close(b);
}
