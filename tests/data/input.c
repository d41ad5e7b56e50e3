#include "data/input.h"

#include "data/data_files.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#ifdef ISOFLOP_ZSTD
#include <zstd.h>
#endif

static void write_gzip(const char *path, const char *text, int64_t count, const char *mode)
{
    gzFile out = gzopen(path, mode);
    cr_assert_not_null(out);
    cr_assert_eq(gzwrite(out, text, (unsigned)count), (int)count);
    cr_assert_eq(gzclose(out), Z_OK);
}

/* all documents, each ended by '|', joined ones by '+' */
static char *all_documents(input *in)
{
    document_block b = {0};
    char *out = calloc(1, 1);
    size_t n = 0;
    input_rewind(in);
    for (;;) {
        cr_assert_eq(input_next(in, &b), OK, "%s", status_message());
        if (b.count == 0) break;
        for (int64_t i = 0; i < b.count; i++) {
            const document *d = &b.document[i];
            out = realloc(out, n + (size_t)d->count + 3);
            if (d->joined) out[n - 1] = '+';
            memcpy(out + n, b.text + d->offset, (size_t)d->count);
            n += (size_t)d->count;
            out[n++] = '|';
            out[n] = '\0';
        }
    }
    document_block_deinit(&b);
    return out;
}

static input *opened(const char *name, cut_rule cut, int64_t block)
{
    input *in = NULL;
    input_options o = {&name, 1, cut, NULL, block};
    cr_assert_eq(input_open(&in, &o), OK, "%s", status_message());
    return in;
}

static void documents_are(const char *name, cut_rule cut, const char *expected)
{
    /* whatever the blocks are */
    for (int64_t block = 1; block < 100; block = 3 * block + 1) {
        input *in = opened(name, cut, block);
        for (int again = 0; again < 2; again++) {
            char *got = all_documents(in);
            cr_expect_str_eq(got, expected, "block %lld: \"%s\"", (long long)block, got);
            free(got);
        }
        input_close(in);
    }
}

Test(input, documents_end_where_the_rule_says)
{
    const char *path = files_path(files_folder(), "a.txt");
    files_write_text(path, "one\ntwo\n\nthree\n \nfour\n\n\n\nfive");
    documents_are(path, CUT_FILE, "one\ntwo\n\nthree\n \nfour\n\n\n\nfive|");
    documents_are(path, CUT_AUTO, "one\ntwo\n\nthree\n \nfour\n\n\n\nfive|");
    documents_are(path, CUT_LINE, "one\n|two\n|three\n|four\n|five|");
    documents_are(path, CUT_BLANK, "one\ntwo\n|three\n \nfour\n|five|");
    files_write_text(path, "one\r\ntwo\r\n\r\nthree\r\n\r\n\r\n\nfour");
    documents_are(path, CUT_BLANK, "one\r\ntwo\r\n|three\r\n|four|");
    files_write_text(path, "");
    documents_are(path, CUT_AUTO, "");
    documents_are(path, CUT_LINE, "");
    files_write_text(path, "\n \n");
    documents_are(path, CUT_LINE, "");
}

Test(input, a_block_of_blank_lines_is_not_the_end)
{
    const char *path = files_path(files_folder(), "a.txt");
    char text[1200] = "", lines[1220], parts[1220];
    /* more than is looked at before documents are cut */
    for (int i = 0; i < 60; i++) strcat(text, "seventy");
    strcat(text, "\n");
    (void)snprintf(lines, sizeof lines, "%s|one\n|two|", text);
    (void)snprintf(parts, sizeof parts, "%s|one\ntwo|", text);
    for (int i = 0; i < 300; i++) strcat(text, i % 7 ? "\n" : "\r\n");
    strcat(text, "one\ntwo");
    files_write_text(path, text);
    documents_are(path, CUT_LINE, lines);
    documents_are(path, CUT_BLANK, parts);
}

Test(input, folders_come_sorted_and_without_hidden_files)
{
    const char *folder = files_folder();
    files_write_text(files_path(folder, "b.txt"), "B");
    files_write_text(files_path(folder, "a.txt"), "A");
    files_write_text(files_path(folder, ".hidden"), "no");
    files_write_text(files_path(folder, "e.txt"), "");
    cr_assert_eq(mkdir(files_path(folder, "c"), 0777), 0);
    files_write_text(files_path(folder, "c/z.txt"), "Z");
    write_gzip(files_path(folder, "c/y.txt.gz"), "Y", 1, "wb");
    documents_are(folder, CUT_FILE, "A|B|Y|Z|");
}

