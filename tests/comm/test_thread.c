#include "comm/conformance.h"
#include "comm/thread_ranks.h"

#include <criterion/criterion.h>
#include <string.h>
#include <time.h>

static void all_pass(int32_t ranks, double deadline_s, status (*body)(comm *c))
{
    thread_rank members[THREAD_RANKS_MAX];
    thread_ranks(members, ranks, deadline_s, body);
    for (int32_t r = 0; r < ranks; r++)
        cr_expect_eq(members[r].result, OK, "rank %d of %d: %s", r, ranks, members[r].message);
}

/* --- conformance ----------------------------------------------------------------------------- */

static status conform(comm *c) { return comm_conformance(c, comm_size(c)); }

Test(thread, one_rank_conforms) { all_pass(1, 60, conform); }
Test(thread, two_ranks_conform) { all_pass(2, 60, conform); }
Test(thread, three_ranks_conform) { all_pass(3, 60, conform); }
Test(thread, four_ranks_conform) { all_pass(4, 60, conform); }
Test(thread, eight_ranks_conform) { all_pass(8, 60, conform); }

Test(self, one_rank_without_mpi_conforms)
{
    world *w = NULL;
    comm *c = NULL;
    cr_assert_eq(world_open_self(&w), OK);
    cr_assert_eq(comm_open(&c, w, 10), OK);
    cr_expect_str_eq(comm_name(c), "self");
    cr_expect_eq(comm_conformance(c, 1), OK, "%s", status_message());
    comm_close(c);
    world_close(w);
}

/* --- failures -------------------------------------------------------------------------------- */

static status last_never_comes(comm *c)
{
    int32_t value = comm_rank(c);
    TRY(comm_barrier(c));
    if (comm_rank(c) == comm_size(c) - 1) {
        (void)nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
        return OK;
    }
    status s = comm_all_reduce(c, &value, 1, DTYPE_I32, COMM_MAX);
    /* after a failure every call fails, and says so */
    REQUIRE(comm_barrier(c) == ERR_COMM, ERR_NUMERIC, "works again after a failure");
    REQUIRE(strstr(status_message(), "communication failed before: all-reduce of 1 i32"),
            ERR_NUMERIC, "another failure: %s", status_message());
    /* the other rank finds out by itself, not from this one's leaving */
    (void)nanosleep(&(struct timespec){.tv_nsec = 800000000}, NULL);
    return s == ERR_COMM ? comm_barrier(c) : s;
}

Test(deadline, a_rank_that_never_comes_is_named)
{
    thread_rank members[3];
    thread_ranks(members, 3, 0.5, last_never_comes);
    cr_expect_eq(members[2].result, OK);
    for (int r = 0; r < 2; r++) {
        cr_expect_eq(members[r].result, ERR_COMM);
        cr_expect(strstr(members[r].message, "all-reduce of 1 i32"), "%s", members[r].message);
        cr_expect(strstr(members[r].message, "from rank 2"), "%s", members[r].message);
    }
}

static status first_leaves(comm *c) { return comm_rank(c) == 0 ? OK : comm_barrier(c); }

Test(deadline, a_rank_that_left_is_noticed_at_once)
{
    thread_rank members[2];
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    thread_ranks(members, 2, 60, first_leaves);
    clock_gettime(CLOCK_MONOTONIC, &after);
    cr_expect_eq(members[1].result, ERR_COMM);
    cr_expect(strstr(members[1].message, "rank 0 has left"), "%s", members[1].message);
    cr_expect_lt(after.tv_sec - before.tv_sec, 10);
}

static status slow_but_moving(comm *c)
{
    /* four operations of 0.3 s each under a deadline of 0.9 s: it counts from the last progress */
    for (int k = 0; k < 4; k++) {
        if (comm_rank(c) == 1) (void)nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
        TRY(comm_barrier(c));
    }
    return OK;
}

Test(deadline, counts_from_the_last_progress) { all_pass(2, 0.9, slow_but_moving); }

static status different_calls(comm *c)
{
    void *buf;
    TRY(comm_alloc(c, &buf, 4096));
    return comm_rank(c) == 0 ? comm_all_gather(c, buf, 512)
                             : comm_reduce_scatter(c, buf, 64, DTYPE_I64);
}

Test(deadline, ranks_that_call_different_operations_are_told)
{
    thread_rank members[2];
    thread_ranks(members, 2, 10, different_calls);
    for (int r = 0; r < 2; r++) cr_expect_neq(members[r].result, OK);
    cr_expect(strstr(members[0].message, "disagree") || strstr(members[1].message, "disagree"),
              "%s / %s", members[0].message, members[1].message);
}

static status different_sizes(comm *c)
{
    void *buf;
    return comm_alloc(c, &buf, 64 + comm_rank(c));
}

Test(deadline, allocations_of_different_sizes_fail_everywhere)
{
    thread_rank members[3];
    thread_ranks(members, 3, 10, different_sizes);
    for (int r = 0; r < 3; r++)
        cr_expect_eq(members[r].result, ERR_INTERNAL, "%s", members[r].message);
}

Test(arguments, types_that_are_not_reduced_are_refused)
{
    world *w = NULL;
    comm *c = NULL;
    double value = 1;
    cr_assert_eq(world_open_self(&w), OK);
    cr_assert_eq(comm_open(&c, w, 10), OK);
    cr_expect_neq(comm_all_reduce(c, &value, 1, DTYPE_F64, COMM_SUM), OK);
    cr_expect_neq(comm_all_reduce(c, &value, 1, DTYPE_F32, COMM_MAX), OK);
    cr_expect_neq(comm_reduce_scatter(c, &value, 1, DTYPE_F64), OK);
    cr_expect_neq(comm_all_reduce(c, &value, -1, DTYPE_F64, COMM_MAX), OK);
    cr_expect_neq(comm_wait(c, 17), OK);
    comm_close(c);
    cr_expect_eq(comm_open(&c, w, 0), ERR_CONFIG);
    world_close(w);
}
