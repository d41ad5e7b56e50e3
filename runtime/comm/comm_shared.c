#include "comm/comm_shared.h"
#include "base/clock.h"
#include "comm/comm_reduce.h"
#include "comm/world_watch.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "counters are shared between processes");

enum {
    BLOCK_BYTES = 128 << 10,  /* unit of work: of each source of a sum, of a copy */
    PROGRESS_BYTES = 1 << 20, /* read by one comm_progress at most                */
    SPINS = 200,              /* polls before giving the core away, if it is ours */
    REST_NS = 50000,          /* sleep between polls once peers are far behind    */
};

/* --- slices and addresses -------------------------------------------------------------------- */

int64_t comm_shared_unit(const shared_op *op)
{
    return op->call.kind == COMM_ALL_GATHER ? 1 : dtype_bytes(op->call.type);
}

shared_slice comm_shared_slice(const comm_shared *t, const shared_op *op, int32_t rank)
{
    int64_t count = op->call.count;
    if (op->call.kind != COMM_ALL_REDUCE) return (shared_slice){rank * count, count};
    /* all-reduce: even shares whose borders fall on cache lines */
    int64_t lines = (count + 15) / 16, size = t->base.size;
    int64_t first = lines / size * rank + lines % size * rank / size;
    int64_t last = lines / size * (rank + 1) + lines % size * (rank + 1) / size;
    first = first * 16 < count ? first * 16 : count;
    last = last * 16 < count ? last * 16 : count;
    return (shared_slice){first, last - first};
}

static char *address(const comm_shared *t, const shared_op *op, int32_t local)
{
    if (op->piece < 0) return (char *)t->slot[local]->bounce[op->offset];
    return t->piece[op->piece][local] + op->offset;
}

/* --- counters -------------------------------------------------------------------------------- */

static uint64_t passed(const comm_shared *t, int32_t local, shared_stage stage)
{
    return atomic_load_explicit(&t->slot[local]->stage[stage].passed, memory_order_acquire);
}

static bool all_passed(const comm_shared *t, shared_stage stage, uint64_t count)
{
    for (int32_t l = 0; l < t->local_size; l++)
        if (passed(t, l, stage) < count) return false;
    return true;
}

static void pass(comm_shared *t, shared_stage stage)
{
    t->passed[stage]++;
    atomic_store_explicit(&t->slot[t->local_rank]->stage[stage].passed, t->passed[stage],
                          memory_order_release);
}

/* --- failure --------------------------------------------------------------------------------- */

/* keeps the message of the first failure; the communicator is of no more use */
static status fail(comm_shared *t, status s)
{
    t->failed = true;
    (void)snprintf(t->reason, sizeof t->reason, "%s", status_message());
    return s;
}

static status check_usable(const comm_shared *t)
{
    REQUIRE(!t->failed, ERR_COMM, "communication failed before: %s", t->reason);
    return OK;
}

typedef struct op_text {
    char text[64];
} op_text;

static op_text describe(const shared_note *n)
{
    static const char *const kinds[] = {"reduce-scatter", "all-gather", "all-reduce"};
    static const char *const types[] = {"f32", "bf16", "i32", "i64", "f64", "u64"};
    op_text out;
    (void)snprintf(out.text, sizeof out.text, "%s of %lld %s", kinds[n->kind], (long long)n->count,
                   n->kind == COMM_ALL_GATHER ? "bytes" : types[n->type]);
    return out;
}

/* the ranks of this node ask for the same operation on the same part of the same piece */
static status check_notes(const comm_shared *t, uint64_t number)
{
    const shared_note *mine = &t->slot[t->local_rank]->notes[number % SHARED_QUEUE];
    for (int32_t l = 0; l < t->local_size; l++) {
        const shared_note *theirs = &t->slot[l]->notes[number % SHARED_QUEUE];
        bool same = mine->kind == theirs->kind && mine->type == theirs->type &&
                    mine->op == theirs->op && mine->count == theirs->count &&
                    mine->piece == theirs->piece && mine->offset == theirs->offset;
        REQUIRE(
            same, ERR_INTERNAL,
            "ranks disagree on operation %llu: %s at %d+%lld on rank %d, %s at %d+%lld on rank %d",
            (unsigned long long)number, describe(mine).text, mine->piece, (long long)mine->offset,
            t->base.rank, describe(theirs).text, theirs->piece, (long long)theirs->offset,
            t->member[l]);
    }
    return OK;
}

