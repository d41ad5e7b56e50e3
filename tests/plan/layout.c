/* Laws of layout.h: nothing but padding depends on the number of ranks. */
#include "plan/layout.h"

#include "kernels/ops.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static const int32_t rank_counts[] = {1, 2, 3, 4, 5, 8};
enum { RANK_COUNTS = 6, SHAPES = 5 };

static model_config shape(int i)
{
    model_config m = {.layers = 3,
                      .width = 96,
                      .heads = 3,
                      .head_width = 32,
                      .kv_heads = 3,
                      .ffn = 384,
                      .vocab = 257,
                      .context = 64,
                      .tied_embeddings = true};
    switch (i) {
    case 0:
        break;
    case 1: /* untied, gated, grouped heads, biases */
        m.tied_embeddings = false;
        m.mlp = MLP_SWIGLU;
        m.kv_heads = 1;
        m.bias = true;
        m.norm = MODEL_LAYERNORM;
        break;
    case 2: /* several buckets, learned positions */
        m.layers = 12;
        m.width = 256;
        m.heads = m.kv_heads = 8;
        m.ffn = 1000;
        m.positions = POSITIONS_LEARNED;
        break;
    case 3: /* a head that fills a bucket of its own; each layer fills one */
        m.tied_embeddings = false;
        m.width = 512;
        m.heads = m.kv_heads = 16;
        m.ffn = 2048;
        m.vocab = 5000;
        break;
    default: /* smaller than a chunk */
        m.layers = 1;
        m.width = 8;
        m.heads = m.kv_heads = 1;
        m.head_width = 8;
        m.ffn = 9;
        m.vocab = 11;
    }
    return m;
}

static layout make(int i, int32_t ranks)
{
    layout l;
    const model_config m = shape(i);
    cr_assert_eq(layout_init(&l, &m, ranks), OK);
    return l;
}

Test(layout, rows_cover_the_logical_vector_without_gaps)
{
    for (int i = 0; i < SHAPES; i++) {
        layout l = make(i, 3);
        int64_t at = 0;
        for (int32_t r = 0; r < l.row_count; r++) {
            cr_assert_eq(l.rows[r].offset, at);
            at += l.rows[r].dim[0] * l.rows[r].dim[1];
        }
        cr_assert_eq(at, l.params);
        layout_deinit(&l);
    }
}

Test(layout, every_element_has_exactly_one_owner)
{
    for (int i = 0; i < SHAPES; i++)
        for (int n = 0; n < RANK_COUNTS; n++) {
            layout l = make(i, rank_counts[n]);
            unsigned char *owners = calloc((size_t)l.params, 1);
            for (int32_t r = 0; r < l.ranks; r++)
                for (int32_t b = 0; b < l.bucket_count; b++) {
                    const stripe_range s = layout_stripe(&l, b, r);
                    for (int64_t e = 0; e < s.count; e++) owners[s.logical + e]++;
                }
            for (int64_t e = 0; e < l.params; e++)
                cr_assert_eq(owners[e], 1, "shape %d, %d ranks, element %ld: %d owners", i, l.ranks,
                             (long)e, owners[e]);
            free(owners);
            layout_deinit(&l);
        }
}

Test(layout, a_rank_s_stripes_fill_its_shard_in_order)
{
    for (int i = 0; i < SHAPES; i++)
        for (int n = 0; n < RANK_COUNTS; n++) {
            layout l = make(i, rank_counts[n]);
            cr_assert_eq(l.shard * l.ranks, l.physical);
            for (int32_t r = 0; r < l.ranks; r++) {
                int64_t at = 0;
                for (int32_t b = 0; b < l.bucket_count; b++) {
                    cr_assert_eq(layout_stripe(&l, b, r).shard, at);
                    at += l.buckets[b].stripe;
                }
                cr_assert_eq(at, l.shard);
            }
            layout_deinit(&l);
        }
}

Test(layout, buckets_and_chunk_numbers_do_not_depend_on_ranks)
{
    for (int i = 0; i < SHAPES; i++) {
        layout one = make(i, 1);
        for (int n = 1; n < RANK_COUNTS; n++) {
            layout l = make(i, rank_counts[n]);
            cr_assert_eq(l.bucket_count, one.bucket_count);
            cr_assert_eq(l.chunks, one.chunks);
            cr_assert_eq(l.params, one.params);
            for (int32_t b = 0; b < l.bucket_count; b++) {
                cr_assert_eq(l.buckets[b].logical, one.buckets[b].logical);
                cr_assert_eq(l.buckets[b].count, one.buckets[b].count);
                cr_assert_eq(l.buckets[b].chunk, one.buckets[b].chunk);
                cr_assert_eq(l.buckets[b].ready_layer, one.buckets[b].ready_layer);
                /* the chunk that starts at an element has the same number on any rank */
                for (int32_t r = 0; r < l.ranks; r++) {
                    const stripe_range s = layout_stripe(&l, b, r);
                    if (s.count > 0)
                        cr_assert_eq(s.chunk, one.buckets[b].chunk +
                                                  (s.logical - one.buckets[b].logical) / CHUNK);
                }
            }
            layout_deinit(&l);
        }
        layout_deinit(&one);
    }
}

