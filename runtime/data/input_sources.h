/* input_sources.h — names of inputs expanded to files. Private to input.c. */
#ifndef DATA_INPUT_SOURCES_H
#define DATA_INPUT_SOURCES_H

#include "base/status.h"

#include <stdint.h>

typedef enum source_kind { SOURCE_TEXT, SOURCE_JSONL, SOURCE_GCIDE } source_kind;

typedef struct source {
    char *path;      /* owned; also what messages say ("-" for stdin) */
    char *temporary; /* what opens the copy of stdin; or NULL          */
    int copy;        /* that copy, a file without a name               */
    source_kind kind;
    int64_t bytes; /* on disk */
} source;

typedef struct source_list {
    source *source;
    int64_t count, room;
} source_list;

/* Expands one name and appends. json_stdin: stdin is JSON lines. */
status source_list_add(source_list *list, const char *name, bool json_stdin);
void source_list_deinit(source_list *list);

#endif