/* names the operation and who has not come */
static status stalled(comm_shared *t, uint64_t number)
{
    char late[768] = "", text[64];
    bool known = world_watch_behind(t->base.world, late, sizeof late);
    /* those who have not started, or else those who have not finished */
    for (int32_t last = 0; last < 2 && !late[0] && !known; last++)
        for (int32_t l = 0; l < t->local_size; l++) {
            if (passed(t, l, last ? STAGE_COPY : STAGE_START) > number || l == t->local_rank)
                continue;
            (void)snprintf(text, sizeof text, "%s rank %d", late[0] ? "," : "", t->member[l]);
            if (strlen(late) + strlen(text) < sizeof late) strcat(late, text);
            world_watch_place(t->base.world, t->member[l], late, sizeof late);
        }
    if (t->network && !known) t->network->missing(t, late, sizeof late);
    FAIL(ERR_COMM, "%s (operation %llu): nothing heard for %g s from%s",
         describe(&t->slot[t->local_rank]->notes[number % SHARED_QUEUE]).text,
         (unsigned long long)number, t->base.deadline_s, late[0] ? late : " any peer");
}

/* a peer that closed before it did its part will never come */
static status check_left(const comm_shared *t, uint64_t number)
{
    for (int32_t l = 0; l < t->local_size; l++)
        REQUIRE(!atomic_load_explicit(&t->slot[l]->left, memory_order_acquire) ||
                    passed(t, l, STAGE_COPY) > number,
                ERR_COMM, "%s (operation %llu): rank %d has left",
                describe(&t->slot[t->local_rank]->notes[number % SHARED_QUEUE]).text,
                (unsigned long long)number, t->member[l]);
    return OK;
}

/* --- stages ---------------------------------------------------------------------------------- */

/* sums elements [first, first + count) over the node */
static void sum_block(comm_shared *t, const shared_op *op, int64_t first, int64_t count)
{
    int64_t shift = first * comm_shared_unit(op);
    for (int32_t l = 0; l < t->local_size; l++) t->in[l] = address(t, op, l) + shift;
    int32_t outs = 1;
    if (t->network || op->call.kind == COMM_REDUCE_SCATTER) {
        t->out[0] = address(t, op, t->local_rank) + shift;
    } else if (op->plain) {
        t->out[0] = (char *)op->plain + shift;
    } else {
        /* all-reduce on one node: straight into everybody's buffer */
        outs = t->local_size;
        for (int32_t l = 0; l < outs; l++) t->out[l] = address(t, op, l) + shift;
    }
    comm_reduce(&(reduce_job){.type = op->call.type,
                              .op = op->call.op,
                              .in = t->in,
                              .in_count = t->local_size,
                              .out = t->out,
                              .out_count = outs,
                              .count = count});
}

/* does a stage's work on every slice it concerns, as far as the budget of bytes allows */
static bool work(comm_shared *t, shared_op *op, bool copy, int64_t *budget)
{
    int64_t unit = comm_shared_unit(op), block = BLOCK_BYTES / unit;
    /* small results from plain memory: everybody sums everything, nobody waits a second time */
    bool whole = op->plain && !t->network && !copy;
    for (; op->rank < t->base.size; op->rank++, op->at = 0) {
        int32_t home = t->home[op->rank];
        if (whole ? op->rank > 0 : (home == t->local_rank) == copy) continue;
        shared_slice s =
            whole ? (shared_slice){0, op->call.count} : comm_shared_slice(t, op, op->rank);
        while (op->at < s.count) {
            if (*budget <= 0) return false;
            int64_t count = s.count - op->at < block ? s.count - op->at : block;
            int64_t first = s.first + op->at;
            if (copy)
                memcpy(address(t, op, t->local_rank) + first * unit,
                       address(t, op, home) + first * unit, (size_t)(count * unit));
            else
                sum_block(t, op, first, count);
            op->at += count;
            *budget -= count * unit * (copy ? 1 : t->local_size);
        }
    }
    op->rank = 0;
    op->at = 0;
    return true;
}

