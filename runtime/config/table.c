#include "config/table.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* one function per section, so that `owner` can name its struct inside the rows */
#define SECTION_ROWS(prefix, type, member, LIST)                                                   \
    static const field *type##_rows(int32_t *count)                                                \
    {                                                                                              \
        typedef type owner;                                                                        \
        static const field rows[] = {                                                              \
            LIST(FIELD_ROW_I64, FIELD_ROW_F64, FIELD_ROW_TEXT, FIELD_ROW_ENUM, FIELD_ROW_BOOL)};   \
        *count = (int32_t)(sizeof rows / sizeof rows[0]);                                          \
        return rows;                                                                               \
    }
CONFIG_SECTIONS(SECTION_ROWS)

void table_sections(section out[SECTIONS])
{
    int32_t n = 0, first = 0;
#define SECTION_ENTRY(name, type, member, LIST)                                                    \
    out[n] = (section){.prefix = name, .offset = offsetof(config, member), .first = first};        \
    out[n].fields = type##_rows(&out[n].count);                                                    \
    first += out[n++].count;
    CONFIG_SECTIONS(SECTION_ENTRY)
    ASSERT(n == SECTIONS && first <= FIELDS_MAX);
}

bool table_section(section *out, const char *prefix)
{
    section all[SECTIONS];
    table_sections(all);
    for (int32_t i = 0; i < SECTIONS; i++)
        if (strcmp(all[i].prefix, prefix) == 0) {
            *out = all[i];
            return true;
        }
    return false;
}

int32_t table_field(const section *s, const char *key)
{
    for (int32_t i = 0; i < s->count; i++)
        if (strcmp(s->fields[i].key, key) == 0) return i;
    return -1;
}

void table_name(char out[NAME_BYTES], const section *s, const field *f)
{
    (void)snprintf(out, NAME_BYTES, "%s%s%s", s->prefix, *s->prefix ? "." : "", f->key);
}

/* Start and length of choice number `index` in "a|b|c"; NULL beyond the last. */
static const char *choice_at(const char *choices, int32_t index, size_t *length)
{
    for (const char *at = choices;; at++) {
        *length = strcspn(at, "|");
        if (index-- == 0) return at;
        at += *length;
        if (*at == '\0') return NULL;
    }
}

/* Length of the UTF-8 sequence at s and its code point; 0 if it is not one. */
static int32_t utf8_next(const unsigned char *s, uint32_t *point)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const int32_t n = s[0] < 0x80       ? 1
                      : s[0] >> 5 == 6  ? 2
                      : s[0] >> 4 == 14 ? 3
                      : s[0] >> 3 == 30 ? 4
                                        : 0;
    if (n == 0) return 0;
    *point = n == 1 ? s[0] : s[0] & (0x7fu >> n);
    for (int32_t i = 1; i < n; i++) {
        if (s[i] >> 6 != 2) return 0;
        *point = *point << 6 | (s[i] & 0x3fu);
    }
    const bool surrogate = *point >= 0xd800 && *point < 0xe000;
    return *point >= least[n] && *point < 0x110000 && !surrogate ? n : 0;
}

/* No control characters, line separators or byte order marks: it prints on one line, and the
 * resolved config can hold it between quotes as it is. */
static status read_text(const field *f, char *out, const char *text)
{
    const size_t n = strlen(text);
    REQUIRE(n < f->bytes, ERR_CONFIG, "%zu bytes of text; allowed: at most %zu", n, f->bytes - 1);
    uint32_t point = 0;
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        const int32_t step = utf8_next(s, &point);
        REQUIRE(step > 0, ERR_CONFIG, "the text is not valid UTF-8");
        const bool plain = point >= 0x20 && (point < 0x7f || point > 0x9f) && point != 0x2028 &&
                           point != 0x2029 && point != 0xfeff && (point & 0xfffe) != 0xfffe;
        REQUIRE(plain, ERR_CONFIG, "the text holds the control character U+%04X", (unsigned)point);
        s += step;
    }
    memcpy(out, text, n + 1);
    return OK;
}

static status read_choice(const field *f, int32_t *out, const char *text)
{
    size_t length = 0;
    const char *at;
    for (int32_t i = 0; (at = choice_at(f->choices, i, &length)) != NULL; i++)
        if (strlen(text) == length && memcmp(at, text, length) == 0) {
            *out = i;
            return OK;
        }
    char list[256] = "";
    size_t used = 0;
    for (int32_t i = 0; (at = choice_at(f->choices, i, &length)) != NULL && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%.*s", i ? ", " : "",
                                 (int)length, at);
    FAIL(ERR_CONFIG, "'%.60s' is not known; allowed: %s", text, list);
}

