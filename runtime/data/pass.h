/* pass.h — one pass over the documents of an input: while the workers are busy with one block,
 * the next is read; what they made is then taken over in the order of the documents, so the
 * number of workers changes nothing. */
#ifndef DATA_PASS_H
#define DATA_PASS_H

#include "data/input.h"
#include "data/pool.h"

/* A document on its way through a pass. */
typedef struct pass_item {
    const document *from;
    const uint8_t *text; /* the text itself, JSON taken apart */
    int64_t bytes;
    uint64_t hash[2]; /* the first 16 bytes of its SHA-256, big-endian */
    int32_t split;    /* for the work to set and the take to read      */
    int32_t *ids;     /* malloc'ed by the work, freed by the pass      */
    int64_t id_count;
} pass_item;

typedef struct pass {
    const char *field; /* of JSON lines; NULL: "text"                                */
    /* Runs in any worker, for any document, in any order. */
    status (*work)(void *context, int32_t worker, pass_item *item);
    /* Runs in the calling thread, in document order. */
    status (*take)(void *context, const pass_item *item);
    /* After each block; nullable. */
    void (*progress)(void *context);
    void *context;
} pass;

/* Rewinds the input and runs. The first failure in document order wins. */
status pass_run(const pass *p, input *in, pool *workers);

#endif
