#include "data/input.h"

#include "data/byte_stream.h"
#include "data/foreign.h"
#include "data/gcide.h"
#include "data/input_sources.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_BYTES = 1 << 20, BLOCK_BYTES = 16 << 20 };
enum { PIECE_BLANK = 8 << 10, PIECE_LINE = 16 << 10, PIECE_ANY = 32 << 10 }; /* CUT_AUTO */

struct input {
    source_list sources;
    cut_rule cut;
    int64_t block_bytes;
    int64_t current;     /* source being read                                */
    byte_stream *stream; /* of it; NULL before its first byte and after its last */
    int64_t line;        /* lines of it handed out                           */
    bool joined;         /* the next piece goes on in the same file          */
    bool ended;          /* the stream is read to its end                    */
    uint8_t *rest;       /* bytes read and not yet handed out                */
    int64_t rest_bytes, rest_room;
    gcide dictionary;
    int64_t entry;
    int64_t taken; /* disk bytes of the sources before the current one */
};

/* ---- where documents end ---- */

/* pieces of a file that will be joined again: behind a blank line if one comes in time */
static int64_t cut_auto(const uint8_t *at, int64_t count, bool end)
{
    if (count > PIECE_BLANK) {
        int64_t window = (count < PIECE_LINE ? count : PIECE_LINE) - PIECE_BLANK;
        const uint8_t *blank = memmem(at + PIECE_BLANK, (size_t)window, "\n\n", 2);
        if (blank) return blank - at + 2;
    }
    if (count > PIECE_LINE) {
        int64_t window = (count < PIECE_ANY ? count : PIECE_ANY) - PIECE_LINE;
        const uint8_t *line = memchr(at + PIECE_LINE, '\n', (size_t)window);
        if (line) return line - at + 1;
    }
    if (count > PIECE_ANY) {
        /* not inside a character */
        int64_t length = PIECE_ANY;
        for (int i = 0; i < 3 && (at[length] & 0xC0) == 0x80; i++) length--;
        return length;
    }
    return end ? count : 0;
}

int64_t document_cut(cut_rule rule, const uint8_t *at, int64_t count, bool end)
{
    const uint8_t *found = NULL, *other;
    if (count == 0) return 0;
    switch (rule) {
    case CUT_AUTO:
        return cut_auto(at, count, end);
    case CUT_FILE:
        break;
    case CUT_LINE:
        found = memchr(at, '\n', (size_t)count);
        break;
    case CUT_BLANK:
        found = memmem(at, (size_t)count, "\n\n", 2);
        /* or by the line ends of Windows, whichever comes first */
        other = memmem(at, found ? (size_t)(found - at) + 2 : (size_t)count, "\n\r\n", 3);
        if (other) found = other;
        break;
    }
    if (found) return found - at + 1;
    return end ? count : 0;
}

/* how many bytes of a line's end stand at the front: \n or \r\n */
static int64_t line_end(const uint8_t *at, int64_t count)
{
    if (count > 0 && at[0] == '\n') return 1;
    return count > 1 && at[0] == '\r' && at[1] == '\n' ? 2 : 0;
}

/* ---- blocks ---- */

static status push(document_block *b, const document *d)
{
    if (b->count == b->documents_room) {
        int64_t room = 2 * b->documents_room + 1024;
        document *more = realloc(b->document, (size_t)room * sizeof *more);
        REQUIRE(more, ERR_MEMORY, "no memory for %lld documents", (long long)room);
        b->document = more;
        b->documents_room = room;
    }
    b->document[b->count++] = *d;
    return OK;
}

static status reserve(uint8_t **bytes, int64_t *room, int64_t wanted)
{
    if (wanted <= *room) return OK;
    int64_t larger = wanted + wanted / 2;
    uint8_t *more = realloc(*bytes, (size_t)larger);
    REQUIRE(more, ERR_MEMORY, "no memory for a document of %lld bytes", (long long)wanted);
    *bytes = more;
    *room = larger;
    return OK;
}

void document_block_deinit(document_block *b)
{
    free(b->text);
    free(b->document);
    *b = (document_block){0};
}

/* ---- reading ---- */

static bool is_blank(const uint8_t *at, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!memchr(" \t\r\n", at[i], 4)) return false;
    return true;
}

/* hands out whole documents of block->text[from..bytes); returns where the first unfinished one
 * begins */
