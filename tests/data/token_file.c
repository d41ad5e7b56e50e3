#include "data/token_file.h"

#include "data/data_files.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* status and message of reading a header alone */
static status llmc(const uint8_t *head, int64_t head_bytes, int64_t file_bytes)
{
    token_layout l;
    return token_file_llmc(&l, head, head_bytes, file_bytes, "f.bin");
}

static void says(status got, status wanted, const char *what)
{
    cr_expect_eq(got, wanted, "%s: %s", status_name(got), status_message());
    cr_expect(strstr(status_message(), what), "\"%s\" does not say \"%s\"", status_message(), what);
}

Test(token_file, headers_read_back_as_written)
{
    uint8_t head[LLMC_HEADER_BYTES];
    token_layout l;
    token_type types[] = {TOKEN_U16, TOKEN_U32};
    for (int t = 0; t < 2; t++) {
        token_file_header(head, types[t], 1234567);
        int64_t bytes = 1024 + 1234567 * token_width(types[t]);
        cr_assert_eq(token_file_llmc(&l, head, 1024, bytes, "f"), OK, "%s", status_message());
        cr_expect(l.type == types[t] && l.offset == 1024 && l.tokens == 1234567);
    }
    /* more than 2 GiB: sizes are 64-bit */
    token_file_header(head, TOKEN_U32, INT32_MAX);
    cr_assert_eq(token_file_llmc(&l, head, 1024, 1024 + 4 * (int64_t)INT32_MAX, "f"), OK);
    cr_expect_eq(l.tokens, INT32_MAX);
}

Test(token_file, whatever_does_not_fit_is_refused_with_its_reason)
{
    uint8_t head[LLMC_HEADER_BYTES];
    token_file_header(head, TOKEN_U16, 10);
    says(llmc(head, 0, 0), ERR_IO, "0 bytes");
    says(llmc(head, 1023, 1023), ERR_IO, "header of 1024");
    says(llmc(head, 1024, 1043), ERR_IO, "truncated");
    says(llmc(head, 1024, 1045), ERR_IO, "too long");
    says(llmc(head, 1024, 1024), ERR_IO, "truncated");
    head[4] = 7;
    says(llmc(head, 1024, 1044), ERR_IO, "version 7");
    head[4] = 1, head[0] ^= 1;
    says(llmc(head, 1024, 1044), ERR_IO, "not an llm.c token file");
    token_file_header(head, TOKEN_U16, 10);
    memset(head + 8, 0xff, 4);
    says(llmc(head, 1024, 1022), ERR_IO, "f.bin");
    says(llmc(head, 1024, 1044), ERR_IO, "-1 tokens");
}

/* an index of three sequences of 2, 0 and 3 uint16 tokens */
typedef struct index_file {
    uint8_t bytes[34 + 3 * 12 + 4 * 8];
} index_file;

static index_file good_index(void)
{
    index_file f = {{0}};
    const char *folder = files_folder();
    int32_t ids[5] = {1, 2, 3, 4, 5}, lengths[3] = {2, 0, 3};
    int64_t count;
    files_write_megatron(files_path(folder, "m"), ids, lengths, 3);
    uint8_t *bytes = files_read(files_path(folder, "m.idx"), &count);
    cr_assert_eq(count, (int64_t)sizeof f.bytes);
    memcpy(f.bytes, bytes, sizeof f.bytes);
    free(bytes);
    return f;
}

static status megatron(const index_file *f, int64_t idx_bytes, int64_t bin_bytes)
{
    /* in memory of its own, so that a sanitizer sees a read past its end */
    uint8_t *copy = malloc((size_t)idx_bytes + 1);
    token_layout l = {0};
    memcpy(copy, f->bytes, (size_t)idx_bytes);
    status s = token_file_megatron(&l, copy, idx_bytes, bin_bytes, "f.idx");
    if (s == OK) cr_expect(l.type == TOKEN_U16 && l.tokens == 5 && l.offset == 0);
    free(copy);
    return s;
}

