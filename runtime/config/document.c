#include "config/document.h"

#include <string.h>

enum { KEY_BYTES = 128 };

/* What libyaml would refuse without a line, or by a message about its own insides. */
static status check_bytes(const char *path, const char *bytes, int64_t size)
{
    int32_t line = 1;
    bool indenting = true;
    for (int64_t i = 0; i < size; i++) {
        const unsigned char c = (unsigned char)bytes[i];
        REQUIRE(c != 0, ERR_CONFIG, "%s:%d: a NUL byte; a config is UTF-8 text", path, (int)line);
        if (c == '\n') {
            line++;
            indenting = true;
        } else if (indenting && c == '\t') {
            FAIL(ERR_CONFIG, "%s:%d: a tab; allowed: spaces for indentation", path, (int)line);
        } else if (c != ' ') {
            indenting = false;
        }
    }
    return OK;
}

static status parser_failure(const document *d)
{
    const yaml_parser_t *p = &d->parser;
    const char *problem = p->problem ? p->problem : "not valid YAML";
    REQUIRE(p->error != YAML_MEMORY_ERROR, ERR_MEMORY, "no memory to read %s", d->path);
    /* the reader of bytes knows no line: count up to the byte */
    if (p->error == YAML_READER_ERROR) {
        int32_t line = 1;
        for (size_t i = 0; i < p->problem_offset && i < d->size; i++) line += d->bytes[i] == '\n';
        FAIL(ERR_CONFIG, "%s:%d: %s; a config is UTF-8 text", d->path, (int)line, problem);
    }
    FAIL(ERR_CONFIG, "%s:%d: %s%s%s", d->path, (int)p->problem_mark.line + 1, problem,
         p->context ? " " : "", p->context ? p->context : "");
}

static int32_t line_of(const yaml_event_t *e) { return (int32_t)e->start_mark.line + 1; }

/* The next event, owned by the caller; refuses what configs do not use. */
static status next(document *d, yaml_event_t *e)
{
    if (!yaml_parser_parse(&d->parser, e)) return parser_failure(d);
    const char *refused = NULL;
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (e->type) {
    case YAML_ALIAS_EVENT:
        refused = "an alias (*name)";
        break;
    case YAML_SEQUENCE_START_EVENT:
        refused = d->lists ? NULL : "a list";
        anchor = e->data.sequence_start.anchor;
        tag = e->data.sequence_start.tag;
        break;
    case YAML_SCALAR_EVENT:
        anchor = e->data.scalar.anchor;
        tag = e->data.scalar.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = e->data.mapping_start.anchor;
        tag = e->data.mapping_start.tag;
        break;
    default:
        break;
    }
    if (anchor) refused = "an anchor (&name)";
    if (tag) refused = "a tag (!name)";
    if (!refused) return OK;
    const int32_t line = line_of(e);
    yaml_event_delete(e);
    FAIL(ERR_CONFIG, "%s:%d: %s; allowed: key: value and nested mappings", d->path, (int)line,
         refused);
}

/* Copies the key of a pair out of its event. */
static status take_key(document *d, const yaml_event_t *e, char key[KEY_BYTES])
{
    const int32_t line = line_of(e);
    REQUIRE(e->type == YAML_SCALAR_EVENT, ERR_CONFIG, "%s:%d: a key that is not plain text",
            d->path, (int)line);
    const char *text = (const char *)e->data.scalar.value;
    const size_t n = e->data.scalar.length;
    REQUIRE(n > 0, ERR_CONFIG, "%s:%d: an empty key", d->path, (int)line);
    REQUIRE(strlen(text) == n, ERR_CONFIG, "%s:%d: a NUL byte in a key", d->path, (int)line);
    REQUIRE(n < KEY_BYTES, ERR_CONFIG, "%s:%d: %.40s...: unknown key, %zu bytes long", d->path,
            (int)line, text, n);
    memcpy(key, text, n + 1);
    return OK;
}

/* A scalar value is text that is there: YAML's null has no meaning in a config. */
static status check_value(const document *d, const yaml_event_t *e, const char *key)
{
    const int32_t line = line_of(e);
    const char *text = (const char *)e->data.scalar.value;
    REQUIRE(strlen(text) == e->data.scalar.length, ERR_CONFIG, "%s:%d: %s: a NUL byte in the value",
            d->path, (int)line, key);
    const bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    const bool null = strcmp(text, "~") == 0 || strcmp(text, "null") == 0 || *text == '\0';
    REQUIRE(!(plain && null), ERR_CONFIG,
            "%s:%d: %s: no value; allowed: a value, \"\" for empty text, or no such line", d->path,
            (int)line, key);
    return OK;
}