static status cut_text(input *in, document_block *b, int64_t *from)
{
    const source *src = &in->sources.source[in->current];
    cut_rule rule = src->kind == SOURCE_JSONL ? CUT_LINE : in->cut;
    for (;;) {
        int64_t count = document_cut(rule, b->text + *from, b->bytes - *from, in->ended);
        if (count == 0) return OK;
        document d = {.offset = *from, .count = count, .path = src->path, .line = ++in->line};
        d.json = src->kind == SOURCE_JSONL;
        d.joined = rule == CUT_AUTO && in->joined;
        in->joined = true;
        *from += count;
        /* the blank lines before a document are not part of it */
        for (int64_t n; rule == CUT_BLANK && (n = line_end(b->text + d.offset, d.count)) > 0;)
            d.offset += n, d.count -= n;
        /* pieces of a file keep every byte; elsewhere blank documents say nothing */
        if (rule == CUT_AUTO || rule == CUT_FILE || !is_blank(b->text + d.offset, d.count))
            TRY(push(b, &d));
    }
}

static void next_source(input *in)
{
    in->taken += in->sources.source[in->current].bytes;
    byte_stream_close(in->stream);
    gcide_deinit(&in->dictionary);
    in->stream = NULL;
    in->ended = in->joined = false;
    in->line = in->entry = 0;
    in->current++;
}

/* all bytes of the open stream behind block->text[0..bytes) */
static status read_some(input *in, document_block *b, int64_t aim)
{
    while (!in->ended && b->bytes < aim) {
        const int64_t left = aim - b->bytes, wanted = left < READ_BYTES ? left : READ_BYTES;
        int64_t got = 0;
        TRY(reserve(&b->text, &b->room, b->bytes + wanted));
        TRY(byte_stream_read(in->stream, b->text + b->bytes, wanted, &got));
        b->bytes += got;
        in->ended = got == 0;
    }
    return OK;
}

/* a file that begins at text[begin]: refuses what is no text, and takes a byte order mark away */
static status look_at_front(input *in, document_block *b, int64_t begin)
{
    enum { ENOUGH = 300 };
    TRY(read_some(in, b, begin + ENOUGH));
    uint8_t *front = b->text + begin;
    const source *src = &in->sources.source[in->current];
    TRY(foreign_refuse(src->path, front, b->bytes - begin));
    /* stdin has no ending that says so */
    REQUIRE(!src->temporary || src->kind != SOURCE_TEXT || b->bytes - begin < 2 ||
                memcmp(front, "{\"", 2) != 0,
            ERR_CONFIG, "stdin holds JSON lines; --field text takes the field \"text\" of each");
    if (b->bytes - begin < 3 || memcmp(front, "\xef\xbb\xbf", 3) != 0) return OK;
    b->bytes -= 3;
    memmove(front, front + 3, (size_t)(b->bytes - begin));
    return OK;
}

static status next_text(input *in, document_block *b)
{
    int64_t begin = b->bytes, from = begin, aim = in->block_bytes;
    const source *src = &in->sources.source[in->current];
    bool first = !in->stream;
    if (first) TRY(byte_stream_open(&in->stream, src->temporary ? src->temporary : src->path));
    /* what the last block left over comes first */
    TRY(reserve(&b->text, &b->room, b->bytes + in->rest_bytes + 1));
    if (in->rest_bytes > 0) memcpy(b->text + b->bytes, in->rest, (size_t)in->rest_bytes);
    b->bytes += in->rest_bytes;
    in->rest_bytes = 0;
    do {
        TRY(read_some(in, b, aim));
        if (first) TRY(look_at_front(in, b, begin));
        first = false;
        TRY(cut_text(in, b, &from));
        aim = 2 * b->bytes; /* a document larger than a block: read on until it ends */
    } while (!in->ended && from == begin);
    /* keep the unfinished document for the next block */
    in->rest_bytes = b->bytes - from;
    TRY(reserve(&in->rest, &in->rest_room, in->rest_bytes));
    if (in->rest_bytes > 0) memcpy(in->rest, b->text + from, (size_t)in->rest_bytes);
    b->bytes = from;
    if (in->ended && in->rest_bytes == 0) next_source(in);
    return OK;
}

static status load_dictionary(input *in)
{
    const source *src = &in->sources.source[in->current];
    document_block raw = {0};
    TRY(byte_stream_open(&in->stream, src->path));
    status s = read_some(in, &raw, INT64_MAX);
    if (s == OK) s = gcide_clean(&in->dictionary, raw.text, raw.bytes);
    if (s != OK) s = status_prefix(s, "%s", src->path);
    document_block_deinit(&raw);
    return s;
}

