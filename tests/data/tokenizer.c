#include "data/tokenizer.h"

#include "base/file.h"
#include "base/sha256.h"
#include "data/bpe_train.h"
#include "data/data_files.h"
#include "data/pretoken.h"
#include "data/word_count.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIXTURE_BYTES = 1000000, GOLDEN_VOCAB = 1200 };

static tokenizer *opened(const char *spec)
{
    tokenizer *t = NULL;
    cr_assert_eq(tokenizer_open(&t, spec), OK, "%s", status_message());
    return t;
}

/* a tokenizer of generated text in many scripts */
static tokenizer *trained(int32_t vocab)
{
    word_count words = {0}, all = {0};
    pretoken *rules = NULL;
    pretoken_walk walk;
    tokenizer *t = NULL;
    bpe *b = NULL;
    const uint8_t *piece;
    uint8_t *text = files_mixture(100, 300000);
    cr_assert_eq(pretoken_open(&rules), OK, "%s", status_message());
    cr_assert_eq(pretoken_walk_init(&walk, rules), OK);
    pretoken_walk_text(&walk, text, 300000);
    for (int64_t n; (n = pretoken_next(&walk, &piece)) > 0;)
        cr_assert_eq(word_count_add(&words, piece, n, 1), OK);
    cr_assert_eq(word_count_gather(&all, &words, 1), OK);
    cr_assert_eq(bpe_train(&b, &all, vocab), OK, "%s", status_message());
    cr_assert_eq(tokenizer_open_bpe(&t, b), OK, "%s", status_message());
    pretoken_walk_deinit(&walk);
    pretoken_close(rules);
    word_count_deinit(&words);
    word_count_deinit(&all);
    free(text);
    return t;
}

/* encodes and spells back */
static void comes_back(const tokenizer *t, const uint8_t *text, int64_t count)
{
    int32_t *ids = NULL;
    int64_t made = 0, at = 0;
    cr_assert_eq(tokenizer_encode(t, text, count, &ids, &made), OK, "%s", status_message());
    for (int64_t i = 0; i < made; i++) {
        int32_t length;
        const uint8_t *bytes = tokenizer_bytes(t, ids[i], &length);
        cr_assert(length > 0 && at + length <= count &&
                      memcmp(bytes, text + at, (size_t)length) == 0,
                  "token %lld", (long long)i);
        at += length;
    }
    cr_assert_eq(at, count);
    free(ids);
}

Test(tokenizer, any_bytes_come_back)
{
    tokenizer *kinds[] = {opened("bytes"), trained(700)};
    uint8_t *text = files_mixture(1, 200000);
    uint8_t all[512];
    for (int i = 0; i < 512; i++) all[i] = (uint8_t)(i < 256 ? i : 511 - i);
    for (int k = 0; k < 2; k++) {
        comes_back(kinds[k], text, 200000);
        comes_back(kinds[k], all, 512);
        comes_back(kinds[k], all, 0);
        comes_back(kinds[k], all, 1);
        for (int64_t cut = 0; cut < 40; cut++) comes_back(kinds[k], text + cut, 100 - cut);
        tokenizer_close(kinds[k]);
    }
    free(text);
}

Test(tokenizer, text_never_becomes_end_of_text)
{
    tokenizer *t = trained(700);
    static const char text[] = "a<|endoftext|>b";
    int32_t *ids = NULL, length = 7;
    int64_t made;
    cr_assert_eq(tokenizer_encode(t, (const uint8_t *)text, 15, &ids, &made), OK);
    for (int64_t i = 0; i < made; i++) cr_expect_neq(ids[i], tokenizer_eot(t));
    cr_expect_null(tokenizer_bytes(t, tokenizer_eot(t), &length));
    cr_expect_eq(length, 0);
    cr_expect_null(tokenizer_bytes(t, -1, &length));
    cr_expect_null(tokenizer_bytes(t, tokenizer_vocab(t), &length));
    free(ids);
    tokenizer_close(t);
}

