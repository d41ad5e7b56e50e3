#include "data/prepare.h"

#include "base/file.h"
#include "base/sha256.h"
#include "data/corpus.h"
#include "data/data_files.h"
#include "data/tokenizer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct prepared {
    prepare_result result;
    char out[1400];
} prepared;

static prepare_options usual(const char *const *name)
{
    return (prepare_options){.names = name,
                             .count = 1,
                             .tokenizer = "bytes",
                             .share = {0, 0.1, 0.1},
                             .must = {true, true, false},
                             .workers = 2,
                             .shard_tokens = 1 << 20};
}

static prepared made(prepare_options o)
{
    prepared p;
    (void)snprintf(p.out, sizeof p.out, "%s/out", files_folder());
    o.out = p.out;
    cr_assert_eq(prepare_run(&p.result, &o), OK, "%s", status_message());
    return p;
}

static void refuses(prepare_options o, status wanted, const char *what)
{
    prepare_result r;
    char out[1400];
    if (!o.out) {
        (void)snprintf(out, sizeof out, "%s/out", files_folder());
        o.out = out;
    }
    status got = prepare_run(&r, &o);
    cr_expect_eq(got, wanted, "%s", status_message());
    cr_expect(strstr(status_message(), what), "\"%s\" does not say \"%s\"", status_message(), what);
    if (got == OK) prepare_result_deinit(&r);
}

/* all ids of a split */
static int32_t *ids_of(const prepared *p, const char *split, int64_t *count)
{
    corpus *c = NULL;
    cr_assert_eq(corpus_open(&c, p->out, split), OK, "%s", status_message());
    *count = corpus_about(c)->tokens;
    int32_t *ids = malloc((size_t)(*count + 1) * sizeof *ids);
    cr_assert_eq(corpus_read(c, 0, *count, corpus_about(c)->manifest.vocab, ids), OK, "%s",
                 status_message());
    corpus_close(c);
    return ids;
}

/* the documents of a split as text, each ended by '|' */
static char *text_of(const prepared *p, const char *split)
{
    int64_t count;
    int32_t *ids = ids_of(p, split, &count);
    char *text = malloc((size_t)count + 1);
    for (int64_t i = 0; i < count; i++) text[i] = ids[i] == 256 ? '|' : (char)ids[i];
    text[count] = '\0';
    free(ids);
    return text;
}

static const char *written(const char *text)
{
    const char *path = files_path(files_folder(), "text.txt");
    files_write_text(path, text);
    return path;
}

static void same_folders(const prepared *a, const prepared *b)
{
    static const char *const names[] = {"train/manifest.json",      "train/tokens-00000.bin",
                                        "validation/manifest.json", "validation/tokens-00000.bin",
                                        "test/tokens-00000.bin",    "tokenizer.json"};
    for (int i = 0; i < 6; i++) {
        const char *x = files_path(a->out, names[i]), *y = files_path(b->out, names[i]);
        cr_assert_eq(file_exists(x), file_exists(y), "%s", names[i]);
        if (file_exists(x)) cr_expect(files_equal(x, y), "%s", names[i]);
    }
}

Test(prepare, bytes_do_not_depend_on_the_number_of_workers)
{
    char *text = files_words(8, 400000);
    const char *path = written(text);
    static const char *const kinds[] = {"bytes", "bpe:500"};
    for (int k = 0; k < 2; k++) {
        prepare_options o = usual(&path);
        o.tokenizer = kinds[k];
        o.cut = CUT_LINE;
        o.shard_tokens = 100000;
        o.workers = 1;
        prepared one = made(o);
        for (int workers = 2; workers <= 7; workers += 5) {
            o.workers = workers;
            prepared more = made(o);
            same_folders(&one, &more);
            prepare_result_deinit(&more.result);
        }
        prepare_result_deinit(&one.result);
    }
    free(text);
}