static shared_op *op_at(comm_shared *t, uint64_t number)
{
    return &t->queue[number % SHARED_QUEUE];
}

static status advance_sum(comm_shared *t, int64_t *budget, bool *moved)
{
    while (t->passed[STAGE_SUM] < t->passed[STAGE_START]) {
        uint64_t number = t->passed[STAGE_SUM];
        shared_op *op = op_at(t, number);
        if (!all_passed(t, STAGE_START, number + 1) || *budget <= 0) return OK;
        if (op->rank == 0 && op->at == 0) TRY(check_notes(t, number));
        *moved = true;
        if (op->call.kind != COMM_ALL_GATHER && !work(t, op, false, budget)) return OK;
        pass(t, STAGE_SUM);
    }
    return OK;
}

static status advance_network(comm_shared *t, bool *moved)
{
    bool done = true;
    while (t->exchanged < t->passed[STAGE_SUM]) {
        shared_op *op = op_at(t, t->exchanged);
        if (t->network && op->call.kind != COMM_ALL_GATHER)
            TRY(t->network->exchange(t, op, &done, moved));
        if (!done) break;
        op->block = 0;
        t->exchanged++;
        *moved = true;
    }
    done = true;
    while (t->passed[STAGE_SPREAD] < t->exchanged) {
        shared_op *op = op_at(t, t->passed[STAGE_SPREAD]);
        if (t->network && op->call.kind != COMM_REDUCE_SCATTER)
            TRY(t->network->spread(t, op, &done, moved));
        if (!done) break;
        pass(t, STAGE_SPREAD);
        *moved = true;
    }
    return OK;
}

static void advance_copy(comm_shared *t, int64_t *budget, bool *moved)
{
    while (t->passed[STAGE_COPY] < t->passed[STAGE_SPREAD]) {
        uint64_t number = t->passed[STAGE_COPY];
        shared_op *op = op_at(t, number);
        bool copies =
            op->call.kind == COMM_ALL_GATHER || (op->call.kind == COMM_ALL_REDUCE && t->network);
        if (copies) {
            if (!all_passed(t, STAGE_SPREAD, number + 1) || *budget <= 0) return;
            *moved = true;
            if (!work(t, op, true, budget)) return;
            if (op->plain)
                memcpy(op->plain, op->call.buf, (size_t)(op->call.count * comm_shared_unit(op)));
        }
        pass(t, STAGE_COPY);
        *moved = true;
    }
}

static status advance(comm_shared *t, int64_t budget, bool *moved)
{
    TRY(advance_sum(t, &budget, moved));
    TRY(advance_network(t, moved));
    advance_copy(t, &budget, moved);
    return OK;
}

/* --- waiting --------------------------------------------------------------------------------- */

/* the buffer is the caller's again: own part done, and no peer reads it any more */
static bool is_complete(const comm_shared *t, uint64_t number)
{
    if (t->passed[STAGE_COPY] <= number) return false;
    if (number + SHARED_QUEUE < t->passed[STAGE_START]) return true;
    const shared_op *op = &t->queue[number % SHARED_QUEUE];
    if (op->plain) return true;
    return all_passed(t, op->call.kind == COMM_REDUCE_SCATTER ? STAGE_SUM : STAGE_COPY, number + 1);
}

/* nobody needs what this rank said about the operation: its note, its bounce */
static bool is_over(const comm_shared *t, uint64_t number)
{
    return all_passed(t, STAGE_COPY, number + 1);
}

