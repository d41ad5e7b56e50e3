#include "data/bpe_train.h"

#include <stdlib.h>
#include <string.h>

/* Words are lists of symbols one behind another in one array; a word shrinks in place. A pair knows
 * how often it occurs and in which words it did at some time (some no longer hold it, some are
 * named twice). */
typedef struct pair_row {
    int32_t left, right;
    int64_t count, pushed; /* now; in its newest heap entry */
    int64_t *word;         /* (words), owned                */
    int64_t words, room;
} pair_row;

typedef struct heap_row {
    int64_t count, pair;
} heap_row;

typedef struct trainer {
    const word_count *words;
    int64_t *begin, *length; /* (words) first symbol and number of symbols of a word */
    int32_t *symbol;
    pair_row *pair; /* (pairs) */
    int64_t pairs, pairs_room;
    int64_t *slot; /* (slots) pair + 1, 0: free */
    int64_t slots;
    heap_row *heap; /* (heaped) best pair on top; entries may be out of date */
    int64_t heaped, heap_room;
    int64_t *touched; /* (touches) pairs whose count the current merge may have changed */
    int64_t touches, touched_room;
    word_count spelled; /* word i is what token i spells */
} trainer;

/* the array with room for `wanted` entries; NULL: no memory, and the array stays */
static void *grown(void *array, int64_t *room, int64_t wanted, size_t size)
{
    if (wanted <= *room) return array;
    int64_t larger = wanted + wanted / 2 + 16;
    void *more = realloc(array, (size_t)larger * size);
    if (more) *room = larger;
    return more;
}

static status no_memory(void) { FAIL(ERR_MEMORY, "no memory to train a tokenizer"); }

/* ---- pairs ---- */

static int64_t pair_slot(const trainer *t, int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * UINT64_C(0x9E3779B97F4A7C15);
    int64_t mask = t->slots - 1, at = (int64_t)(h >> 20) & mask;
    for (; t->slot[at] != 0; at = (at + 1) & mask) {
        const pair_row *p = &t->pair[t->slot[at] - 1];
        if (p->left == left && p->right == right) break;
    }
    return at;
}

static status grow_pairs(trainer *t)
{
    int64_t slots = t->slots ? 2 * t->slots : 1 << 16;
    int64_t *fresh = calloc((size_t)slots, sizeof *fresh);
    if (!fresh) return no_memory();
    free(t->slot);
    t->slot = fresh;
    t->slots = slots;
    for (int64_t i = 0; i < t->pairs; i++)
        t->slot[pair_slot(t, t->pair[i].left, t->pair[i].right)] = i + 1;
    return OK;
}

/* the row of a pair, made if it is new */
static status pair_find(trainer *t, int64_t *out, int32_t left, int32_t right)
{
    if (2 * (t->pairs + 1) > t->slots) TRY(grow_pairs(t));
    int64_t at = pair_slot(t, left, right);
    if (t->slot[at] == 0) {
        pair_row *rows = grown(t->pair, &t->pairs_room, t->pairs + 1, sizeof *rows);
        if (!rows) return no_memory();
        t->pair = rows;
        t->pair[t->pairs++] = (pair_row){.left = left, .right = right};
        t->slot[at] = t->pairs;
    }
    *out = t->slot[at] - 1;
    return OK;
}

/* adds sign x the word's count to each pair of its neighbours; a pair that it did not hold before
 * (with `fresh`) learns of the word */
static status count_word(trainer *t, int64_t w, int64_t sign, int32_t fresh)
{
    const int32_t *s = t->symbol + t->begin[w];
    for (int64_t i = 0; i + 1 < t->length[w]; i++) {
        int64_t at = 0;
        TRY(pair_find(t, &at, s[i], s[i + 1]));
        pair_row *p = &t->pair[at];
        p->count += sign * t->words->word[w].count;
        int64_t *touched = grown(t->touched, &t->touched_room, t->touches + 1, sizeof *touched);
        if (!touched) return no_memory();
        t->touched = touched;
        t->touched[t->touches++] = at;
        bool learn = fresh < 0 || s[i] == fresh || s[i + 1] == fresh;
        if (sign < 0 || !learn || (p->words > 0 && p->word[p->words - 1] == w)) continue;
        int64_t *list = grown(p->word, &p->room, p->words + 1, sizeof *list);
        if (!list) return no_memory();
        p->word = list;
        p->word[p->words++] = w;
    }
    return OK;
}

/* ---- the heap ---- */

static bool better(const trainer *t, const heap_row *a, const heap_row *b)
{
    const pair_row *p = &t->pair[a->pair], *q = &t->pair[b->pair];
    if (a->count != b->count) return a->count > b->count;
    return p->left != q->left ? p->left < q->left : p->right < q->right;
}

static status heap_push(trainer *t, heap_row row)
{
    heap_row *rows = grown(t->heap, &t->heap_room, t->heaped + 1, sizeof *rows);
    if (!rows) return no_memory();
    t->heap = rows;
    int64_t i = t->heaped++;
    for (; i > 0 && better(t, &row, &t->heap[(i - 1) / 2]); i = (i - 1) / 2)
        t->heap[i] = t->heap[(i - 1) / 2];
    t->heap[i] = row;
    return OK;
}

static heap_row heap_pop(trainer *t)
{
    heap_row top = t->heap[0], last = t->heap[--t->heaped];
    int64_t i = 0;
    for (int64_t child; (child = 2 * i + 1) < t->heaped; i = child) {
        if (child + 1 < t->heaped && better(t, &t->heap[child + 1], &t->heap[child])) child++;
        if (!better(t, &t->heap[child], &last)) break;
        t->heap[i] = t->heap[child];
    }
    t->heap[i] = last;
    return top;
}

