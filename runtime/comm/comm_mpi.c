#include "base/clock.h"
#include "comm/comm_reduce.h"
#include "comm/comm_shared.h"
#include "comm/world_mpi.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Over TCP a message begins with an announcement and its answer, each behind what its sender's
 * socket still holds: 4 MiB where the kernel chooses. So 8 MiB under way are not enough for a link:
 * a reduce-scatter of 64 MiB between two hosts at 1 Gbit/s takes 366 ms with 8, 300 with 16, and
 * 281 would be its bytes. */
enum {
    BOUNCE_BYTES = 16 << 20, /* node sums on their way in: DEPTH blocks of every other node */
    DEPTH = 8,               /* blocks under way: see above                                 */
    SPREAD_BYTES = 2 << 20,  /* one message of the spread stage at most                     */
    SPREADS = 8,             /* of them under way                                           */
    ROUND_BYTES = 256 << 10, /* messages from this size on go round by round                */
    ROUNDS = 2,              /* rounds under way                                            */
    TAG_EXCHANGE = 1,
    TAG_SPREAD = 2,
};

/* Messages under way; request[i] is from or to peer[i]. */
typedef struct batch {
    MPI_Request *request;
    int32_t *peer; /* -1: we send */
    int32_t count;
} batch;

typedef struct comm_mpi {
    comm_shared shared;
    MPI_Comm all, node;
    MPI_Win window[SHARED_PIECES + 1]; /* slots, then pieces */
    int32_t window_count;
    int32_t *member, *home; /* (local_size), (size): see comm_shared.h                       */
    int32_t nodes, node_index;
    int32_t *handler;      /* (nodes) rank that handles this rank's slice there; [node_index]: me */
    int32_t *handled;      /* (handled_count) ranks of other nodes whose slices this rank handles */
    int32_t *handled_node; /* (handled_count) their nodes                                    */
    int32_t handled_count;
    char *bounce; /* (DEPTH, nodes, block_bytes) */
    int64_t block_bytes;
    const void **in; /* (nodes) scratch for comm_reduce                                   */
    /* exchange: turns (a round of a block) posted and arrived, counted over all operations   */
    batch *turn; /* (DEPTH x rounds of a block) */
    int64_t posted, arrived;
    uint64_t post_op;   /* where posting goes on: the operation ...                          */
    int64_t post_block; /* ... its block ...                                                 */
    int32_t post_round; /* ... and the round of that                                         */
    batch *spread;      /* (SPREADS) */
    int64_t spread_posted, spread_arrived; /* of the operation under way */
} comm_mpi;

/* Each node talks to all others in nodes - 1 rounds: in round k it sends to the k-th after it and
 * receives from the k-th before it, so that no two send to one at a time and none waits for a link
 * that others fill. */
static int32_t rounds(const comm_mpi *m) { return m->nodes - 1; }
static int32_t node_after(const comm_mpi *m, int32_t k) { return (m->node_index + k) % m->nodes; }
static int32_t node_before(const comm_mpi *m, int32_t k)
{
    return (m->node_index + m->nodes - k) % m->nodes;
}

/* Small messages cost their latency: all rounds at once. */
static bool by_rounds(const comm_mpi *m, int64_t bytes)
{
    return bytes >= ROUND_BYTES && rounds(m) > 1;
}

/* --- messages between nodes ------------------------------------------------------------------ */

static status receive(comm_mpi *m, batch *b, void *to, int64_t bytes, int32_t from, int tag)
{
    b->peer[b->count] = from;
    MPI_TRY(MPI_Irecv(to, (int)bytes, MPI_BYTE, from, tag, m->all, &b->request[b->count]));
    b->count++;
    return OK;
}

static status send(comm_mpi *m, batch *b, const void *from, int64_t bytes, int32_t to, int tag)
{
    b->peer[b->count] = -1;
    MPI_TRY(MPI_Isend(from, (int)bytes, MPI_BYTE, to, tag, m->all, &b->request[b->count]));
    b->count++;
    return OK;
}

/* part number `block` of a slice, in bytes of the operation's buffer; empty beyond its end */
static shared_slice part(const comm_shared *t, const shared_op *op, int32_t rank, int64_t block,
                         int64_t block_bytes)
{
    int64_t unit = comm_shared_unit(op), most = block_bytes / unit;
    shared_slice s = comm_shared_slice(t, op, rank);
    int64_t first = block * most < s.count ? block * most : s.count;
    int64_t count = s.count - first < most ? s.count - first : most;
    return (shared_slice){(s.first + first) * unit, count * unit};
}