static uint64_t heard(const comm_shared *t)
{
    uint64_t sum = 0;
    for (int32_t l = 0; l < t->local_size; l++)
        for (int stage = 0; stage < STAGES; stage++) sum += passed(t, l, (shared_stage)stage);
    return sum;
}

/* A message over a slow link takes milliseconds, which another rank of this core can use. */
static void rest(const comm_shared *t, double waited_s)
{
    if (waited_s < (t->network ? 0.001 : 0.02))
        (void)sched_yield();
    else
        (void)nanosleep(&(struct timespec){.tv_nsec = REST_NS}, NULL);
}

/* works until done says so; gives up when no peer has moved for the deadline */
static status wait_until(comm_shared *t, bool (*done)(const comm_shared *, uint64_t),
                         uint64_t number)
{
    double since_s = 0;
    uint64_t last = 0;
    for (int idle = 0;;) {
        bool moved = false;
        TRY(advance(t, INT64_MAX, &moved));
        if (done(t, number)) break;
        if (moved) {
            idle = 0;
        } else if (idle < t->spins) {
#ifdef __x86_64__
            __builtin_ia32_pause();
#endif
            if (++idle == t->spins) {
                since_s = clock_s();
                world_watch_wait(t->base.world, true);
            }
        } else {
            TRY(world_watch_check(t->base.world));
            TRY(check_left(t, number));
            uint64_t now = heard(t);
            double now_s = clock_s();
            if (now != last) since_s = now_s;
            last = now;
            if (now_s - since_s > t->base.deadline_s) {
                if (!world_watch_starved(t->base.world)) return stalled(t, number);
                since_s = now_s;
            }
            rest(t, now_s - since_s);
        }
    }
    world_watch_wait(t->base.world, false);
    return OK;
}

/* --- driver entries -------------------------------------------------------------------------- */

/* the piece that a buffer lies in, or -1 */
static int32_t find_piece(const comm_shared *t, const void *buf, int64_t bytes)
{
    for (int32_t p = 0; p < t->piece_count; p++) {
        const char *base = t->piece[p][t->local_rank];
        if ((const char *)buf >= base && (const char *)buf + bytes <= base + t->piece_bytes[p])
            return p;
    }
    return -1;
}

static status enqueue(comm_shared *t, comm_request *out, shared_op op)
{
    uint64_t number = t->passed[STAGE_START];
    if (number >= SHARED_QUEUE) TRY(wait_until(t, is_over, number - SHARED_QUEUE));
    if (op.plain) {
        /* a bounce is free when everybody is through with the operation that had it last */
        int32_t slot = t->bounce_next;
        t->bounce_next = (slot + 1) % SHARED_BOUNCES;
        if (t->bounce_free[slot] > 0) TRY(wait_until(t, is_over, t->bounce_free[slot] - 1));
        t->bounce_free[slot] = number + 1;
        op.piece = -1;
        op.offset = slot;
        op.call.buf = t->slot[t->local_rank]->bounce[slot];
        memcpy(op.call.buf, op.plain, (size_t)(op.call.count * comm_shared_unit(&op)));
    }
    t->slot[t->local_rank]->notes[number % SHARED_QUEUE] =
        (shared_note){.kind = (int32_t)op.call.kind,
                      .type = (int32_t)op.call.type,
                      .op = (int32_t)op.call.op,
                      .count = op.call.count,
                      .piece = op.piece,
                      .offset = op.offset};
    t->queue[number % SHARED_QUEUE] = op;
    pass(t, STAGE_START);
    *out = (comm_request)number;
    return OK;
}