/* A value, whose first event is e: hands it to the visitor. */
static status hand_over(document *d, yaml_event_t *e, const char *key, int32_t line,
                        pair_visitor visit, void *context)
{
    pair p = {.key = key, .line = line};
    status s;
    if (e->type == YAML_SCALAR_EVENT) {
        p.text = (const char *)e->data.scalar.value;
        s = check_value(d, e, key);
        if (s == OK) s = visit(context, d, &p);
    } else {
        p.list = e->type == YAML_SEQUENCE_START_EVENT;
        ASSERT(p.list || e->type == YAML_MAPPING_START_EVENT);
        s = visit(context, d, &p);
    }
    yaml_event_delete(e);
    return s;
}

/* The value of one key. */
static status read_value(document *d, const char *key, int32_t line, pair_visitor visit,
                         void *context)
{
    yaml_event_t e;
    TRY(next(d, &e));
    return hand_over(d, &e, key, line, visit, context);
}

status document_list(document *d, pair_visitor visit, void *context)
{
    ASSERT(d->depth < DOCUMENT_DEPTH_MAX);
    d->depth++;
    for (;;) {
        yaml_event_t e;
        TRY(next(d, &e));
        if (e.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&e);
            break;
        }
        TRY(hand_over(d, &e, "", line_of(&e), visit, context));
    }
    d->depth--;
    return OK;
}

status document_mapping(document *d, pair_visitor visit, void *context)
{
    ASSERT(d->depth < DOCUMENT_DEPTH_MAX);
    d->depth++;
    for (;;) {
        yaml_event_t e;
        TRY(next(d, &e));
        const bool end = e.type == YAML_MAPPING_END_EVENT;
        char key[KEY_BYTES] = "";
        const int32_t line = line_of(&e);
        const status s = end ? OK : take_key(d, &e, key);
        yaml_event_delete(&e);
        if (s != OK) return s;
        if (end) break;
        TRY(read_value(d, key, line, visit, context));
    }
    d->depth--;
    return OK;
}

/* The next event must be of this type. */
static status expect(document *d, yaml_event_type_t type, const char *otherwise)
{
    yaml_event_t e;
    TRY(next(d, &e));
    const yaml_event_type_t found = e.type;
    const int32_t line = line_of(&e);
    yaml_event_delete(&e);
    if (found == type) return OK;
    if (found == YAML_STREAM_END_EVENT) FAIL(ERR_CONFIG, "%s: the file is empty", d->path);
    FAIL(ERR_CONFIG, "%s:%d: %s", d->path, (int)line, otherwise);
}

static status read_document(document *d, pair_visitor visit, void *context)
{
    TRY(expect(d, YAML_STREAM_START_EVENT, "not YAML"));
    TRY(expect(d, YAML_DOCUMENT_START_EVENT, "not YAML"));
    TRY(expect(d, YAML_MAPPING_START_EVENT,
               "not a mapping; allowed: lines of the form key: value"));
    TRY(document_mapping(d, visit, context));
    TRY(expect(d, YAML_DOCUMENT_END_EVENT, "more than one mapping"));
    return expect(d, YAML_STREAM_END_EVENT, "a second document; a file holds one");
}

static status read_bytes(document *d, pair_visitor visit, void *context)
{
    /* a byte order mark is no part of the first key */
    if (d->size >= 3 && memcmp(d->bytes, "\xef\xbb\xbf", 3) == 0) d->bytes += 3, d->size -= 3;
    TRY(check_bytes(d->path, d->bytes, (int64_t)d->size));
    REQUIRE(yaml_parser_initialize(&d->parser), ERR_MEMORY, "no memory to read %s", d->path);
    yaml_parser_set_encoding(&d->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&d->parser, (const unsigned char *)d->bytes, d->size);
    const status s = read_document(d, visit, context);
    yaml_parser_delete(&d->parser);
    return s;
}

status document_read(const char *path, const char *bytes, int64_t size, pair_visitor visit,
                     void *context)
{
    document d = {.path = path, .bytes = bytes, .size = (size_t)size};
    return read_bytes(&d, visit, context);
}

status document_read_lists(const char *path, const char *bytes, int64_t size, pair_visitor visit,
                           void *context)
{
    document d = {.path = path, .bytes = bytes, .size = (size_t)size, .lists = true};
    return read_bytes(&d, visit, context);
}
