/* document.h — a YAML file as nested mappings of scalars: the part of YAML that configs use.
 * Lists, anchors, aliases, tags, several documents, tabs that indent, NUL bytes and invalid UTF-8
 * are refused with their line. Streaming: nothing is kept, so hostile files cost no more than their
 * bytes. Private to runtime/config.                                                              */
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
} document;

/* One `key: value`. */
typedef struct pair {
    const char *key;
    const char *text; /* the scalar; NULL: a mapping, to be read with document_mapping */
    int32_t line;
} pair;

/* Called for each pair in file order. Returning anything but OK ends the reading. */
typedef status (*pair_visitor)(void *context, document *d, const pair *p);

/* Reads the whole document, a mapping. ERR_CONFIG, ERR_MEMORY. */
status document_read(const char *path, const char *bytes, int64_t size, pair_visitor visit,
                     void *context);
/* The pairs of the mapping that the visitor was just given. */
status document_mapping(document *d, pair_visitor visit, void *context);

#endif
