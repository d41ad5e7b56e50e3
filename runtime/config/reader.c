#include "config/reader.h"

#include "base/nearest.h"

#include <string.h>

/* "a, b, c": the keys of a section and the sections inside it. */
static void list_keys(char *out, size_t bytes, const section *s, const char *extra)
{
    size_t used = 0;
    out[0] = '\0';
    if (extra) used += (size_t)snprintf(out, bytes, "%s, ", extra);
    for (int32_t i = 0; i < s->count && used < bytes; i++)
        used += (size_t)snprintf(out + used, bytes - used, "%s%s", i ? ", " : "", s->fields[i].key);
    section all[SECTIONS];
    table_sections(all);
    const size_t n = strlen(s->prefix);
    for (int32_t i = 0; i < SECTIONS && used < bytes; i++) {
        const char *name = all[i].prefix;
        if (n > 0 && (strncmp(name, s->prefix, n) != 0 || name[n] != '.')) continue;
        if (*name == '\0' || (n == 0 && strchr(name, '.'))) continue;
        used += (size_t)snprintf(out + used, bytes - used, ", %s", name + (n > 0 ? n + 1 : 0));
    }
}

status reader_unknown(const char *place, const section *s, const char *key, const char *extra)
{
    const char *dot = *s->prefix ? "." : "";
    section all[SECTIONS];
    table_sections(all);

    /* a section's name, as in train=5 */
    char whole[NAME_BYTES];
    (void)snprintf(whole, sizeof whole, "%s%s%s", s->prefix, dot, key);
    for (int32_t i = 0; i < SECTIONS; i++)
        REQUIRE(!*all[i].prefix || strcmp(all[i].prefix, whole) != 0, ERR_CONFIG,
                "%s%s is a section; its keys are given one by one: %s.%s=...", place, whole, whole,
                all[i].fields[0].key);

    /* the right key in the wrong section */
    for (int32_t i = 0; i < SECTIONS; i++) {
        const int32_t index = table_field(&all[i], key);
        if (index < 0) continue;
        char name[NAME_BYTES];
        table_name(name, &all[i], &all[i].fields[index]);
        FAIL(ERR_CONFIG, "%s%s%s%s: unknown key; nearest: %s", place, s->prefix, dot, key, name);
    }

    /* a slip of the fingers, else the whole list */
    nearest n = nearest_slip(key);
    for (int32_t i = 0; i < s->count; i++) (void)nearest_offer(&n, s->fields[i].key);
    if (extra) (void)nearest_offer(&n, extra);
    for (int32_t i = 0; i < SECTIONS && *s->prefix == '\0'; i++)
        (void)nearest_offer(&n, all[i].prefix);
    if (n.found)
        FAIL(ERR_CONFIG, "%s%s%s%.60s: unknown key; nearest: %s%s%s", place, s->prefix, dot, key,
             s->prefix, dot, n.found);
    char list[512];
    list_keys(list, sizeof list, s, extra);
    FAIL(ERR_CONFIG, "%s%s%s%.60s: unknown key; allowed: %s", place, s->prefix, dot, key, list);
}

status reader_once(const char *place, const char *name, int32_t before)
{
    REQUIRE(before <= 0, ERR_CONFIG, "%s%s: given twice; first in line %d", place, name,
            (int)before);
    return OK;
}

status reader_set(const char *place, const char *name, const field *f, void *base, const char *text)
{
    REQUIRE(text, ERR_CONFIG, "%s%s: a mapping; allowed: one value (%s)", place, name, f->meaning);
    const status s = table_read(f, base, text);
    return s == OK ? OK : status_prefix(s, "%s%s", place, name);
}

status reader_defaults(const char *place, const section *s, void *base, const int32_t *lines)
{
    for (int32_t i = 0; i < s->count; i++) {
        const field *f = &s->fields[i];
        if (lines[i] != 0) continue;
        char name[NAME_BYTES];
        table_name(name, s, f);
        REQUIRE(f->fallback, ERR_CONFIG, "%s%s: not given, and it has no default (%s)", place, name,
                f->meaning);
        TRY(reader_set(place, name, f, base, f->fallback));
    }
    return OK;
}