Test(prepare, every_document_is_in_one_split_and_ends_with_end_of_text)
{
    char *text = files_words(9, 50000);
    const char *path = written(text);
    prepare_options o = usual(&path);
    o.cut = CUT_LINE;
    prepared p = made(o);
    int64_t lines = 0, documents = 0, bytes = 0, found = 0;
    for (char *c = text; *c; c++) lines += *c == '\n';
    for (int k = 0; k < PREPARE_SPLITS; k++) {
        const token_manifest *m = &p.result.split[k];
        char *split = text_of(&p, prepare_split_name(k)), hex[SHA256_HEX];
        int64_t n = 0;
        cr_expect_eq(m->tokens, m->bytes + m->documents);
        cr_expect_eq(split[m->tokens - 1], '|');
        for (char *line = strtok(split, "|"); line; line = strtok(NULL, "|")) {
            found += strstr(text, line) != NULL;
            memmove(split + n, line, strlen(line));
            n += (int64_t)strlen(line);
        }
        /* text_sha256 is that of the documents one after another */
        sha256_of(split, n, hex);
        cr_expect_str_eq(hex, m->text_sha256);
        documents += m->documents;
        bytes += m->bytes;
        free(split);
    }
    cr_expect_eq(bytes, (int64_t)strlen(text));
    cr_expect(documents == lines || documents == lines + 1);
    cr_expect_eq(found, documents);
    prepare_result_deinit(&p.result);
    free(text);
}

Test(prepare, a_document_goes_where_its_hash_says_whatever_stands_around_it)
{
    char *text = files_words(10, 60000), *more = files_words(11, 30000);
    char *both = malloc(strlen(text) + strlen(more) + 2);
    (void)sprintf(both, "%s\n%s", more, text);
    const char *path = written(text), *both_path = written(both);
    prepare_options o = usual(&path);
    o.cut = CUT_LINE;
    prepared a = made(o);
    o.names = &both_path;
    prepared b = made(o);
    for (int k = 0; k < PREPARE_SPLITS; k++) {
        char *x = text_of(&a, prepare_split_name(k)), *y = text_of(&b, prepare_split_name(k));
        char *last = strrchr(x, '\n');
        /* all but the last line, which had no line end */
        for (char *line = strtok(x, "|"); line && line < last; line = strtok(NULL, "|"))
            cr_expect(strstr(y, line), "%s lost %s", prepare_split_name(k), line);
        free(x);
        free(y);
    }
    prepare_result_deinit(&a.result);
    prepare_result_deinit(&b.result);
    free(text);
    free(more);
    free(both);
}

Test(prepare, exact_duplicates_fall_on_one_side)
{
    char *words = files_words(12, 20000), *twice = malloc(2 * strlen(words) + 3);
    (void)sprintf(twice, "%s\n%s\n", words, words);
    const char *path = written(twice);
    prepare_options o = usual(&path);
    o.cut = CUT_LINE;
    o.share[1] = o.share[2] = 0.3;
    prepared p = made(o);
    char *train = text_of(&p, "train"), *validation = text_of(&p, "validation"),
         *test = text_of(&p, "test");
    for (char *line = strtok(validation, "|"); line; line = strtok(NULL, "|"))
        cr_expect(!strstr(train, line) && !strstr(test, line));
    prepare_result_deinit(&p.result);
    free(train);
    free(validation);
    free(test);
    free(words);
    free(twice);
}

Test(prepare, documents_of_a_held_out_file_are_dropped_from_the_inputs)
{
    const char *path = written("alpha\nbeta\ngamma\nbeta\ndelta\n"),
               *held = written("beta\nomega\n");
    prepare_options o = usual(&path);
    o.cut = CUT_LINE;
    o.held[1] = held;
    o.share[2] = 0;
    prepared p = made(o);
    char *train = text_of(&p, "train"), *validation = text_of(&p, "validation");
    cr_expect_str_eq(train, "alpha\n|gamma\n|delta\n|");
    cr_expect_str_eq(validation, "beta\n|omega\n|");
    cr_expect_eq(p.result.dropped, 2);
    prepare_result_deinit(&p.result);
    free(train);
    free(validation);
}

Test(prepare, pieces_of_one_file_are_joined_where_they_meet)
{
    char *text = files_words(13, 300000);
    const char *path = written(text);
    prepare_options o = usual(&path);
    o.share[1] = o.share[2] = 0;
    o.must[1] = false;
    prepared whole = made(o);
    cr_expect_eq(whole.result.split[0].documents, 1);
    char *train = text_of(&whole, "train");
    cr_expect_eq(strncmp(train, text, strlen(text)), 0);
    cr_expect_str_eq(train + strlen(text), "|");
    free(train);
    o.share[1] = 0.2;
    o.must[1] = true;
    prepared parts = made(o);
    cr_expect_gt(parts.result.split[0].documents, 1);
    cr_expect_lt(parts.result.split[0].documents, 20);
    cr_expect_eq(parts.result.split[0].bytes + parts.result.split[1].bytes, (int64_t)strlen(text));
    prepare_result_deinit(&whole.result);
    prepare_result_deinit(&parts.result);
    free(text);
}

