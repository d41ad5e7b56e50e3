#include "plan/cluster.h"

#include "base/nearest.h"
#include "config/config.h"
#include "config/document.h"
#include "config/files.h"
#include "config/table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum value_rule { NEEDED, KNOWN_OR_NOT, LINK, MODELLED } value_rule;

typedef struct value_row {
    const char *key;
    size_t offset;
    double low, high;
    value_rule rule;
    const char *meaning;
} value_row;

#define VALUE_ROW(key, member, low, high, rule, meaning)                                           \
    {key, offsetof(cluster, member), low, high, rule, meaning},
static const value_row rows[] = {CLUSTER_VALUES(VALUE_ROW)};
enum { ROWS = sizeof rows / sizeof rows[0], KEY_MAX = 192 };

static const char *const source_names[VALUE_SOURCES] = {"given", "measured", "published",
                                                        "modelled", "unknown"};

const char *value_source_name(value_source source) { return source_names[source]; }

static cluster_value *value_at(cluster *c, int32_t row)
{
    return (cluster_value *)(void *)((char *)c + rows[row].offset);
}

static const cluster_value *value_of(const cluster *c, int32_t row)
{
    return (const cluster_value *)(const void *)((const char *)c + rows[row].offset);
}

void cluster_each(const cluster *c, void *context,
                  void (*visit)(void *context, const char *key, const cluster_value *v,
                                const char *meaning))
{
    for (int32_t i = 0; i < ROWS; i++) visit(context, rows[i].key, value_of(c, i), rows[i].meaning);
}

/* --- reading -------------------------------------------------------------- */

/* A file being read. */
typedef struct reading {
    cluster out;
    const char *path;
    char prefix[KEY_MAX]; /* of the mapping now read: "" or "links.core." */
    int32_t lines[ROWS];  /* 0: not given                                 */
    int32_t row;          /* of the {value, source, date, from} now read  */
    int32_t value_line;   /* where its `value` stands; 0: not yet         */
    int32_t source_line;
    int32_t name_line, backend_line, currency_line;
} reading;

static status read_text(char *out, size_t bytes, const reading *r, const pair *p)
{
    REQUIRE(p->text, ERR_CONFIG, "%s:%d: %s%s: a mapping; allowed: one value", r->path,
            (int)p->line, r->prefix, p->key);
    REQUIRE(strlen(p->text) < bytes, ERR_CONFIG, "%s:%d: %s%s: longer than %zu bytes", r->path,
            (int)p->line, r->prefix, p->key, bytes - 1);
    for (const char *c = p->text; *c; c++)
        REQUIRE((unsigned char)*c >= 0x20 && *c != 0x7f, ERR_CONFIG,
                "%s:%d: %s%s: holds a control character", r->path, (int)p->line, r->prefix, p->key);
    memcpy(out, p->text, strlen(p->text) + 1);
    return OK;
}

/* The number of a row, or `unknown` where that is an answer. */
static status read_number(reading *r, int32_t row, const pair *p)
{
    const value_row *w = &rows[row];
    cluster_value *v = value_at(&r->out, row);
    if (strcmp(p->text, "unknown") == 0) {
        REQUIRE(w->rule == KNOWN_OR_NOT, ERR_CONFIG,
                "%s:%d: %s: unknown; this one must be a number (%s)", r->path, (int)p->line, w->key,
                w->meaning);
        v->value = NAN;
        v->source = SOURCE_UNKNOWN;
        return OK;
    }
    double x = 0;
    const status s = config_number(&x, p->text);
    if (s != OK) return status_prefix(s, "%s:%d: %s", r->path, (int)p->line, w->key);
    REQUIRE(x >= w->low && x <= w->high, ERR_CONFIG,
            "%s:%d: %s: %g is outside [%g, %g]; nearest: %g", r->path, (int)p->line, w->key, x,
            w->low, w->high, x < w->low ? w->low : w->high);
    const bool whole =
        w->offset == offsetof(cluster, nodes) || w->offset == offsetof(cluster, ranks_per_node);
    REQUIRE(!whole || x == floor(x), ERR_CONFIG, "%s:%d: %s: %g is not whole; nearest: %g", r->path,
            (int)p->line, w->key, x, floor(x));
    v->value = x;
    return OK;
}

