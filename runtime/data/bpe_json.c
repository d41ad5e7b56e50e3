#include "data/bpe_json.h"

#include "base/file.h"
#include "data/utf8.h"
#include "data/word_count.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 1200, LIMIT = 256 << 20, ALPHABET = 324 };
static const char *const end_of_text = "<|endoftext|>";

/* GPT-2 shows a byte as a printable character: itself if it is one, else U+0100 + its number among
 * the others. */
typedef struct alphabet {
    uint16_t shown[256];
    int16_t byte[ALPHABET]; /* -1: no byte is shown so */
} alphabet;

static void alphabet_init(alphabet *a)
{
    uint16_t next = 256;
    for (int i = 0; i < ALPHABET; i++) a->byte[i] = -1;
    for (int i = 0; i < 256; i++) {
        bool printable = (i >= 33 && i <= 126) || (i >= 161 && i <= 172) || (i >= 174 && i <= 255);
        a->shown[i] = printable ? (uint16_t)i : next++;
        a->byte[a->shown[i]] = (int16_t)i;
    }
}

/* shown characters back to bytes; returns the number of bytes, -1 for a character that shows none
 */
static int64_t bytes_of(const alphabet *a, uint8_t *out, const char *shown, int64_t count)
{
    int64_t made = 0;
    const uint8_t *at = (const uint8_t *)shown, *end = at + count;
    while (at < end) {
        int32_t length = utf8_length(at, end - at);
        if (length < 1 || length > 2) return -1;
        int32_t point = length == 1 ? at[0] : (at[0] & 0x1F) << 6 | (at[1] & 0x3F);
        if (point >= ALPHABET || a->byte[point] < 0) return -1;
        out[made++] = (uint8_t)a->byte[point];
        at += length;
    }
    return made;
}

/* ---- reading ---- */

/* a vocabulary under way: ids by spelling */
typedef struct reader {
    alphabet alphabet;
    const char *path;
    bpe *bpe;
    word_count spelled; /* word i was added for id[i] */
    int32_t *id;
    uint8_t *scratch; /* longer than any token */
} reader;

static status reader_token(reader *r, const char *shown, int32_t id)
{
    int64_t count = bytes_of(&r->alphabet, r->scratch, shown, (int64_t)strlen(shown));
    REQUIRE(count > 0, ERR_IO, "%s: token %d (\"%s\") is not written in the byte-level alphabet",
            r->path, id, shown);
    status s = bpe_spell(r->bpe, id, r->scratch, count);
    if (s != OK) return status_prefix(s, "%s", r->path);
    int64_t number = r->spelled.words;
    TRY(word_count_add(&r->spelled, r->scratch, count, 1));
    REQUIRE(r->spelled.words == number + 1, ERR_IO, "%s: two tokens are written \"%s\"", r->path,
            shown);
    r->id[number] = id;
    return OK;
}

static status id_of(const reader *r, int32_t *id, const uint8_t *bytes, int64_t count)
{
    int64_t found = word_count_find(&r->spelled, bytes, count);
    REQUIRE(found >= 0, ERR_IO, "%s: merge %d uses a token that the vocabulary does not hold",
            r->path, bpe_merges(r->bpe));
    *id = r->id[found];
    return OK;
}

static status reader_merge(reader *r, const char *left, int64_t left_bytes, const char *right,
                           int64_t right_bytes)
{
    int64_t l = bytes_of(&r->alphabet, r->scratch, left, left_bytes), n = -1;
    if (l > 0) n = bytes_of(&r->alphabet, r->scratch + l, right, right_bytes);
    REQUIRE(l > 0 && n > 0, ERR_IO, "%s: merge %d is not written in the byte-level alphabet",
            r->path, bpe_merges(r->bpe));
    int32_t a = 0, b = 0, both = 0;
    TRY(id_of(r, &a, r->scratch, l));
    TRY(id_of(r, &b, r->scratch + l, n));
    TRY(id_of(r, &both, r->scratch, l + n));
    status s = bpe_merge(r->bpe, a, b, both);
    return s == OK ? OK : status_prefix(s, "%s", r->path);
}

