#include "study/study.h"

#include "base/file.h"
#include "base/nearest.h"
#include "config/config.h"
#include "config/table.h"

#include <stdlib.h>
#include <string.h>

#define MEMBER(name)                                                                               \
    .key = #name, .offset = offsetof(study_keys, name), .bytes = sizeof((study_keys *)0)->name
#define ROW_I64(name, low, high, def, about)                                                       \
    {MEMBER(name),        .kind = FIELD_I64, .min_integer = low,                                   \
     .max_integer = high, .fallback = def,   .meaning = about},
#define ROW_F64(name, low, high, def, about)                                                       \
    {MEMBER(name), .kind = FIELD_F64, .min = low, .max = high, .fallback = def, .meaning = about},
#define ROW_TEXT(name, size, def, about)                                                           \
    {MEMBER(name), .kind = FIELD_TEXT, .fallback = def, .meaning = about},
#define ROW_ENUM(name, words, def, about)                                                          \
    {MEMBER(name), .kind = FIELD_ENUM, .choices = words, .fallback = def, .meaning = about},
#define ROW_BOOL(name, def, about)                                                                 \
    {MEMBER(name), .kind = FIELD_BOOL, .fallback = def, .meaning = about},

static const field fields[] = {STUDY_FIELDS(ROW_I64, ROW_F64, ROW_TEXT, ROW_ENUM, ROW_BOOL)};
enum { FIELDS = sizeof fields / sizeof fields[0] };

/* Keys that hold more than one value. */
static const char *const parts[] = {"data",    "set",      "seeds",  "learning_rate_factors",
                                    "compare", "variants", "models", "runs",
                                    "grid",    "isoflop",  "tokens"};
enum { PARTS = sizeof parts / sizeof parts[0], MODES = 4 };
static const char *const *const modes = parts + PARTS - MODES;

static int32_t find_field(const char *key)
{
    for (int32_t i = 0; i < FIELDS; i++)
        if (strcmp(fields[i].key, key) == 0) return i;
    return -1;
}

static status unknown_key(const study *s, const tree *t)
{
    nearest n = nearest_slip(t->key);
    for (int32_t i = 0; i < FIELDS + PARTS; i++)
        (void)nearest_offer(&n, i < FIELDS ? fields[i].key : parts[i - FIELDS]);
    if (n.found)
        FAIL(ERR_CONFIG, "%s:%d: %.60s: unknown key; nearest: %s", s->path, t->line, t->key,
             n.found);
    char list[512] = "";
    for (int32_t i = 0; i < FIELDS + PARTS; i++) {
        const size_t used = strlen(list);
        (void)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "",
                       i < FIELDS ? fields[i].key : parts[i - FIELDS]);
    }
    FAIL(ERR_CONFIG, "%s:%d: %.60s: unknown key; allowed: %s", s->path, t->line, t->key, list);
}

status study_set(study *s, const tree *t)
{
    const int32_t i = find_field(t->key);
    if (i < 0) return unknown_key(s, t);
    REQUIRE(t->kind == TREE_TEXT, ERR_CONFIG, "%s:%d: %s: %s; allowed: one value (%s)", s->path,
            t->line, t->key, tree_kind_name(t), fields[i].meaning);
    const status read = table_read(&fields[i], &s->keys, t->text);
    return read == OK ? OK : status_prefix(read, "%s:%d: %s", s->path, t->line, t->key);
}

static status read_fields(study *s)
{
    bool given[FIELDS] = {false};
    for (const tree *t = s->root->child; t; t = t->next) {
        const int32_t i = find_field(t->key);
        bool part = false;
        for (int32_t p = 0; p < PARTS; p++) part = part || strcmp(parts[p], t->key) == 0;
        if (part) continue;
        if (i < 0) return unknown_key(s, t);
        TRY(study_set(s, t));
        given[i] = true;
    }
    for (int32_t i = 0; i < FIELDS; i++) {
        if (given[i]) continue;
        REQUIRE(fields[i].fallback, ERR_CONFIG, "%s: %s: not given, and it has no default (%s)",
                s->path, fields[i].key, fields[i].meaning);
        TRY(table_read(&fields[i], &s->keys, fields[i].fallback));
    }
    return OK;
}

