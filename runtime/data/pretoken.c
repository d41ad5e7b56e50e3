#include "data/pretoken.h"

#include "data/utf8.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef ISOFLOP_PCRE2
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct pretoken {
    pcre2_code *code;
    bool jit;
};

/* the White_Space property; \s would follow PCRE2's build and options */
#define WHITE                                                                                      \
    "\\t-\\r "                                                                                     \
    "\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
static const char pattern[] =
    "'(?:[stmd]|re|ve|ll)| ?\\p{L}++| ?\\p{N}++| ?[^" WHITE "\\p{L}\\p{N}]++"
    "|[" WHITE "]+(?![^" WHITE "])|[" WHITE "]++";

status pretoken_open(pretoken **out)
{
    int code;
    PCRE2_SIZE at;
    pretoken *p = calloc(1, sizeof *p);
    REQUIRE(p, ERR_MEMORY, "no memory for the pre-tokeniser");
    p->code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &code, &at, NULL);
    if (!p->code) {
        pretoken_close(p);
        FAIL(ERR_INTERNAL, "PCRE2 refuses the pattern at %zu: error %d", (size_t)at, code);
    }
    /* without JIT the same pieces come, slower */
    p->jit = pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE) == 0;
    *out = p;
    return OK;
}

void pretoken_close(pretoken *p)
{
    if (!p) return;
    pcre2_code_free(p->code);
    free(p);
}

void pretoken_describe(char *out, size_t bytes)
{
    char version[64] = "", unicode[64] = "";
    (void)pcre2_config(PCRE2_CONFIG_VERSION, version);
    (void)pcre2_config(PCRE2_CONFIG_UNICODE_VERSION, unicode);
    version[6] = '\0'; /* without the date */
    for (char *c = version; *c; c++)
        if (*c == ' ') *c = '\0';
    (void)snprintf(out, bytes, "pcre2 %s, unicode %s", version, unicode);
}

status pretoken_walk_init(pretoken_walk *w, const pretoken *p)
{
    *w = (pretoken_walk){.rules = p, .match = pcre2_match_data_create(1, NULL)};
    REQUIRE(w->match, ERR_MEMORY, "no memory for the pre-tokeniser");
    return OK;
}

void pretoken_walk_deinit(pretoken_walk *w)
{
    pcre2_match_data_free(w->match);
    w->match = NULL;
}

/* the piece at `at` of the run that ends at `end`; every character begins one of the alternatives
 */
static int64_t match_piece(const pretoken_walk *w, int64_t begin)
{
    PCRE2_SPTR run = w->text + begin;
    PCRE2_SIZE length = (PCRE2_SIZE)(w->end - begin);
    uint32_t options = PCRE2_NO_UTF_CHECK | PCRE2_ANCHORED;
    int found =
        w->rules->jit
            ? pcre2_jit_match(w->rules->code, run, length, 0, PCRE2_NO_UTF_CHECK, w->match, NULL)
            : pcre2_match(w->rules->code, run, length, 0, options, w->match, NULL);
    ASSERT(found > 0);
    const PCRE2_SIZE *where = pcre2_get_ovector_pointer(w->match);
    ASSERT(where[0] == 0 && where[1] > 0);
    return (int64_t)where[1];
}
#else
struct pretoken {
    int none;
};
status pretoken_open(pretoken **out)
{
    (void)out;
    FAIL(ERR_CONFIG,
         "this build has no PCRE2 (package libpcre2-dev): byte-pair tokenizers need it");
}
void pretoken_close(pretoken *p) { free(p); }
void pretoken_describe(char *out, size_t bytes) { (void)snprintf(out, bytes, "none"); }
status pretoken_walk_init(pretoken_walk *w, const pretoken *p)
{
    *w = (pretoken_walk){.rules = p};
    FAIL(ERR_CONFIG,
         "this build has no PCRE2 (package libpcre2-dev): byte-pair tokenizers need it");
}
void pretoken_walk_deinit(pretoken_walk *w) { w->match = NULL; }
static int64_t match_piece(const pretoken_walk *w, int64_t begin) { return w->end - begin; }
#endif

void pretoken_walk_text(pretoken_walk *w, const uint8_t *text, int64_t count)
{
    w->text = text;
    w->count = count;
    w->at = w->end = 0;
}

int64_t pretoken_next(pretoken_walk *w, const uint8_t **piece)
{
    if (w->at == w->count) return 0;
    *piece = w->text + w->at;
    if (w->at == w->end) w->end += utf8_valid(*piece, w->count - w->at);
    /* no well-formed character here: one byte by itself */
    int64_t length = w->at < w->end ? match_piece(w, w->at) : 1;
    w->at += length;
    if (w->end < w->at) w->end = w->at;
    return length;
}