/* every touched pair whose count differs from its newest entry gets a new one; the old ones are
 * dropped when popped */
static status push_touched(trainer *t)
{
    for (int64_t i = 0; i < t->touches; i++) {
        pair_row *p = &t->pair[t->touched[i]];
        if (p->count == p->pushed) continue;
        p->pushed = p->count;
        if (p->count > 0) TRY(heap_push(t, (heap_row){p->count, t->touched[i]}));
    }
    t->touches = 0;
    return OK;
}

/* the most frequent pair; -1 if none occurs twice */
static int64_t best_pair(trainer *t)
{
    while (t->heaped > 0) {
        heap_row top = heap_pop(t);
        if (top.count == t->pair[top.pair].count) return top.count >= 2 ? top.pair : -1;
    }
    return -1;
}

/* ---- one merge ---- */

/* the id of left + right: a new one, or that of a token that already spells the same */
static status merged_id(trainer *t, const bpe *b, const pair_row *p, int32_t *id)
{
    int32_t l, r;
    const uint8_t *left = bpe_bytes(b, p->left, &l), *right = bpe_bytes(b, p->right, &r);
    uint8_t *both = malloc((size_t)l + (size_t)r);
    if (!both) return no_memory();
    memcpy(both, left, (size_t)l);
    memcpy(both + l, right, (size_t)r);
    int64_t found = word_count_find(&t->spelled, both, l + r);
    *id = (int32_t)(found >= 0 ? found : t->spelled.words);
    status s = found >= 0 ? OK : word_count_add(&t->spelled, both, l + r, 1);
    free(both);
    return s;
}

static status merge_word(trainer *t, int64_t w, int32_t left, int32_t right, int32_t id)
{
    int32_t *s = t->symbol + t->begin[w];
    int64_t n = t->length[w], made = 0;
    bool holds = false;
    for (int64_t i = 0; i + 1 < n && !holds; i++) holds = s[i] == left && s[i + 1] == right;
    if (!holds) return OK;
    TRY(count_word(t, w, -1, id));
    for (int64_t i = 0; i < n; made++) {
        bool here = i + 1 < n && s[i] == left && s[i + 1] == right;
        s[made] = here ? id : s[i];
        i += here ? 2 : 1;
    }
    t->length[w] = made;
    return count_word(t, w, 1, id);
}

static status merge_pair(trainer *t, bpe *b, int64_t at)
{
    pair_row p = t->pair[at]; /* rows may move while words are counted */
    int32_t id = 0;
    int64_t known = t->spelled.words;
    TRY(merged_id(t, b, &p, &id));
    if (id == known)
        TRY(bpe_spell(b, id, t->spelled.text + t->spelled.word[id].offset,
                      t->spelled.word[id].bytes));
    TRY(bpe_merge(b, p.left, p.right, id));
    t->pair[at].word = NULL;
    t->pair[at].words = t->pair[at].room = 0;
    status s = OK;
    for (int64_t i = 0; s == OK && i < p.words; i++)
        s = merge_word(t, p.word[i], p.left, p.right, id);
    free(p.word);
    return s == OK ? push_touched(t) : s;
}

/* ---- training ---- */

static status start(trainer *t, bpe *b)
{
    int64_t words = t->words->words, symbols = 0;
    for (int64_t w = 0; w < words; w++) symbols += t->words->word[w].bytes;
    t->begin = malloc((size_t)(words + 1) * sizeof *t->begin);
    t->length = malloc((size_t)(words + 1) * sizeof *t->length);
    t->symbol = malloc((size_t)(symbols + 1) * sizeof *t->symbol);
    if (!t->begin || !t->length || !t->symbol) return no_memory();
    for (int i = 0; i < 256; i++) {
        uint8_t byte = (uint8_t)i;
        TRY(word_count_add(&t->spelled, &byte, 1, 1));
        TRY(bpe_spell(b, i, &byte, 1));
    }
    int64_t at = 0;
    for (int64_t w = 0; w < words; w++) {
        const counted_word *x = &t->words->word[w];
        t->begin[w] = at;
        t->length[w] = x->bytes;
        for (int64_t i = 0; i < x->bytes; i++) t->symbol[at++] = t->words->text[x->offset + i];
        TRY(count_word(t, w, 1, -1));
    }
    return push_touched(t);
}

static status run(trainer *t, bpe *b)
{
    int32_t vocab = bpe_vocab(b);
    TRY(start(t, b));
    while (t->spelled.words < vocab - 1) {
        int64_t at = best_pair(t);
        REQUIRE(at >= 0, ERR_CONFIG,
                "bpe:%d: after %lld tokens no pair occurs twice in the training text; use at most "
                "bpe:%lld, or more text",
                vocab, (long long)t->spelled.words + 1, (long long)t->spelled.words + 1);
        TRY(merge_pair(t, b, at));
    }
    return bpe_finish(b);
}

status bpe_train(bpe **out, const word_count *words, int32_t vocab)
{
    trainer t = {.words = words};
    bpe *b = NULL;
    TRY(bpe_open(&b, vocab, vocab - 1));
    status s = run(&t, b);
    for (int64_t i = 0; i < t.pairs; i++) free(t.pair[i].word);
    free(t.pair);
    free(t.begin);
    free(t.length);
    free(t.symbol);
    free(t.slot);
    free(t.heap);
    free(t.touched);
    word_count_deinit(&t.spelled);
    if (s == OK)
        *out = b;
    else
        bpe_close(b);
    return s;
}
