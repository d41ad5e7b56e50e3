/* json.h — values in and out of jansson's trees, and trees into files. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/status.h"

#include <jansson.h>

/* The value at "a.b.c", names of objects inside each other; "" is root itself. NULL when it is not
 * there; borrowed. */
json_t *json_at(const json_t *root, const char *path);
/* NAN when it is not there or no number. */
double json_number_at(const json_t *root, const char *path);
/* "" when it is not there or no text; borrowed. */
const char *json_text_at(const json_t *root, const char *path);
/* A new number; null for what is not finite: absent is absent, never 0. */
json_t *json_finite(double value);
/* Writes the tree durably to a file, keys in the order in which they were set. Takes root over,
 * also on failure; NULL (a tree that could not be built) is ERR_MEMORY. */
status json_write(json_t *root, const char *path);

#endif