Test(prepare, the_tokenizer_learns_from_train_alone)
{
    /* the validation file is full of a word that train does not have */
    char *text = files_words(14, 40000), held[4001];
    for (int i = 0; i < 500; i++) memcpy(held + 8 * i, "zyzzyva\n", 9);
    const char *path = written(text), *held_path = written(held);
    prepare_options o = usual(&path);
    o.held[1] = held_path;
    o.share[2] = 0;
    o.tokenizer = "bpe:400";
    prepared p = made(o);
    tokenizer *t = NULL;
    cr_assert_eq(tokenizer_open(&t, files_path(p.out, "tokenizer.json")), OK, "%s",
                 status_message());
    cr_expect_str_eq(tokenizer_sha256(t), p.result.split[0].tokenizer_sha256);
    cr_expect_eq(p.result.split[0].vocab, 400);
    cr_expect_eq(p.result.split[0].eot, 399);
    for (int32_t id = 256; id < 399; id++) {
        int32_t length;
        const uint8_t *bytes = tokenizer_bytes(t, id, &length);
        cr_expect_not(memchr(bytes, 'z', (size_t)length));
    }
    tokenizer_close(t);
    prepare_result_deinit(&p.result);
    free(text);
}

Test(prepare, overlap_with_train_is_found_and_written)
{
    char *words = files_words(15, 30000), held[400];
    (void)snprintf(held, sizeof held, "%.200s", words + 1000);
    (void)strcat(
        held, "and nothing of the kind ever stood in the other text, not one string of it at all");
    const char *path = written(words), *held_path = written(held);
    prepare_options o = usual(&path);
    o.held[1] = held_path;
    o.share[2] = 0;
    o.cut = CUT_FILE;
    prepared p = made(o);
    cr_expect(p.result.overlap[1].inside >= 200 && p.result.overlap[1].inside <= 202, "%lld",
              (long long)p.result.overlap[1].inside);
    int64_t count;
    char *json = (char *)files_read(files_path(p.out, "validation/manifest.json"), &count);
    cr_expect(strstr(json, "\"share\": 0.7"), "%s", json);
    free(json);
    prepare_result_deinit(&p.result);
    free(words);
}

Test(prepare, json_lines_and_plain_lines_give_the_same_tokens)
{
    const char *plain = written("first\nsecond\nthird\n"),
               *json = files_path(files_folder(), "a.jsonl");
    files_write_text(
        json,
        "{\"body\": \"first\\n\", \"id\": 1}\n\n{\"body\": \"second\\n\"}\r\n{\"body\": \"\"}\n"
        "{\"body\":\"third\\n\"}");
    prepare_options o = usual(&plain);
    o.cut = CUT_LINE;
    o.share[1] = o.share[2] = 0;
    o.must[1] = false;
    prepared a = made(o);
    o.names = &json;
    o.field = "body";
    prepared b = made(o);
    cr_expect_eq(b.result.split[0].documents, 3);
    cr_expect(files_equal(files_path(a.out, "train/tokens-00000.bin"),
                          files_path(b.out, "train/tokens-00000.bin")));
    prepare_result_deinit(&a.result);
    prepare_result_deinit(&b.result);
    o.field = NULL;
    refuses(o, ERR_IO, "a.jsonl:1: no text in field \"text\"");
}

