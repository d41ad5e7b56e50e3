#include "data/overlap.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const int64_t held_limit = 16 << 20;
/* odd, so that no byte is ever shifted out of the hash by powers of two alone */
static const uint64_t factor = UINT64_C(0x9E3779B97F4A7C15);

typedef struct held {
    int64_t offset, bytes;
    int32_t group;
} held;

struct overlap {
    uint8_t *text; /* held-out documents one after another */
    int64_t bytes, room;
    held *document;
    int64_t documents, documents_room;
    uint64_t *key;      /* (slots) open addressing; 0 = free   */
    atomic_uchar *seen; /* (slots) the string occurs in train  */
    uint64_t mask;
    uint64_t leaving; /* factor^50: takes the oldest byte out */
};

/* 0 marks a free slot, so no string may hash to it; the last step spreads the weak low bits */
static uint64_t finish(uint64_t h)
{
    h ^= h >> 32;
    h *= UINT64_C(0xD6E8FEB86659FD93);
    h ^= h >> 32;
    return h ? h : 1;
}

static uint64_t roll(const overlap *o, uint64_t h, const uint8_t *text, int64_t i)
{
    h = (h + text[i] + 1) * factor;
    return i >= OVERLAP_BYTES ? h - (uint64_t)(text[i - OVERLAP_BYTES] + 1u) * o->leaving : h;
}

status overlap_open(overlap **out)
{
    overlap *o = calloc(1, sizeof *o);
    REQUIRE(o, ERR_MEMORY, "no memory for the overlap table");
    o->leaving = factor;
    for (int i = 0; i < OVERLAP_BYTES; i++) o->leaving *= factor;
    *out = o;
    return OK;
}

void overlap_close(overlap *o)
{
    if (!o) return;
    free(o->text);
    free(o->document);
    free(o->key);
    free(o->seen);
    free(o);
}

status overlap_hold(overlap *o, int32_t group, const uint8_t *text, int64_t bytes)
{
    ASSERT(!o->key && group >= 0 && group < OVERLAP_GROUPS);
    if (bytes > held_limit - o->bytes) bytes = held_limit - o->bytes;
    if (bytes == 0) return OK;
    if (o->bytes + bytes > o->room) {
        int64_t room = 2 * (o->bytes + bytes);
        uint8_t *more = realloc(o->text, (size_t)room);
        REQUIRE(more, ERR_MEMORY, "no memory for held-out text");
        o->text = more;
        o->room = room;
    }
    if (o->documents == o->documents_room) {
        int64_t room = 2 * o->documents_room + 256;
        held *more = realloc(o->document, (size_t)room * sizeof *more);
        REQUIRE(more, ERR_MEMORY, "no memory for held-out text");
        o->document = more;
        o->documents_room = room;
    }
    memcpy(o->text + o->bytes, text, (size_t)bytes);
    o->document[o->documents++] = (held){o->bytes, bytes, group};
    o->bytes += bytes;
    return OK;
}

/* the slot of a hash, or the free one where it belongs */
static uint64_t slot_of(const overlap *o, uint64_t key)
{
    uint64_t at = key & o->mask;
    while (o->key[at] != 0 && o->key[at] != key) at = (at + 1) & o->mask;
    return at;
}

status overlap_seal(overlap *o)
{
    uint64_t slots = 1024;
    while (slots < 2 * (uint64_t)o->bytes) slots *= 2;
    o->mask = slots - 1;
    o->key = calloc(slots, sizeof *o->key);
    o->seen = calloc(slots, sizeof *o->seen);
    REQUIRE(o->key && o->seen, ERR_MEMORY, "no memory for the overlap table");
    for (int64_t d = 0; d < o->documents; d++) {
        const uint8_t *text = o->text + o->document[d].offset;
        uint64_t h = 0;
        for (int64_t i = 0; i < o->document[d].bytes; i++) {
            h = roll(o, h, text, i);
            if (i < OVERLAP_BYTES - 1) continue;
            uint64_t key = finish(h);
            o->key[slot_of(o, key)] = key;
        }
    }
    return OK;
}

void overlap_scan(overlap *o, const uint8_t *text, int64_t bytes)
{
    uint64_t h = 0;
    if (o->documents == 0) return;
    for (int64_t i = 0; i < bytes; i++) {
        h = roll(o, h, text, i);
        if (i < OVERLAP_BYTES - 1) continue;
        uint64_t key = finish(h), at = slot_of(o, key);
        if (o->key[at] == key && !atomic_load_explicit(&o->seen[at], memory_order_relaxed))
            atomic_store_explicit(&o->seen[at], 1, memory_order_relaxed);
    }
}

/* bytes of one document under at least one string that was seen */
static int64_t covered(const overlap *o, const held *d)
{
    const uint8_t *text = o->text + d->offset;
    int64_t count = 0, until = 0; /* bytes below `until` are counted or passed */
    uint64_t h = 0;
    for (int64_t i = 0; i < d->bytes; i++) {
        h = roll(o, h, text, i);
        if (i < OVERLAP_BYTES - 1 || !o->seen[slot_of(o, finish(h))]) continue;
        int64_t from = i - OVERLAP_BYTES + 1;
        count += i + 1 - (from > until ? from : until);
        until = i + 1;
    }
    return count;
}

overlap_share overlap_measure(const overlap *o, int32_t group)
{
    overlap_share out = {0};
    for (int64_t d = 0; d < o->documents; d++) {
        if (o->document[d].group != group) continue;
        out.measured += o->document[d].bytes;
        out.inside += covered(o, &o->document[d]);
    }
    if (out.measured > 0) out.share = (double)out.inside / (double)out.measured;
    return out;
}