static status read_source(reading *r, cluster_value *v, const pair *p)
{
    char text[32];
    TRY(read_text(text, sizeof text, r, p));
    for (value_source s = SOURCE_MEASURED; s <= SOURCE_MODELLED; s++)
        if (strcmp(text, source_names[s]) == 0) {
            v->source = s;
            return OK;
        }
    FAIL(ERR_CONFIG,
         "%s:%d: %s: source '%.30s' is not known; allowed: measured, published, modelled", r->path,
         (int)p->line, rows[r->row].key, text);
}

/* One pair inside {value, source, date, from}. */
static status visit_value(void *context, document *d, const pair *p)
{
    (void)d;
    reading *r = context;
    cluster_value *v = value_at(&r->out, r->row);
    REQUIRE(p->text, ERR_CONFIG, "%s:%d: %s.%s: a mapping; allowed: one value", r->path,
            (int)p->line, rows[r->row].key, p->key);
    if (strcmp(p->key, "value") == 0) {
        REQUIRE(r->value_line == 0, ERR_CONFIG, "%s:%d: %s.value: given twice; first in line %d",
                r->path, (int)p->line, rows[r->row].key, (int)r->value_line);
        r->value_line = p->line;
        const value_source said = v->source;
        TRY(read_number(r, r->row, p));
        if (v->source != SOURCE_UNKNOWN) v->source = said;
        return OK;
    }
    if (strcmp(p->key, "source") == 0) {
        r->source_line = p->line;
        return read_source(r, v, p);
    }
    if (strcmp(p->key, "date") == 0) return read_text(v->date, sizeof v->date, r, p);
    if (strcmp(p->key, "from") == 0) return read_text(v->from, sizeof v->from, r, p);
    FAIL(ERR_CONFIG, "%s:%d: %s.%.40s: unknown key; allowed: value, source, date, from", r->path,
         (int)p->line, rows[r->row].key, p->key);
}

static status read_value(reading *r, document *d, int32_t row, const pair *p)
{
    REQUIRE(r->lines[row] == 0, ERR_CONFIG, "%s:%d: %s: given twice; first in line %d", r->path,
            (int)p->line, rows[row].key, (int)r->lines[row]);
    r->lines[row] = p->line;
    if (p->text) return read_number(r, row, p);
    r->row = row;
    r->value_line = r->source_line = 0;
    TRY(document_mapping(d, visit_value, r));
    REQUIRE(r->value_line > 0, ERR_CONFIG, "%s:%d: %s.value: not given (%s)", r->path, (int)p->line,
            rows[row].key, rows[row].meaning);
    REQUIRE(r->source_line > 0 || isnan(value_at(&r->out, row)->value), ERR_CONFIG,
            "%s:%d: %s.source: not given; allowed: measured, published, modelled", r->path,
            (int)p->line, rows[row].key);
    return OK;
}

static status unknown_key(const reading *r, const char *key, int32_t line)
{
    nearest n = nearest_any(key);
    const char *found = "name";
    (void)nearest_offer(&n, found);
    for (int32_t i = 0; i < ROWS; i++) {
        /* the whole key, or its last part alone */
        const char *last = strrchr(rows[i].key, '.');
        if (nearest_offer(&n, rows[i].key)) found = rows[i].key;
        if (last && nearest_offer(&n, last + 1)) found = rows[i].key;
    }
    FAIL(ERR_CONFIG, "%s:%d: %.80s: unknown key; nearest: %s", r->path, (int)line, key, found);
}

