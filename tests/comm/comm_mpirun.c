/* comm_mpirun.c — the laws of communicators and worlds on processes, started by mpirun.
 * Usage: comm_mpirun CASE; the exit code is the verdict, what goes wrong is on stderr.
 * Cases that end badly on purpose are judged by mpirun.cmake, which knows the expected code.   */
#include "comm/conformance.h"
#include "comm/pin.h"
#include "comm/world_watch.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void sleep_s(double seconds)
{
    struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    (void)nanosleep(&t, NULL);
}

/* --- cases that pass ------------------------------------------------------------------------- */

/* what ISOFLOP_COMM makes of the world: the name, and how many ranks a node has */
static status expect_kind(const comm *c, world *w, int32_t *node_ranks)
{
    const char *forced = getenv("ISOFLOP_COMM") ? getenv("ISOFLOP_COMM") : "";
    *node_ranks = world_local_size(w);
    if (strncmp(forced, "mpi", 3) == 0) *node_ranks = forced[3] ? atoi(forced + 4) : 1;
    const char *name = *node_ranks < world_size(w)      ? "mpi"
                       : world_size(w) > 1 || forced[0] ? "shared"
                                                        : "self";
    REQUIRE(strcmp(comm_name(c), name) == 0, ERR_NUMERIC, "comm is %s, not %s", comm_name(c), name);
    return OK;
}

static status case_conformance(world *w)
{
    comm *c = NULL;
    int32_t node_ranks;
    TRY(comm_open(&c, w, 60));
    status s = expect_kind(c, w, &node_ranks);
    if (s == OK) s = comm_conformance(c, node_ranks);
    s = world_agree(w, s);
    comm_close(c);
    return s;
}

static status case_agree(world *w)
{
    int32_t rank = world_rank(w), size = world_size(w);
    REQUIRE(world_prints(w) == (rank == 0), ERR_NUMERIC, "rank %d prints", rank);
    TRY(world_agree(w, OK));
    /* all but rank 0 fail, each in its own way: the lowest of them speaks */
    status mine = rank == 0 ? OK : status_set((status)(2 + rank % 4), "", 0, "trouble on %d", rank);
    status s = world_agree(w, mine);
    if (size > 1) {
        REQUIRE(s == ERR_IO, ERR_NUMERIC, "agreed on %s", status_name(s));
        REQUIRE(strcmp(status_message(), "rank 1: trouble on 1") == 0, ERR_NUMERIC, "\"%s\"",
                status_message());
    } else {
        REQUIRE(s == OK, ERR_NUMERIC, "one rank without failure failed");
    }
    /* one rank fails */
    s = world_agree(w, rank == size - 1 ? status_set(ERR_MEMORY, "", 0, "no memory") : OK);
    REQUIRE(s == ERR_MEMORY && strstr(status_message(), "no memory"), ERR_NUMERIC, "\"%s\"",
            status_message());
    return world_agree(w, OK);
}

static status case_messages(world *w)
{
    int32_t rank = world_rank(w), size = world_size(w);
    for (int32_t root = 0; root < size; root++) {
        char text[100] = "";
        if (rank == root) (void)snprintf(text, sizeof text, "from %d", root);
        char want[100];
        (void)snprintf(want, sizeof want, "from %d", root);
        TRY(world_broadcast(w, text, sizeof text, root));
        REQUIRE(strcmp(text, want) == 0, ERR_NUMERIC, "broadcast gave \"%s\"", text);
    }
    int64_t mine[3] = {rank, -rank, 1000 + rank}, *all = calloc((size_t)size, sizeof mine);
    ASSERT(all);
    TRY(world_gather(w, all, mine, sizeof mine));
    for (int32_t r = 0; r < size; r++)
        REQUIRE(all[3 * r] == r && all[3 * r + 1] == -r && all[3 * r + 2] == 1000 + r, ERR_NUMERIC,
                "gather");
    free(all);
    return world_barrier(w);
}

/* odd and even ranks form worlds of their own, with communicators of their own */
static status case_split(world *w)
{
    world *half = NULL;
    comm *c = NULL;
    int32_t rank = world_rank(w), size = world_size(w);
    TRY(world_split(w, &half, rank % 2));
    REQUIRE(world_rank(half) == rank / 2, ERR_NUMERIC, "rank %d became %d", rank, world_rank(half));
    REQUIRE(world_size(half) == (size + 1 - rank % 2) / 2, ERR_NUMERIC, "size %d",
            world_size(half));
    /* the even half fails, the odd half does not notice */
    status s = world_agree(half, rank % 2 ? OK : status_set(ERR_IO, "", 0, "even"));
    REQUIRE(s == (rank % 2 ? OK : ERR_IO), ERR_NUMERIC, "the halves are not apart");
    TRY(comm_open(&c, half, 60));
    int64_t one = 1;
    TRY(comm_all_reduce(c, &one, 1, DTYPE_I64, COMM_SUM));
    REQUIRE(one == world_size(half), ERR_NUMERIC, "sum over the half is %lld", (long long)one);
    comm_close(c);
    world_close(half);
    return world_agree(w, OK);
}

static status case_pin(world *w)
{
    char text[256];
    TRY(pin_rank(w, text, sizeof text));
    REQUIRE(text[0] != '\0', ERR_NUMERIC, "pinning says nothing");
    (void)fprintf(stderr, "pin: rank %d: %s\n", world_rank(w), text);
    return OK;
}