/* blocks of the largest slice this rank sends or receives */
static int64_t block_count(const comm_mpi *m, const shared_op *op, int64_t block_bytes)
{
    const comm_shared *t = &m->shared;
    int64_t most = comm_shared_slice(t, op, t->base.rank).count;
    for (int32_t h = 0; h < m->handled_count; h++) {
        int64_t count = comm_shared_slice(t, op, m->handled[h]).count;
        if (count > most) most = count;
    }
    int64_t elements = block_bytes / comm_shared_unit(op);
    return (most + elements - 1) / elements;
}

static char *bounce_at(const comm_mpi *m, int64_t turn, int32_t node)
{
    return m->bounce + ((turn / rounds(m) % DEPTH) * m->nodes + node) * m->block_bytes;
}

static batch *turn_at(const comm_mpi *m, int64_t turn)
{
    return &m->turn[turn % ((int64_t)DEPTH * rounds(m))];
}

/* round k of a block: own part comes from the node before, others' parts go to the node after */
static status post_turn(comm_mpi *m, const shared_op *op, int32_t k)
{
    comm_shared *t = &m->shared;
    const int32_t before = node_before(m, k), after = node_after(m, k);
    batch *b = turn_at(m, m->posted);
    b->count = 0;
    shared_slice mine = part(t, op, t->base.rank, m->post_block, m->block_bytes);
    if (mine.count > 0)
        TRY(receive(m, b, bounce_at(m, m->posted, before), mine.count, m->handler[before],
                    TAG_EXCHANGE));
    for (int32_t h = 0; h < m->handled_count; h++) {
        if (m->handled_node[h] != after) continue;
        shared_slice s = part(t, op, m->handled[h], m->post_block, m->block_bytes);
        if (s.count > 0)
            TRY(send(m, b, (char *)op->call.buf + s.first, s.count, m->handled[h], TAG_EXCHANGE));
    }
    return OK;
}

/* may the next turn, of this operation, be posted? Its bounce is free once the block that had it is
 * added. */
static bool may_post(const comm_mpi *m, const shared_op *op)
{
    const comm_shared *t = &m->shared;
    const int64_t bytes = part(t, op, t->base.rank, m->post_block, m->block_bytes).count;
    return m->posted / rounds(m) < m->arrived / rounds(m) + DEPTH &&
           (!by_rounds(m, bytes) || m->posted < m->arrived + ROUNDS);
}

/* keeps turns travelling, also of the operations after the one that is waited for */
static status post_turns(comm_mpi *m, bool *moved)
{
    comm_shared *t = &m->shared;
    if (m->post_op < t->exchanged) {
        m->post_op = t->exchanged;
        m->post_block = 0;
    }
    while (m->post_op < t->passed[STAGE_SUM]) {
        const shared_op *op = &t->queue[m->post_op % SHARED_QUEUE];
        if (op->call.kind == COMM_ALL_GATHER ||
            m->post_block == block_count(m, op, m->block_bytes)) {
            m->post_op++;
            m->post_block = 0;
            continue;
        }
        if (!may_post(m, op)) break;
        TRY(post_turn(m, op, m->post_round + 1));
        m->posted++;
        if (++m->post_round == rounds(m)) {
            m->post_round = 0;
            m->post_block++;
        }
        *moved = true;
    }
    return OK;
}

/* adds the node sums of the block whose last turn arrived, in node order */
static void add_block(comm_mpi *m, const shared_op *op)
{
    comm_shared *t = &m->shared;
    shared_slice mine = part(t, op, t->base.rank, op->block, m->block_bytes);
    void *own = (char *)op->call.buf + mine.first;
    for (int32_t n = 0; n < m->nodes; n++)
        m->in[n] = n == m->node_index ? own : bounce_at(m, m->arrived, n);
    comm_reduce(&(reduce_job){.type = op->call.type,
                              .op = op->call.op,
                              .in = m->in,
                              .in_count = m->nodes,
                              .out = &own,
                              .out_count = 1,
                              .count = mine.count / comm_shared_unit(op)});
}

