/* gcide.h — the GNU Collaborative International Dictionary of English as training text.
 * The distribution's package dict-gcide holds gcide.dict.dz: 40 MB of text laid out for a
 * dictionary server. Cleaning removes what would flatter a loss per byte: source tags such as [1913
 * Webster] (7 % of the bytes), indentation (12 %), cross-reference braces, runs of blank lines, the
 * front matter, and bytes that are not UTF-8. An entry, the unit of splitting, runs from one
 * headword line to the next. The text is read in place, never distributed. */
#ifndef DATA_GCIDE_H
#define DATA_GCIDE_H

#include "base/status.h"

#include <stdint.h>

typedef struct gcide {
    uint8_t *text;  /* cleaned, owned                                */
    int64_t *begin; /* (entries + 1) entry i = [begin[i], begin[i+1]) */
    int64_t entries;
} gcide;

/* Where the dictionary lies: $ISOFLOP_GCIDE, else the distribution's place, else where
 * launcher/install-deps puts it: $ISOFLOP_DATA/gcide or build/packages/gcide. ERR_IO says how to
 * get it. */
status gcide_find(char *path, size_t bytes);
/* Cleans the uncompressed dictionary raw[0..count). ERR_IO if there is no entry. The caller
 * deinits. */
status gcide_clean(gcide *out, const uint8_t *raw, int64_t count);
void gcide_deinit(gcide *g);

#endif