static status next_entries(input *in, document_block *b)
{
    if (!in->dictionary.text) TRY(load_dictionary(in));
    const gcide *g = &in->dictionary;
    int64_t first = in->entry, last = first;
    while (last < g->entries && b->bytes + g->begin[last] - g->begin[first] < in->block_bytes)
        last++;
    int64_t bytes = g->begin[last] - g->begin[first];
    TRY(reserve(&b->text, &b->room, b->bytes + bytes));
    memcpy(b->text + b->bytes, g->text + g->begin[first], (size_t)bytes);
    for (int64_t i = first; i < last; i++)
        TRY(push(b, &(document){.offset = b->bytes + g->begin[i] - g->begin[first],
                                .count = g->begin[i + 1] - g->begin[i],
                                .path = in->sources.source[in->current].path,
                                .line = i + 1}));
    b->bytes += bytes;
    in->entry = last;
    if (last == g->entries) next_source(in);
    return OK;
}

status input_next(input *in, document_block *b)
{
    b->bytes = b->count = 0;
    while (in->current < in->sources.count && b->bytes < in->block_bytes) {
        bool dictionary = in->sources.source[in->current].kind == SOURCE_GCIDE;
        TRY(dictionary ? next_entries(in, b) : next_text(in, b));
        if (b->count > 0 && b->bytes >= in->block_bytes / 2) break;
        /* blank text alone is neither a block nor the end */
        if (b->count == 0) b->bytes = 0;
    }
    return OK;
}

/* ---- opening ---- */

status input_open(input **out, const input_options *options)
{
    input *in = calloc(1, sizeof *in);
    REQUIRE(in, ERR_MEMORY, "no memory for inputs");
    in->cut = options->cut;
    in->block_bytes = options->block_bytes > 0 ? options->block_bytes : BLOCK_BYTES;
    status s = OK;
    for (int32_t i = 0; s == OK && i < options->count; i++)
        s = source_list_add(&in->sources, options->names[i], options->field != NULL);
    if (s != OK) {
        input_close(in);
        return s;
    }
    *out = in;
    return OK;
}

void input_close(input *in)
{
    if (!in) return;
    byte_stream_close(in->stream);
    gcide_deinit(&in->dictionary);
    source_list_deinit(&in->sources);
    free(in->rest);
    free(in);
}

void input_rewind(input *in)
{
    byte_stream_close(in->stream);
    gcide_deinit(&in->dictionary);
    in->stream = NULL;
    in->ended = in->joined = false;
    in->current = in->line = in->entry = in->rest_bytes = in->taken = 0;
}

int64_t input_bytes(const input *in)
{
    int64_t total = 0;
    for (int64_t i = 0; i < in->sources.count; i++) total += in->sources.source[i].bytes;
    return total;
}

int64_t input_taken(const input *in)
{
    return in->taken + (in->stream ? byte_stream_taken(in->stream) : 0);
}

/* ---- JSON lines ---- */

/* names the fields that hold text */
static status no_such_field(json_t *root, const document *d, const char *field)
{
    char fields[200] = "";
    const char *name;
    json_t *value;
    json_object_foreach(root, name, value)
    {
        const size_t used = strlen(fields);
        if (!json_is_string(value) || used + strlen(name) + 3 > sizeof fields) continue;
        (void)snprintf(fields + used, sizeof fields - used, "%s%s", used ? ", " : "", name);
    }
    FAIL(ERR_IO, "%s:%lld: no text in field \"%s\"; --field: %s", d->path, (long long)d->line,
         field, *fields ? fields : "the line has no field with text");
}

status document_json(uint8_t **out, int64_t *count, const uint8_t *line, const document *d,
                     const char *field)
{
    json_error_t why;
    json_t *root = json_loadb((const char *)line, (size_t)d->count, JSON_ALLOW_NUL, &why);
    REQUIRE(root, ERR_IO, "%s:%lld: no JSON: %s", d->path, (long long)d->line, why.text);
    const json_t *value = json_object_get(root, field);
    status s = OK;
    if (!json_is_object(root) || !json_is_string(value)) {
        s = no_such_field(root, d, field);
    } else {
        size_t n = json_string_length(value);
        *count = (int64_t)n;
        *out = malloc(n + 1);
        if (*out)
            memcpy(*out, json_string_value(value), n);
        else
            s = status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for a document of %zu bytes",
                           n);
    }
    json_decref(root);
    return s;
}
