#include "data/gcide.h"

#include "data/utf8.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

status gcide_find(char *path, size_t bytes)
{
    const char *given = getenv("ISOFLOP_GCIDE"), *data = getenv("ISOFLOP_DATA");
    (void)snprintf(path, bytes, "%s", given ? given : "");
    if (given && given[0]) {
        REQUIRE(access(path, R_OK) == 0, ERR_IO, "ISOFLOP_GCIDE names %s, which cannot be read",
                path);
        return OK;
    }
    /* where the distribution puts it, then where launcher/install-deps does */
    (void)snprintf(path, bytes, "/usr/share/dictd/gcide.dict.dz");
    if (access(path, R_OK) == 0) return OK;
    (void)snprintf(path, bytes, "%s/gcide/gcide.dict.dz",
                   data && data[0] ? data : "build/packages");
    if (access(path, R_OK) == 0) return OK;
    FAIL(ERR_IO, "gcide is the text of the package dict-gcide, which is not here: "
                 "launcher/install-deps takes it to build/packages/gcide (or apt-get install "
                 "dict-gcide, or ISOFLOP_GCIDE=.../gcide.dict.dz)");
}

/* words of which source tags are made; the second group names no source by itself */
static const char *const sources[] = {"Webster", "WordNet", "PJC",  "AS",
                                      "RH",      "RHUD",    "MW10", "Century"};
static const char *const companions[] = {"1913", "Suppl", "sense", "Dict", "Dictionary", "1906",
                                         "1",    "2",     "3",     "4",    "5",          "6",
                                         "7",    "8",     "9",     "0",    "PC",         "RP",
                                         "RDH",  "GG",    "JG",    "CM"};

static bool is_one_of(const char *const *list, size_t count, const uint8_t *word, int64_t length)
{
    for (size_t i = 0; i < count; i++)
        if ((int64_t)strlen(list[i]) == length && memcmp(list[i], word, (size_t)length) == 0)
            return true;
    return false;
}

/* Length of a tag "[1913 Webster +PJC]" at the front of at[0..count), brackets included; 0: not a
 * tag. */
static int64_t tag_length(const uint8_t *at, int64_t count)
{
    enum { LONGEST = 96 };
    bool named = false;
    for (int64_t i = 1; i < count && i < LONGEST;) {
        if (at[i] == ']') return named ? i + 1 : 0;
        if (memchr(" \t\n+,.&", at[i], 8)) {
            i++;
            continue;
        }
        int64_t from = i;
        while (i < count && isalnum(at[i])) i++;
        if (i == count) return 0;
        /* "[AS.]" is an etymology (Anglo-Saxon), "[AS]" a source */
        if (i - from == 2 && memcmp(at + from, "AS.", 3) == 0) return 0;
        if (is_one_of(sources, sizeof sources / sizeof *sources, at + from, i - from))
            named = true;
        else if (!is_one_of(companions, sizeof companions / sizeof *companions, at + from,
                            i - from))
            return 0;
    }
    return 0;
}

/* the front matter ends where the line of the letter A begins */
static int64_t body_start(const uint8_t *raw, int64_t count)
{
    static const char first[] = "\nA \\A\\";
    if (count >= 5 && memcmp(raw, first + 1, 5) == 0) return 0;
    const uint8_t *found = memmem(raw, (size_t)count, first, sizeof first - 1);
    return found ? found - raw + 1 : 0;
}

/* a headword line: after a blank line, not indented, holding " \" */
static bool is_headword(const uint8_t *raw, int64_t count, int64_t at, int64_t body)
{
    if (at > body && !(at >= 2 && raw[at - 1] == '\n' && raw[at - 2] == '\n')) return false;
    if (at >= count || isspace(raw[at])) return false;
    const uint8_t *end = memchr(raw + at, '\n', (size_t)(count - at));
    return memmem(raw + at, end ? (size_t)(end - raw - at) : (size_t)(count - at), " \\", 2) !=
           NULL;
}

/* One entry without tags, indentation, braces, stray bytes and blank lines at its end; returns the
 * bytes written. */
static int64_t clean_entry(uint8_t *out, const uint8_t *raw, int64_t count)
{
    int64_t n = 0;
    for (int64_t i = 0; i < count;) {
        uint8_t c = raw[i];
        int64_t tag = c == '[' ? tag_length(raw + i, count - i) : 0;
        int32_t length = utf8_length(raw + i, count - i);
        bool at_start = n == 0 || out[n - 1] == '\n';
        if (tag > 0) {
            /* with the blanks before it */
            while (n > 0 && (out[n - 1] == ' ' || out[n - 1] == '\t')) n--;
            i += tag;
        } else if (length == 0 || c == '{' || c == '}' || (at_start && (c == ' ' || c == '\t')) ||
                   (c == '\n' &&
                    (n == 0 || (n >= 2 && out[n - 1] == '\n' && out[n - 2] == '\n')))) {
            i++;
        } else {
            memcpy(out + n, raw + i, (size_t)length);
            n += length;
            i += length;
        }
    }
    while (n > 0 && isspace(out[n - 1])) n--;
    if (n > 0) out[n++] = '\n';
    return n;
}

/* the headword line after the one at `from`; count if there is none */
static int64_t next_entry(const uint8_t *raw, int64_t count, int64_t from, int64_t body)
{
    for (int64_t at = from; at < count;) {
        const uint8_t *line = memchr(raw + at, '\n', (size_t)(count - at));
        at = line ? line - raw + 1 : count;
        if (is_headword(raw, count, at, body)) return at;
    }
    return count;
}

status gcide_clean(gcide *out, const uint8_t *raw, int64_t count)
{
    int64_t body = body_start(raw, count), room = 0, n = 0;
    gcide g = {.text = malloc((size_t)count + 1)};
    bool memory = g.text != NULL;
    for (int64_t from = body, to; memory && from < count; from = to) {
        if (g.entries + 2 > room) {
            room = 2 * room + 1024;
            int64_t *more = realloc(g.begin, (size_t)room * sizeof *more);
            memory = more != NULL;
            if (!memory) break;
            g.begin = more;
        }
        to = next_entry(raw, count, from, body);
        int64_t made = clean_entry(g.text + n, raw + from, to - from);
        if (made > 0) g.begin[g.entries++] = n;
        n += made;
    }
    if (memory && g.entries > 0) {
        g.begin[g.entries] = n;
        *out = g;
        return OK;
    }
    gcide_deinit(&g);
    REQUIRE(memory, ERR_MEMORY, "no memory to clean the dictionary");
    FAIL(ERR_IO, "the dictionary holds no entry");
}

void gcide_deinit(gcide *g)
{
    free(g->text);
    free(g->begin);
    *g = (gcide){0};
}
