#include "study/expand.h"

#include "model/block.h"
#include "study/expand_cell.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A tag of a run in the list: short text. */
static status take_tag(const expansion *e, const tree *item, const char *key, char *out,
                       size_t bytes)
{
    const tree *t = tree_find(item, key);
    out[0] = '\0';
    if (!t) return OK;
    REQUIRE(t->kind == TREE_TEXT && strlen(t->text) < bytes, ERR_CONFIG,
            "%s:%d: %s: allowed: one word of at most %zu bytes", e->s->path, t->line, key,
            bytes - 1);
    (void)snprintf(out, bytes, "%s", t->text);
    return OK;
}

static status expand_list(expansion *e)
{
    static const char *const tags[] = {"name", "arm", "row", "also", "scale", NULL};
    const char *wanted = e->s->keys.scale;
    int32_t number = 0;
    bool found = false;
    for (const tree *t = e->s->part->child; t; t = t->next) {
        cell c = {.line = t->line, .parent = -1, .trunk = -1};
        number++;
        REQUIRE(t->kind == TREE_MAP, ERR_CONFIG,
                "%s:%d: runs: %s; allowed: {name, arm, row, also, "
                "scale, and keys of the run config}",
                e->s->path, t->line, tree_kind_name(t));
        TRY(take_tag(e, t, "arm", c.arm, sizeof c.arm));
        TRY(take_tag(e, t, "row", c.row, sizeof c.row));
        TRY(take_tag(e, t, "also", c.also, sizeof c.also));
        TRY(take_tag(e, t, "scale", c.scale, sizeof c.scale));
        TRY(take_tag(e, t, "name", c.name, 64));
        if (*wanted && strcmp(c.scale, wanted) != 0) continue;
        found = true;
        const char *part[] = {c.scale, c.row, c.arm};
        for (int i = 0; i < 3 && !tree_find(t, "name"); i++) {
            const size_t used = strlen(c.name);
            if (*part[i])
                (void)snprintf(c.name + used, sizeof c.name - used, "%s%s", used ? "-" : "",
                               part[i]);
        }
        if (!*c.name) (void)snprintf(c.name, sizeof c.name, "run-%d", number);
        const int32_t mark = e->set.count;
        TRY(settings_add_map(&e->set, e->s->path, t, tags));
        TRY(expand_cell_runs(e, &c));
        settings_cut(&e->set, mark);
    }
    REQUIRE(found, ERR_CONFIG, "%s: scale: '%s' is none of the runs'", e->s->path, wanted);
    return OK;
}

/* Every combination of the values of axis and the axes after it. */
static status expand_grid(expansion *e, const tree *axis, const char *name)
{
    if (!axis) {
        cell c = {.line = e->s->part->line, .parent = -1, .trunk = -1};
        (void)snprintf(c.name, sizeof c.name, "%s", name);
        return expand_cell_runs(e, &c);
    }
    REQUIRE(axis->kind == TREE_LIST && axis->count > 0, ERR_CONFIG,
            "%s:%d: grid.%s: allowed: a list of at least one value", e->s->path, axis->line,
            axis->key);
    const char *dot = strrchr(axis->key, '.');
    for (const tree *v = axis->child; v; v = v->next) {
        char longer[160];
        REQUIRE(v->kind == TREE_TEXT, ERR_CONFIG, "%s:%d: grid.%s: %s; allowed: one value",
                e->s->path, v->line, axis->key, tree_kind_name(v));
        const int n =
            strcmp(axis->key, "model") == 0
                ? snprintf(longer, sizeof longer, "%s%s%s", name, *name ? "-" : "", v->text)
                : snprintf(longer, sizeof longer, "%s%s%s-%s", name, *name ? "-" : "",
                           dot ? dot + 1 : axis->key, v->text);
        REQUIRE(
            n > 0 && n < 88, ERR_CONFIG,
            "%s:%d: the run's name '%.60s...' would be longer than 88 bytes; use runs with names",
            e->s->path, v->line, longer);
        const int32_t mark = e->set.count;
        TRY(settings_add(&e->set, v->line, "%s=%s", axis->key, v->text));
        TRY(expand_grid(e, axis->next, longer));
        settings_cut(&e->set, mark);
    }
    return OK;
}