status comm_shared_start(comm *c, comm_request *out, const comm_call *call)
{
    comm_shared *t = (comm_shared *)c;
    TRY(check_usable(t));
    shared_op op = {.call = *call};
    int64_t stripes = call->kind == COMM_ALL_REDUCE ? 1 : c->size;
    int64_t unit = comm_shared_unit(&op), bytes = stripes * call->count * unit;
    op.piece = find_piece(t, call->buf, bytes);
    status s = OK;
    if (call->kind == COMM_ALL_REDUCE && (op.piece < 0 || bytes <= SHARED_BOUNCE_BYTES)) {
        /* small or plain memory: in as many parts as it takes; the last one ends the request */
        int64_t at = 0, most = SHARED_BOUNCE_BYTES / unit;
        do {
            op.call.count = call->count - at < most ? call->count - at : most;
            op.plain = call->buf ? (char *)call->buf + at * unit : t->reason; /* never NULL */
            s = enqueue(t, out, op);
            at += op.call.count;
        } while (s == OK && at < call->count);
    } else {
        REQUIRE(op.piece >= 0 || bytes == 0, ERR_INTERNAL, "%s on memory not from comm_alloc",
                call->kind == COMM_ALL_GATHER ? "all-gather" : "reduce-scatter");
        if (op.piece >= 0) op.offset = (char *)call->buf - t->piece[op.piece][t->local_rank];
        s = enqueue(t, out, op);
    }
    return s == OK ? OK : fail(t, s);
}

status comm_shared_progress(comm *c)
{
    comm_shared *t = (comm_shared *)c;
    TRY(check_usable(t));
    bool moved = false;
    status s = advance(t, PROGRESS_BYTES, &moved);
    return s == OK ? OK : fail(t, s);
}

status comm_shared_wait(comm *c, comm_request request)
{
    comm_shared *t = (comm_shared *)c;
    TRY(check_usable(t));
    REQUIRE(request >= 0 && (uint64_t)request < t->passed[STAGE_START], ERR_INTERNAL,
            "wait for request %lld, which was not started", (long long)request);
    status s = wait_until(t, is_complete, (uint64_t)request);
    return s == OK ? OK : fail(t, s);
}

status comm_shared_alloc(comm *c, void **out, int64_t bytes)
{
    comm_shared *t = (comm_shared *)c;
    REQUIRE(t->piece_count < SHARED_PIECES, ERR_INTERNAL, "more than %d comm_alloc", SHARED_PIECES);
    char **base = calloc((size_t)t->local_size, sizeof *base);
    /* everybody asks for the same, and everybody is able to */
    int64_t asked[3] = {bytes, -bytes, base == NULL};
    status s = comm_all_reduce(c, asked, 3, DTYPE_I64, COMM_MAX);
    if (s == OK && asked[0] != -asked[1])
        s = status_set(ERR_INTERNAL, __FILE__, __LINE__,
                       "comm_alloc of %lld bytes on one rank, %lld on another", (long long)asked[0],
                       -(long long)asked[1]);
    if (s == OK && asked[2]) s = status_set(ERR_MEMORY, __FILE__, __LINE__, "out of memory");
    if (s == OK) s = t->map(t, base, bytes);
    if (s != OK) {
        free(base);
        return s;
    }
    t->piece[t->piece_count] = base;
    t->piece_bytes[t->piece_count++] = bytes;
    *out = base[t->local_rank];
    return OK;
}

/* --- life ------------------------------------------------------------------------------------ */

status comm_shared_init(comm_shared *t)
{
    /* with more ranks than processors the one we wait for may need this one */
    t->spins = t->local_size > sysconf(_SC_NPROCESSORS_ONLN) ? 1 : SPINS;
    t->in = calloc((size_t)t->local_size, sizeof *t->in);
    t->out = calloc((size_t)t->local_size, sizeof *t->out);
    REQUIRE(t->in && t->out, ERR_MEMORY, "out of memory");
    return OK;
}

void comm_shared_deinit(comm_shared *t)
{
    for (int32_t p = 0; p < t->piece_count; p++) free(t->piece[p]);
    free(t->in);
    free(t->out);
}

void comm_shared_leave(comm_shared *t)
{
    atomic_store_explicit(&t->slot[t->local_rank]->left, t->failed ? 2 : 1, memory_order_release);
}
