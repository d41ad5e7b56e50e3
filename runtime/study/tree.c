#include "study/tree.h"

#include "config/document.h"

#include <stdlib.h>
#include <string.h>

/* Where the visitor puts what it is given. */
typedef struct building {
    tree *into;
    int32_t depth, nodes;
} building;

void tree_free(tree *t)
{
    while (t) {
        tree *next = t->next;
        tree_free(t->child);
        free(t->key);
        free(t->text);
        free(t);
        t = next;
    }
}

const tree *tree_find(const tree *map, const char *key)
{
    for (const tree *t = map ? map->child : NULL; t; t = t->next)
        if (strcmp(t->key, key) == 0) return t;
    return NULL;
}

const char *tree_kind_name(const tree *t)
{
    static const char *const names[] = {"one value", "a list", "a mapping"};
    return names[t->kind];
}

static status add_node(tree **out, building *b, const char *path, const pair *p)
{
    REQUIRE(++b->nodes <= TREE_NODES, ERR_CONFIG, "%s:%d: more than %d values", path, p->line,
            TREE_NODES);
    if (*p->key) {
        REQUIRE(b->into->count < TREE_KEYS, ERR_CONFIG, "%s:%d: more than %d keys in a mapping",
                path, p->line, TREE_KEYS);
        const tree *before = tree_find(b->into, p->key);
        REQUIRE(!before, ERR_CONFIG, "%s:%d: %s: given twice; first in line %d", path, p->line,
                p->key, before ? before->line : 0);
    }
    tree *t = calloc(1, sizeof *t);
    REQUIRE(t, ERR_MEMORY, "no memory for %s", path);
    t->kind = p->text ? TREE_TEXT : p->list ? TREE_LIST : TREE_MAP;
    t->line = p->line;
    if (b->into->last)
        b->into->last->next = t;
    else
        b->into->child = t;
    b->into->last = t;
    b->into->count++;
    t->key = strdup(p->key);
    t->text = p->text ? strdup(p->text) : NULL;
    REQUIRE(t->key && (t->text || !p->text), ERR_MEMORY, "no memory for %s", path);
    *out = t;
    return OK;
}

static status visit(void *context, document *d, const pair *p)
{
    building *b = context;
    tree *t = NULL, *outer = b->into;
    TRY(add_node(&t, b, d->path, p));
    if (p->text) return OK;
    REQUIRE(b->depth + 1 < DOCUMENT_DEPTH_MAX, ERR_CONFIG, "%s:%d: nested too deeply", d->path,
            p->line);
    b->into = t;
    b->depth++;
    TRY(p->list ? document_list(d, visit, b) : document_mapping(d, visit, b));
    b->depth--;
    b->into = outer;
    return OK;
}

status tree_read(tree **out, const char *path, const char *bytes, int64_t size)
{
    tree *root = calloc(1, sizeof *root);
    REQUIRE(root, ERR_MEMORY, "no memory for %s", path);
    root->kind = TREE_MAP;
    root->key = strdup("");
    building b = {.into = root, .depth = 1};
    status s = root->key ? document_read_lists(path, bytes, size, visit, &b)
                         : status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for %s", path);
    if (s != OK) {
        tree_free(root);
        return s;
    }
    *out = root;
    return OK;
}
