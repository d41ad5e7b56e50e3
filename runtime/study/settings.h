/* settings.h — a growing list of "key=value" overrides, cut back to a mark when a branch of the
 * expansion ends. Private to runtime/study.                                                    */
#ifndef STUDY_SETTINGS_H
#define STUDY_SETTINGS_H

#include "study/tree.h"

typedef struct settings {
    char **text;   /* owned */
    int32_t *line; /* in the study file; 0: not from there */
    int32_t count, capacity;
} settings;

/* printf-style. ERR_MEMORY. */
status settings_add(settings *s, int32_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Every value below a mapping, as "section.key=value". Keys in skip (NULL-terminated; may be NULL)
 * are left out at the top. ERR_CONFIG for lists, with path and line. */
status settings_add_map(settings *s, const char *path, const tree *map, const char *const *skip);
/* Back to `count` entries. */
void settings_cut(settings *s, int32_t count);
void settings_deinit(settings *s);

#endif
