/* A config as text: the resolved echo, the identity, the table of keys. */
#include "config/table.h"

#include <string.h>

enum { VALUE_BYTES = 1024 };

void config_put_text(FILE *out, const char *text)
{
    (void)fputc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') (void)fputc('\\', out);
        (void)fputc(*text, out);
    }
    (void)fputc('"', out);
}

/* base: the struct that the fields are members of */
static void put_fields(FILE *out, const section *s, int indent, const void *base)
{
    for (int32_t i = 0; i < s->count; i++) {
        char value[VALUE_BYTES];
        table_write(&s->fields[i], base, value, sizeof value);
        (void)fprintf(out, "%*s%s: ", indent, "", s->fields[i].key);
        if (s->fields[i].kind == FIELD_TEXT)
            config_put_text(out, value);
        else
            (void)fputs(value, out);
        (void)fputc('\n', out);
    }
}

static void put_model(FILE *out, const section *s, int indent, const model_config *m,
                      const char *row)
{
    if (*row) {
        (void)fprintf(out, "%*srow: ", indent, "");
        config_put_text(out, row);
        (void)fputc('\n', out);
    }
    put_fields(out, s, indent, m);
}

static void put_section(FILE *out, const section *s, const config *cfg)
{
    /* the depth of the section is the number of words in its prefix */
    int indent = *s->prefix ? 2 : 0;
    const char *name = s->prefix;
    for (const char *dot = strchr(name, '.'); dot; dot = strchr(name, '.')) {
        name = dot + 1;
        indent += 2;
    }
    if (*s->prefix) (void)fprintf(out, "%*s%s:\n", indent - 2, "", name);
    if (strcmp(s->prefix, "model") == 0)
        put_model(out, s, indent, &cfg->model, cfg->model_name);
    else
        put_fields(out, s, indent, (const char *)cfg + s->offset);
}

void config_write_model(const model_config *m, const char *row, FILE *out)
{
    section all[SECTIONS];
    table_sections(all);
    for (int32_t i = 0; i < SECTIONS; i++)
        if (strcmp(all[i].prefix, "model") == 0) put_model(out, &all[i], 2, m, row);
}

status config_write(const config *cfg, FILE *out)
{
    section all[SECTIONS];
    table_sections(all);
    /* a section directly follows the one that holds it, so nesting needs no more than indentation
     */
    for (int32_t i = 0; i < SECTIONS; i++) put_section(out, &all[i], cfg);
    REQUIRE(!ferror(out), ERR_IO, "cannot write the resolved config");
    return OK;
}

/* Calls visit for each identity key that the hash sees; the value in its canonical text. */
static void each_identity(const config *cfg, void (*visit)(void *, const char *, const char *),
                          void *context)
{
    section all[SECTIONS];
    table_sections(all);
    for (int32_t s = 0; s < SECTIONS; s++)
        for (int32_t i = 0; i < all[s].count; i++) {
            const field *f = &all[s].fields[i];
            char name[NAME_BYTES], value[VALUE_BYTES];
            if (!f->identity) continue;
            table_name(name, &all[s], f);
            table_write(f, (const char *)cfg + all[s].offset, value, sizeof value);
            if (f->identity == ID_SET && strcmp(value, f->fallback) == 0) continue;
            visit(context, name, value);
        }
}