static status mpi_exchange(comm_shared *t, shared_op *op, bool *done, bool *moved)
{
    comm_mpi *m = (comm_mpi *)t;
    int64_t blocks = block_count(m, op, m->block_bytes);
    for (;;) {
        TRY(post_turns(m, moved));
        *done = op->block == blocks;
        if (*done) return OK;
        batch *b = turn_at(m, m->arrived);
        int arrived;
        MPI_TRY(MPI_Testall(b->count, b->request, &arrived, MPI_STATUSES_IGNORE));
        if (!arrived) return OK;
        if (m->arrived % rounds(m) == rounds(m) - 1) {
            add_block(m, op);
            op->block++;
        }
        m->arrived++;
        *moved = true;
    }
}

/* a block of round k: slices go straight to their places; all blocks of a round, then the next */
static status post_spread(comm_mpi *m, const shared_op *op, int64_t turn, int64_t blocks)
{
    comm_shared *t = &m->shared;
    const int32_t k = (int32_t)(turn / blocks) + 1;
    const int64_t block = turn % blocks;
    const int32_t before = node_before(m, k), after = node_after(m, k);
    batch *b = &m->spread[turn % SPREADS];
    b->count = 0;
    for (int32_t h = 0; h < m->handled_count; h++) {
        if (m->handled_node[h] != before) continue;
        shared_slice s = part(t, op, m->handled[h], block, SPREAD_BYTES);
        if (s.count > 0)
            TRY(receive(m, b, (char *)op->call.buf + s.first, s.count, m->handled[h], TAG_SPREAD));
    }
    shared_slice mine = part(t, op, t->base.rank, block, SPREAD_BYTES);
    if (mine.count > 0)
        TRY(send(m, b, (char *)op->call.buf + mine.first, mine.count, m->handler[after],
                 TAG_SPREAD));
    return OK;
}

static bool may_spread(const comm_mpi *m, const shared_op *op, int64_t blocks)
{
    const int64_t bytes = part(&m->shared, op, m->shared.base.rank, 0, SPREAD_BYTES).count;
    return m->spread_posted < m->spread_arrived + SPREADS &&
           (!by_rounds(m, bytes) ||
            m->spread_posted / blocks < m->spread_arrived / blocks + ROUNDS);
}

static status mpi_spread(comm_shared *t, shared_op *op, bool *done, bool *moved)
{
    comm_mpi *m = (comm_mpi *)t;
    const int64_t blocks = block_count(m, op, SPREAD_BYTES), turns = blocks * rounds(m);
    *done = false;
    while (m->spread_arrived < turns) {
        for (; m->spread_posted < turns && may_spread(m, op, blocks); m->spread_posted++)
            TRY(post_spread(m, op, m->spread_posted, blocks));
        batch *b = &m->spread[m->spread_arrived % SPREADS];
        int arrived;
        MPI_TRY(MPI_Testall(b->count, b->request, &arrived, MPI_STATUSES_IGNORE));
        if (!arrived) return OK;
        m->spread_arrived++;
        *moved = true;
    }
    m->spread_posted = m->spread_arrived = 0;
    *done = true;
    return OK;
}

static void append_missing(const batch *b, char *text, size_t bytes)
{
    for (int32_t i = 0; i < b->count; i++) {
        int arrived = 1;
        char name[32];
        if (b->peer[i] < 0 || b->request[i] == MPI_REQUEST_NULL) continue;
        if (MPI_Request_get_status(b->request[i], &arrived, MPI_STATUS_IGNORE) || arrived) continue;
        (void)snprintf(name, sizeof name, "%s rank %d", text[0] ? "," : "", b->peer[i]);
        if (strlen(text) + strlen(name) < bytes) strcat(text, name);
    }
}

static void mpi_missing(comm_shared *t, char *text, size_t bytes)
{
    comm_mpi *m = (comm_mpi *)t;
    for (int64_t i = m->arrived; i < m->posted; i++) append_missing(turn_at(m, i), text, bytes);
    for (int64_t i = m->spread_arrived; i < m->spread_posted; i++)
        append_missing(&m->spread[i % SPREADS], text, bytes);
    /* a peer of another node may be there and itself be kept waiting */
    const char *hint = " (or a rank it waits for)";
    if (text[0] && strlen(text) + strlen(hint) < bytes) strcat(text, hint);
}

/* --- memory ---------------------------------------------------------------------------------- */