/* every token of {"shown": id} but the special one */
static status reader_vocab(reader *r, json_t *vocab, int32_t eot)
{
    const char *shown;
    json_t *id;
    json_object_foreach(vocab, shown, id)
    {
        REQUIRE(json_is_integer(id), ERR_IO, "%s: the id of token \"%s\" is no integer", r->path,
                shown);
        if (json_integer_value(id) != eot)
            TRY(reader_token(r, shown, (int32_t)json_integer_value(id)));
    }
    return OK;
}

static status reader_init(reader *r, json_t *vocab, int64_t largest, int32_t eot, int64_t longest)
{
    alphabet_init(&r->alphabet);
    REQUIRE(largest >= 256 && largest < BPE_VOCAB_MAX, ERR_IO,
            "%s: the largest id is %lld; 256 to %d are read", r->path, (long long)largest,
            BPE_VOCAB_MAX - 1);
    r->id = malloc((json_object_size(vocab) + 1) * sizeof *r->id);
    r->scratch = malloc((size_t)longest + 16);
    REQUIRE(r->id && r->scratch, ERR_MEMORY, "no memory for %s", r->path);
    TRY(bpe_open(&r->bpe, (int32_t)largest + 1, eot));
    return reader_vocab(r, vocab, eot);
}

static status reader_done(reader *r, bpe **out, status s)
{
    if (s == OK) s = bpe_finish(r->bpe);
    word_count_deinit(&r->spelled);
    free(r->id);
    free(r->scratch);
    if (s == OK)
        *out = r->bpe;
    else
        bpe_close(r->bpe);
    return s;
}

/* largest id of the vocabulary; -1 if an id is no integer */
static int64_t largest_id(json_t *vocab)
{
    int64_t largest = 0;
    const char *shown;
    json_t *id;
    json_object_foreach(vocab, shown, id)
    {
        if (!json_is_integer(id) || json_integer_value(id) < 0) return -1;
        if (json_integer_value(id) > largest) largest = json_integer_value(id);
    }
    return largest;
}

/* ---- tokenizer.json ---- */

static bool is_type(const json_t *part, const char *type)
{
    const char *found = json_string_value(json_object_get(part, "type"));
    return found && strcmp(found, type) == 0;
}

/* true if the key is absent, null, false, "" or empty */
static bool is_off(const json_t *part, const char *key)
{
    const json_t *v = json_object_get(part, key);
    return !v || json_is_null(v) || json_is_false(v) ||
           (json_is_string(v) && json_string_length(v) == 0);
}

static status check_kind(const json_t *root, const char *path)
{
    const json_t *model = json_object_get(root, "model"),
                 *pre = json_object_get(root, "pre_tokenizer");
    REQUIRE(json_is_object(model) && (is_type(model, "BPE") || !json_object_get(model, "type")),
            ERR_CONFIG, "%s: its model is not BPE; read is byte-level BPE as GPT-2 has it", path);
    REQUIRE(is_off(root, "normalizer"), ERR_CONFIG,
            "%s: has a normalizer; only byte-level BPE without one is read", path);
    const json_t *regex = json_object_get(pre, "use_regex");
    REQUIRE(is_type(pre, "ByteLevel") && is_off(pre, "add_prefix_space") &&
                !(regex && json_is_false(regex)),
            ERR_CONFIG,
            "%s: its pre_tokenizer is not ByteLevel with add_prefix_space false and use_regex true",
            path);
    static const char *const off[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix",
                                      "byte_fallback", "ignore_merges"};
    for (int i = 0; i < 5; i++)
        REQUIRE(is_off(model, off[i]), ERR_CONFIG, "%s: model.%s is set; it would change the ids",
                path, off[i]);
    return OK;
}