static status visit_pair(void *context, document *d, const pair *p)
{
    reading *r = context;
    char key[KEY_MAX + 8], before[KEY_MAX];
    (void)snprintf(key, sizeof key, "%.60s%.127s", r->prefix, p->key);
    for (int32_t i = 0; i < ROWS; i++)
        if (strcmp(rows[i].key, key) == 0) return read_value(r, d, i, p);

    /* the texts */
    struct {
        const char *key;
        char *out;
        size_t bytes;
        int32_t *line;
    } texts[] = {{"name", r->out.name, sizeof r->out.name, &r->name_line},
                 {"backend", r->out.backend, sizeof r->out.backend, &r->backend_line},
                 {"currency", r->out.currency, sizeof r->out.currency, &r->currency_line}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(texts[i].key, key) != 0) continue;
        REQUIRE(*texts[i].line == 0, ERR_CONFIG, "%s:%d: %s: given twice; first in line %d",
                r->path, (int)p->line, key, (int)*texts[i].line);
        *texts[i].line = p->line;
        return read_text(texts[i].out, texts[i].bytes, r, p);
    }

    /* a mapping of keys */
    const size_t n = strlen(key);
    bool inner = false;
    for (int32_t i = 0; i < ROWS; i++)
        inner |= strncmp(rows[i].key, key, n) == 0 && rows[i].key[n] == '.';
    if (!inner) return unknown_key(r, key, p->line);
    REQUIRE(!p->text, ERR_CONFIG, "%s:%d: %s: one value; allowed: a mapping", r->path, (int)p->line,
            key);
    memcpy(before, r->prefix, sizeof before);
    (void)snprintf(r->prefix, sizeof r->prefix, "%.180s.", key);
    const status s = document_mapping(d, visit_pair, r);
    memcpy(r->prefix, before, sizeof before);
    return s;
}

/* What must be there, and what one key says about another. */
static status check(const reading *r)
{
    const cluster *c = &r->out;
    REQUIRE(c->name[0], ERR_CONFIG, "%s: name: not given", r->path);
    const bool known = strcmp(c->backend, "cpu") == 0 || strcmp(c->backend, "gpu") == 0 ||
                       strcmp(c->backend, "tpu") == 0 || !c->backend[0];
    REQUIRE(known, ERR_CONFIG, "%s:%d: backend: '%s' is not known; allowed: cpu, gpu, tpu", r->path,
            (int)r->backend_line, c->backend);
    for (int32_t i = 0; i < ROWS; i++) {
        const value_rule rule = rows[i].rule;
        if (r->lines[i] != 0 || rule == MODELLED) continue;
        REQUIRE(rule != NEEDED, ERR_CONFIG, "%s: %s: not given (%s)", r->path, rows[i].key,
                rows[i].meaning);
        REQUIRE(rule != KNOWN_OR_NOT, ERR_CONFIG,
                "%s: %s: not given; allowed: a number, or unknown (%s)", r->path, rows[i].key,
                rows[i].meaning);
        /* latency and bandwidth of a link are neighbours in the list */
        const bool latency = strstr(rows[i].key, "latency_s") != NULL;
        const int32_t partner = latency ? i + 1 : i - 1;
        REQUIRE(r->lines[partner] == 0, ERR_CONFIG, "%s:%d: %s: not given, and %s is", r->path,
                (int)r->lines[partner], rows[i].key, rows[partner].key);
    }
    REQUIRE(!isnan(c->peak_fp32.value) || !isnan(c->peak_bf16.value), ERR_CONFIG,
            "%s: peak_flops: neither fp32 nor bf16 is known; give one", r->path);
    REQUIRE(c->ranks_per_node.value == 1 || !isnan(c->core_bandwidth.value) ||
                !isnan(c->node_bandwidth.value),
            ERR_CONFIG, "%s: links.node: not given, and a node has %g ranks", r->path,
            c->ranks_per_node.value);
    REQUIRE(c->nodes.value == 1 || !isnan(c->network_bandwidth.value), ERR_CONFIG,
            "%s: links.network: not given, and there are %g nodes", r->path, c->nodes.value);
    return OK;
}