Test(prepare, hostile_texts_are_taken_as_they_are_or_refused)
{
    const char *path = written("");
    prepare_options o = usual(&path);
    refuses(o, ERR_IO, "no text");
    files_write_text(path, "x");
    refuses(o, ERR_CONFIG, "no document for the train split");
    o.share[1] = o.share[2] = 0;
    o.must[1] = false;
    prepared one = made(o);
    cr_expect_eq(one.result.split[0].tokens, 2);
    prepare_result_deinit(&one.result);
    /* NUL bytes and bytes that are not UTF-8 come through, with either tokenizer */
    uint8_t *text = files_mixture(16, 30000);
    memset(text + 100, 0, 300);
    files_write(path, text, 30000);
    static const char *const kinds[] = {"bytes", "bpe:300"};
    for (int k = 0; k < 2; k++) {
        o.tokenizer = kinds[k];
        prepared p = made(o);
        cr_expect_eq(p.result.split[0].bytes, 30000);
        tokenizer *t = NULL;
        cr_assert_eq(tokenizer_open(&t, k ? files_path(p.out, "tokenizer.json") : "bytes"), OK);
        int64_t count, at = 0;
        int32_t *ids = ids_of(&p, "train", &count);
        for (int64_t i = 0; i < count; i++) {
            int32_t length;
            const uint8_t *bytes = tokenizer_bytes(t, ids[i], &length);
            cr_assert(at + length <= 30000 &&
                      memcmp(bytes ? bytes : text, text + at, (size_t)length) == 0);
            at += length;
        }
        cr_expect_eq(at, 30000);
        free(ids);
        tokenizer_close(t);
        prepare_result_deinit(&p.result);
    }
    free(text);
}

Test(prepare, few_documents_still_fill_the_splits_that_were_asked_for)
{
    const char *path = written("one\ntwo\nthree\n");
    prepare_options o = usual(&path);
    o.cut = CUT_LINE;
    o.share[1] = o.share[2] = 0.000001;
    o.must[2] = true;
    prepared p = made(o);
    for (int k = 0; k < PREPARE_SPLITS; k++) cr_expect_eq(p.result.split[k].documents, 1);
    prepare_result_deinit(&p.result);
    files_write_text(path, "one\ntwo\n");
    refuses(o, ERR_CONFIG, "no document for the train split");
}

Test(prepare, nothing_but_an_earlier_preparation_is_ever_replaced)
{
    char *text = files_words(17, 50000);
    const char *path = written(text);
    prepare_options o = usual(&path);
    prepared p = made(o);
    o.out = p.out;
    refuses(o, ERR_CONFIG, "is not empty");
    prepare_result_deinit(&p.result);
    /* with force: a test split that is not made again goes away */
    o.force = true;
    o.share[2] = 0;
    cr_assert_eq(prepare_run(&p.result, &o), OK, "%s", status_message());
    prepare_result_deinit(&p.result);
    cr_expect_not(file_exists(files_path(p.out, "test")));
    cr_expect_not(file_exists(files_path(p.out, ".prepare")));
    files_write_text(files_path(p.out, "train/notes.txt"), "mine");
    refuses(o, ERR_CONFIG, "notes.txt was not written by prepare");
    cr_assert_eq(remove(files_path(p.out, "train/notes.txt")), 0);
    files_write_text(files_path(p.out, "thesis.tex"), "mine");
    refuses(o, ERR_CONFIG, "thesis.tex");
    cr_expect(file_exists(files_path(p.out, "thesis.tex")));
    free(text);
}

Test(prepare, a_failure_leaves_nothing_behind_and_the_old_shards_in_place)
{
    char *text = files_words(18, 50000);
    const char *path = written(text), *json = files_path(files_folder(), "a.jsonl");
    prepare_options o = usual(&path);
    prepared p = made(o);
    prepare_result_deinit(&p.result);
    files_write_text(json, "{\"text\": \"good\"}\n{\"text\": bad}\n");
    o.names = &json;
    o.out = p.out;
    o.force = true;
    refuses(o, ERR_IO, "a.jsonl:2");
    cr_expect_not(file_exists(files_path(p.out, ".prepare")));
    corpus *c = NULL;
    cr_expect_eq(corpus_open(&c, p.out, "train"), OK, "%s", status_message());
    corpus_close(c);
    /* a folder that it made itself goes too */
    o.out = files_path(files_folder(), "new");
    refuses(o, ERR_IO, "a.jsonl:2");
    cr_expect_not(file_exists(o.out), "an empty %s is left", o.out);
    o.names = &path;
    o.out = p.out;
    o.tokenizer = "bpe:60000";
    refuses(o, ERR_CONFIG, "at most bpe:");
    o.tokenizer = "bpe:12x";
    refuses(o, ERR_CONFIG, "wanted is bpe:VOCAB");
    free(text);
}
