#include "data/bpe.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { CACHE_SLOTS = 1 << 17, CACHE_PIECE = 32, SHORT_PIECE = 64 };

typedef struct spelling {
    int64_t offset;
    int32_t length;
} spelling;

/* one way to merge; free slots have rank -1 */
typedef struct merge_slot {
    int32_t left, right, rank, merged;
} merge_slot;

/* a piece that was encoded before; never changed once it can be seen */
typedef struct cached {
    int32_t bytes, ids;
    uint8_t piece[CACHE_PIECE];
    int32_t id[];
} cached;

struct bpe {
    int32_t vocab, eot;
    spelling *token; /* (vocab) */
    uint8_t *text;   /* of all tokens */
    int64_t text_bytes, text_room;
    int32_t byte_id[256]; /* -1 until spelled */
    bpe_pair *pair;       /* (merges) by rank */
    int32_t merges, merges_room;
    merge_slot *slot; /* (slots) open addressing, at most half full */
    uint32_t slots;
    _Atomic(cached *) *cache; /* (CACHE_SLOTS) */
};

status bpe_open(bpe **out, int32_t vocab, int32_t eot)
{
    REQUIRE(vocab >= 257 && vocab <= BPE_VOCAB_MAX && eot >= 0 && eot < vocab, ERR_CONFIG,
            "a byte-pair vocabulary has 257 to %d tokens (256 bytes and end-of-text); %d were "
            "asked for",
            BPE_VOCAB_MAX, vocab);
    bpe *b = calloc(1, sizeof *b);
    REQUIRE(b, ERR_MEMORY, "no memory for a vocabulary of %d", vocab);
    b->vocab = vocab;
    b->eot = eot;
    for (int i = 0; i < 256; i++) b->byte_id[i] = -1;
    b->token = calloc((size_t)vocab, sizeof *b->token);
    b->cache = calloc(CACHE_SLOTS, sizeof *b->cache);
    if (!b->token || !b->cache) {
        bpe_close(b);
        FAIL(ERR_MEMORY, "no memory for a vocabulary of %d", vocab);
    }
    *out = b;
    return OK;
}

void bpe_close(bpe *b)
{
    if (!b) return;
    for (int i = 0; b->cache && i < CACHE_SLOTS; i++) free(atomic_load(&b->cache[i]));
    free((void *)b->cache);
    free(b->token);
    free(b->text);
    free(b->pair);
    free(b->slot);
    free(b);
}

int32_t bpe_vocab(const bpe *b) { return b->vocab; }
int32_t bpe_eot(const bpe *b) { return b->eot; }
int32_t bpe_merges(const bpe *b) { return b->merges; }
bpe_pair bpe_merge_at(const bpe *b, int32_t rank) { return b->pair[rank]; }
int32_t bpe_byte_id(const bpe *b, uint8_t byte) { return b->byte_id[byte]; }

const uint8_t *bpe_bytes(const bpe *b, int32_t id, int32_t *length)
{
    bool known = id >= 0 && id < b->vocab && b->token[id].length > 0;
    *length = known ? b->token[id].length : 0;
    return known ? b->text + b->token[id].offset : NULL;
}

status bpe_spell(bpe *b, int32_t id, const uint8_t *bytes, int64_t count)
{
    REQUIRE(id >= 0 && id < b->vocab && id != b->eot && count > 0 && count <= INT32_MAX / 2, ERR_IO,
            "token %d of %d cannot spell %lld bytes", id, b->vocab, (long long)count);
    REQUIRE(b->token[id].length == 0, ERR_IO, "two tokens have the id %d", id);
    if (b->text_bytes + count > b->text_room) {
        int64_t room = 2 * (b->text_bytes + count) + 4096;
        uint8_t *more = realloc(b->text, (size_t)room);
        REQUIRE(more, ERR_MEMORY, "no memory for a vocabulary of %d", b->vocab);
        b->text = more;
        b->text_room = room;
    }
    memcpy(b->text + b->text_bytes, bytes, (size_t)count);
    b->token[id] = (spelling){b->text_bytes, (int32_t)count};
    if (count == 1) b->byte_id[b->text[b->text_bytes]] = id;
    b->text_bytes += count;
    return OK;
}

/* ---- merges ---- */

static uint32_t slot_hash(int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * UINT64_C(0x9E3779B97F4A7C15);
    return (uint32_t)(h >> 32);
}