Test(tokenizer, written_and_read_again_it_is_the_same)
{
    tokenizer *t = trained(900);
    int64_t bytes;
    const char *json = tokenizer_json(t, &bytes),
               *path = files_path(files_folder(), "tokenizer.json");
    files_write(path, json, bytes);
    tokenizer *again = opened(path);
    cr_expect_str_eq(tokenizer_sha256(t), tokenizer_sha256(again));
    cr_expect_eq(tokenizer_vocab(again), 900);
    cr_expect_eq(tokenizer_eot(again), 899);
    uint8_t *text = files_mixture(2, 50000);
    int32_t *x = NULL, *y = NULL;
    int64_t n, m;
    cr_assert_eq(tokenizer_encode(t, text, 50000, &x, &n), OK);
    cr_assert_eq(tokenizer_encode(again, text, 50000, &y, &m), OK);
    cr_assert_eq(n, m);
    cr_expect_eq(memcmp(x, y, (size_t)n * sizeof *x), 0);
    free(x);
    free(y);
    free(text);
    tokenizer_close(t);
    tokenizer_close(again);
}

/* SHA-256 of the ids as little-endian int32, in hex */
static void ids_hash(const tokenizer *t, const uint8_t *text, int64_t count, int64_t *made,
                     char hex[SHA256_HEX])
{
    int32_t *ids = NULL;
    cr_assert_eq(tokenizer_encode(t, text, count, &ids, made), OK, "%s", status_message());
    sha256_of(ids, *made * 4, hex);
    free(ids);
}

/* the golden file is made from what this writes when ISOFLOP_GOLDEN_OUT names a folder */
static void write_for_golden(const tokenizer *t, const uint8_t *text)
{
    const char *folder = getenv("ISOFLOP_GOLDEN_OUT");
    int64_t bytes;
    const char *json = tokenizer_json(t, &bytes);
    if (!folder) return;
    files_write(files_path(folder, "tokenizer.json"), json, bytes);
    files_write(files_path(folder, "text.bin"), text, MIXTURE_BYTES);
}

Test(tokenizer, ids_equal_hugging_face_on_a_megabyte_of_every_script_and_invalid_bytes,
     .timeout = 60)
{
    tokenizer *t = trained(GOLDEN_VOCAB);
    uint8_t *text = files_mixture(3, MIXTURE_BYTES);
    char hex[SHA256_HEX], text_hex[SHA256_HEX], wanted_tokenizer[65], wanted_text[65],
        wanted_ids[65];
    int64_t made;
    long long wanted_made;
    write_for_golden(t, text);
    FILE *golden = fopen(GOLDEN_FILE, "r");
    cr_assert_not_null(golden, "%s", GOLDEN_FILE);
    char line[512];
    int found = 0;
    while (fgets(line, sizeof line, golden)) {
        found += sscanf(line, "tokenizer_sha256 %64s", wanted_tokenizer) == 1;
        found += sscanf(line, "text_sha256 %64s", wanted_text) == 1;
        found += sscanf(line, "ids %lld", &wanted_made) == 1;
        found += sscanf(line, "ids_sha256 %64s", wanted_ids) == 1;
    }
    (void)fclose(golden);
    cr_assert_eq(found, 4);
    sha256_of(text, MIXTURE_BYTES, text_hex);
    cr_assert_str_eq(text_hex, wanted_text, "the text differs: the golden file must be made anew");
    cr_assert_str_eq(tokenizer_sha256(t), wanted_tokenizer, "the training differs");
    ids_hash(t, text, MIXTURE_BYTES, &made, hex);
    cr_expect_eq(made, wanted_made);
    cr_expect_str_eq(hex, wanted_ids);
    free(text);
    tokenizer_close(t);
}

Test(tokenizer, gpt2_files_give_gpt2_ids)
{
    const char *folder = getenv("ISOFLOP_GPT2_BPE");
    if (!folder) cr_skip_test("ISOFLOP_GPT2_BPE names no folder with encoder.json and vocab.bpe");
    char spec[1200];
    (void)snprintf(spec, sizeof spec, "gpt2:%s", folder);
    tokenizer *t = opened(spec);
    cr_expect_str_eq(tokenizer_name(t), "gpt2");
    cr_expect_eq(tokenizer_vocab(t), 50257);
    cr_expect_eq(tokenizer_eot(t), 50256);
    /* by tokenizers 0.23.3 */
    static const char text[] =
        "Hello world! I'll see  you're 123 \xe6\x97\xa5\xe6\x9c\xac.\n\n\tDone ";
    const int32_t expected[] = {15496, 995, 0,  314,   1183, 766, 220, 345, 821,   17031,
                                10545, 245, 98, 17312, 105,  13,  628, 197, 45677, 220};
    int32_t *ids = NULL;
    int64_t made;
    cr_assert_eq(tokenizer_encode(t, (const uint8_t *)text, (int64_t)sizeof text - 1, &ids, &made),
                 OK);
    cr_assert_eq(made, (int64_t)(sizeof expected / sizeof *expected));
    cr_expect_arr_eq(ids, expected, sizeof expected);
    free(ids);
    tokenizer_close(t);
}

