#include "data/word_count.h"

#include <stdlib.h>
#include <string.h>

static uint64_t hash_of(const uint8_t *at, int64_t count)
{
    uint64_t h = (uint64_t)count, next;
    for (; count >= 8; at += 8, count -= 8) {
        memcpy(&next, at, 8);
        h = (h ^ next) * UINT64_C(0x9E3779B97F4A7C15);
        h ^= h >> 29;
    }
    next = 0;
    memcpy(&next, at, (size_t)count);
    h = (h ^ next) * UINT64_C(0x9E3779B97F4A7C15);
    return h ^ h >> 32;
}

/* the slot of a piece, or the free one where it belongs */
static int64_t slot_of(const word_count *w, const uint8_t *piece, int64_t bytes)
{
    int64_t mask = w->slots - 1, at = (int64_t)(hash_of(piece, bytes) & (uint64_t)mask);
    for (; w->slot[at] != 0; at = (at + 1) & mask) {
        const counted_word *x = &w->word[w->slot[at] - 1];
        if (x->bytes == bytes && memcmp(w->text + x->offset, piece, (size_t)bytes) == 0) break;
    }
    return at;
}

static status grow_slots(word_count *w)
{
    int64_t slots = w->slots ? 2 * w->slots : 1 << 14;
    int64_t *fresh = calloc((size_t)slots, sizeof *fresh);
    REQUIRE(fresh, ERR_MEMORY, "no memory for %lld words", (long long)w->words);
    free(w->slot);
    w->slot = fresh;
    w->slots = slots;
    for (int64_t i = 0; i < w->words; i++)
        w->slot[slot_of(w, w->text + w->word[i].offset, w->word[i].bytes)] = i + 1;
    return OK;
}

static status append(word_count *w, const uint8_t *piece, int64_t bytes, int64_t times)
{
    if (w->words == w->words_room) {
        int64_t room = 2 * w->words_room + 4096;
        counted_word *more = realloc(w->word, (size_t)room * sizeof *more);
        REQUIRE(more, ERR_MEMORY, "no memory for %lld words", (long long)room);
        w->word = more;
        w->words_room = room;
    }
    if (w->text_bytes + bytes > w->text_room) {
        int64_t room = 2 * (w->text_bytes + bytes) + 65536;
        uint8_t *more = realloc(w->text, (size_t)room);
        REQUIRE(more, ERR_MEMORY, "no memory for %lld words", (long long)w->words);
        w->text = more;
        w->text_room = room;
    }
    memcpy(w->text + w->text_bytes, piece, (size_t)bytes);
    w->word[w->words++] = (counted_word){w->text_bytes, bytes, times};
    w->text_bytes += bytes;
    return OK;
}

status word_count_add(word_count *w, const uint8_t *piece, int64_t bytes, int64_t times)
{
    if (2 * (w->words + 1) > w->slots) TRY(grow_slots(w));
    int64_t at = slot_of(w, piece, bytes);
    if (w->slot[at] != 0) {
        w->word[w->slot[at] - 1].count += times;
        return OK;
    }
    TRY(append(w, piece, bytes, times));
    w->slot[at] = w->words;
    return OK;
}

int64_t word_count_find(const word_count *w, const uint8_t *piece, int64_t bytes)
{
    return w->slots ? w->slot[slot_of(w, piece, bytes)] - 1 : -1;
}

static int by_bytes(const void *a, const void *b, void *text)
{
    const counted_word *x = a, *y = b;
    const uint8_t *base = text;
    size_t common = (size_t)(x->bytes < y->bytes ? x->bytes : y->bytes);
    int order = memcmp(base + x->offset, base + y->offset, common);
    return order ? order : (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

status word_count_gather(word_count *out, const word_count *parts, int32_t count)
{
    word_count w = {0};
    status s = OK;
    for (int32_t p = 0; p < count; p++)
        for (int64_t i = 0; s == OK && i < parts[p].words; i++) {
            const counted_word *x = &parts[p].word[i];
            s = word_count_add(&w, parts[p].text + x->offset, x->bytes, x->count);
        }
    if (s != OK) {
        word_count_deinit(&w);
        return s;
    }
    if (w.words > 0) qsort_r(w.word, (size_t)w.words, sizeof *w.word, by_bytes, w.text);
    /* the slots name the order before */
    free(w.slot);
    w.slot = NULL;
    w.slots = 0;
    *out = w;
    return OK;
}

void word_count_deinit(word_count *w)
{
    free(w->text);
    free(w->word);
    free(w->slot);
    *w = (word_count){0};
}