static status expand_mode(expansion *e)
{
    switch (e->s->mode) {
    case STUDY_RUNS:
        return expand_list(e);
    case STUDY_GRID:
        return expand_grid(e, e->s->part->child, "");
    case STUDY_ISOFLOP:
        return expand_ladder(e);
    case STUDY_TOKENS:
        return expand_tokens(e);
    }
    return OK;
}

/* The size whose rate the base says. */
static status read_base(expansion *e)
{
    config base;
    const study_keys *k = &e->s->keys;
    const bool size = k->learning_rate_rule == RATE_SIZE;
    const bool mup = k->parametrisation == STUDY_MUP || k->learning_rate_rule == RATE_MUP;
    e->base = (model_config){0};
    if (!size && !mup) return OK;
    TRY(expand_shared_config(&base, e, 0));
    e->base_params = (double)block_param_count(&base.model);
    REQUIRE(!size || (!mup && base.model.base_width == 0), ERR_CONFIG,
            "%s: learning_rate_rule: size beside muP, which scales rates with the width already; "
            "allowed: fixed, sweep, mup",
            e->s->path);
    if (!mup) return OK;
    e->base = base.model;
    e->shared = e->set.count;
    if (base.model.base_width > 0) return OK;
    e->base.base_width = base.model.width;
    e->base.base_head_width = base.model.head_width;
    return OK;
}

/* What holds for every run. */
static status common_settings(expansion *e)
{
    const study *s = e->s;
    const tree *models = tree_find(s->root, "models");
    REQUIRE(!models || s->mode == STUDY_TOKENS, ERR_CONFIG, "%s:%d: models belong to tokens%s",
            s->path, models ? models->line : 0,
            s->mode == STUDY_ISOFLOP ? "; those of an isoflop ladder stand in isoflop.models" : "");
    if (*s->train) TRY(settings_add(&e->set, 0, "data.train=%s", s->train));
    if (*s->validation) TRY(settings_add(&e->set, 0, "data.validation=%s", s->validation));
    return settings_add_map(&e->set, s->path, tree_find(s->root, "set"), NULL);
}

/* One variant under the settings as they are now. */
static status expand_variant(expansion *e, const tree *v, const char *name)
{
    static const char *const tags[] = {"name",
                                       "flop_count",
                                       "warmup_ratio",
                                       "warmup_per_param",
                                       "learning_rate_rule",
                                       "parametrisation",
                                       NULL};
    const char *const *own_keys = tags + 2; /* of the study: a variant may have them for itself */
    const study *whole = e->s;
    study own = *whole;
    for (; *own_keys; own_keys++)
        if (tree_find(v, *own_keys)) TRY(study_set(&own, tree_find(v, *own_keys)));
    REQUIRE(own.keys.learning_rate_rule == whole->keys.learning_rate_rule ||
                (own.keys.learning_rate_rule != RATE_SWEEP &&
                 whole->keys.learning_rate_rule != RATE_SWEEP),
            ERR_CONFIG, "%s:%d: variants: a sweep is of all of them or of none", whole->path,
            v->line);
    e->count = tree_find(v, "flop_count");
    REQUIRE(!e->count || whole->mode == STUDY_ISOFLOP, ERR_CONFIG,
            "%s:%d: flop_count belongs to isoflop", whole->path, v->line);
    e->s = &own;
    e->variant = name;
    status s = settings_add_map(&e->set, whole->path, v, tags);
    if (s == OK) s = read_base(e);
    if (s == OK) s = expand_mode(e);
    e->s = whole;
    e->variant = "";
    e->count = NULL;
    return s;
}