static index_file with(int64_t offset, uint64_t value, int64_t width)
{
    index_file f = good_index();
    memcpy(f.bytes + offset, &value, (size_t)width);
    return f;
}

Test(token_file, a_megatron_index_is_believed_only_as_far_as_it_fits)
{
    enum { BYTES = sizeof(index_file), LENGTHS = 34, POINTERS = 34 + 12, DOCUMENTS = 34 + 36 };
    index_file f = good_index();
    cr_expect_eq(megatron(&f, BYTES, 10), OK, "%s", status_message());
    says(megatron(&f, BYTES, 8), ERR_IO, "5 tokens of 2 bytes");
    says(megatron(&f, BYTES, 12), ERR_IO, "12 bytes");
    for (int64_t n = 0; n < BYTES; n++)
        cr_expect_eq(megatron(&f, n, 10), ERR_IO, "cut at %lld", (long long)n);

    struct {
        int64_t offset;
        uint64_t value;
        int64_t width;
        const char *says;
    } bad[] = {
        {0, 'X', 1, "not a Megatron index"},
        {9, 2, 8, "version 2"},
        {17, 7, 1, "type code 7"},
        {17, 0, 1, "type code 0"},
        {17, 5, 1, "begins at byte 4"}, /* int64: wider tokens than the pointers allow */
        {18, UINT64_MAX, 8, "counts -1 sequences"},
        {18, UINT64_C(1) << 62, 8, "room for"},
        {18, UINT64_C(0x1555555555555556), 8, "room for"}, /* x 12 wraps around to 8 */
        {26, UINT64_C(1) << 61, 8, "room for"},            /* x 8 wraps around to 0  */
        {26, UINT64_MAX, 8, "counts -1 document"},
        {26, 3, 8, "follow the document borders"},
        {LENGTHS, 0xffffffff, 4, "length -1"},
        {LENGTHS, 0x7fffffff, 4, "begins at byte 4"},
        {POINTERS + 8, 6, 8, "begins at byte 6, expected 4"},
        {DOCUMENTS, 1, 8, "document 0"},
        {DOCUMENTS + 8, 9, 8, "document 1"},
        {DOCUMENTS + 16, 0, 8, "document 2"},
        {DOCUMENTS + 24, 2, 8, "document"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        f = with(bad[i].offset, bad[i].value, bad[i].width);
        says(megatron(&f, BYTES, 10), ERR_IO, bad[i].says);
    }
}

Test(token_file, tokens_of_every_width_are_read_and_none_wraps)
{
    const uint8_t bytes[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                             1,    0,    0,    0,    1,    0,    0,    0};
    cr_expect_eq(token_at(bytes, TOKEN_U8, 0), 255);
    cr_expect_eq(token_at(bytes, TOKEN_U16, 0), 65535);
    cr_expect_eq(token_at(bytes, TOKEN_U16, 4), 1);
    cr_expect_eq(token_at(bytes, TOKEN_I16, 0), -1);
    cr_expect_lt(token_at(bytes, TOKEN_U32, 0), 0);
    cr_expect_eq(token_at(bytes, TOKEN_U32, 2), 1);
    cr_expect_lt(token_at(bytes, TOKEN_I64, 0), 0);
    cr_expect_lt(token_at(bytes, TOKEN_I64, 1), 0); /* 2^32 + 1 is not 1 */
}

Test(token_file, a_headerless_file_with_a_header_is_refused)
{
    uint8_t head[2048] = {1, 2, 3, 4};
    token_layout l;
    cr_expect_eq(token_file_nanogpt(&l, head, 2048, 2048, "f"), ERR_IO);
    head[600] = 1;
    cr_expect_eq(token_file_nanogpt(&l, head, 2048, 2048, "f"), OK, "%s", status_message());
    cr_expect(l.type == TOKEN_U16 && l.tokens == 1024 && l.offset == 0);
    says(token_file_nanogpt(&l, head, 2047, 2047, "f"), ERR_IO, "even");
    says(token_file_nanogpt(&l, head, 0, 0, "f"), ERR_IO, "empty");
}
