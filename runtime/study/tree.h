/* tree.h — a YAML file with lists, kept whole: what a study's free parts are read from.
 * Strict as config/document.h (no anchors, tags, tabs that indent); every node knows its line.
 * Flow: study file -> tree -> study.h. Private to runtime/study.                               */
#ifndef STUDY_TREE_H
#define STUDY_TREE_H

#include "base/status.h"

#include <stdint.h>

typedef enum tree_kind { TREE_TEXT, TREE_LIST, TREE_MAP } tree_kind;

typedef struct tree {
    tree_kind kind;
    int32_t line;
    char *key;     /* "" in a list and at the root         */
    char *text;    /* TREE_TEXT                            */
    int32_t count; /* children                             */
    struct tree *child, *last, *next;
} tree;

/* Reads a mapping of at most TREE_NODES nodes. ERR_CONFIG names file and line of what is wrong, a
 * key given twice included. The caller frees. */
enum { TREE_NODES = 1 << 17, TREE_KEYS = 1000 /* of one mapping */ };
status tree_read(tree **out, const char *path, const char *bytes, int64_t size);
void tree_free(tree *t); /* NULL is a no-op */
/* The child with this key; NULL: there is none. */
const tree *tree_find(const tree *map, const char *key);
/* "a list", "one value", "a mapping" */
const char *tree_kind_name(const tree *t);

#endif
