#include "config/config.h"

#include "config/models.h"
#include "config/reader.h"

#include <string.h>

/* Tokens of the evaluation set where the source is unlimited and evaluate.tokens is 0. */
enum { SYNTHETIC_EVALUATION = 1 << 18 };

/* A config being read. */
typedef struct reading {
    config cfg;
    origin from;
    section sections[SECTIONS];
    int32_t current;       /* section whose pairs are being read */
    config_models *models; /* NULL: none are known               */
} reading;

static int32_t find_section(const reading *r, const char *prefix)
{
    for (int32_t i = 0; i < SECTIONS; i++)
        if (strcmp(r->sections[i].prefix, prefix) == 0) return i;
    return -1;
}

static void *section_base(reading *r, int32_t s) { return (char *)&r->cfg + r->sections[s].offset; }

/* model: NAME, model.row: NAME. */
static status set_row(reading *r, const char *name, const char *text, int32_t line)
{
    char place[PLACE_BYTES];
    origin_place(place, &r->from, line);
    if (line > 0) TRY(reader_once(place, name, r->from.row_line));
    static const field f = {.key = "row",
                            .kind = FIELD_TEXT,
                            .bytes = sizeof r->cfg.model_name,
                            .meaning = "the name of a row of configs/models"};
    TRY(reader_set(place, name, &f, r->cfg.model_name, text));
    r->from.row_line = line;
    return OK;
}

/* One key of section s, from the file (line > 0) or an override (line < 0). */
static status set_key(reading *r, int32_t s, const char *key, const char *text, int32_t line)
{
    char place[PLACE_BYTES], name[NAME_BYTES];
    origin_place(place, &r->from, line);
    const section *in = &r->sections[s];
    const bool is_model = strcmp(in->prefix, "model") == 0;
    if (is_model && strcmp(key, "row") == 0) return set_row(r, "model.row", text, line);

    const int32_t index = table_field(in, key);
    if (index < 0) return reader_unknown(place, in, key, is_model ? "row" : NULL);
    const field *f = &in->fields[index];
    table_name(name, in, f);
    int32_t *before = &r->from.line[in->first + index];
    if (line > 0) TRY(reader_once(place, name, *before));
    TRY(reader_set(place, name, f, section_base(r, s), text));
    *before = line;
    return OK;
}

/* --- the file ------------------------------------------------------------- */

static status visit_pair(void *context, document *d, const pair *p);

/* The pairs of section s, which p opens. */
static status read_section(reading *r, document *d, const pair *p, int32_t s)
{
    char place[PLACE_BYTES];
    origin_place(place, &r->from, p->line);
    const char *prefix = r->sections[s].prefix;
    TRY(reader_once(place, prefix, r->from.section_line[s]));
    r->from.section_line[s] = p->line;
    if (p->text && strcmp(prefix, "model") == 0) return set_row(r, "model", p->text, p->line);
    REQUIRE(!p->text, ERR_CONFIG, "%s%s: '%.60s' is one value; allowed: a mapping of its keys",
            place, prefix, p->text);
    const int32_t outer = r->current;
    r->current = s;
    TRY(document_mapping(d, visit_pair, r));
    r->current = outer;
    return OK;
}

static status visit_pair(void *context, document *d, const pair *p)
{
    reading *r = context;
    const char *outer = r->sections[r->current].prefix;
    char prefix[2 * NAME_BYTES + 64];
    (void)snprintf(prefix, sizeof prefix, "%s%s%s", outer, *outer ? "." : "", p->key);
    /* a dotted key at top level is no section: it is spelled by nesting */
    const int32_t s = strchr(p->key, '.') ? -1 : find_section(r, prefix);
    if (s >= 0) return read_section(r, d, p, s);
    return set_key(r, r->current, p->key, p->text, p->line);
}

/* --- the command line ----------------------------------------------------- */

/* model=NAME replaces the whole model: what was said of it before is forgotten. */
static status override_model(reading *r, const char *text, int32_t line)
{
    const section *model = &r->sections[find_section(r, "model")];
    memset(&r->from.line[model->first], 0, sizeof r->from.line[0] * (size_t)model->count);
    return set_row(r, "model", text, line);
}

