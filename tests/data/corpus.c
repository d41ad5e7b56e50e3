#include "data/corpus.h"

#include "base/file.h"
#include "base/rng.h"
#include "data/data_files.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TOKENS = 1000, VOCAB = 500 };
static int32_t ids[TOKENS];

static void fill(void)
{
    for (int32_t i = 0; i < TOKENS; i++)
        ids[i] = (int32_t)(rng_at(1, RNG_TEST, 0, (uint64_t)i).word[0] % VOCAB);
}

static corpus *opened(const char *source)
{
    corpus *c = NULL;
    cr_assert_eq(corpus_open(&c, source, "train"), OK, "%s", status_message());
    return c;
}

static void refuses(const char *source, status wanted, const char *what)
{
    corpus *c = NULL;
    status s = corpus_open(&c, source, "train");
    cr_expect_eq(s, wanted, "%s: %s", source, status_message());
    cr_expect(strstr(status_message(), what), "\"%s\" does not say \"%s\"", status_message(), what);
    if (s == OK) corpus_close(c);
}

/* every range of the corpus is what was written */
static void holds_ids(const corpus *c)
{
    int32_t got[TOKENS];
    cr_assert_eq(corpus_about(c)->tokens, TOKENS);
    for (int64_t first = 0; first < TOKENS; first += 37)
        for (int64_t count = 0; count <= TOKENS - first; count = 2 * count + 1) {
            cr_assert_eq(corpus_read(c, first, count, VOCAB, got), OK, "%s", status_message());
            cr_assert_eq(memcmp(got, ids + first, (size_t)count * sizeof *got), 0, "%lld + %lld",
                         (long long)first, (long long)count);
        }
}

Test(corpus, shards_read_as_one_sequence_wherever_they_are_cut, .init = fill)
{
    const int64_t cuts[][5] = {{1000}, {1, 999}, {0, 500, 500}, {333, 0, 0, 333, 334}, {999, 1}};
    for (int i = 0; i < 5; i++)
        for (int wide = 0; wide < 2; wide++) {
            const char *folder = files_folder();
            int64_t at = 0;
            for (int k = 0; k < 5; k++) {
                char name[32];
                (void)snprintf(name, sizeof name, "x_%06d.bin", k);
                files_write_llmc(files_path(folder, name), ids + at, cuts[i][k], wide);
                at += cuts[i][k];
            }
            corpus *c = opened(folder);
            cr_expect_str_eq(corpus_about(c)->format, "llm.c");
            holds_ids(c);
            corpus_close(c);
        }
}

Test(corpus, megatron_and_nanogpt_files_are_read, .init = fill)
{
    const char *folder = files_folder();
    int32_t lengths[] = {10, 0, 490, 500};
    files_write_megatron(files_path(folder, "m"), ids, lengths, 4);
    const char *names[] = {"m", "m.bin", "m.idx"};
    for (int i = 0; i < 3; i++) {
        corpus *c = opened(files_path(folder, names[i]));
        cr_expect_str_eq(corpus_about(c)->format, "megatron");
        holds_ids(c);
        corpus_close(c);
    }

    /* bare uint16: only when it is called so, or nanoGPT's meta.pkl lies beside it */
    uint16_t bare[TOKENS];
    char named[1400];
    for (int i = 0; i < TOKENS; i++) bare[i] = (uint16_t)ids[i];
    const char *path = files_path(folder, "train.bin");
    files_write(path, bare, sizeof bare);
    refuses(path, ERR_IO, "name it nanogpt:");
    (void)snprintf(named, sizeof named, "nanogpt:%s", path);
    corpus *c = opened(named);
    holds_ids(c);
    corpus_close(c);
    files_write_text(files_path(folder, "meta.pkl"), "");
    c = opened(path);
    cr_expect_str_eq(corpus_about(c)->format, "nanogpt");
    holds_ids(c);
    corpus_close(c);
}

Test(corpus, what_cannot_be_told_apart_is_refused, .init = fill)
{
    const char *folder = files_folder();
    refuses(files_path(folder, "absent"), ERR_IO, "no token file or folder");
    refuses(folder, ERR_IO, "no token file matches");
    files_write_text(files_path(folder, "empty.bin"), "");
    refuses(files_path(folder, "empty.bin"), ERR_IO, "is empty");
    refuses(folder, ERR_IO, "0 bytes");
    (void)remove(files_path(folder, "empty.bin"));
    files_write_text(files_path(folder, "text.bin"), "some text, not tokens");
    refuses(files_path(folder, "text.bin"), ERR_IO, "no header that says");
    (void)remove(files_path(folder, "text.bin"));
    files_write_llmc(files_path(folder, "a_train_0.bin"), ids, 10, false);
    files_write_llmc(files_path(folder, "a_val_0.bin"), ids, 10, false);
    refuses(folder, ERR_IO, "training and validation");
    corpus *c = opened(files_path(folder, "a_train_*.bin"));
    cr_expect_eq(corpus_about(c)->tokens, 10);
    corpus_close(c);
    /* an llm.c file with an index of another kind beside it */
    files_write_text(files_path(folder, "a_val_0.idx"), "not an index");
    refuses(files_path(folder, "a_val_0.bin"), ERR_IO, "not a Megatron index");
}

