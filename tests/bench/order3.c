/* order3.c — how well a plain count model does on the same text: what a trained model is put
 * beside.
 *
 *   order3 TRAIN VALIDATION [TOKENS]   bits/byte of the first TOKENS symbols of VALIDATION (0: all)
 *   order3 --text SHARDS               the text itself, for xz: see tests/bench/text_baselines
 *
 * TRAIN, VALIDATION: a folder of byte shards (llm.c .bin, in name order), one .bin, or a text file.
 * Symbols are the 256 bytes and end of text. Contexts of 0 to 3 symbols, mixed by Witten and Bell
 * (1991), method C: p_k = (n(c) + t p_{k-1}) / (n + t), t = number of different symbols seen after
 * the context, p_{-1} = 1/257. Static: counts of the training text only. Adaptive: also those of
 * the validation text before the symbol. An end of text costs its bits and is no byte, as in
 * Isoflop's bits/byte. */
#include <glob.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SYMBOLS = 257, ORDERS = 4, HEADER_BYTES = 1024, MAGIC_U16 = 20240520 };

/* How often something was seen: a context, or a context and the symbol after it. Open addressing.
 */
typedef struct slot {
    uint64_t key; /* 0: empty */
    uint32_t n;
    uint32_t kinds; /* of a context: different symbols seen after it */
} slot;
typedef struct table {
    slot *slots;
    uint64_t capacity, used;
} table;
typedef struct text {
    uint16_t *symbols;
    int64_t count;
} text;

static _Noreturn void refuse(const char *what, const char *why)
{
    (void)fprintf(stderr, "order3: %s: %s\n", what, why);
    exit(3);
}

static void *checked(void *memory)
{
    if (!memory) refuse("memory", "no more");
    return memory;
}

static slot *place(const table *a, uint64_t key)
{
    uint64_t at = (key * UINT64_C(0x9E3779B97F4A7C15)) >> 20 & (a->capacity - 1);
    while (a->slots[at].key && a->slots[at].key != key) at = (at + 1) & (a->capacity - 1);
    return &a->slots[at];
}

/* Count of key; where it was never seen, zeros. */
static slot seen(const table *a, uint64_t key) { return *place(a, key); }

/* The slot of key, made if need be; valid until the next call. */
static slot *take(table *a, uint64_t key)
{
    if (2 * (a->used + 1) > a->capacity) {
        table old = *a;
        a->capacity = old.capacity ? 2 * old.capacity : 1 << 16;
        a->slots = checked(calloc(a->capacity, sizeof *a->slots));
        for (uint64_t i = 0; i < old.capacity; i++)
            if (old.slots[i].key) *place(a, old.slots[i].key) = old.slots[i];
        free(old.slots);
    }
    slot *s = place(a, key);
    a->used += s->key == 0;
    s->key = key;
    return s;
}

/* The `order` symbols before position at, then next: a symbol, or SYMBOLS for the context alone. */
static uint64_t key_of(const text *x, int64_t at, int order, uint64_t next)
{
    uint64_t key = (uint64_t)order + 1;
    for (int64_t i = at - order; i < at; i++) key = key << 9 | x->symbols[i];
    return key << 9 | next;
}

static void learn(table *a, const text *x, int64_t at)
{
    for (int order = 0; order < ORDERS && order <= at; order++) {
        bool fresh = take(a, key_of(x, at, order, x->symbols[at]))->n++ == 0;
        slot *context = take(a, key_of(x, at, order, SYMBOLS));
        context->n++;
        context->kinds += fresh;
    }
}

static double probability(const table *a, const text *x, int64_t at)
{
    double p = 1.0 / SYMBOLS;
    for (int order = 0; order < ORDERS && order <= at; order++) {
        slot symbol = seen(a, key_of(x, at, order, x->symbols[at]));
        slot context = seen(a, key_of(x, at, order, SYMBOLS));
        double n = (double)context.n, kinds = (double)context.kinds;
        if (context.n) p = ((double)symbol.n + kinds * p) / (n + kinds);
    }
    return p;
}

