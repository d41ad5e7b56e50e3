/* thread_ranks.h — runs a function on ranks that are threads of this process. */
#ifndef TESTS_COMM_THREAD_RANKS_H
#define TESTS_COMM_THREAD_RANKS_H

#include "comm/comm.h"

enum { THREAD_RANKS_MAX = 8 };

typedef struct thread_rank {
    comm_group *group;
    int32_t rank;
    double deadline_s;
    status (*body)(comm *c);
    status result;     /* of body, on this rank  */
    char message[512]; /* "" when it passed      */
} thread_rank;

/* Fills ranks [0, count). Each rank closes its communicator when its body returns. */
void thread_ranks(thread_rank *ranks, int32_t count, double deadline_s, status (*body)(comm *c));

#endif