/* Text of a child that must be one value. */
static status one_value(const study *s, const tree *t, char *out, size_t bytes)
{
    REQUIRE(t->kind == TREE_TEXT, ERR_CONFIG, "%s:%d: %s: %s; allowed: one value", s->path, t->line,
            t->key, tree_kind_name(t));
    REQUIRE(strlen(t->text) < bytes, ERR_CONFIG, "%s:%d: %s: longer than %zu bytes", s->path,
            t->line, t->key, bytes - 1);
    (void)snprintf(out, bytes, "%s", t->text);
    return OK;
}

static status read_data(study *s, const tree *t)
{
    if (!t) return OK;
    if (t->kind == TREE_TEXT) {
        char folder[700], test[sizeof folder + 32];
        TRY(one_value(s, t, folder, sizeof folder));
        (void)snprintf(s->train, sizeof s->train, "%s/train", folder);
        (void)snprintf(s->validation, sizeof s->validation, "%s/validation", folder);
        (void)snprintf(test, sizeof test, "%s/test", folder);
        if (file_exists(test)) (void)snprintf(s->test, sizeof s->test, "%s", test);
        return OK;
    }
    REQUIRE(t->kind == TREE_MAP, ERR_CONFIG,
            "%s:%d: data: a list; allowed: a folder, or {train, validation, test}", s->path,
            t->line);
    for (const tree *c = t->child; c; c = c->next) {
        char *to = strcmp(c->key, "train") == 0        ? s->train
                   : strcmp(c->key, "validation") == 0 ? s->validation
                   : strcmp(c->key, "test") == 0       ? s->test
                                                       : NULL;
        REQUIRE(to, ERR_CONFIG, "%s:%d: data.%.60s: unknown key; allowed: train, validation, test",
                s->path, c->line, c->key);
        TRY(one_value(s, c, to, sizeof s->train));
    }
    return OK;
}

static status read_seeds(study *s, const tree *t)
{
    s->seed_count = 1;
    s->seeds[0] = 1;
    if (!t) return OK;
    REQUIRE(t->kind == TREE_LIST && t->count > 0, ERR_CONFIG,
            "%s:%d: seeds: allowed: a list of at least one number, e.g. [1, 2, 3]", s->path,
            t->line);
    REQUIRE(t->count <= STUDY_SEEDS, ERR_CONFIG, "%s:%d: seeds: %d of them; at most %d", s->path,
            t->line, t->count, STUDY_SEEDS);
    s->seed_count = 0;
    for (const tree *c = t->child; c; c = c->next) {
        int64_t *seed = &s->seeds[s->seed_count];
        const status read = c->kind == TREE_TEXT
                                ? config_integer(seed, c->text)
                                : status_set(ERR_CONFIG, __FILE__, __LINE__, "not a number");
        if (read != OK) return status_prefix(read, "%s:%d: seeds", s->path, c->line);
        REQUIRE(*seed >= 0, ERR_CONFIG, "%s:%d: seeds: %s is below 0", s->path, c->line, c->text);
        for (int32_t i = 0; i < s->seed_count; i++)
            REQUIRE(s->seeds[i] != *seed, ERR_CONFIG, "%s:%d: seeds: %s stands there twice",
                    s->path, c->line, c->text);
        s->seed_count++;
    }
    return OK;
}

