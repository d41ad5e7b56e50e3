/* Numbers as users write them: 12, 1e21, 1.4T, 64Ki, 3d, 2h. */
#include "config/config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef __int128 wide;

typedef struct suffix {
    const char *text;
    int64_t factor;
} suffix;

static const suffix suffixes[] = {
    {"", 1},
    {"K", 1000},
    {"M", 1000000},
    {"B", 1000000000},
    {"T", 1000000000000},
    {"Ki", INT64_C(1) << 10},
    {"Mi", INT64_C(1) << 20},
    {"Gi", INT64_C(1) << 30},
    {"Ti", INT64_C(1) << 40},
    {"h", 3600},
    {"d", 86400},
};

#define FORMS "allowed: 12, 0.5, 1e21, 512K, 70B, 1.4T, 64Ki, 3d, 2h"

/* DIGITS_MAX digits times the largest factor stay below 2^127. */
enum { DIGITS_MAX = 24, EXPONENT_MAX = 100000, LENGTH_MAX = 400 };

/* A number taken apart: (-1)^negative * digits * 10^exponent * factor. */
typedef struct parts {
    bool negative;
    bool exact; /* no digit was left out of `digits` but zeros */
    wide digits;
    int32_t exponent;
    int64_t factor;
} parts;

/* Digits with at most one point. False where there is no digit. */
static bool take_digits(parts *p, const char **at)
{
    int32_t seen = 0, kept = 0;
    bool point = false;
    const char *s = *at;
    for (; (*s >= '0' && *s <= '9') || (*s == '.' && !point); s++) {
        if (*s == '.') {
            point = true;
            continue;
        }
        seen++;
        if (kept == DIGITS_MAX) {
            p->exact = p->exact && *s == '0';
            p->exponent += !point;
            continue;
        }
        p->digits = p->digits * 10 + (*s - '0');
        kept += p->digits > 0;
        p->exponent -= point;
    }
    *at = s;
    return seen > 0;
}

static bool take_exponent(parts *p, const char **at)
{
    const char *s = *at;
    if (*s != 'e' && *s != 'E') return true;
    s++;
    const bool negative = *s == '-';
    if (*s == '-' || *s == '+') s++;
    if (*s < '0' || *s > '9') return false;
    int32_t value = 0;
    for (; *s >= '0' && *s <= '9'; s++)
        if (value < EXPONENT_MAX) value = value * 10 + (*s - '0');
    p->exponent += negative ? -value : value;
    *at = s;
    return true;
}

static bool take_apart(parts *p, const char *text)
{
    *p = (parts){.exact = true};
    if (strlen(text) > LENGTH_MAX) return false;
    const char *s = text;
    p->negative = *s == '-';
    if (*s == '-' || *s == '+') s++;
    if (!take_digits(p, &s) || !take_exponent(p, &s)) return false;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
        if (strcmp(s, suffixes[i].text) == 0) {
            p->factor = suffixes[i].factor;
            return true;
        }
    return false;
}

status config_number(double *out, const char *text)
{
    parts p;
    REQUIRE(take_apart(&p, text), ERR_CONFIG, "'%.60s' is not a number; " FORMS, text);
    /* strtod rounds correctly and stops at the suffix */
    const double value = strtod(text, NULL) * (double)p.factor;
    REQUIRE(isfinite(value), ERR_CONFIG, "'%.60s' is beyond the range of double", text);
    *out = value;
    return OK;
}

status config_integer(int64_t *out, const char *text)
{
    parts p;
    REQUIRE(take_apart(&p, text), ERR_CONFIG, "'%.60s' is not a whole number; " FORMS, text);

    /* the product is exact; then the power of ten is taken out or in, one digit at a time */
    wide value = p.digits * p.factor;
    for (; p.exponent < 0 && value != 0 && value % 10 == 0; p.exponent++) value /= 10;
    const bool whole = value == 0 || (p.exact && p.exponent >= 0);
    REQUIRE(whole, ERR_CONFIG, "'%.60s' is not a whole number", text);
    for (; p.exponent > 0 && value != 0 && value <= INT64_MAX; p.exponent--) value *= 10;
    REQUIRE(value <= INT64_MAX, ERR_CONFIG, "'%.60s' does not fit in 64 bits", text);
    *out = (int64_t)(p.negative ? -value : value);
    return OK;
}
