/* reader.h — pairs of a document into the fields of a section. Private to runtime/config. */
#ifndef CONFIG_READER_H
#define CONFIG_READER_H

#include "config/check.h"
#include "config/document.h"

/* "PLACE NAME: unknown key; nearest or allowed: ...". extra: one more allowed key, or NULL. */
status reader_unknown(const char *place, const section *s, const char *key, const char *extra);
/* Refuses a key that was given before: lines as in origin. */
status reader_once(const char *place, const char *name, int32_t before);
/* Sets field f of the struct at base; name: the key as messages show it; text NULL: a mapping. */
status reader_set(const char *place, const char *name, const field *f, void *base,
                  const char *text);
/* Gives the fields that were not set (line 0) their defaults; those without one are refused. */
status reader_defaults(const char *place, const section *s, void *base, const int32_t *lines);

#endif
