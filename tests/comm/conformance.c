#include "comm/conformance.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { COUNTS = 11, IN_FLIGHT = 6 };
static const int64_t counts[COUNTS] = {0, 1, 2, 3, 15, 16, 17, 1000, 4097, 16389, 100003};

/* --- data and serial answers ----------------------------------------------------------------- */

/* element i that rank gives in this trial: any sign, and for sums of 16 ranks never too large */
static int64_t value_i64(int32_t rank, uint64_t trial, int64_t i)
{
    uint64_t x = (uint64_t)i * 0x9e3779b97f4a7c15u + trial * 0xd1342543de82ef95u +
                 (uint64_t)rank * 0x2545f4914f6cdd1du;
    x = (x ^ (x >> 31)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 29)) * 0x94d049bb133111ebu;
    return (int64_t)(x ^ (x >> 32)) >> 4;
}
static float value_f32(int32_t rank, uint64_t trial, int64_t i)
{
    /* magnitudes differ, so another order of adding shows */
    int64_t v = value_i64(rank, trial, i);
    return (float)(v >> 20) / (float)(1 << (v & 15));
}

static void put(void *buf, dtype type, int64_t at, int32_t rank, uint64_t trial, int64_t i)
{
    int64_t v = value_i64(rank, trial, i);
    switch (type) {
    case DTYPE_I64:
        ((int64_t *)buf)[at] = v;
        return;
    case DTYPE_I32:
        ((int32_t *)buf)[at] = (int32_t)(v >> 29);
        return;
    case DTYPE_F64:
        ((double *)buf)[at] = (double)v / 1024;
        return;
    default:
        ((float *)buf)[at] = value_f32(rank, trial, i);
    }
}

/* the sum or maximum over ranks of element i, written to element `at` of want */
static void answer(void *want, dtype type, comm_op op, int32_t ranks, int32_t node_ranks,
                   uint64_t trial, int64_t i)
{
    if (op == COMM_MAX) {
        /* every type keeps the order of the int64 it is made from */
        int32_t best = 0;
        for (int32_t r = 1; r < ranks; r++)
            if (value_i64(r, trial, i) > value_i64(best, trial, i)) best = r;
        put(want, type, 0, best, trial, i);
    } else if (type == DTYPE_I64) {
        int64_t sum = 0;
        for (int32_t r = 0; r < ranks; r++) sum += value_i64(r, trial, i);
        memcpy(want, &sum, 8);
    } else {
        float total = 0;
        for (int32_t first = 0; first < ranks; first += node_ranks) {
            float node = value_f32(first, trial, i);
            for (int32_t r = first + 1; r < first + node_ranks && r < ranks; r++)
                node += value_f32(r, trial, i);
            total = first == 0 ? node : total + node;
        }
        memcpy(want, &total, 4);
    }
}

/* every rank reaches its next operation at another time */
static void stagger(const comm *c, uint64_t trial)
{
    long pause_ns = (long)(value_i64(comm_rank(c), trial, 1) & 0x1ffff);
    if (pause_ns & 1) (void)nanosleep(&(struct timespec){.tv_nsec = pause_ns}, NULL);
}

/* --- one operation each ---------------------------------------------------------------------- */

typedef struct trial {
    comm *c;
    int32_t node_ranks;
    uint64_t number;
    dtype type;
    comm_op op;
    int64_t count;
    void *buf;
} trial;

static status check(const trial *t, const char *what, int64_t at, int64_t i)
{
    double want;
    answer(&want, t->type, t->op, comm_size(t->c), t->node_ranks, t->number, i);
    size_t unit = (size_t)dtype_bytes(t->type);
    REQUIRE(memcmp(&want, (char *)t->buf + (size_t)at * unit, unit) == 0, ERR_NUMERIC,
            "%s over %s, count %lld, dtype %d, operation %d: element %lld is wrong", what,
            comm_name(t->c), (long long)t->count, t->type, t->op, (long long)i);
    return OK;
}

static void fill(const trial *t, int64_t count)
{
    for (int64_t i = 0; i < count; i++) put(t->buf, t->type, i, comm_rank(t->c), t->number, i);
}

static status check_reduce_scatter(const trial *t)
{
    int64_t first = comm_rank(t->c) * t->count;
    for (int64_t i = first; i < first + t->count; i++) TRY(check(t, "reduce-scatter", i, i));
    return OK;
}