Test(input, compressed_files_are_read_and_truncated_ones_refused)
{
    const char *folder = files_folder(), *path = files_path(folder, "a.txt.gz");
    char *text = files_words(4, 300000);
    int64_t bytes = (int64_t)strlen(text), count;
    write_gzip(path, text, 100000, "wb");
    write_gzip(path, text + 100000, bytes - 100000, "ab"); /* a second member */
    input *in = opened(path, CUT_FILE, 0);
    char *got = all_documents(in);
    cr_expect_eq(strlen(got), (size_t)bytes + 1);
    cr_expect_eq(memcmp(got, text, (size_t)bytes), 0);
    input_close(in);
    free(got);
    uint8_t *packed = files_read(path, &count);
    for (int64_t cut = 1; cut < count; cut += count / 31) {
        document_block b = {0};
        files_write(path, packed, cut);
        in = opened(path, CUT_FILE, 0);
        cr_expect_eq(input_next(in, &b), ERR_IO, "cut at %lld", (long long)cut);
        cr_expect(strstr(status_message(), "truncated"), "%s", status_message());
        input_close(in);
        document_block_deinit(&b);
    }
    packed[count / 2] ^= 4;
    files_write(path, packed, count);
    document_block b = {0};
    in = opened(path, CUT_FILE, 0);
    cr_expect_eq(input_next(in, &b), ERR_IO);
    input_close(in);
    document_block_deinit(&b);
    free(packed);
    free(text);
}

#ifdef ISOFLOP_ZSTD
Test(input, zstd_files_are_read_and_truncated_ones_refused)
{
    const char *path = files_path(files_folder(), "a.txt.zst");
    char *text = files_words(4, 300000);
    size_t bytes = strlen(text), room = ZSTD_compressBound(bytes);
    uint8_t *packed = malloc(room);
    size_t count = ZSTD_compress(packed, room, text, bytes, 3);
    files_write(path, packed, (int64_t)count);
    input *in = opened(path, CUT_FILE, 0);
    char *got = all_documents(in);
    cr_expect(strlen(got) == bytes + 1 && memcmp(got, text, bytes) == 0);
    input_close(in);
    free(got);
    for (size_t cut = 1; cut < count; cut += count / 31) {
        document_block b = {0};
        files_write(path, packed, (int64_t)cut);
        in = opened(path, CUT_FILE, 0);
        cr_expect_eq(input_next(in, &b), ERR_IO, "cut at %zu", cut);
        input_close(in);
        document_block_deinit(&b);
    }
    free(packed);
    free(text);
}
#endif

Test(input, large_texts_are_cut_at_blank_lines_and_lose_nothing)
{
    const char *path = files_path(files_folder(), "a.txt");
    int64_t bytes = 1000000;
    uint8_t *text = files_mixture(5, bytes);
    files_write(path, text, bytes);
    input *in = opened(path, CUT_AUTO, 1 << 20);
    document_block b = {0};
    int64_t at = 0, pieces = 0;
    for (;;) {
        cr_assert_eq(input_next(in, &b), OK);
        if (b.count == 0) break;
        for (int64_t i = 0; i < b.count; i++, pieces++) {
            const document *d = &b.document[i];
            cr_assert_eq(memcmp(b.text + d->offset, text + at, (size_t)d->count), 0);
            cr_expect_eq(d->joined, at > 0);
            at += d->count;
            cr_expect_leq(d->count, 32 << 10);
            cr_expect(d->count >= 8 << 10 || at == bytes);
        }
    }
    cr_expect_eq(at, bytes);
    cr_expect_geq(pieces, bytes / (32 << 10));
    input_close(in);
    document_block_deinit(&b);
    free(text);
}

Test(input, cuts_do_not_depend_on_how_much_is_seen)
{
    uint8_t *text = files_mixture(6, 100000);
    for (int rule = CUT_AUTO; rule <= CUT_LINE; rule++) {
        int64_t whole = document_cut((cut_rule)rule, text, 100000, true);
        for (int64_t n = 0; n < 100000; n += 997) {
            int64_t got = document_cut((cut_rule)rule, text, n, false);
            cr_expect(got == 0 || got == whole, "rule %d: %lld of %lld bytes", rule, (long long)got,
                      (long long)n);
        }
    }
    free(text);
}