static status mpi_map(comm_shared *t, char **base, int64_t bytes)
{
    comm_mpi *m = (comm_mpi *)t;
    MPI_Win window = MPI_WIN_NULL;
    status mine = world_mpi_window(&window, (void **)base, m->node, bytes);
    if (mine == OK) m->window[m->window_count++] = window;
    /* also a barrier: all have zeroed their part */
    int32_t worst = (int32_t)mine;
    status s = comm_all_reduce(&t->base, &worst, 1, DTYPE_I32, COMM_MAX);
    if (mine != OK) return mine;
    TRY(s);
    REQUIRE(worst == OK, (status)worst, "a peer cannot share memory");
    return OK;
}

static status init_batch(batch *b, int32_t most)
{
    b->request = calloc((size_t)most, sizeof *b->request);
    b->peer = calloc((size_t)most, sizeof *b->peer);
    REQUIRE(b->request && b->peer, ERR_MEMORY, "out of memory");
    return OK;
}

static void deinit_batch(batch *b)
{
    free(b->request);
    free(b->peer);
}

/* --- opening --------------------------------------------------------------------------------- */

/* which rank is on which node; who handles whose slices where */
static status find_homes(comm_mpi *m)
{
    comm_shared *t = &m->shared;
    int32_t size = t->base.size, place[2] = {m->node_index, t->local_rank};
    int32_t *places = calloc((size_t)size, sizeof place), *ranks_of = NULL;
    m->home = calloc((size_t)size, sizeof *m->home);
    m->handled = calloc((size_t)size, sizeof *m->handled);
    m->handled_node = calloc((size_t)size, sizeof *m->handled_node);
    m->handler = calloc((size_t)m->nodes, sizeof *m->handler);
    m->member = calloc((size_t)t->local_size, sizeof *m->member);
    m->in = calloc((size_t)m->nodes, sizeof *m->in);
    ranks_of = calloc((size_t)m->nodes, sizeof *ranks_of);
    bool whole = places && m->home && m->handled && m->handled_node && m->handler && m->member &&
                 m->in && ranks_of;
    ASSERT(whole); /* a few kilobytes */
    MPI_TRY(MPI_Allgather(place, 2, MPI_INT32_T, places, 2, MPI_INT32_T, m->all));
    for (int32_t r = 0; r < size; r++) ranks_of[places[2 * r]]++;
    for (int32_t r = 0; r < size; r++) {
        int32_t node = places[2 * r], local = places[2 * r + 1];
        /* mine: slices of ranks with my number, counted round */
        m->home[r] = local % t->local_size;
        if (node == m->node_index) {
            m->member[local] = r;
        } else if (m->home[r] == t->local_rank) {
            m->handled_node[m->handled_count] = node;
            m->handled[m->handled_count++] = r;
        }
        if (local == t->local_rank % ranks_of[node]) m->handler[node] = r;
    }
    free(places);
    free(ranks_of);
    return OK;
}

static status join_node(comm_mpi *m, world *w, comm_reach reach, int32_t node_ranks)
{
    comm_shared *t = &m->shared;
    MPI_TRY(MPI_Comm_dup(world_mpi_comm(w), &m->all));
    if (reach == COMM_REACH_FORCED)
        MPI_TRY(MPI_Comm_split(m->all, t->base.rank / node_ranks, t->base.rank, &m->node));
    else
        MPI_TRY(MPI_Comm_dup(world_mpi_node_comm(w), &m->node));
    MPI_TRY(MPI_Comm_rank(m->node, &t->local_rank));
    MPI_TRY(MPI_Comm_size(m->node, &t->local_size));
    int32_t leads = t->local_rank == 0;
    MPI_TRY(MPI_Allreduce(&leads, &m->nodes, 1, MPI_INT32_T, MPI_SUM, m->all));
    MPI_TRY(MPI_Exscan(&leads, &m->node_index, 1, MPI_INT32_T, MPI_SUM, m->all));
    if (t->base.rank == 0) m->node_index = 0;
    MPI_TRY(MPI_Bcast(&m->node_index, 1, MPI_INT32_T, 0, m->node));
    return find_homes(m);
}

/* this rank's slot, which all ranks of the node see */
static status share_slots(comm_mpi *m)
{
    comm_shared *t = &m->shared;
    t->slot = calloc((size_t)t->local_size, sizeof *t->slot);
    ASSERT(t->slot);
    TRY(world_mpi_window(&m->window[0], (void **)t->slot, m->node, sizeof(shared_slot)));
    m->window_count = 1;
    t->base.overhead_bytes = world_mpi_window_bytes(sizeof(shared_slot));
    return OK;
}