static status check_all_reduce(const trial *t)
{
    for (int64_t i = 0; i < t->count; i++) TRY(check(t, "all-reduce", i, i));
    return OK;
}

static void fill_stripe(const trial *t)
{
    int32_t rank = comm_rank(t->c);
    char *stripe = (char *)t->buf + rank * t->count;
    memset(t->buf, 0x5a, (size_t)(t->count * comm_size(t->c)));
    for (int64_t i = 0; i < t->count; i++) stripe[i] = (char)value_i64(rank, t->number, i);
}

static status check_all_gather(const trial *t)
{
    for (int32_t r = 0; r < comm_size(t->c); r++)
        for (int64_t i = 0; i < t->count; i++)
            REQUIRE(((char *)t->buf)[r * t->count + i] == (char)value_i64(r, t->number, i),
                    ERR_NUMERIC,
                    "all-gather over %s of %lld bytes: byte %lld of stripe %d is wrong",
                    comm_name(t->c), (long long)t->count, (long long)i, r);
    return OK;
}

/* --- the laws -------------------------------------------------------------------------------- */

static status every_count(trial t)
{
    static const dtype sums[] = {DTYPE_I64, DTYPE_F32};
    static const dtype maxima[] = {DTYPE_I32, DTYPE_I64, DTYPE_F64};
    int32_t size = comm_size(t.c);
    for (int k = 0; k < COUNTS; k++) {
        t.count = counts[k];
        t.op = COMM_SUM;
        for (int d = 0; d < 2; d++) {
            t.type = sums[d];
            fill(&t, size * t.count);
            stagger(t.c, t.number);
            TRY(comm_reduce_scatter(t.c, t.buf, t.count, t.type));
            TRY(check_reduce_scatter(&t));
            t.number++;
            fill(&t, t.count);
            TRY(comm_all_reduce(t.c, t.buf, t.count, t.type, COMM_SUM));
            TRY(check_all_reduce(&t));
            t.number++;
        }
        t.op = COMM_MAX;
        for (int d = 0; d < 3; d++, t.number++) {
            t.type = maxima[d];
            fill(&t, t.count);
            TRY(comm_all_reduce(t.c, t.buf, t.count, t.type, COMM_MAX));
            TRY(check_all_reduce(&t));
        }
        fill_stripe(&t);
        stagger(t.c, t.number);
        TRY(comm_all_gather(t.c, t.buf, t.count));
        TRY(check_all_gather(&t));
        t.number++;
    }
    return OK;
}

/* all-reduce takes memory that is not from comm_alloc */
static status plain_memory(trial t)
{
    t.op = COMM_SUM;
    t.type = DTYPE_I64;
    for (int k = 0; k < COUNTS; k++, t.number++) {
        t.count = counts[k];
        t.buf = malloc((size_t)t.count * 8 + 1);
        ASSERT(t.buf);
        fill(&t, t.count);
        status s = comm_all_reduce(t.c, t.buf, t.count, t.type, t.op);
        if (s == OK) s = check_all_reduce(&t);
        free(t.buf);
        TRY(s);
    }
    return OK;
}

/* several operations of each kind under way, progress between them, waits last to first */
static status interleaved(trial base)
{
    trial t[IN_FLIGHT];
    comm_request request[IN_FLIGHT];
    int32_t size = comm_size(base.c);
    char *at = base.buf;
    for (int k = 0; k < IN_FLIGHT; k++) {
        t[k] = base;
        t[k].number += (uint64_t)k;
        t[k].buf = at;
        t[k].op = COMM_SUM;
        t[k].type = k % 2 ? DTYPE_F32 : DTYPE_I64;
        t[k].count = 3000 + 641 * k;
        at += size * t[k].count * 8;
        if (k % 3 == 1)
            fill_stripe(&t[k]);
        else
            fill(&t[k], k % 3 == 0 ? size * t[k].count : t[k].count);
    }
    for (int k = 0; k < IN_FLIGHT; k++) {
        stagger(base.c, base.number + (uint64_t)k);
        if (k % 3 == 0)
            TRY(comm_start_reduce_scatter(base.c, &request[k], t[k].buf, t[k].count, t[k].type));
        else if (k % 3 == 1)
            TRY(comm_start_all_gather(base.c, &request[k], t[k].buf, t[k].count));
        else
            TRY(comm_start_all_reduce(base.c, &request[k], t[k].buf, t[k].count, t[k].type,
                                      COMM_SUM));
        for (int p = 0; p < comm_rank(base.c) + k; p++) TRY(comm_progress(base.c));
    }
    for (int k = IN_FLIGHT - 1; k >= 0; k--) {
        TRY(comm_wait(base.c, request[k]));
        /* the buffer is mine again: writing it must not reach a peer */
        TRY(k % 3 == 0   ? check_reduce_scatter(&t[k])
            : k % 3 == 1 ? check_all_gather(&t[k])
                         : check_all_reduce(&t[k]));
        memset(t[k].buf, 0xff, (size_t)(size * t[k].count));
    }
    return OK;
}