/* the id of end-of-text and the largest id of all added tokens */
static status find_eot(const json_t *root, const char *path, int32_t *eot, int64_t *largest)
{
    const json_t *added = json_object_get(root, "added_tokens");
    int64_t found = -1, specials = 0, named = -1;
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *row = json_array_get(added, i), *id = json_object_get(row, "id");
        const char *content = json_string_value(json_object_get(row, "content"));
        REQUIRE(json_is_integer(id) && content, ERR_IO, "%s: added token %zu has no id or content",
                path, i);
        int64_t value = json_integer_value(id);
        if (value > *largest) *largest = value;
        if (json_is_true(json_object_get(row, "special"))) specials++, found = value;
        if (strcmp(content, end_of_text) == 0) named = value;
    }
    if (named >= 0) found = named;
    REQUIRE(found >= 0 && (named >= 0 || specials == 1) && found < BPE_VOCAB_MAX, ERR_CONFIG,
            "%s: no end-of-text: wanted is an added token %s, or a single special token", path,
            end_of_text);
    *eot = (int32_t)found;
    return OK;
}

static status read_merges(reader *r, const json_t *merges)
{
    REQUIRE(json_is_array(merges), ERR_IO, "%s: model.merges is no list", r->path);
    for (size_t i = 0; i < json_array_size(merges); i++) {
        /* "a b", or since 2024 ["a", "b"] */
        const json_t *row = json_array_get(merges, i);
        const char *left = json_string_value(json_is_array(row) ? json_array_get(row, 0) : row);
        const char *right = json_is_array(row) ? json_string_value(json_array_get(row, 1)) : NULL;
        int64_t n = left ? (int64_t)strlen(left) : 0;
        if (left && json_is_string(row)) {
            const char *space = strchr(left, ' ');
            right = space ? space + 1 : NULL;
            n = space ? space - left : 0;
        }
        REQUIRE(left && right, ERR_IO, "%s: merge %zu is not a pair", r->path, i);
        TRY(reader_merge(r, left, n, right, (int64_t)strlen(right)));
    }
    return OK;
}

static status read_root(bpe **out, const json_t *root, int64_t longest, const char *path)
{
    TRY(check_kind(root, path));
    const json_t *model = json_object_get(root, "model");
    json_t *vocab = json_object_get(model, "vocab");
    REQUIRE(json_is_object(vocab), ERR_IO, "%s: model.vocab is missing", path);
    int64_t largest = largest_id(vocab);
    int32_t eot = 0;
    REQUIRE(largest >= 0, ERR_IO, "%s: an id of model.vocab is no integer from 0", path);
    TRY(find_eot(root, path, &eot, &largest));
    reader r = {.path = path};
    status s = reader_init(&r, vocab, largest, eot, longest);
    if (s == OK) s = read_merges(&r, json_object_get(model, "merges"));
    return reader_done(&r, out, s);
}

status bpe_json_read(bpe **out, const char *text, int64_t bytes, const char *path)
{
    json_error_t why;
    json_t *root = json_loadb(text, (size_t)bytes, JSON_REJECT_DUPLICATES, &why);
    REQUIRE(root, ERR_IO, "%s: line %d: %s", path, why.line, why.text);
    status s = read_root(out, root, bytes, path);
    json_decref(root);
    return s;
}

/* ---- GPT-2 ---- */

/* lines "left right" behind one that begins with #version */
static status read_merge_lines(reader *r, const char *text)
{
    if (strncmp(text, "#version", 8) == 0) text += strcspn(text, "\n");
    while (*text) {
        size_t line = strcspn(text, "\n"), left = strcspn(text, " \n");
        if (line > 0) {
            REQUIRE(left < line, ERR_IO, "%s: merge %d is not a pair", r->path, bpe_merges(r->bpe));
            TRY(reader_merge(r, text, (int64_t)left, text + left + 1, (int64_t)(line - left - 1)));
        }
        text += line + (text[line] == '\n');
    }
    return OK;
}

static status read_gpt2(bpe **out, json_t *vocab, const char *merges, int64_t longest,
                        const char *path)
{
    const json_t *end = json_object_get(vocab, end_of_text);
    REQUIRE(json_is_integer(end) && json_integer_value(end) < BPE_VOCAB_MAX, ERR_IO,
            "%s: no token %s", path, end_of_text);
    reader r = {.path = path};
    status s = reader_init(&r, vocab, largest_id(vocab), (int32_t)json_integer_value(end), longest);
    if (s == OK) s = read_merge_lines(&r, merges);
    return reader_done(&r, out, s);
}