Test(input, json_lines_give_their_field_or_the_place_of_the_fault)
{
    static const char *const lines[] = {"{\"text\": \"a\\n\\u00e9\\u0000b\"}",
                                        "{\"text\": 3}",
                                        "{\"t\": \"x\"}",
                                        "[1]",
                                        "{",
                                        "{\"text\": \"\xff\"}",
                                        "\"text\"",
                                        "{} {}"};
    document d = {.path = "f.jsonl", .line = 12, .json = true};
    for (int i = 0; i < 8; i++) {
        uint8_t *text = NULL;
        int64_t count = 0;
        d.count = (int64_t)strlen(lines[i]);
        status s = document_json(&text, &count, (const uint8_t *)lines[i], &d, "text");
        cr_expect_eq(s, i == 0 ? OK : ERR_IO, "%s: %s", lines[i], status_message());
        if (s != OK) cr_expect(strstr(status_message(), "f.jsonl:12: "), "%s", status_message());
        if (i == 2)
            cr_expect(strstr(status_message(), "in field \"text\"; --field: t"), "%s",
                      status_message());
        if (s == OK) cr_expect(count == 6 && memcmp(text, "a\n\xc3\xa9\0b", 6) == 0);
        free(text);
    }
}

Test(input, a_byte_order_mark_is_no_text)
{
    const char *path = files_path(files_folder(), "a.jsonl");
    files_write_text(path, "\xef\xbb\xbf{}\r\n\xef\xbb\xbf{}");
    documents_are(path, CUT_AUTO, "{}\r\n|\xef\xbb\xbf{}|");
    path = files_path(files_folder(), "a.txt");
    files_write_text(path, "\xef\xbb\xbf");
    documents_are(path, CUT_AUTO, "");
    files_write_text(path, "\xef\xbbx");
    documents_are(path, CUT_AUTO, "\xef\xbbx|");
}

static void expect_foreign(const char *name, const char *front, int64_t offset, const char *says)
{
    char bytes[400];
    const char *path = files_path(files_folder(), name);
    memset(bytes, 'x', sizeof bytes);
    memcpy(bytes + offset, front, strlen(front));
    files_write(path, bytes, sizeof bytes);
    for (int64_t block = 1; block <= 1000; block += 999) {
        input *in = opened(path, CUT_AUTO, block);
        document_block b = {0};
        cr_expect_eq(input_next(in, &b), ERR_CONFIG, "%s", says);
        cr_expect(strstr(status_message(), says), "%s", status_message());
        document_block_deinit(&b);
        input_close(in);
    }
}

Test(input, what_is_no_text_is_refused_by_its_first_bytes)
{
    expect_foreign("a.parquet", "PAR1", 0, "a.parquet is no text: it is a Parquet file");
    expect_foreign("notes.txt", "\xff\xfeH", 0, "iconv -f UTF-16");
    expect_foreign("a.tar", "ustar", 257, "tar archive");
    expect_foreign("a.zip", "PK\x03\x04", 0, "zip archive");
    expect_foreign("a.txt", "\x1f\x8b", 0, "end in .gz");
    expect_foreign("a.bin", "\x88\xd8\x34\x01", 0, "llm.c token file");
    const char *path = files_path(files_folder(), "a.json"), *folder = files_folder();
    input *in = NULL;
    files_write_text(path, "{}");
    cr_expect_eq(input_open(&in, &(input_options){&path, 1, CUT_AUTO, NULL, 0}), ERR_CONFIG);
    cr_expect(strstr(status_message(), "end in .jsonl"), "%s", status_message());
    files_write_text(files_path(folder, "package.json"), "{}");
    documents_are(folder, CUT_AUTO, "{}|");
}

Test(input, what_is_not_there_is_refused)
{
    const char *names[] = {"/nowhere/at/all", files_folder(), "/dev/null"};
    const char *says[] = {"cannot open", "holds no files", "neither a file nor a folder"};
    for (int i = 0; i < 3; i++) {
        input *in = NULL;
        input_options o = {&names[i], 1, CUT_AUTO, NULL, 0};
        cr_expect_eq(input_open(&in, &o), ERR_IO);
        cr_expect(strstr(status_message(), says[i]), "%s", status_message());
    }
    const char *path = files_path(files_folder(), "a.xz");
    files_write_text(path, "x");
    input *in = opened(path, CUT_AUTO, 0);
    document_block b = {0};
    cr_expect_eq(input_next(in, &b), ERR_CONFIG);
    cr_expect(strstr(status_message(), "xz -dc"), "%s", status_message());
    document_block_deinit(&b);
    input_close(in);
}
