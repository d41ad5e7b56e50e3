#include "plan/layout.h"

#include "kernels/ops.h" /* CHUNK */

#include <stdlib.h>
#include <string.h>

/* A bucket closes at the first layer border at which it holds this many elements. */
enum { BUCKET_ELEMENTS = 1 << 20 };

static int64_t chunks_of(int64_t elements) { return (elements + CHUNK - 1) / CHUNK; }

/* Rows of one unit stay in one bucket: the head with the final norm, each layer, the embeddings. */
static int32_t unit_of(const param_row *row, int32_t layers)
{
    if (row->layer >= 0) return row->layer;
    return row->role == PARAM_EMBED || row->role == PARAM_POSITIONS ? -1 : layers;
}

/* Cuts the rows into buckets; with buckets == NULL only counts them. Knows nothing of ranks. */
static int32_t cut(const layout *l, int32_t layers, bucket *buckets)
{
    int32_t count = 0;
    bucket b = {0};
    for (int32_t i = 0; i < l->row_count; i++) {
        const param_row *row = &l->rows[i];
        b.count += row->dim[0] * row->dim[1];
        b.ready_layer = unit_of(row, layers);
        const bool last = i + 1 == l->row_count;
        const int32_t next = last ? 0 : unit_of(row + 1, layers);
        /* close when full at the border of a unit, and always before the embeddings and at the end
         */
        const bool border = last || next != b.ready_layer;
        if (!border || !(last || next == -1 || b.count >= BUCKET_ELEMENTS)) continue;
        if (buckets) buckets[count] = b;
        count++;
        b = (bucket){.logical = b.logical + b.count, .chunk = b.chunk + chunks_of(b.count)};
    }
    return count;
}

status layout_init(layout *out, const model_config *m, int32_t ranks)
{
    ASSERT(ranks >= 1);
    const int32_t layers = (int32_t)m->layers;
    layout l = {.ranks = ranks, .row_count = block_params(m, NULL, 0)};
    l.rows = calloc((size_t)l.row_count, sizeof *l.rows);
    REQUIRE(l.rows, ERR_MEMORY, "no memory for the list of %d parameters", (int)l.row_count);
    (void)block_params(m, l.rows, l.row_count);

    l.bucket_count = cut(&l, layers, NULL);
    ASSERT(l.bucket_count > 0);
    l.buckets = calloc((size_t)l.bucket_count, sizeof *l.buckets);
    if (!l.buckets) {
        free(l.rows);
        FAIL(ERR_MEMORY, "no memory for the list of %d buckets", (int)l.bucket_count);
    }
    (void)cut(&l, layers, l.buckets);

    /* each rank's stripe of a bucket is a whole number of chunks */
    for (int32_t i = 0; i < l.bucket_count; i++) {
        bucket *b = &l.buckets[i];
        b->physical = l.physical;
        b->stripe = (chunks_of(b->count) + ranks - 1) / ranks * CHUNK;
        l.params += b->count;
        l.physical += b->stripe * ranks;
        l.shard += b->stripe;
        l.chunks += chunks_of(b->count);
    }
    *out = l;
    return OK;
}

void layout_deinit(layout *l)
{
    free(l->rows);
    free(l->buckets);
    memset(l, 0, sizeof *l);
}

stripe_range layout_stripe(const layout *l, int32_t b, int32_t rank)
{
    ASSERT(b >= 0 && b < l->bucket_count && rank >= 0 && rank < l->ranks);
    const bucket *k = &l->buckets[b];
    const int64_t start = k->stripe * rank;
    const int64_t left = k->count - start;
    return (stripe_range){
        .logical = k->logical + start,
        .physical = k->physical + start,
        .shard = k->physical / l->ranks,
        .count = left <= 0          ? 0
                 : left < k->stripe ? left
                                    : k->stripe,
        .chunk = k->chunk + start / CHUNK,
    };
}

int64_t layout_physical(const layout *l, int64_t logical)
{
    ASSERT(logical >= 0 && logical < l->params);
    /* the last bucket that starts at or before the element */
    int32_t low = 0, high = l->bucket_count - 1;
    while (low < high) {
        const int32_t middle = (low + high + 1) / 2;
        if (l->buckets[middle].logical <= logical)
            low = middle;
        else
            high = middle - 1;
    }
    return l->buckets[low].physical + (logical - l->buckets[low].logical);
}

const param_row *layout_row(const layout *l, param_role role, int32_t layer)
{
    for (int32_t i = 0; i < l->row_count; i++)
        if (l->rows[i].role == role && l->rows[i].layer == layer) return &l->rows[i];
    return NULL;
}