status cluster_parse(cluster *out, const char *path, const char *bytes, int64_t size)
{
    reading *r = calloc(1, sizeof *r);
    REQUIRE(r, ERR_MEMORY, "no memory to read %s", path);
    r->path = path;
    (void)snprintf(r->out.currency, sizeof r->out.currency, "USD");
    for (int32_t i = 0; i < ROWS; i++)
        *value_at(&r->out, i) = (cluster_value){.value = NAN, .source = SOURCE_UNKNOWN};
    for (int32_t i = 0; i < ROWS; i++) value_at(&r->out, i)->source = SOURCE_GIVEN;
    status s = document_read(path, bytes, size, visit_pair, r);
    if (s == OK) s = check(r);
    for (int32_t i = 0; i < ROWS; i++)
        if (isnan(value_at(&r->out, i)->value)) value_at(&r->out, i)->source = SOURCE_UNKNOWN;
    if (s == OK) *out = r->out;
    free(r);
    return s;
}

status cluster_load(cluster *out, const char *name)
{
    char path[FILES_PATH];
    char *bytes = NULL;
    int64_t size = 0;
    /* "8xh100" is clusters/8xh100.yaml of the folders of configs */
    TRY(config_find(path, sizeof path, "clusters", name));
    TRY(files_read(&bytes, &size, path));
    const status s = cluster_parse(out, path, bytes, size);
    free(bytes);
    return s;
}

/* --- writing -------------------------------------------------------------- */

/* "key: 1", or "key: {value: 1, source: measured, ...}". */
static void write_value(FILE *out, int indent, const char *key, const cluster_value *v)
{
    (void)fprintf(out, "%*s%s: ", indent, "", key);
    if (isnan(v->value)) {
        (void)fputs("unknown\n", out);
        return;
    }
    char number[40];
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(number, sizeof number, "%.*g", digits, v->value);
        if (strtod(number, NULL) == v->value) break;
    }
    if (v->source == SOURCE_GIVEN) {
        (void)fprintf(out, "%s\n", number);
        return;
    }
    (void)fprintf(out, "{value: %s, source: %s", number, source_names[v->source]);
    if (v->date[0]) (void)fprintf(out, ", date: \"%s\"", v->date);
    if (v->from[0]) {
        (void)fputs(", from: ", out);
        config_put_text(out, v->from);
    }
    (void)fputs("}\n", out);
}

status cluster_write(const cluster *c, FILE *out)
{
    (void)fprintf(out, "name: %s\n", c->name);
    if (c->backend[0]) (void)fprintf(out, "backend: %s\n", c->backend);
    (void)fprintf(out, "currency: %s\n", c->currency);
    char open[KEY_MAX] = ""; /* the mapping that is open: "", "links." or "links.core." */
    for (int32_t i = 0; i < ROWS; i++) {
        const cluster_value *v = value_of(c, i);
        if (isnan(v->value) && (rows[i].rule == LINK || rows[i].rule == MODELLED)) continue;
        /* open the mappings of this key that are not open yet */
        const char *last = strrchr(rows[i].key, '.');
        const size_t n = last ? (size_t)(last - rows[i].key) + 1 : 0;
        int indent = 0;
        for (const char *at = rows[i].key; last && at <= last;) {
            const char *dot = strchr(at, '.');
            const size_t upto = (size_t)(dot - rows[i].key) + 1;
            if (strncmp(open, rows[i].key, upto) != 0)
                (void)fprintf(out, "%*s%.*s:\n", indent, "", (int)(dot - at), at);
            indent += 2;
            at = dot + 1;
        }
        (void)snprintf(open, sizeof open, "%.*s", (int)n, rows[i].key);
        write_value(out, indent, rows[i].key + n, v);
    }
    REQUIRE(!ferror(out), ERR_IO, "cannot write the cluster");
    return OK;
}

double cluster_unmetered_j(const cluster *c, double ranks, double seconds)
{
    if (!c) return (double)NAN;
    const double pue = isfinite(c->pue.value) ? c->pue.value : 1;
    return ranks * c->power_w.value * pue * seconds;
}