static status open_network(comm_mpi *m)
{
    static const shared_network network = {mpi_exchange, mpi_spread, mpi_missing};
    if (m->nodes == 1) return OK;
    m->block_bytes = BOUNCE_BYTES / DEPTH / (m->nodes - 1) / 64 * 64;
    if (m->block_bytes < 4096) m->block_bytes = 4096;
    int64_t bytes = DEPTH * m->nodes * m->block_bytes;
    m->bounce = aligned_alloc(64, (size_t)bytes);
    REQUIRE(m->bounce, ERR_MEMORY, "no %.1f MiB for node sums", (double)bytes / 1048576);
    memset(m->bounce, 0, (size_t)bytes);
    m->shared.base.overhead_bytes += bytes;
    const int32_t turns = DEPTH * rounds(m);
    m->turn = calloc((size_t)turns, sizeof *m->turn);
    m->spread = calloc(SPREADS, sizeof *m->spread);
    REQUIRE(m->turn && m->spread, ERR_MEMORY, "out of memory");
    int32_t most = m->handled_count + 1;
    for (int32_t i = 0; i < turns; i++) TRY(init_batch(&m->turn[i], most));
    for (int32_t i = 0; i < SPREADS; i++) TRY(init_batch(&m->spread[i], most));
    m->shared.network = &network;
    m->shared.base.name = "mpi";
    return OK;
}

/* --- closing --------------------------------------------------------------------------------- */

/* true when all ranks of the node close, and none because of a failure */
static bool all_leave(const comm_mpi *m)
{
    const comm_shared *t = &m->shared;
    double start_s = clock_s();
    for (int32_t l = 0; l < t->local_size; l++) {
        int left;
        while ((left = atomic_load(&t->slot[l]->left)) == 0) {
            if (clock_s() - start_s > t->base.deadline_s) return false;
            (void)sched_yield();
        }
        if (left == 2) return false;
    }
    return true;
}

static void mpi_close(comm *c)
{
    comm_mpi *m = (comm_mpi *)c;
    comm_shared *t = &m->shared;
    bool shared_slots = m->window_count > 0;
    if (shared_slots) comm_shared_leave(t);
    /* freeing windows is collective; when a peer is missing, only the end of the process frees */
    if (shared_slots && !t->failed && all_leave(m)) {
        for (int32_t i = m->window_count - 1; i >= 0; i--) {
            (void)MPI_Win_unlock_all(m->window[i]);
            (void)MPI_Win_free(&m->window[i]);
        }
        (void)MPI_Comm_free(&m->node);
        (void)MPI_Comm_free(&m->all);
    }
    comm_shared_deinit(t);
    for (int32_t i = 0; m->turn && i < DEPTH * rounds(m); i++) deinit_batch(&m->turn[i]);
    for (int32_t i = 0; m->spread && i < SPREADS; i++) deinit_batch(&m->spread[i]);
    free(m->turn);
    free(m->spread);
    free(m->bounce);
    free(m->handler);
    free(m->handled);
    free(m->handled_node);
    free(m->member);
    free(m->home);
    free(m->in);
    free(t->slot);
    free(m);
}

status comm_open_mpi(comm **out, world *w, comm_reach reach, int32_t node_ranks, double deadline_s)
{
    static const comm_driver driver = {comm_shared_alloc, comm_shared_start, comm_shared_progress,
                                       comm_shared_wait,  mpi_close,         NULL};
    REQUIRE(reach != COMM_REACH_FORCED || node_ranks == 1 || world_nodes(w) == 1, ERR_CONFIG,
            "ISOFLOP_COMM=mpi:%d pretends nodes on one node only, this job has %d", node_ranks,
            world_nodes(w));
    comm_mpi *m = calloc(1, sizeof *m);
    ASSERT(m);
    m->all = m->node = MPI_COMM_NULL;
    comm_shared *t = &m->shared;
    t->base = (comm){.driver = &driver,
                     .name = "shared",
                     .rank = world_rank(w),
                     .size = world_size(w),
                     .deadline_s = deadline_s};
    t->map = mpi_map;
    status s = world_agree(w, join_node(m, w, reach, node_ranks));
    if (s == OK) s = world_agree(w, share_slots(m));
    t->member = m->member;
    t->home = m->home;
    if (s == OK) s = world_agree(w, comm_shared_init(t));
    if (s == OK) s = world_agree(w, open_network(m));
    if (s != OK) {
        mpi_close(&t->base);
        return s;
    }
    *out = &t->base;
    return OK;
}