static status expand_variants(expansion *e)
{
    const tree *list = tree_find(e->s->root, "variants");
    TRY(common_settings(e));
    if (!list) {
        TRY(read_base(e));
        return expand_mode(e);
    }
    REQUIRE(list->kind == TREE_LIST && list->count > 0, ERR_CONFIG,
            "%s:%d: variants: allowed: a list of {name, and keys of the run config}", e->s->path,
            list->line);
    for (const tree *v = list->child; v; v = v->next) {
        char name[STUDY_NAME];
        const int32_t mark = e->set.count;
        REQUIRE(v->kind == TREE_MAP && tree_find(v, "name"), ERR_CONFIG,
                "%s:%d: variants: allowed: {name, and keys of the run config}", e->s->path,
                v->line);
        TRY(take_tag(e, v, "name", name, sizeof name));
        TRY(expand_variant(e, v, name));
        settings_cut(&e->set, mark);
    }
    return OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static status names_differ(const study_runs *r, const char *path)
{
    const char **name = malloc((size_t)r->count * sizeof *name);
    REQUIRE(name, ERR_MEMORY, "no memory for %d names", r->count);
    for (int32_t i = 0; i < r->count; i++) name[i] = r->run[i].name;
    qsort(name, (size_t)r->count, sizeof *name, by_name);
    status s = OK;
    for (int32_t i = 1; i < r->count && s == OK; i++)
        if (strcmp(name[i], name[i - 1]) == 0)
            s = status_set(ERR_CONFIG, __FILE__, __LINE__,
                           "%s: two runs would be called %s; give them names", path, name[i]);
    free(name);
    return s;
}

/* Rows that compare at equal FLOPs do so within a percent; both arms exist. */
static status check_compare(const study_runs *r, const study *s)
{
    for (const tree *t = s->equal_flops ? s->equal_flops->child : NULL; t; t = t->next) {
        double flops[2] = {0, 0};
        for (int32_t i = 0; i < r->count; i++)
            for (int a = 0; a < 2; a++)
                if (t->text && strcmp(r->run[i].row, t->text) == 0 &&
                    strcmp(r->run[i].arm, s->arms[a]) == 0)
                    flops[a] = r->run[i].flops;
        REQUIRE(flops[0] > 0 && flops[1] > 0, ERR_CONFIG,
                "%s:%d: compare.equal_flops: %s: no runs of both arms", s->path, t->line,
                t->text ? t->text : "");
        REQUIRE(fabs(flops[0] / flops[1] - 1) <= 0.01, ERR_CONFIG,
                "%s:%d: compare.equal_flops: %s: %s takes %.4g FLOPs, %s %.4g: %.1f %% apart; "
                "allowed: 1 %%",
                s->path, t->line, t->text, s->arms[0], flops[0], s->arms[1], flops[1],
                100 * fabs(flops[0] / flops[1] - 1));
    }
    return OK;
}

status expand_study(study_runs *out, const study *s)
{
    *out = (study_runs){0};
    expansion e = {.s = s, .out = out, .variant = ""};
    status code = expand_variants(&e);
    settings_deinit(&e.set);
    config_models_deinit(&e.models);
    if (code == OK) code = names_differ(out, s->path);
    if (code == OK) code = check_compare(out, s);
    if (code != OK) expand_deinit(out);
    return code;
}

status expand_seeds(study_runs *runs, const study *s, int32_t like)
{
    const study_run model = runs->run[like];
    config cfg = model.cfg;
    expansion e = {.s = s, .out = runs, .variant = model.variant, .cells = model.cell_index};
    cell c = {.role = RUN_POINT, .budget = model.budget, .parent = -1, .trunk = -1};
    (void)snprintf(c.name, sizeof c.name, "%s", model.cell);
    (void)snprintf(c.arm, sizeof c.arm, "%s", model.arm);
    (void)snprintf(c.row, sizeof c.row, "%s", model.row);
    (void)snprintf(c.also, sizeof c.also, "%s", model.also);
    (void)snprintf(c.scale, sizeof c.scale, "%s", model.scale);
    cfg.optimizer.learning_rate /= model.factor;
    for (int32_t i = 1; i < s->seed_count; i++)
        TRY(expand_cell_run(&e, &c, &cfg, s->seeds[i], model.factor));
    return OK;
}

void expand_deinit(study_runs *r)
{
    free(r->run);
    *r = (study_runs){0};
}