/* the slot of a pair, or the free one where it belongs */
static merge_slot *slot_of(const bpe *b, int32_t left, int32_t right)
{
    uint32_t at = slot_hash(left, right) & (b->slots - 1);
    while (b->slot[at].rank >= 0 && (b->slot[at].left != left || b->slot[at].right != right))
        at = (at + 1) & (b->slots - 1);
    return &b->slot[at];
}

static status grow_slots(bpe *b)
{
    uint32_t slots = b->slots ? 2 * b->slots : 1024;
    merge_slot *fresh = malloc(slots * sizeof *fresh);
    REQUIRE(fresh, ERR_MEMORY, "no memory for %d merges", b->merges);
    for (uint32_t i = 0; i < slots; i++) fresh[i].rank = -1;
    free(b->slot);
    b->slot = fresh;
    b->slots = slots;
    for (int32_t r = 0; r < b->merges; r++) {
        const bpe_pair *p = &b->pair[r];
        merge_slot *s = slot_of(b, p->left, p->right);
        *s = (merge_slot){p->left, p->right, r, p->merged};
    }
    return OK;
}

status bpe_merge(bpe *b, int32_t left, int32_t right, int32_t merged)
{
    int32_t l, r, m;
    const uint8_t *a = bpe_bytes(b, left, &l), *c = bpe_bytes(b, right, &r),
                  *all = bpe_bytes(b, merged, &m);
    REQUIRE(l > 0 && r > 0 && m == l + r && memcmp(all, a, (size_t)l) == 0 &&
                memcmp(all + l, c, (size_t)r) == 0,
            ERR_IO, "merge %d: tokens %d and %d do not spell token %d", b->merges, left, right,
            merged);
    if (2 * (uint32_t)(b->merges + 1) > b->slots) TRY(grow_slots(b));
    merge_slot *s = slot_of(b, left, right);
    REQUIRE(s->rank < 0, ERR_IO, "merge %d repeats merge %d", b->merges, s->rank);
    if (b->merges == b->merges_room) {
        int32_t room = 2 * b->merges_room + 1024;
        bpe_pair *more = realloc(b->pair, (size_t)room * sizeof *more);
        REQUIRE(more, ERR_MEMORY, "no memory for %d merges", room);
        b->pair = more;
        b->merges_room = room;
    }
    *s = (merge_slot){left, right, b->merges, merged};
    b->pair[b->merges++] = (bpe_pair){left, right, merged};
    return OK;
}

status bpe_finish(bpe *b)
{
    for (int i = 0; i < 256; i++)
        REQUIRE(b->byte_id[i] >= 0, ERR_IO,
                "no token spells the byte 0x%02x: not a byte-level vocabulary", i);
    return b->slots ? OK : grow_slots(b);
}

/* ---- encoding ---- */

/* rank of merging two neighbours, INT32_MAX if they do not merge */
static int32_t rank_of(const bpe *b, int32_t left, int32_t right)
{
    const merge_slot *s = slot_of(b, left, right);
    return s->rank >= 0 ? s->rank : INT32_MAX;
}

/* short pieces: the ranks of all neighbours lie in an array that is searched again after each merge
 */
static int64_t encode_short(const bpe *b, const uint8_t *piece, int64_t count, int32_t *out)
{
    int32_t id[SHORT_PIECE], rank[SHORT_PIECE];
    for (int64_t i = 0; i < count; i++) id[i] = b->byte_id[piece[i]];
    for (int64_t i = 0; i + 1 < count; i++) rank[i] = rank_of(b, id[i], id[i + 1]);
    while (count > 1) {
        int64_t best = 0;
        for (int64_t i = 1; i + 1 < count; i++)
            if (rank[i] < rank[best]) best = i;
        if (rank[best] == INT32_MAX) break;
        id[best] = b->pair[rank[best]].merged;
        count--;
        for (int64_t i = best + 1; i < count; i++) id[i] = id[i + 1];
        for (int64_t i = best + 1; i + 1 < count; i++) rank[i] = rank[i + 1];
        if (best > 0) rank[best - 1] = rank_of(b, id[best - 1], id[best]);
        if (best + 1 < count) rank[best] = rank_of(b, id[best], id[best + 1]);
    }
    memcpy(out, id, (size_t)count * sizeof *out);
    return count;
}

/* long pieces: a list of symbols and a heap of (rank, place); places that were merged away are
 * skipped */
typedef struct symbol {
    int32_t id;
    int64_t before, after;
} symbol;
typedef struct wish {
    int32_t rank;
    int64_t at;
} wish;
typedef struct wish_heap {
    wish *wish;
    int64_t count;
} wish_heap;

