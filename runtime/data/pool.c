#include "data/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

typedef struct worker {
    pool *pool;
    int32_t number;
    pthread_t thread;
} worker;

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pool_work work;
    void *context;
    int64_t count, next, done;
    bool closing;
    int32_t workers;
    worker *worker;
};

int32_t pool_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? n : 1;
}

static void *run(void *arg)
{
    worker *w = arg;
    pool *p = w->pool;
    (void)pthread_mutex_lock(&p->lock);
    while (!p->closing) {
        if (p->next == p->count) {
            (void)pthread_cond_wait(&p->changed, &p->lock);
            continue;
        }
        /* several at a time while there are many: documents can be tiny */
        int64_t left = p->count - p->next, take = left / ((int64_t)8 * p->workers) + 1,
                from = p->next;
        p->next += take;
        (void)pthread_mutex_unlock(&p->lock);
        for (int64_t i = from; i < from + take; i++) p->work(p->context, w->number, i);
        (void)pthread_mutex_lock(&p->lock);
        p->done += take;
        if (p->done == p->count) (void)pthread_cond_broadcast(&p->changed);
    }
    (void)pthread_mutex_unlock(&p->lock);
    return NULL;
}

status pool_open(pool **out, int32_t workers)
{
    ASSERT(workers >= 1);
    pool *p = calloc(1, sizeof *p);
    REQUIRE(p, ERR_MEMORY, "no memory for workers");
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->changed, NULL);
    p->worker = calloc((size_t)workers, sizeof *p->worker);
    status s = p->worker ? OK : status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for workers");
    for (int32_t i = 0; s == OK && i < workers; i++) {
        p->worker[i] = (worker){.pool = p, .number = i};
        if (pthread_create(&p->worker[i].thread, NULL, run, &p->worker[i]) == 0)
            p->workers = i + 1;
        else
            s = status_set(ERR_MEMORY, __FILE__, __LINE__, "cannot start worker %d of %d", i + 1,
                           workers);
    }
    if (s != OK) {
        pool_close(p);
        return s;
    }
    *out = p;
    return OK;
}

void pool_close(pool *p)
{
    if (!p) return;
    (void)pthread_mutex_lock(&p->lock);
    p->closing = true;
    (void)pthread_cond_broadcast(&p->changed);
    (void)pthread_mutex_unlock(&p->lock);
    for (int32_t i = 0; i < p->workers; i++) (void)pthread_join(p->worker[i].thread, NULL);
    (void)pthread_cond_destroy(&p->changed);
    (void)pthread_mutex_destroy(&p->lock);
    free(p->worker);
    free(p);
}

void pool_start(pool *p, pool_work work, void *context, int64_t count)
{
    (void)pthread_mutex_lock(&p->lock);
    ASSERT(p->next == p->count && p->done == p->count);
    p->work = work;
    p->context = context;
    p->count = count;
    p->next = p->done = 0;
    (void)pthread_cond_broadcast(&p->changed);
    (void)pthread_mutex_unlock(&p->lock);
}

void pool_wait(pool *p)
{
    (void)pthread_mutex_lock(&p->lock);
    while (p->done != p->count) (void)pthread_cond_wait(&p->changed, &p->lock);
    (void)pthread_mutex_unlock(&p->lock);
}
