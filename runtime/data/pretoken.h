/* pretoken.h — GPT-2's cut of text into pieces that byte pairs never cross: contractions, words,
 * numbers, runs of other signs, each with one space before it, and runs of white space. The pattern
 * runs in PCRE2 (JIT); letters and digits are its \p{L} and \p{N}, white space is Unicode's
 * White_Space spelled out, so no option can change it. Text is any bytes: each run of well-formed
 * UTF-8 is cut as a text of its own, each byte between is a piece.   */
#ifndef DATA_PRETOKEN_H
#define DATA_PRETOKEN_H

#include "base/status.h"

#include <stdint.h>

typedef struct pretoken pretoken;

/* A walk over the pieces of one text. */
typedef struct pretoken_walk {
    const pretoken *rules;
    void *match; /* PCRE2's, owned */
    const uint8_t *text;
    int64_t count, at, end; /* bytes; the next piece; the end of the well-formed run */
} pretoken_walk;

/* ERR_CONFIG in a build without PCRE2. The rules are constant and may be shared by threads. Caller
 * closes. */
status pretoken_open(pretoken **out);
void pretoken_close(pretoken *p);
/* "pcre2 10.42, unicode 14.0.0" */
void pretoken_describe(char *out, size_t bytes);
/* Memory for walks of one thread; then any number of texts one after another. The caller deinits.
 */
status pretoken_walk_init(pretoken_walk *w, const pretoken *p);
void pretoken_walk_text(pretoken_walk *w, const uint8_t *text, int64_t count);
void pretoken_walk_deinit(pretoken_walk *w);
/* Length of the next piece, which begins at *piece; 0 at the end. */
int64_t pretoken_next(pretoken_walk *w, const uint8_t **piece);

#endif