/* --- texts ---------------------------------------------------------------- */

static void append(text *x, const uint8_t *bytes, int64_t count, int width, const char *path)
{
    x->symbols = checked(realloc(x->symbols, (size_t)(x->count + count + 1) * 2));
    for (int64_t i = 0; i < count; i++) {
        unsigned symbol = bytes[i * width] | (width == 2 ? (unsigned)bytes[i * 2 + 1] << 8 : 0u);
        if (symbol >= SYMBOLS) refuse(path, "a token above 256: not a file of byte tokens");
        x->symbols[x->count++] = (uint16_t)symbol;
    }
}

static void read_file(text *x, const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat about;
    if (!f || fstat(fileno(f), &about) != 0) refuse(path, "cannot be read");
    uint8_t *bytes = checked(malloc((size_t)about.st_size + 1));
    int64_t size = (int64_t)fread(bytes, 1, (size_t)about.st_size, f);
    (void)fclose(f);
    int32_t magic = 0;
    if (size >= HEADER_BYTES) memcpy(&magic, bytes, sizeof magic);
    if (magic == MAGIC_U16)
        append(x, bytes + HEADER_BYTES, (size - HEADER_BYTES) / 2, 2, path);
    else
        append(x, bytes, size, 1, path);
    free(bytes);
}

static text read_text(const char *path)
{
    text x = {0};
    struct stat about;
    if (stat(path, &about) != 0) refuse(path, "not found");
    if (!S_ISDIR(about.st_mode)) {
        read_file(&x, path);
        return x;
    }
    char pattern[4096];
    glob_t found;
    (void)snprintf(pattern, sizeof pattern, "%s/*.bin", path);
    if (glob(pattern, 0, NULL, &found) != 0) refuse(path, "holds no .bin files");
    for (size_t i = 0; i < found.gl_pathc; i++) read_file(&x, found.gl_pathv[i]);
    globfree(&found);
    return x;
}

/* End of text is written as a zero byte, which text does not hold. */
static int write_text(const char *path)
{
    text x = read_text(path);
    for (int64_t i = 0; i < x.count; i++) (void)putchar(x.symbols[i] < 256 ? x.symbols[i] : 0);
    free(x.symbols);
    return fflush(stdout) == 0 ? 0 : 3;
}

/* --- bits per byte -------------------------------------------------------- */

static double bits_per_byte(table *a, const text *x, int64_t count, bool adaptive)
{
    double bits = 0;
    int64_t bytes = 0;
    for (int64_t i = 0; i < count; i++) {
        bits -= log2(probability(a, x, i));
        bytes += x->symbols[i] < 256;
        if (adaptive) learn(a, x, i);
    }
    return bytes ? bits / (double)bytes : (double)NAN;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--text") == 0) return write_text(argv[2]);
    if (argc < 3 || argc > 4) {
        (void)fputs("usage: order3 TRAIN VALIDATION [TOKENS]\n       order3 --text SHARDS\n",
                    stderr);
        return 2;
    }
    text train = read_text(argv[1]), validation = read_text(argv[2]);
    int64_t wanted = argc == 4 ? strtoll(argv[3], NULL, 10) : 0;
    int64_t count = wanted > 0 && wanted < validation.count ? wanted : validation.count;
    table counts = {0};
    for (int64_t i = 0; i < train.count; i++) learn(&counts, &train, i);
    if (train.count == 0 || count == 0) refuse(argv[train.count ? 2 : 1], "is empty");
    double fixed = bits_per_byte(&counts, &validation, count, false);
    double adaptive = bits_per_byte(&counts, &validation, count, true);
    (void)printf("{\"what\": \"order-3 counts\", \"train_symbols\": %" PRId64
                 ", \"scored_symbols\": %" PRId64 ", \"contexts_and_symbols\": %" PRIu64
                 ", \"bits_per_byte\": %.5f, \"bits_per_byte_adaptive\": %.5f}\n",
                 train.count, count, counts.used, fixed, adaptive);
    free(counts.slots);
    free(train.symbols);
    free(validation.symbols);
    return 0;
}