static status read_factors(study *s, const tree *t)
{
    const bool sweep = s->keys.learning_rate_rule == RATE_SWEEP;
    REQUIRE(!t || sweep, ERR_CONFIG,
            "%s:%d: learning_rate_factors belong to learning_rate_rule: sweep", s->path,
            t ? t->line : 0);
    if (!t) {
        static const double around[] = {0.25, 0.5, 1, 2, 4};
        memcpy(s->factors, around, sizeof around);
        s->factor_count = sweep ? 5 : 0;
        return OK;
    }
    REQUIRE(
        t->kind == TREE_LIST && t->count >= 3 && t->count <= STUDY_FACTORS, ERR_CONFIG,
        "%s:%d: learning_rate_factors: allowed: a list of 3 to %d factors, so that the best can "
        "lie inside",
        s->path, t->line, STUDY_FACTORS);
    for (const tree *c = t->child; c; c = c->next) {
        double *f = &s->factors[s->factor_count++];
        const status read = c->kind == TREE_TEXT
                                ? config_number(f, c->text)
                                : status_set(ERR_CONFIG, __FILE__, __LINE__, "not a number");
        if (read != OK)
            return status_prefix(read, "%s:%d: learning_rate_factors", s->path, c->line);
        REQUIRE(*f > 0 && (f == s->factors || *f > f[-1]), ERR_CONFIG,
                "%s:%d: learning_rate_factors: %s; allowed: above 0, ascending", s->path, c->line,
                c->text);
    }
    return OK;
}

static status read_compare(study *s, const tree *t)
{
    if (!t) return OK;
    const tree *arms = t->kind == TREE_MAP ? tree_find(t, "arms") : NULL;
    REQUIRE(arms && arms->kind == TREE_LIST && arms->count == 2, ERR_CONFIG,
            "%s:%d: compare: allowed: {arms: [A, B], equal_flops: [rows]}", s->path, t->line);
    for (const tree *c = t->child; c; c = c->next)
        REQUIRE(c == arms || (strcmp(c->key, "equal_flops") == 0 && c->kind == TREE_LIST),
                ERR_CONFIG, "%s:%d: compare.%.60s: allowed: arms: [A, B], equal_flops: [rows]",
                s->path, c->line, c->key);
    TRY(one_value(s, arms->child, s->arms[0], STUDY_NAME));
    TRY(one_value(s, arms->child->next, s->arms[1], STUDY_NAME));
    s->equal_flops = tree_find(t, "equal_flops");
    return OK;
}

/* Exactly one of the modes; it must not be empty. */
static status read_mode(study *s)
{
    for (int32_t m = 0; m < MODES; m++) {
        const tree *t = tree_find(s->root, modes[m]);
        if (!t) continue;
        REQUIRE(!s->part, ERR_CONFIG,
                "%s:%d: %s beside %s; allowed: one of runs, grid, isoflop, "
                "tokens",
                s->path, t->line, t->key, s->part ? s->part->key : "");
        s->part = t;
        s->mode = (study_mode)m;
        const tree_kind wanted = m == STUDY_GRID || m == STUDY_ISOFLOP ? TREE_MAP : TREE_LIST;
        REQUIRE(t->kind == wanted && t->count > 0, ERR_CONFIG,
                "%s:%d: %s: %s; allowed: %s that is not empty", s->path, t->line, t->key,
                t->count == 0 && t->kind == wanted ? "it is empty" : tree_kind_name(t),
                wanted == TREE_MAP ? "a mapping" : "a list");
    }
    REQUIRE(s->part, ERR_CONFIG, "%s: no runs; allowed: one of runs, grid, isoflop, tokens",
            s->path);
    return OK;
}

status study_parse(study *out, const char *path, const char *bytes, int64_t size)
{
    *out = (study){0};
    (void)snprintf(out->path, sizeof out->path, "%s", path);
    status s = tree_read(&out->root, path, bytes, size);
    if (s == OK) s = read_fields(out);
    if (s == OK) s = read_data(out, tree_find(out->root, "data"));
    if (s == OK) s = read_seeds(out, tree_find(out->root, "seeds"));
    if (s == OK) s = read_factors(out, tree_find(out->root, "learning_rate_factors"));
    if (s == OK) s = read_compare(out, tree_find(out->root, "compare"));
    if (s == OK) s = read_mode(out);
    if (s != OK) study_deinit(out);
    return s;
}

status study_load(study *out, const char *name)
{
    char path[1024], *bytes;
    int64_t size;
    TRY(config_find(path, sizeof path, "studies", name));
    TRY(file_read_text(&bytes, &size, path, STUDY_BYTES_MAX));
    const status s = study_parse(out, path, bytes, size);
    free(bytes);
    return s;
}

void study_deinit(study *s)
{
    tree_free(s->root);
    *s = (study){0};
}
