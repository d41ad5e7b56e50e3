#include "data/data_files.h"

#include "base/file.h"
#include "base/rng.h"
#include "data/token_file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char made[1024];

static void remove_made(void)
{
    if (made[0]) (void)file_remove_folder(made);
}

const char *files_folder(void)
{
    static int count = 0;
    static char below[64][1100];
    if (!made[0]) {
        const char *base = getenv("TMPDIR");
        (void)snprintf(made, sizeof made, "%s/isoflop-data-XXXXXX", base ? base : "/tmp");
        cr_assert_not_null(mkdtemp(made));
        (void)atexit(remove_made);
    }
    char *path = below[count % 64];
    (void)snprintf(path, sizeof below[0], "%s/%d", made, count++);
    cr_assert_eq(file_make_folder(path), OK, "%s", status_message());
    return path;
}

const char *files_path(const char *folder, const char *name)
{
    static int count = 0;
    static char paths[512][1400];
    char *path = paths[count++ % 512];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

void files_write(const char *path, const void *bytes, int64_t count)
{
    FILE *out = fopen(path, "wb");
    cr_assert_not_null(out, "%s", path);
    cr_assert_eq(fwrite(bytes, 1, (size_t)count, out), (size_t)count);
    cr_assert_eq(fclose(out), 0);
}

void files_write_text(const char *path, const char *text)
{
    files_write(path, text, (int64_t)strlen(text));
}

uint8_t *files_read(const char *path, int64_t *count)
{
    char *text = NULL;
    cr_assert_eq(file_read_text(&text, count, path, INT64_MAX), OK, "%s", status_message());
    return (uint8_t *)text;
}

bool files_equal(const char *a, const char *b)
{
    int64_t n, m;
    uint8_t *x = files_read(a, &n), *y = files_read(b, &m);
    bool same = n == m && memcmp(x, y, (size_t)n) == 0;
    free(x);
    free(y);
    return same;
}

void files_damage(const char *path, int64_t offset)
{
    int64_t count;
    uint8_t *bytes = files_read(path, &count);
    cr_assert_lt(offset, count);
    bytes[offset] ^= 1;
    files_write(path, bytes, count);
    free(bytes);
}

void files_write_llmc(const char *path, const int32_t *ids, int64_t count, bool wide)
{
    int64_t width = wide ? 4 : 2, bytes = LLMC_HEADER_BYTES + count * width;
    uint8_t *all = calloc(1, (size_t)bytes);
    token_file_header(all, wide ? TOKEN_U32 : TOKEN_U16, count);
    for (int64_t i = 0; i < count; i++)
        memcpy(all + LLMC_HEADER_BYTES + i * width, &ids[i], (size_t)width);
    files_write(path, all, bytes);
    free(all);
}

void files_write_megatron(const char *prefix, const int32_t *ids, const int32_t *lengths,
                          int32_t sequences)
{
    char path[1400];
    int64_t total = 0, documents = sequences + 1, at = 34;
    for (int32_t i = 0; i < sequences; i++) total += lengths[i];
    uint8_t *bin = calloc(1, (size_t)(2 * total + 1));
    for (int64_t i = 0; i < total; i++) memcpy(bin + 2 * i, &ids[i], 2);
    (void)snprintf(path, sizeof path, "%s.bin", prefix);
    files_write(path, bin, 2 * total);
    free(bin);
    uint8_t *idx = calloc(1, (size_t)(34 + 12 * sequences + 8 * documents));
    uint64_t version = 1, count = (uint64_t)sequences, borders = (uint64_t)documents, pointer = 0;
    memcpy(idx, "MMIDIDX\0\0", 9);
    memcpy(idx + 9, &version, 8);
    idx[17] = 8;
    memcpy(idx + 18, &count, 8);
    memcpy(idx + 26, &borders, 8);
    for (int32_t i = 0; i < sequences; i++, at += 4) memcpy(idx + at, &lengths[i], 4);
    for (int32_t i = 0; i < sequences; i++, at += 8) {
        memcpy(idx + at, &pointer, 8);
        pointer += 2 * (uint64_t)lengths[i];
    }
    for (int64_t i = 0; i <= sequences; i++, at += 8) memcpy(idx + at, &i, 8);
    (void)snprintf(path, sizeof path, "%s.idx", prefix);
    files_write(path, idx, at);
    free(idx);
}

config files_config(const char *source, int64_t context, int64_t vocab)
{
    config cfg = {.model = {.context = context, .vocab = vocab}, .data = {.seed = 7}};
    (void)snprintf(cfg.data.train, sizeof cfg.data.train, "%s", source);
    (void)snprintf(cfg.data.validation, sizeof cfg.data.validation, "%s", source);
    return cfg;
}

static uint32_t draw(uint64_t seed, uint64_t *at, uint32_t below)
{
    rng_block b = rng_at(seed, RNG_TEST, 1, (*at)++);
    return (uint32_t)((uint64_t)b.word[0] * below >> 32);
}

char *files_words(uint64_t seed, int64_t bytes)
{
    static const char *const syllables[] = {"an", "be", "cor", "du", "el", "fi", "ga", "hu",
                                            "in", "jo", "ka",  "lu", "ma", "ne", "or", "pi"};
    char *text = malloc((size_t)bytes + 64);
    uint64_t at = 0;
    int64_t n = 0;
    for (int word = 1; n < bytes; word++) {
        uint32_t parts = 1 + draw(seed, &at, 4);
        for (uint32_t i = 0; i < parts; i++)
            n += sprintf(text + n, "%s", syllables[draw(seed, &at, 16)]);
        text[n++] = word % 10 == 0 ? '\n' : ' ';
    }
    text[n] = '\0';
    return text;
}

static int64_t put_point(uint8_t *out, uint32_t c)
{
    if (c < 0x80) return out[0] = (uint8_t)c, 1;
    int64_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (int64_t i = n - 1; i > 0; i--, c >>= 6) out[i] = (uint8_t)(0x80 | (c & 0x3F));
    out[0] = (uint8_t)((n == 2 ? 0xC0 : n == 3 ? 0xE0 : 0xF0) | c);
    return n;
}

uint8_t *files_mixture(uint64_t seed, int64_t bytes)
{
    /* first and last character of some scripts, assigned since long */
    static const uint32_t blocks[][2] = {{0x20, 0x7E},     {0xA0, 0x24F},      {0x391, 0x3A1},
                                         {0x410, 0x44F},   {0x5D0, 0x5EA},     {0x627, 0x63A},
                                         {0x905, 0x939},   {0xE01, 0xE30},     {0x2010, 0x2050},
                                         {0x2460, 0x249B}, {0x3041, 0x3093},   {0x4E00, 0x9FA5},
                                         {0xAC00, 0xD7A3}, {0x1F300, 0x1F5FF}, {0x0, 0x1F}};
    static const char *const signs[] = {" ",      "  ",     "\n",     "\n\n", "\t ",  "\u00a0",
                                        "\u2003", "\u3000", "\u180e", "\x1c", "\r\n", "'s",
                                        "'ll",    " 're",   "'T",     "'d."};
    char *words = files_words(seed, bytes);
    uint8_t *out = malloc((size_t)bytes + 256);
    uint64_t at = UINT64_C(1) << 40;
    int64_t n = 0, from = 0;
    while (n < bytes) {
        uint32_t what = draw(seed, &at, 20), count = 1 + draw(seed, &at, 12);
        const uint32_t *block = blocks[draw(seed, &at, 15)];
        const char *sign = signs[draw(seed, &at, 16)];
        if (what < 8) {
            memcpy(out + n, words + from, 5 * count);
            n += 5 * count, from += 5 * count;
        } else if (what < 14) {
            for (uint32_t i = 0; i < count; i++)
                n += put_point(out + n, block[0] + draw(seed, &at, block[1] - block[0] + 1));
        } else if (what < 19) {
            memcpy(out + n, sign, strlen(sign));
            n += (int64_t)strlen(sign);
        } else {
            for (uint32_t i = 0; i < count; i++) out[n++] = (uint8_t)draw(seed, &at, 256);
        }
    }
    free(words);
    return out;
}
