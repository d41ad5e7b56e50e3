#include "data/samples.h"

#include "base/file.h"
#include "data/data_files.h"
#include "data/prepare.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* a folder that prepare made of generated text, in shards of 3000 tokens */
static const char *prepared(void)
{
    const char *folder = files_folder(), *text_path = files_path(folder, "text.txt");
    static char out[1400];
    char *text = files_words(1, 100000);
    files_write_text(text_path, text);
    free(text);
    (void)snprintf(out, sizeof out, "%s/out", folder);
    prepare_options o = {.names = &text_path,
                         .count = 1,
                         .out = out,
                         .tokenizer = "bytes",
                         .share = {0, 0.1, 0},
                         .must = {true, true, false},
                         .cut = CUT_LINE,
                         .workers = 2,
                         .shard_tokens = 3000};
    prepare_result r;
    cr_assert_eq(prepare_run(&r, &o), OK, "%s", status_message());
    prepare_result_deinit(&r);
    return out;
}

static void refuses(const config *cfg, split which, status wanted, const char *what)
{
    samples *s = NULL;
    status got = samples_open(&s, cfg, which);
    cr_expect_eq(got, wanted, "%s", status_message());
    cr_expect(strstr(status_message(), what), "\"%s\" does not say \"%s\"", status_message(), what);
    if (got == OK) samples_close(s);
}

Test(samples, sample_k_is_the_tokens_from_kT_to_kT_plus_T)
{
    enum { COUNT = 1000, T = 64 };
    const char *folder = files_folder();
    int32_t ids[COUNT], got[T + 1];
    for (int i = 0; i < COUNT; i++) ids[i] = i;
    files_write_llmc(files_path(folder, "0.bin"), ids, 100, false);
    files_write_llmc(files_path(folder, "1.bin"), ids + 100, 900, false);
    config cfg = files_config(folder, T, COUNT);
    samples *s = NULL;
    cr_assert_eq(samples_open(&s, &cfg, SPLIT_TRAIN), OK, "%s", status_message());
    const samples_info *about = samples_about(s);
    cr_expect_eq(about->count, (COUNT - 1) / T);
    cr_expect_eq(about->tokens, COUNT);
    cr_expect_str_eq(about->tokenizer, "unknown");
    cr_expect_not(about->has_bytes);
    for (int64_t k = 0; k < about->count; k++) {
        cr_assert_eq(samples_read(s, k, got), OK);
        cr_expect_arr_eq(got, ids + k * T, sizeof got);
    }
    /* each epoch visits each sample once, in another order */
    uint8_t seen[3][COUNT / T] = {{0}};
    for (int64_t g = 0; g < 3 * about->count; g++) seen[g / about->count][samples_order(s, g)]++;
    for (int e = 0; e < 3; e++)
        for (int64_t k = 0; k < about->count; k++) cr_expect_eq(seen[e][k], 1);
    samples_close(s);
}

Test(samples, the_last_sample_needs_one_token_more)
{
    const char *folder = files_folder(), *path = files_path(folder, "0.bin");
    int32_t ids[65] = {0};
    const int64_t tokens[] = {0, 1, 32, 33, 64, 65}, samples_expected[] = {0, 0, 0, 1, 1, 2};
    for (int i = 0; i < 6; i++) {
        files_write_llmc(path, ids, tokens[i], false);
        config cfg = files_config(path, 32, 2);
        samples *s = NULL;
        status got = samples_open(&s, &cfg, SPLIT_TRAIN);
        cr_expect_eq(got, samples_expected[i] ? OK : ERR_IO, "%lld tokens", (long long)tokens[i]);
        if (got == OK)
            cr_expect_eq(samples_about(s)->count, samples_expected[i]);
        else
            cr_expect(strstr(status_message(), "needs 33"), "%s", status_message());
        if (got == OK) samples_close(s);
    }
}