static void refuses(const char *text, status wanted, const char *what)
{
    tokenizer *t = NULL;
    const char *path = files_path(files_folder(), "tokenizer.json");
    files_write_text(path, text);
    status got = tokenizer_open(&t, path);
    cr_expect_eq(got, wanted, "%s", status_message());
    cr_expect(strstr(status_message(), what), "\"%s\" does not say \"%s\"", status_message(), what);
    if (got == OK) tokenizer_close(t);
}

/* the text with `from` replaced by `to` */
static void edited(const char *json, const char *from, const char *to, status wanted,
                   const char *what)
{
    const char *at = strstr(json, from);
    cr_assert_not_null(at, "%s", from);
    char *text = malloc(strlen(json) + strlen(to) + 1);
    (void)sprintf(text, "%.*s%s%s", (int)(at - json), json, to, at + strlen(from));
    refuses(text, wanted, what);
    free(text);
}

Test(tokenizer, files_that_would_give_other_ids_are_refused)
{
    tokenizer *t = trained(300);
    int64_t bytes;
    char *json = strdup(tokenizer_json(t, &bytes));
    tokenizer_close(t);
    refuses("", ERR_IO, "tokenizer.json");
    refuses("[1, 2]", ERR_CONFIG, "not BPE");
    refuses("{\"model\": {\"type\": \"Unigram\"}}", ERR_CONFIG, "not BPE");
    edited(json, "\"normalizer\": null", "\"normalizer\": {\"type\": \"NFC\"}", ERR_CONFIG,
           "normalizer");
    edited(json, "\"type\": \"ByteLevel\"", "\"type\": \"Whitespace\"", ERR_CONFIG,
           "pre_tokenizer");
    edited(json, "\"add_prefix_space\": false", "\"add_prefix_space\": true", ERR_CONFIG,
           "pre_tokenizer");
    edited(json, "\"use_regex\": true", "\"use_regex\": false", ERR_CONFIG, "pre_tokenizer");
    edited(json, "\"byte_fallback\": false", "\"byte_fallback\": true", ERR_CONFIG,
           "byte_fallback");
    edited(json, "\"ignore_merges\": false", "\"ignore_merges\": true", ERR_CONFIG,
           "ignore_merges");
    edited(json, "\"dropout\": null", "\"dropout\": 0.1", ERR_CONFIG, "dropout");
    edited(json, "<|endoftext|>\",\n   \"single_word", "<end>\",\n   \"special_no", OK, "");
    edited(json, "\"special\": true", "\"special\": false", OK, "");
    edited(json, "\"id\": 299", "\"id\": 77777777", ERR_CONFIG, "end-of-text");
    edited(json, "\"a\": 97", "\"a\": 98", ERR_IO, "id 98");
    edited(json, "\"a\": 97", "\"a\": -1", ERR_IO, "no integer from 0");
    edited(json, "\"a\": 97", "\"a\": 99999999999", ERR_IO, "largest id");
    edited(json, "\"a\": 97", "\"\\u0454\": 97", ERR_IO, "alphabet");
    edited(json, "\"a\": 97,", "", ERR_IO, "merge");
    edited(json, "\"merges\": [", "\"merges\": [[\"a\"],", ERR_IO, "not a pair");
    edited(json, "\"merges\": [", "\"merges\": [\"a\",", ERR_IO, "not a pair");
    edited(json, "\"merges\": [", "\"merges\": [\"a \",", ERR_IO, "alphabet");
    edited(json, "\"merges\"", "\"mergers\"", ERR_IO, "merges is no list");
    free(json);
    tokenizer *none = NULL;
    cr_expect_eq(tokenizer_open(&none, "absent.json"), ERR_CONFIG);
    cr_expect_eq(tokenizer_open(&none, "bpe:500"), ERR_CONFIG);
    cr_expect_eq(tokenizer_open(&none, "gpt2:/nowhere"), ERR_IO);
}