static bool sooner(const wish *a, const wish *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void heap_push(wish_heap *h, wish w)
{
    int64_t i = h->count++;
    while (i > 0 && sooner(&w, &h->wish[(i - 1) / 2])) {
        h->wish[i] = h->wish[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h->wish[i] = w;
}

static wish heap_pop(wish_heap *h)
{
    wish top = h->wish[0], last = h->wish[--h->count];
    int64_t i = 0;
    for (int64_t child; (child = 2 * i + 1) < h->count; i = child) {
        if (child + 1 < h->count && sooner(&h->wish[child + 1], &h->wish[child])) child++;
        if (!sooner(&h->wish[child], &last)) break;
        h->wish[i] = h->wish[child];
    }
    h->wish[i] = last;
    return top;
}

static void want(const bpe *b, wish_heap *h, const symbol *list, int64_t at)
{
    if (at < 0 || list[at].after < 0) return;
    int32_t rank = rank_of(b, list[at].id, list[list[at].after].id);
    if (rank != INT32_MAX) heap_push(h, (wish){rank, at});
}

static status encode_long(const bpe *b, const uint8_t *piece, int64_t count, int32_t *out,
                          int64_t *made)
{
    symbol *list = malloc((size_t)count * sizeof *list);
    wish_heap heap = {malloc(3 * (size_t)count * sizeof *heap.wish), 0};
    bool memory = list && heap.wish;
    for (int64_t i = 0; memory && i < count; i++)
        list[i] = (symbol){b->byte_id[piece[i]], i - 1, i + 1 < count ? i + 1 : -1};
    for (int64_t i = 0; memory && i < count; i++) want(b, &heap, list, i);
    while (memory && heap.count > 0) {
        wish w = heap_pop(&heap);
        symbol *s = &list[w.at];
        /* still there, and still the same two? */
        if (s->id < 0 || s->after < 0 || rank_of(b, s->id, list[s->after].id) != w.rank) continue;
        symbol *gone = &list[s->after];
        s->id = b->pair[w.rank].merged;
        s->after = gone->after;
        gone->id = -1;
        if (s->after >= 0) list[s->after].before = w.at;
        want(b, &heap, list, s->before);
        want(b, &heap, list, w.at);
    }
    *made = 0;
    for (int64_t i = 0; memory && i >= 0; i = list[i].after) out[(*made)++] = list[i].id;
    free(list);
    free(heap.wish);
    REQUIRE(memory, ERR_MEMORY, "no memory to encode a piece of %lld bytes", (long long)count);
    return OK;
}

/* ---- the cache ---- */

static uint32_t piece_hash(const uint8_t *piece, int64_t count)
{
    uint64_t h = (uint64_t)count, word;
    for (; count >= 8; piece += 8, count -= 8) {
        memcpy(&word, piece, 8);
        h = (h ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        h ^= h >> 29;
    }
    word = 0;
    memcpy(&word, piece, (size_t)count);
    h = (h ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return (uint32_t)(h >> 40) & (CACHE_SLOTS - 1);
}

/* first come, first kept: a slot that is taken stays so, which needs no locks */
static void cache_add(const bpe *b, uint32_t slot, const uint8_t *piece, int64_t count,
                      const int32_t *ids, int64_t made)
{
    cached *c = malloc(sizeof *c + (size_t)made * sizeof *ids), *none = NULL;
    if (!c) return;
    c->bytes = (int32_t)count;
    c->ids = (int32_t)made;
    memcpy(c->piece, piece, (size_t)count);
    memcpy(c->id, ids, (size_t)made * sizeof *ids);
    if (!atomic_compare_exchange_strong(&b->cache[slot], &none, c)) free(c);
}

status bpe_encode(const bpe *b, const uint8_t *piece, int64_t count, int32_t *out, int64_t *made)
{
    if (count > SHORT_PIECE) return encode_long(b, piece, count, out, made);
    if (count > CACHE_PIECE) {
        *made = encode_short(b, piece, count, out);
        return OK;
    }
    uint32_t slot = piece_hash(piece, count);
    const cached *c = atomic_load_explicit(&b->cache[slot], memory_order_acquire);
    if (c && c->bytes == count && memcmp(c->piece, piece, (size_t)count) == 0) {
        memcpy(out, c->id, (size_t)c->ids * sizeof *out);
        *made = c->ids;
        return OK;
    }
    *made = encode_short(b, piece, count, out);
    if (!c) cache_add(b, slot, piece, count, out, *made);
    return OK;
}