Test(samples, prepared_folders_know_their_bytes_and_hashes)
{
    const char *out = prepared();
    config cfg = files_config(out, 128, 257);
    samples *s = NULL;
    for (int which = 0; which < 2; which++) {
        cr_assert_eq(samples_open(&s, &cfg, (split)which), OK, "%s", status_message());
        const samples_info *about = samples_about(s);
        cr_expect(about->has_bytes && about->vocab == 257);
        cr_expect_str_eq(about->tokenizer, "bytes");
        cr_expect_eq(strlen(about->text_sha256), 64);
        cr_expect_eq(strlen(about->identity), 64);
        cr_expect_eq(samples_token_bytes(s, 65), 1);
        cr_expect_eq(samples_token_bytes(s, 256), 0);
        samples_close(s);
    }
    /* the split's own folder names the same */
    cfg = files_config(files_path(out, "train"), 128, 300);
    cr_expect_eq(samples_open(&s, &cfg, SPLIT_TRAIN), OK, "%s", status_message());
    cr_expect_eq(samples_about(s)->vocab, 257);
    samples_close(s);
    refuses(&cfg, SPLIT_VALIDATION, ERR_IO, "is the train split; validation was asked for");
    cfg = files_config(out, 128, 256);
    refuses(&cfg, SPLIT_TRAIN, ERR_CONFIG, "model.vocab=257");
    cfg.data.train[0] = '\0';
    refuses(&cfg, SPLIT_TRAIN, ERR_CONFIG, "data.train: missing");
}

Test(samples, damage_anywhere_in_a_prepared_folder_is_found)
{
    const char *out = prepared();
    config cfg = files_config(out, 128, 257);
    char shard[1500], manifest[1500];
    (void)snprintf(shard, sizeof shard, "%s/train/tokens-00001.bin", out);
    (void)snprintf(manifest, sizeof manifest, "%s/train/manifest.json", out);
    int64_t count, size;
    uint8_t *good = files_read(shard, &count), *json = files_read(manifest, &size);
    /* one bit, anywhere */
    for (int64_t at = 0; at < count; at += count / 97) {
        files_damage(shard, at);
        refuses(&cfg, SPLIT_TRAIN, ERR_IO, "tokens-00001.bin");
        files_write(shard, good, count);
    }
    for (int64_t bytes = 0; bytes < count; bytes += count / 13) {
        files_write(shard, good, bytes);
        refuses(&cfg, SPLIT_TRAIN, ERR_IO, "tokens-00001.bin");
    }
    files_write(shard, good, count);
    /* a whole shard less, with a header that fits it */
    uint8_t *fewer = malloc((size_t)count);
    memcpy(fewer, good, (size_t)count);
    fewer[8]--;
    files_write(shard, fewer, count - 2);
    refuses(&cfg, SPLIT_TRAIN, ERR_IO, "manifest.json says");
    (void)remove(shard);
    refuses(&cfg, SPLIT_TRAIN, ERR_IO, "cannot open");
    files_write(shard, good, count);
    /* the manifest cut anywhere */
    for (int64_t bytes = 0; bytes < size - 2; bytes += size / 29) {
        files_write(manifest, json, bytes);
        refuses(&cfg, SPLIT_TRAIN, ERR_IO, "manifest.json");
    }
    files_write(manifest, json, size);
    samples *s = NULL;
    cr_expect_eq(samples_open(&s, &cfg, SPLIT_TRAIN), OK, "%s", status_message());
    samples_close(s);
    free(good);
    free(fewer);
    free(json);
}

/* replaces text in a manifest and says what opening it says */
static void edited(const char *out, const char *from, const char *to, const char *says)
{
    char manifest[1500];
    (void)snprintf(manifest, sizeof manifest, "%s/train/manifest.json", out);
    int64_t size;
    char *json = (char *)files_read(manifest, &size), *at = strstr(json, from);
    cr_assert_not_null(at, "%s", from);
    FILE *changed = fopen(manifest, "w");
    (void)fprintf(changed, "%.*s%s%s", (int)(at - json), json, to, at + strlen(from));
    (void)fclose(changed);
    config cfg = files_config(out, 128, 257);
    refuses(&cfg, SPLIT_TRAIN, ERR_IO, says);
    files_write(manifest, json, size);
    free(json);
}

Test(samples, a_manifest_that_says_something_else_is_refused)
{
    const char *out = prepared();
    edited(out, "\"schema\": 1", "\"schema\": 2", "schema 2");
    edited(out, "\"vocab\": 257", "\"vocab\": -257", "vocab: -257 is outside");
    edited(out, "\"eot\": 256", "\"eot\": 257", "eot: 257 is outside");
    edited(out, "\"tokens\": ", "\"tokens\": 1", "add up");
    edited(out, "\"tokens\"", "\"tokenz\"", "\"tokens\" is missing");
    edited(out, "\"split\": \"train\"", "\"split\": \"test\"", "is the test split");
    edited(out, "tokens-00000.bin", "../../etc/passwd", "not a plain file name");
    edited(out, "\"files\": [", "\"files\": [ 7, ", "name");
    edited(out, "\"tokens\"", "\"schema\": 1, \"tokens\"", "duplicate");
    edited(out, "{", "", "expected near");
}