Test(corpus, an_id_outside_the_vocabulary_is_refused_with_its_place, .init = fill)
{
    const char *folder = files_folder(), *path = files_path(folder, "x.bin");
    int32_t got[TOKENS];
    ids[777] = VOCAB;
    for (int wide = 0; wide < 2; wide++) {
        files_write_llmc(path, ids, TOKENS, wide);
        corpus *c = opened(path);
        cr_expect_eq(corpus_read(c, 0, 777, VOCAB, got), OK);
        cr_expect_eq(corpus_read(c, 770, 8, VOCAB, got), ERR_IO);
        cr_expect(strstr(status_message(), "token 777 is id 500, outside the vocabulary of 500"),
                  "%s", status_message());
        cr_expect(strstr(status_message(), "x.bin"));
        corpus_close(c);
    }
    ids[777] = -1; /* uint32: 4294967295 */
    files_write_llmc(path, ids, TOKENS, true);
    corpus *c = opened(path);
    cr_expect_eq(corpus_read(c, 777, 1, VOCAB, got), ERR_IO);
    cr_expect(strstr(status_message(), "4294967295"), "%s", status_message());
    corpus_close(c);
}

Test(corpus, identity_follows_the_tokens_and_not_the_names, .init = fill)
{
    const char *a = files_folder(), *b = files_folder();
    files_write_llmc(files_path(a, "x.bin"), ids, TOKENS, false);
    files_write_llmc(files_path(b, "y.bin"), ids, TOKENS, false);
    corpus *x = opened(a), *y = opened(b);
    cr_expect_str_eq(corpus_about(x)->identity, corpus_about(y)->identity);
    corpus_close(y);
    ids[500] ^= 1;
    files_write_llmc(files_path(b, "y.bin"), ids, TOKENS, false);
    y = opened(b);
    cr_expect_str_neq(corpus_about(x)->identity, corpus_about(y)->identity);
    corpus_close(x);
    corpus_close(y);
}

Test(corpus, files_above_two_gigabytes_are_read_to_their_end, .init = fill)
{
    /* 1.2e9 tokens of 2 bytes, all zero but the last ones; the file has holes and takes no room */
    const int64_t count = 1200000000, bytes = LLMC_HEADER_BYTES + 2 * count;
    const char *path = files_path(files_folder(), "large.bin");
    files_write_llmc(path, ids, 0, false);
    int64_t size;
    uint8_t *head = files_read(path, &size);
    token_file_header(head, TOKEN_U16, count);
    files_write(path, head, size);
    free(head);
    if (truncate(path, bytes) != 0) cr_skip_test("no file of 2.4 GB can be made here");
    FILE *out = fopen(path, "r+b");
    cr_assert_eq(fseeko(out, bytes - 6, SEEK_SET), 0);
    const uint16_t last[3] = {7, 8, 9};
    cr_assert_eq(fwrite(last, 2, 3, out), 3);
    cr_assert_eq(fclose(out), 0);
    corpus *c = opened(path);
    int32_t got[5];
    cr_expect_eq(corpus_about(c)->tokens, count);
    cr_assert_eq(corpus_read(c, count - 5, 5, 10, got), OK, "%s", status_message());
    cr_expect(got[0] == 0 && got[1] == 0 && got[2] == 7 && got[3] == 8 && got[4] == 9);
    corpus_close(c);
    cr_assert_eq(truncate(path, bytes - 1), 0);
    refuses(path, ERR_IO, "truncated");
}

/* chmod 000, or the folder of somebody else: the tokens are there, and it is not said that they are
 * not */
Test(corpus, a_folder_that_may_not_be_entered_is_not_said_to_be_empty, .init = fill)
{
    const char *folder = files_folder();
    const uid_t nobody = 65534;
    if (geteuid() == 0 && (chown(folder, nobody, nobody) != 0 ||
                           chown(files_path(folder, ".."), nobody, nobody) != 0 ||
                           setuid(nobody) != 0 || access(folder, W_OK) != 0))
        cr_skip("root may enter every folder, and cannot become somebody else here");
    const char *inner = files_path(folder, "inner"), *split = files_path(folder, "inner/train");
    cr_assert(mkdir(inner, 0700) == 0 && mkdir(split, 0700) == 0);
    files_write_llmc(files_path(folder, "inner/train/x_0.bin"), ids, TOKENS, false);
    corpus_close(opened(split));
    static const char *const inside[] = {"inner/train", "inner", "inner/train/*.bin", "inner/*.bin",
                                         "inner/train/x_0.bin"};
    cr_assert_eq(chmod(inner, 0), 0);
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
        refuses(files_path(folder, inside[i]), ERR_IO, "Permission denied");
    /* entered, but not listed: a name inside is found, a pattern is not */
    cr_assert_eq(chmod(inner, 0100), 0);
    corpus_close(opened(split));
    refuses(files_path(folder, "inner/*.bin"), ERR_IO, "Permission denied");
    refuses(files_path(folder, "inner/absent"), ERR_IO, "no token file or folder");
    cr_expect_eq(chmod(inner, 0700), 0);
}

/* also of what is no longer there */
Test(corpus, the_folder_of_a_source_is_that_of_its_files)
{
    static const char *const pairs[][2] = {{"nanogpt:a/b.bin", "a"},
                                           {"/gone.bin", "/"},
                                           {"a/b/*.bin", "a/b"},
                                           {"gone", "."},
                                           {"/", "/"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char folder[64];
        corpus_folder(folder, sizeof folder, pairs[i][0], "train");
        cr_expect_str_eq(folder, pairs[i][1], "%s: %s", pairs[i][0], folder);
    }
}