status bpe_json_read_gpt2(bpe **out, const char *folder)
{
    char vocab_path[PATH_BYTES], merges_path[PATH_BYTES], *text = NULL, *merges = NULL;
    int64_t bytes = 0, merges_bytes = 0;
    (void)snprintf(vocab_path, sizeof vocab_path, "%s/encoder.json", folder);
    (void)snprintf(merges_path, sizeof merges_path, "%s/vocab.bpe", folder);
    status s = file_read_text(&text, &bytes, vocab_path, LIMIT);
    if (s == OK) s = file_read_text(&merges, &merges_bytes, merges_path, LIMIT);
    json_error_t why;
    json_t *vocab = s == OK ? json_loadb(text, (size_t)bytes, JSON_REJECT_DUPLICATES, &why) : NULL;
    if (s == OK && !json_is_object(vocab))
        s = status_set(ERR_IO, __FILE__, __LINE__, "%s: no JSON object: %s", vocab_path,
                       vocab ? "" : why.text);
    if (s == OK) s = read_gpt2(out, vocab, merges, bytes + merges_bytes, folder);
    json_decref(vocab);
    free(merges);
    free(text);
    return s;
}

/* ---- writing ---- */

static json_t *shown(const alphabet *a, const bpe *b, int32_t id)
{
    int32_t length;
    const uint8_t *bytes = bpe_bytes(b, id, &length);
    char *text = malloc(2 * (size_t)length + 1);
    size_t n = 0;
    if (!text) return NULL;
    for (int32_t i = 0; i < length; i++) {
        uint16_t point = a->shown[bytes[i]];
        if (point >= 0x80) text[n++] = (char)(0xC0 | point >> 6);
        text[n++] = (char)(point >= 0x80 ? 0x80 | (point & 0x3F) : point);
    }
    json_t *out = json_stringn(text, n);
    free(text);
    return out;
}

/* "vocab": {shown: id} in the order of ids, and end-of-text by its name */
static json_t *vocab_json(const alphabet *a, const bpe *b)
{
    json_t *vocab = json_object();
    for (int32_t id = 0; id < bpe_vocab(b); id++) {
        int32_t length;
        if (id == bpe_eot(b)) (void)json_object_set_new(vocab, end_of_text, json_integer(id));
        if (!bpe_bytes(b, id, &length)) continue;
        json_t *name = shown(a, b, id);
        (void)json_object_set_new(vocab, json_string_value(name), json_integer(id));
        json_decref(name);
    }
    return vocab;
}

static json_t *merges_json(const alphabet *a, const bpe *b)
{
    json_t *merges = json_array();
    for (int32_t r = 0; r < bpe_merges(b); r++) {
        bpe_pair p = bpe_merge_at(b, r);
        (void)json_array_append_new(merges,
                                    json_pack("[o, o]", shown(a, b, p.left), shown(a, b, p.right)));
    }
    return merges;
}

status bpe_json_write(const bpe *b, char **text, int64_t *bytes)
{
    alphabet a;
    alphabet_init(&a);
    json_t *level = json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                              "trim_offsets", 1, "use_regex", 1);
    json_t *added =
        json_pack("[{s:i, s:s, s:b, s:b, s:b, s:b, s:b}]", "id", bpe_eot(b), "content", end_of_text,
                  "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1);
    json_t *model =
        json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout",
                  "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0,
                  "byte_fallback", 0, "ignore_merges", 0, "vocab", vocab_json(&a, b), "merges",
                  merges_json(&a, b));
    json_t *root =
        json_pack("{s:s, s:n, s:n, s:o, s:n, s:O, s:n, s:O, s:o}", "version", "1.0", "truncation",
                  "padding", "added_tokens", added, "normalizer", "pre_tokenizer", level,
                  "post_processor", "decoder", level, "model", model);
    json_decref(level);
    *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_PRESERVE_ORDER) : NULL;
    json_decref(root);
    REQUIRE(*text, ERR_MEMORY, "no memory to write a vocabulary of %d", bpe_vocab(b));
    *bytes = (int64_t)strlen(*text);
    return OK;
}
