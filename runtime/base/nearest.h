/* nearest.h — what was probably meant: the nearest of some names, for messages. */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include <stdbool.h>
#include <stdint.h>

/* The nearest of the names offered so far. */
typedef struct nearest {
    const char *to;    /* what was written; borrowed             */
    const char *found; /* borrowed; NULL: nothing near enough    */
    int32_t cost;      /* of the found one; at first: too far    */
} nearest;

/* However far it is. */
nearest nearest_any(const char *to);
/* Only what slips of the fingers make of it: every third letter, and one more. */
nearest nearest_slip(const char *to);
/* True if name is the nearest so far; the first of equals stays. */
bool nearest_offer(nearest *n, const char *name);

/* "; nearest: PATH" for a path that does not exist, where a folder on its way holds a name like
 * the missing one; else "". Leaves errno as it is. */
typedef struct nearest_text {
    char text[512];
} nearest_text;
nearest_text nearest_file(const char *path);

#endif