Test(layout, every_chunk_that_holds_an_element_has_its_own_number)
{
    for (int i = 0; i < SHAPES; i++) {
        layout l = make(i, 1);
        int64_t next = 0;
        for (int32_t b = 0; b < l.bucket_count; b++) {
            cr_assert_eq(l.buckets[b].chunk, next);
            next += (l.buckets[b].count + CHUNK - 1) / CHUNK;
        }
        cr_assert_eq(next, l.chunks);
        layout_deinit(&l);
    }
}

Test(layout, stripes_are_whole_chunks)
{
    for (int i = 0; i < SHAPES; i++)
        for (int n = 0; n < RANK_COUNTS; n++) {
            layout l = make(i, rank_counts[n]);
            for (int32_t b = 0; b < l.bucket_count; b++) {
                cr_assert_eq(l.buckets[b].stripe % CHUNK, 0);
                cr_assert_eq(l.buckets[b].physical % CHUNK, 0);
                /* padding is less than one chunk per rank */
                const int64_t padded = l.buckets[b].stripe * l.ranks;
                cr_assert_geq(padded, l.buckets[b].count);
                cr_assert_lt(padded - l.buckets[b].count, (int64_t)CHUNK * l.ranks);
            }
            layout_deinit(&l);
        }
}

Test(layout, logical_and_physical_positions_agree_in_both_directions)
{
    for (int i = 0; i < SHAPES; i++)
        for (int n = 0; n < RANK_COUNTS; n++) {
            layout l = make(i, rank_counts[n]);
            for (int32_t r = 0; r < l.ranks; r++)
                for (int32_t b = 0; b < l.bucket_count; b++) {
                    const stripe_range s = layout_stripe(&l, b, r);
                    for (int64_t e = 0; e < s.count; e += 97)
                        cr_assert_eq(layout_physical(&l, s.logical + e), s.physical + e);
                    if (s.count > 0)
                        cr_assert_eq(layout_physical(&l, s.logical + s.count - 1),
                                     s.physical + s.count - 1);
                }
            layout_deinit(&l);
        }
}

Test(layout, buckets_close_at_layer_borders_in_backward_order)
{
    for (int i = 0; i < SHAPES; i++) {
        layout l = make(i, 2);
        const int32_t layers = (int32_t)shape(i).layers;
        int32_t ready = layers + 1;
        for (int32_t b = 0; b < l.bucket_count; b++) {
            cr_assert_lt(l.buckets[b].ready_layer, ready);
            ready = l.buckets[b].ready_layer;
            /* all but the embeddings and the bucket before them hold at least 1 Mi elements */
            if (b + 2 < l.bucket_count) cr_assert_geq(l.buckets[b].count, 1 << 20);
            /* no row crosses a border, and no row of a higher layer comes later */
            for (int32_t r = 0; r < l.row_count; r++) {
                const param_row *row = &l.rows[r];
                const int64_t end = row->offset + row->dim[0] * row->dim[1];
                const int64_t first = l.buckets[b].logical, last = first + l.buckets[b].count;
                if (row->offset >= last || end <= first) continue;
                cr_assert(row->offset >= first && end <= last);
                if (row->layer >= 0) cr_assert_geq(row->layer, l.buckets[b].ready_layer);
            }
        }
        cr_assert_eq(ready, -1);
        const param_row *embed = layout_row(&l, PARAM_EMBED, -1);
        const param_row *positions = layout_row(&l, PARAM_POSITIONS, -1);
        cr_assert_eq(l.buckets[l.bucket_count - 1].logical,
                     positions ? positions->offset : embed->offset);
        layout_deinit(&l);
    }
    /* shape 3: head, three layers, embeddings */
    layout l = make(3, 1);
    cr_assert_eq(l.bucket_count, 5);
    cr_assert_eq(l.buckets[0].ready_layer, 3);
    layout_deinit(&l);
}

Test(layout, q_k_v_and_gate_up_are_adjacent)
{
    layout l = make(1, 2);
    for (int32_t layer = 0; layer < 3; layer++) {
        const param_row *q = layout_row(&l, PARAM_Q, layer), *k = layout_row(&l, PARAM_K, layer);
        const param_row *v = layout_row(&l, PARAM_V, layer);
        cr_assert_eq(q->offset + q->dim[0] * q->dim[1], k->offset);
        cr_assert_eq(k->offset + k->dim[0] * k->dim[1], v->offset);
        const param_row *qb = layout_row(&l, PARAM_Q_BIAS, layer);
        const param_row *kb = layout_row(&l, PARAM_K_BIAS, layer);
        cr_assert_eq(qb->offset + qb->dim[0], kb->offset);
        cr_assert_eq(kb->offset + kb->dim[0], layout_row(&l, PARAM_V_BIAS, layer)->offset);
        const param_row *gate = layout_row(&l, PARAM_GATE, layer);
        cr_assert_eq(gate->offset + gate->dim[0] * gate->dim[1],
                     layout_row(&l, PARAM_UP, layer)->offset);
    }
    cr_assert_null(layout_row(&l, PARAM_POSITIONS, -1));
    layout_deinit(&l);
}