static status apply_override(reading *r, int32_t index)
{
    const char *text = r->from.overrides[index];
    const char *equals = strchr(text, '=');
    const size_t n = equals ? (size_t)(equals - text) : 0;
    char name[NAME_BYTES] = "";
    REQUIRE(n > 0 && n < sizeof name, ERR_CONFIG,
            "override '%.100s': allowed: section.key=value, e.g. train.tokens=1M", text);
    memcpy(name, text, n);
    const int32_t line = -index - 1;
    if (strcmp(name, "model") == 0) return override_model(r, equals + 1, line);

    /* the last dot parts the section from the key */
    char *dot = strrchr(name, '.');
    const char *key = dot ? dot + 1 : name;
    if (dot) *dot = '\0';
    const int32_t s = find_section(r, dot ? name : "");
    if (s < 0) {
        char place[PLACE_BYTES];
        origin_place(place, &r->from, line);
        return reader_unknown(place, &r->sections[0], name, NULL);
    }
    return set_key(r, s, key, equals + 1, line);
}

/* --- what was not given --------------------------------------------------- */

/* Fields of the named row, where neither the file nor an override gave them. */
static status fill_model(reading *r)
{
    const int32_t s = find_section(r, "model");
    const section *in = &r->sections[s];
    int32_t *lines = &r->from.line[in->first];
    int32_t given = 0, missing = 0;
    for (int32_t i = 0; i < in->count; i++) {
        given += lines[i] != 0;
        missing += lines[i] == 0 && in->fields[i].identity != ID_SET;
    }

    char place[PLACE_BYTES];
    const int32_t row_line = r->from.row_line;
    origin_place(place, &r->from, row_line ? row_line : r->from.section_line[s]);
    REQUIRE(row_line || r->from.section_line[s] || given, ERR_CONFIG,
            "%smodel: not given; allowed: the name of a row of configs/models, or a mapping",
            place);
    /* a resolved config holds every field, if an old one not those that came later: its row is only
     * a name */
    if (row_line == 0 || missing == 0) return reader_defaults(place, in, &r->cfg.model, lines);

    model_config row;
    const status found = models_row(&row, r->models, r->cfg.model_name);
    if (found != OK) return status_prefix(found, "%smodel", place);
    for (int32_t i = 0; i < in->count; i++) {
        const field *f = &in->fields[i];
        if (lines[i] != 0) continue;
        memcpy(table_value(f, &r->cfg.model), table_value(f, &row), f->bytes);
        lines[i] = row_line;
    }
    return OK;
}

static status fill_defaults(reading *r)
{
    for (int32_t s = 0; s < SECTIONS; s++) {
        if (strcmp(r->sections[s].prefix, "model") == 0) {
            TRY(fill_model(r));
            continue;
        }
        char place[PLACE_BYTES];
        origin_place(place, &r->from, r->from.section_line[s]);
        TRY(reader_defaults(place, &r->sections[s], section_base(r, s),
                            &r->from.line[r->sections[s].first]));
    }
    return OK;
}

/* Defaults that depend on other keys. */
static void resolve(config *cfg)
{
    config_resolve_model(&cfg->model);
    if (cfg->data.synthetic != SYNTHETIC_NONE && cfg->evaluate.tokens == 0) {
        const int64_t windows =
            (SYNTHETIC_EVALUATION + cfg->model.context - 1) / cfg->model.context;
        cfg->evaluate.tokens = windows * cfg->model.context;
    }
}

status config_parse(config *out, const char *path, const char *bytes, int64_t size,
                    int override_count, const char *const *overrides)
{
    return config_parse_among(out, NULL, path, bytes, size, override_count, overrides);
}

status config_parse_among(config *out, config_models *models, const char *path, const char *bytes,
                          int64_t size, int override_count, const char *const *overrides)
{
    REQUIRE(size >= 0 && size <= CONFIG_BYTES_MAX, ERR_CONFIG,
            "%s: larger than a config can be (%d MiB)", path, CONFIG_BYTES_MAX >> 20);
    reading r;
    memset(&r, 0, sizeof r);
    r.models = models;
    r.from.path = path;
    r.from.overrides = overrides;
    table_sections(r.sections);
    TRY(document_read(path, bytes, size, visit_pair, &r));
    for (int32_t i = 0; i < override_count; i++) TRY(apply_override(&r, i));
    TRY(fill_defaults(&r));
    resolve(&r.cfg);
    TRY(check_config(&r.cfg, &r.from));
    *out = r.cfg;
    return OK;
}
