/* document.h — a YAML file as nested mappings of scalars: the part of YAML that configs use.
 * Anchors, aliases, tags, several documents, tabs that indent, NUL bytes and invalid UTF-8 are
 * refused with their line; lists too, except where the caller asks for them (studies). Streaming:
 * nothing is kept, so hostile files cost no more than their bytes. Private to runtime/config and
 * runtime/study.                                                                                */
#ifndef CONFIG_DOCUMENT_H
#define CONFIG_DOCUMENT_H

#include "base/status.h"

#include <stdint.h>
#include <stdio.h>
#include <yaml.h>

typedef struct document {
    const char *path, *bytes; /* borrowed */
    size_t size;
    yaml_parser_t parser;
    int32_t depth;
    bool lists; /* lists are allowed as values */
} document;

/* One `key: value`. */
typedef struct pair {
    const char *key;
    const char *text; /* the scalar; NULL: a mapping, to be read with document_mapping */
    bool list;        /* ... or a list, to be read with document_list */
    int32_t line;
} pair;

/* Called for each pair in file order. Returning anything but OK ends the reading. */
typedef status (*pair_visitor)(void *context, document *d, const pair *p);

/* Reads the whole document, a mapping. ERR_CONFIG, ERR_MEMORY. */
status document_read(const char *path, const char *bytes, int64_t size, pair_visitor visit,
                     void *context);
/* The same, where lists are values too. */
status document_read_lists(const char *path, const char *bytes, int64_t size, pair_visitor visit,
                           void *context);
enum { DOCUMENT_DEPTH_MAX = 8 };
/* The pairs of the mapping that the visitor was just given. */
status document_mapping(document *d, pair_visitor visit, void *context);
/* The items of the list that the visitor was just given; their key is "". */
status document_list(document *d, pair_visitor visit, void *context);

#endif