/* more small operations than may be under way at once */
static status many(trial t)
{
    enum { MANY = 700 };
    comm_request request[MANY];
    int64_t given[MANY];
    for (int k = 0; k < MANY; k++) {
        given[k] = value_i64(comm_rank(t.c), t.number, k);
        if (k % 2)
            TRY(comm_start_all_reduce(t.c, &request[k], &given[k], 1, DTYPE_I64, COMM_SUM));
        else {
            int64_t *stripes = (int64_t *)t.buf + k * comm_size(t.c);
            stripes[comm_rank(t.c)] = given[k];
            TRY(comm_start_all_gather(t.c, &request[k], stripes, 8));
        }
    }
    for (int k = 0; k < MANY; k++) {
        TRY(comm_wait(t.c, request[k]));
        int64_t want = 0;
        for (int32_t r = 0; r < comm_size(t.c); r++) want += value_i64(r, t.number, k);
        int64_t *stripes = (int64_t *)t.buf + k * comm_size(t.c), got = k % 2 ? given[k] : 0;
        for (int32_t r = 0; !(k % 2) && r < comm_size(t.c); r++) got += stripes[r];
        REQUIRE(got == want, ERR_NUMERIC, "operation %d of many is wrong", k);
    }
    return OK;
}

/* elements of a stripe that is cut into more blocks than may be under way between nodes */
static int64_t large_count(const comm *c) { return comm_size(c) <= 2 ? 2400001 : 800003; }

static status large(trial t)
{
    t.count = large_count(t.c);
    t.type = DTYPE_I64;
    t.op = COMM_SUM;
    int32_t size = comm_size(t.c);
    fill(&t, size * t.count);
    comm_request request;
    TRY(comm_start_reduce_scatter(t.c, &request, t.buf, t.count, t.type));
    for (int k = 0; k < 7; k++) TRY(comm_progress(t.c));
    TRY(comm_wait(t.c, request));
    TRY(check_reduce_scatter(&t));
    TRY(comm_all_gather(t.c, t.buf, t.count * 8));
    for (int64_t i = 0; i < size * t.count; i += 997)
        TRY(check(&t, "reduce-scatter, all-gather", i, i));
    t.number++;
    t.count *= size;
    fill(&t, t.count);
    TRY(comm_all_reduce(t.c, t.buf, t.count, t.type, t.op));
    for (int64_t i = 0; i < t.count; i += 13) TRY(check(&t, "all-reduce", i, i));
    return check(&t, "all-reduce", t.count - 1, t.count - 1);
}

status comm_conformance(comm *c, int32_t node_ranks)
{
    int64_t bytes = large_count(c) * (int64_t)comm_size(c) * 8;
    char *buf, *second;
    TRY(comm_alloc(c, (void **)&buf, bytes));
    TRY(comm_alloc(c, (void **)&second, 0));
    TRY(comm_alloc(c, (void **)&second, 100003 * 8 * (int64_t)comm_size(c) + 64));
    for (int64_t i = 0; i < bytes; i++)
        REQUIRE(buf[i] == 0, ERR_NUMERIC, "comm_alloc: byte %lld is not zero", (long long)i);
    REQUIRE((uintptr_t)buf % 64 == 0 && (uintptr_t)second % 64 == 0, ERR_NUMERIC, "not aligned");
    int64_t overhead = comm_overhead_bytes(c);
    trial t = {.c = c, .node_ranks = node_ranks, .buf = buf};
    TRY(comm_barrier(c));
    TRY(every_count(t));
    t.buf = second + 64;
    TRY(every_count(t));
    TRY(plain_memory(t));
    for (t.number = 1000; t.number < 1100; t.number += 10) TRY(interleaved(t));
    TRY(many(t));
    t.buf = buf;
    TRY(large(t));
    REQUIRE(comm_overhead_bytes(c) == overhead, ERR_NUMERIC, "overhead changed");
    return comm_barrier(c);
}
