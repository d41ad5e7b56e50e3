#include "comm/conformance.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* --- ranks as threads --------------------------------------------------------------------------- */

typedef struct member {
    comm_group *group;
    int32_t rank;
    double deadline_s;
    status (*body)(comm *c);
    status result;
    char message[512];
} member;

static void *run_member(void *argument)
{
    member *m = argument;
    comm *c = NULL;
    m->result = comm_open_thread(&c, m->group, m->rank, m->deadline_s);
    if (m->result == OK) m->result = m->body(c);
    (void)snprintf(m->message, sizeof m->message, "%s", m->result == OK ? "" : status_message());
    comm_close(c);
    return NULL;
}

enum { RANKS_MAX = 8 };

static void run_ranks(member *members, int32_t ranks, double deadline_s, status (*body)(comm *c))
{
    pthread_t thread[RANKS_MAX];
    comm_group *group;
    cr_assert_eq(comm_group_open(&group, ranks), OK);
    for (int32_t r = 0; r < ranks; r++) {
        members[r] = (member){.group = group, .rank = r, .deadline_s = deadline_s, .body = body};
        cr_assert_eq(pthread_create(&thread[r], NULL, run_member, &members[r]), 0);
    }
    for (int32_t r = 0; r < ranks; r++) pthread_join(thread[r], NULL);
    comm_group_close(group);
}

static void all_pass(int32_t ranks, double deadline_s, status (*body)(comm *c))
{
    member members[RANKS_MAX];
    run_ranks(members, ranks, deadline_s, body);
    for (int32_t r = 0; r < ranks; r++)
        cr_expect_eq(members[r].result, OK, "rank %d of %d: %s", r, ranks, members[r].message);
}

/* --- conformance -------------------------------------------------------------------------------- */

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

/* --- failures ----------------------------------------------------------------------------------- */

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
    cr_expect_eq(comm_barrier(c), ERR_COMM);
    cr_expect(strstr(status_message(), "communication failed before: all-reduce of 1 i32"));
    /* the other rank finds out by itself, not from this one's leaving */
    (void)nanosleep(&(struct timespec){.tv_nsec = 800000000}, NULL);
    return s == ERR_COMM ? comm_barrier(c) : s;
}

Test(deadline, a_rank_that_never_comes_is_named)
{
    member members[3];
    run_ranks(members, 3, 0.5, last_never_comes);
    cr_expect_eq(members[2].result, OK);
    for (int r = 0; r < 2; r++) {
        cr_expect_eq(members[r].result, ERR_COMM);
        cr_expect(strstr(members[r].message, "all-reduce of 1 i32"), "%s", members[r].message);
        cr_expect(strstr(members[r].message, "from rank 2"), "%s", members[r].message);
    }
}

static status first_leaves(comm *c)
{
    return comm_rank(c) == 0 ? OK : comm_barrier(c);
}

Test(deadline, a_rank_that_left_is_noticed_at_once)
{
    member members[2];
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    run_ranks(members, 2, 60, first_leaves);
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
    return comm_rank(c) == 0 ? comm_all_gather(c, buf, 512) : comm_reduce_scatter(c, buf, 64, DTYPE_I64);
}

Test(deadline, ranks_that_call_different_operations_are_told)
{
    member members[2];
    run_ranks(members, 2, 10, different_calls);
    for (int r = 0; r < 2; r++) cr_expect_neq(members[r].result, OK);
    cr_expect(strstr(members[0].message, "disagree") || strstr(members[1].message, "disagree"), "%s / %s",
              members[0].message, members[1].message);
}

static status different_sizes(comm *c)
{
    void *buf;
    return comm_alloc(c, &buf, 64 + comm_rank(c));
}

Test(deadline, allocations_of_different_sizes_fail_everywhere)
{
    member members[3];
    run_ranks(members, 3, 10, different_sizes);
    for (int r = 0; r < 3; r++) cr_expect_eq(members[r].result, ERR_INTERNAL, "%s", members[r].message);
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