status table_limits(const field *f, const void *base)
{
    const void *value = (const char *)base + f->offset;
    size_t length = 0;
    if (f->kind == FIELD_I64) {
        const int64_t v = *(const int64_t *)value;
        REQUIRE(v >= f->min_integer && v <= f->max_integer, ERR_CONFIG,
                "%lld is outside [%lld, %lld]; nearest: %lld", (long long)v,
                (long long)f->min_integer, (long long)f->max_integer,
                (long long)(v < f->min_integer ? f->min_integer : f->max_integer));
    } else if (f->kind == FIELD_F64) {
        const double v = *(const double *)value;
        REQUIRE(v >= f->min && v <= f->max, ERR_CONFIG, "%g is outside [%g, %g]; nearest: %g", v,
                f->min, f->max, v > f->max ? f->max : f->min);
    } else if (f->kind == FIELD_ENUM) {
        const int32_t v = *(const int32_t *)value;
        REQUIRE(v >= 0 && choice_at(f->choices, v, &length), ERR_CONFIG,
                "choice number %d is none of %s", (int)v, f->choices);
    }
    return OK;
}

status table_read(const field *f, void *base, const char *text)
{
    void *out = table_value(f, base);
    double number = 0;
    switch (f->kind) {
    case FIELD_I64:
        TRY(config_integer(out, text));
        return table_limits(f, base);
    case FIELD_F64:
        TRY(config_number(&number, text));
        *(double *)out = number == 0 ? 0 : number; /* -0 is 0 */
        return table_limits(f, base);
    case FIELD_TEXT:
        return read_text(f, out, text);
    case FIELD_ENUM:
        return read_choice(f, out, text);
    case FIELD_BOOL:
        REQUIRE(strcmp(text, "true") == 0 || strcmp(text, "false") == 0, ERR_CONFIG,
                "'%.60s' is not known; allowed: true, false", text);
        *(bool *)out = *text == 't';
        return OK;
    }
    FAIL(ERR_INTERNAL, "kind of key %s", f->key);
}

/* The shortest of 15, 16 and 17 digits that reads back to the same double. */
static void write_double(double value, char *out, size_t bytes)
{
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(out, bytes, "%.*g", digits, value);
        if (strtod(out, NULL) == value) return;
    }
}

void table_write(const field *f, const void *base, char *out, size_t bytes)
{
    const void *value = (const char *)base + f->offset;
    size_t length = 0;
    switch (f->kind) {
    case FIELD_I64:
        (void)snprintf(out, bytes, "%lld", (long long)*(const int64_t *)value);
        break;
    case FIELD_F64:
        write_double(*(const double *)value, out, bytes);
        break;
    case FIELD_TEXT:
        (void)snprintf(out, bytes, "%s", (const char *)value);
        break;
    case FIELD_BOOL:
        (void)snprintf(out, bytes, "%s", *(const bool *)value ? "true" : "false");
        break;
    case FIELD_ENUM: {
        const char *at = choice_at(f->choices, *(const int32_t *)value, &length);
        ASSERT(at != NULL);
        (void)snprintf(out, bytes, "%.*s", (int)length, at);
        break;
    }
    }
}

/* --- names of choices as C strings ---------------------------------------- */

/* The choices of all ENUM keys with NULs for bars: written once, constant from then on. */
static char choice_pool[2048];
static pthread_once_t choice_once = PTHREAD_ONCE_INIT;

static void fill_choice_pool(void)
{
    section all[SECTIONS];
    table_sections(all);
    size_t used = 0;
    for (int32_t s = 0; s < SECTIONS; s++)
        for (int32_t i = 0; i < all[s].count; i++) {
            if (all[s].fields[i].kind != FIELD_ENUM) continue;
            const char *choices = all[s].fields[i].choices;
            const size_t n = strlen(choices) + 1;
            ASSERT(used + n <= sizeof choice_pool);
            for (size_t c = 0; c < n; c++)
                choice_pool[used + c] = (char)(choices[c] == '|' ? '\0' : choices[c]);
            used += n;
        }
}

const char *config_choice(const char *section_name, const char *key, int32_t value)
{
    (void)pthread_once(&choice_once, fill_choice_pool);
    section all[SECTIONS];
    table_sections(all);
    const char *at = choice_pool;
    for (int32_t s = 0; s < SECTIONS; s++)
        for (int32_t i = 0; i < all[s].count; i++) {
            const field *f = &all[s].fields[i];
            if (f->kind != FIELD_ENUM) continue;
            if (strcmp(all[s].prefix, section_name) == 0 && strcmp(f->key, key) == 0) {
                size_t length = 0;
                const char *choice = choice_at(f->choices, value, &length);
                return value >= 0 && choice ? at + (choice - f->choices) : NULL;
            }
            at += strlen(f->choices) + 1;
        }
    return NULL;
}
