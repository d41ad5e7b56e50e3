#include "comm/thread_ranks.h"

#include <pthread.h>
#include <stdio.h>

static void *run(void *argument)
{
    thread_rank *r = argument;
    comm *c = NULL;
    r->result = comm_open_thread(&c, r->group, r->rank, r->deadline_s);
    if (r->result == OK) r->result = r->body(c);
    (void)snprintf(r->message, sizeof r->message, "%s", r->result == OK ? "" : status_message());
    comm_close(c);
    return NULL;
}

void thread_ranks(thread_rank *ranks, int32_t count, double deadline_s, status (*body)(comm *c))
{
    pthread_t thread[THREAD_RANKS_MAX];
    comm_group *group;
    ASSERT(count <= THREAD_RANKS_MAX && comm_group_open(&group, count) == OK);
    for (int32_t r = 0; r < count; r++) {
        ranks[r] = (thread_rank){.group = group, .rank = r, .deadline_s = deadline_s, .body = body};
        ASSERT(pthread_create(&thread[r], NULL, run, &ranks[r]) == 0);
    }
    for (int32_t r = 0; r < count; r++) ASSERT(pthread_join(thread[r], NULL) == 0);
    comm_group_close(group);
}