/* FNV-1a, 64 bits. */
static void hash_text(uint64_t *hash, const char *text)
{
    for (; *text; text++) *hash = (*hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
}

static void hash_identity(void *context, const char *name, const char *value)
{
    hash_text(context, name);
    hash_text(context, "=");
    hash_text(context, value);
    hash_text(context, "\n");
}

void config_hash(const config *cfg, char out[17])
{
    uint64_t hash = UINT64_C(14695981039346656037);
    each_identity(cfg, hash_identity, &hash);
    (void)snprintf(out, 17, "%016llx", (unsigned long long)hash);
}

/* Calls visit for each identity key whose values differ. */
static void each_difference(const config *x, const config *y,
                            void (*visit)(void *context, const char *name, const char *a,
                                          const char *b),
                            void *context)
{
    section all[SECTIONS];
    table_sections(all);
    for (int32_t s = 0; s < SECTIONS; s++)
        for (int32_t i = 0; i < all[s].count; i++) {
            const field *f = &all[s].fields[i];
            char name[NAME_BYTES], a[VALUE_BYTES], b[VALUE_BYTES];
            if (!f->identity) continue;
            table_name(name, &all[s], f);
            table_write(f, (const char *)x + all[s].offset, a, sizeof a);
            table_write(f, (const char *)y + all[s].offset, b, sizeof b);
            if (strcmp(a, b) != 0) visit(context, name, a, b);
        }
}

static void refuse_first(void *context, const char *name, const char *a, const char *b)
{
    status *s = context;
    if (*s == OK)
        *s = status_set(ERR_CONFIG, __FILE__, __LINE__,
                        "%s: %.200s here, %.200s there; it is part of the run's identity", name, a,
                        b);
}

status config_same_identity(const config *mine, const config *theirs)
{
    status s = OK;
    each_difference(mine, theirs, refuse_first, &s);
    return s;
}

/* A text that grows as far as it may. */
typedef struct listing {
    char *out;
    size_t bytes;
} listing;

static void list_one(void *context, const char *name, const char *a, const char *b)
{
    const listing *l = context;
    const size_t used = strlen(l->out);
    (void)snprintf(l->out + used, l->bytes - used, "%s%s: %.200s in A, %.200s in B",
                   used ? "; " : "", name, *a ? a : "none", *b ? b : "none");
}

void config_differences(char *out, size_t bytes, const config *a, const config *b)
{
    out[0] = '\0';
    each_difference(a, b, list_one, &(listing){out, bytes});
}

/* Markdown: a bar inside a cell is escaped. */
static void put_cell(FILE *out, const char *text)
{
    (void)fputs(" ", out);
    for (; *text; text++) {
        if (*text == '|') (void)fputc('\\', out);
        (void)fputc(*text, out);
    }
    (void)fputs(" |", out);
}

static void put_allowed(FILE *out, const field *f)
{
    char text[128] = "";
    switch (f->kind) {
    case FIELD_I64:
        if (f->max_integer >= INT64_C(1000000000000000000))
            (void)snprintf(text, sizeof text, "integer >= %lld", (long long)f->min_integer);
        else
            (void)snprintf(text, sizeof text, "integer in [%lld, %lld]", (long long)f->min_integer,
                           (long long)f->max_integer);
        break;
    case FIELD_F64:
        (void)snprintf(text, sizeof text, "number in [%g, %g]", f->min, f->max);
        break;
    case FIELD_TEXT:
        (void)snprintf(text, sizeof text, "text, at most %zu bytes", f->bytes - 1);
        break;
    case FIELD_BOOL:
        (void)snprintf(text, sizeof text, "true, false");
        break;
    case FIELD_ENUM:
        put_cell(out, f->choices);
        return;
    }
    put_cell(out, text);
}

status config_write_table(FILE *out)
{
    section all[SECTIONS];
    table_sections(all);
    for (int32_t s = 0; s < SECTIONS; s++) {
        (void)fprintf(out, "%s### %s\n\n", s ? "\n" : "",
                      *all[s].prefix ? all[s].prefix : "top level");
        (void)fputs("| key | allowed | default | identity | meaning |\n|---|---|---|---|---|\n",
                    out);
        for (int32_t i = 0; i < all[s].count; i++) {
            const field *f = &all[s].fields[i];
            const char *fallback = f->fallback ? f->fallback : "must be given";
            (void)fprintf(out, "| `%s` |", f->key);
            put_allowed(out, f);
            put_cell(out, *fallback ? fallback : "empty");
            put_cell(out, f->identity ? "yes" : "");
            put_cell(out, f->meaning);
            (void)fputc('\n', out);
        }
    }
    REQUIRE(!ferror(out), ERR_IO, "cannot write the table of keys");
    return OK;
}