/* --- cases that end badly on purpose --------------------------------------------------------- */

/* all ranks leave through the same door */
static status case_refuse(world *w)
{
    return world_agree(w,
                       world_rank(w) == 2 ? status_set(ERR_CONFIG, "", 0, "key: bad value") : OK);
}

/* one rank fails while its peers are inside a collective */
static status case_abort(world *w)
{
    comm *c = NULL;
    TRY(comm_open(&c, w, 60));
    if (world_rank(w) == 1) {
        sleep_s(0.2);
        world_abort(w, status_set(ERR_NUMERIC, "", 0, "loss is not finite"));
    }
    return comm_barrier(c);
}

/* all ranks fail at once: one message */
static status case_abort_all(world *w)
{
    TRY(world_barrier(w));
    world_abort(w, status_set(ERR_DEVICE, "", 0, "everybody fails"));
}

/* a rank that never comes to a tensor collective */
static status case_late(world *w)
{
    comm *c = NULL;
    TRY(comm_open(&c, w, 1));
    if (world_rank(w) == 1) sleep_s(30);
    status s = comm_barrier(c);
    if (s != OK) world_abort(w, s);
    return s;
}

/* a rank that never comes to an agreement */
static status case_world_late(world *w)
{
    world_set_deadline(w, 1);
    if (world_rank(w) == 1) sleep_s(30);
    status s = world_barrier(w);
    if (s != OK) world_abort(w, s);
    return s;
}

static status case_killed(world *w)
{
    comm *c = NULL;
    TRY(comm_open(&c, w, 60));
    if (world_rank(w) == 1) (void)kill(getpid(), SIGKILL);
    return comm_barrier(c);
}

/* a watched world; one rank does something else than the barrier of step 7 */
static status watched(world *w, double heartbeat_s, double deadline_s, int32_t rank,
                      void (*instead)(void))
{
    comm *c = NULL;
    TRY(world_watch_open(w, heartbeat_s));
    TRY(comm_open(&c, w, deadline_s));
    world_watch_note(w, WATCH_REDUCTION, 7);
    TRY(comm_barrier(c));
    world_watch_note(w, WATCH_DATA, 7);
    sleep_s(0.7); /* other hosts hear of it */
    if (world_rank(w) == rank) instead();
    status s = comm_barrier(c);
    if (s != OK) world_abort(w, s);
    comm_close(c);
    world_watch_close(w);
    return s;
}

static void stop_self(void) { (void)raise(SIGSTOP); }
static void kill_self(void) { (void)raise(SIGKILL); }
static void oversleep(void) { sleep_s(30); }
static void nap(void) { sleep_s(2.5); }

/* a rank stopped by a signal is named by those that wait */
static status case_stopped(world *w) { return watched(w, 1, 60, 1, stop_self); }
static status case_stopped_first(world *w) { return watched(w, 1, 60, 0, stop_self); }
/* a rank that is killed likewise */
static status case_gone(world *w) { return watched(w, 10, 60, 1, kill_self); }
/* a rank that lives but does not come is named with its place */
static status case_behind(world *w) { return watched(w, 10, 1, 1, oversleep); }
/* a rank that takes its time is let be: its heart beats */
static status case_slow(world *w) { return watched(w, 1, 60, 1, nap); }

/* nobody waits for the one that stopped: the watching thread ends the job */
static status case_stopped_unseen(world *w)
{
    TRY(world_watch_open(w, 0.5));
    if (world_rank(w) == 1) stop_self();
    sleep_s(30);
    return OK;
}

/* a watch that finds nothing, twice */
static status case_watch(world *w)
{
    for (int i = 0; i < 2; i++) {
        TRY(world_watch_open(w, 2));
        for (int k = 0; k < 50; k++) TRY(world_barrier(w));
        TRY(world_watch_check(w));
        world_watch_close(w);
    }
    return OK;
}

/* --- main ------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    status (*body)(world *w);
} cases[] = {
    {"conformance", case_conformance},
    {"agree", case_agree},
    {"messages", case_messages},
    {"split", case_split},
    {"pin", case_pin},
    {"refuse", case_refuse},
    {"abort", case_abort},
    {"abort_all", case_abort_all},
    {"late", case_late},
    {"world_late", case_world_late},
    {"killed", case_killed},
    {"stopped", case_stopped},
    {"stopped_first", case_stopped_first},
    {"stopped_unseen", case_stopped_unseen},
    {"gone", case_gone},
    {"behind", case_behind},
    {"slow", case_slow},
    {"watch", case_watch},
};

int main(int count, char **words)
{
    world *w = NULL;
    status s = world_open(&w);
    if (s != OK) {
        (void)fprintf(stderr, "error: %s\n", status_message());
        return (int)s;
    }
    /* several cases in one start: it costs half a second */
    for (int i = 1; i < count && s == OK; i++)
        for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
            if (strcmp(words[i], cases[k].name) == 0) s = cases[k].body(w);
    if (s != OK)
        (void)fprintf(stderr, "%srank %d: error: %s\n", world_prints(w) ? "TOP " : "",
                      world_rank(w), status_message());
    else if (world_prints(w))
        (void)printf("passed on %d ranks, %s\n", world_size(w), world_describe(w));
    world_close(w);
    return (int)s;
}
