#include "study/settings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 2048, KEY_BYTES = 256 };

status settings_add(settings *s, int32_t line, const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    REQUIRE(length >= 0 && length < TEXT_BYTES, ERR_CONFIG, "'%.60s...': longer than %d bytes",
            text, TEXT_BYTES - 1);
    if (s->count == s->capacity) {
        const int32_t capacity = 2 * s->capacity + 16;
        char **more = realloc(s->text, (size_t)capacity * sizeof *more);
        if (more) s->text = more;
        int32_t *lines = realloc(s->line, (size_t)capacity * sizeof *lines);
        if (lines) s->line = lines;
        REQUIRE(more && lines, ERR_MEMORY, "no memory for the keys of a study");
        s->capacity = capacity;
    }
    s->line[s->count] = line;
    s->text[s->count] = strdup(text);
    REQUIRE(s->text[s->count], ERR_MEMORY, "no memory for the keys of a study");
    s->count++;
    return OK;
}

static status add_below(settings *s, const char *path, const tree *map, const char *prefix,
                        const char *const *skip)
{
    for (const tree *t = map->child; t; t = t->next) {
        bool skipped = false;
        for (int32_t i = 0; skip && skip[i]; i++) skipped = skipped || strcmp(skip[i], t->key) == 0;
        if (skipped) continue;
        char key[KEY_BYTES];
        const int n = snprintf(key, sizeof key, "%s%s%s", prefix, *prefix ? "." : "", t->key);
        REQUIRE(n > 0 && n < KEY_BYTES, ERR_CONFIG, "%s:%d: %.60s: unknown key", path, t->line,
                t->key);
        REQUIRE(t->kind != TREE_LIST, ERR_CONFIG, "%s:%d: %s: a list; allowed: one value", path,
                t->line, key);
        if (t->kind == TREE_MAP)
            TRY(add_below(s, path, t, key, NULL));
        else
            TRY(settings_add(s, t->line, "%s=%s", key, t->text));
    }
    return OK;
}

status settings_add_map(settings *s, const char *path, const tree *map, const char *const *skip)
{
    if (!map) return OK;
    REQUIRE(map->kind == TREE_MAP, ERR_CONFIG, "%s:%d: %s: %s; allowed: keys of the run config",
            path, map->line, map->key, tree_kind_name(map));
    return add_below(s, path, map, "", skip);
}

void settings_cut(settings *s, int32_t count)
{
    while (s->count > count) free(s->text[--s->count]);
}

void settings_deinit(settings *s)
{
    settings_cut(s, 0);
    free(s->text);
    free(s->line);
    *s = (settings){0};
}
