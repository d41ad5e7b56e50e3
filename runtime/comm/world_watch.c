#include "comm/world_watch.h"
#include "base/clock.h"
#include "base/log.h"
#include "comm/watch_beats.h"
#include "comm/watch_process.h"
#include "comm/world_driver.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { HOST_BYTES = 64, TEXT_BYTES = 256, SEND_EVERY = 4, NAMED_MOST = 8 };

/* For the main thread to leave by itself; then for the one that does to end all ranks. */
static const double grace_s = 3.0, abort_s = 15.0;
/* Ready for so long and hardly running is starved. */
static const double starved_s = 1.5;

/* What this process has seen of another of its node. */
typedef struct seen {
    int64_t beats;
    double at_s;       /* when the beats last changed              */
    bool has_state;    /* the process could be looked up at first  */
    int missing;       /* looks in a row that found no process     */
    bool starved;      /* and it was said                          */
    watch_ready ready; /* of its main thread                    */
} seen;

struct world_watch {
    const world *w;
    double heartbeat_s, tick_s;
    char (*host)[HOST_BYTES]; /* (size)                                                     */
    int32_t *node;            /* (size) of each rank                                        */
    seen *local;              /* (local_size)                                               */
    watch_beats beats;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* of what follows, up to the verdict                             */
    pthread_cond_t wake;
    bool quit;
    beat *heard;     /* (size) of ranks on other nodes, at listeners; rank -1: never        */
    double *heard_s; /* (nodes) 0: never                                                    */
    _Atomic double waiting_s; /* since when the main thread waits; 0: it does not           */
    _Atomic bool found;       /* the verdict stands and does not change any more            */
    double found_s;
    char verdict[1536];
};

static const char *phase_name(watch_phase phase)
{
    static const char *const names[WATCH_PHASES] = {
        "opening", "data",    "forward and backward", "reduction",  "reports",
        "update",  "weights", "evaluation",           "checkpoint", "closing"};
    return (unsigned)phase < WATCH_PHASES ? names[phase] : "?";
}

/* --- notes of the own rank ------------------------------------------------------------------- */

static world_desk *own_desk(const world *w) { return w->desks[w->local_rank]; }

void world_watch_note(world *w, watch_phase phase, int64_t step)
{
    if (!w || !w->watch) return;
    atomic_store_explicit(&own_desk(w)->step, step, memory_order_relaxed);
    atomic_store_explicit(&own_desk(w)->phase, (int32_t)phase, memory_order_relaxed);
}

void world_watch_enter(world *w)
{
    if (!w || !w->watch) return;
    world_desk *d = own_desk(w);
    int64_t number = atomic_load_explicit(&d->entered, memory_order_relaxed) + 1;
    d->ring[number % WATCH_RING] =
        (watch_entry){.number = number,
                      .phase = atomic_load_explicit(&d->phase, memory_order_relaxed),
                      .at_s = clock_s()};
    atomic_store_explicit(&d->entered, number, memory_order_release);
}

void world_watch_wait(world *w, bool waits)
{
    if (w && w->watch) atomic_store(&w->watch->waiting_s, waits ? clock_s() : 0.0);
}

status world_watch_check(const world *w)
{
    if (!w || !w->watch || !atomic_load(&w->watch->found)) return OK;
    FAIL(ERR_COMM, "%s", w->watch->verdict);
}

/* --- words ----------------------------------------------------------------------------------- */

static void append(char *text, size_t bytes, const char *more)
{
    size_t used = strlen(text);
    if (used + 1 < bytes) (void)snprintf(text + used, bytes - used, "%s", more);
}

static beat read_desk(const world *w, int32_t local)
{
    const world_desk *d = w->desks[local];
    return (beat){.rank = w->members[local],
                  .phase = atomic_load(&d->phase),
                  .step = atomic_load(&d->step),
                  .entered = atomic_load_explicit(&d->entered, memory_order_acquire)};
}

/* what is known of a rank's place; false: nothing */
static bool find_beat(world_watch *v, int32_t rank, beat *out)
{
    const world *w = v->w;
    for (int32_t l = 0; l < w->local_size; l++)
        if (w->members[l] == rank) {
            *out = read_desk(w, l);
            return true;
        }
    (void)pthread_mutex_lock(&v->lock);
    *out = v->heard[rank];
    (void)pthread_mutex_unlock(&v->lock);
    return out->rank >= 0;
}

static void append_beat(const world_watch *v, const beat *b, char *text, size_t bytes)
{
    char more[TEXT_BYTES];
    (void)snprintf(more, sizeof more, " on %s (step %lld, %s, after collective %lld)",
                   v->host[b->rank], (long long)b->step, phase_name((watch_phase)b->phase),
                   (long long)b->entered);
    append(text, bytes, more);
}

void world_watch_place(const world *w, int32_t rank, char *text, size_t bytes)
{
    beat b;
    if (w && w->watch && find_beat(w->watch, rank, &b)) append_beat(w->watch, &b, text, bytes);
}

bool world_watch_starved(const world *w)
{
    bool any = false;
    for (int32_t l = 0; w && w->watch && l < w->local_size; l++) {
        world_desk *d = w->desks[l];
        int32_t starved = WATCH_STARVED;
        if (!atomic_load(&d->watched) || atomic_load(&d->starved) == WATCH_RUNS) continue;
        any = true;
        if (atomic_compare_exchange_strong(&d->starved, &starved, WATCH_STARVED_SAID))
            log_warn("comm",
                     "rank %d on %s gets hardly any processor time: it is waited for beyond "
                     "limits.collective_deadline_s",
                     w->members[l], w->watch->host[w->members[l]]);
    }
    return any;
}

bool world_watch_behind(const world *w, char *text, size_t bytes)
{
    if (!w || !w->watch) return false;
    /* those who have entered the fewest keep the others waiting */
    int64_t least = read_desk(w, w->local_rank).entered, mine = least;
    beat b;
    for (int32_t r = 0; r < w->size; r++)
        if (find_beat(w->watch, r, &b) && b.entered < least) least = b.entered;
    int32_t named = 0;
    for (int32_t r = 0; r < w->size && least < mine; r++) {
        char name[32];
        if (!find_beat(w->watch, r, &b) || b.entered > least || named++ >= NAMED_MOST) continue;
        (void)snprintf(name, sizeof name, "%s rank %d", named > 1 ? "," : "", r);
        append(text, bytes, name);
        append_beat(w->watch, &b, text, bytes);
    }
    return least < mine;
}

/* --- what the thread finds ------------------------------------------------------------------- */

static void decide(world_watch *v, const char *text)
{
    (void)snprintf(v->verdict, sizeof v->verdict, "%s", text);
    v->found_s = clock_s();
    atomic_store(&v->found, true);
}

/* For those whose deadline comes. */
static void judge_ready(world_watch *v, int32_t l, double now_s)
{
    world_desk *d = v->w->desks[l];
    if (!v->local[l].has_state) return;
    const double ready_s = watch_ready_for(&v->local[l].ready, atomic_load(&d->pid), now_s);
    int32_t before = WATCH_RUNS;
    if (ready_s < starved_s)
        atomic_store(&d->starved, WATCH_RUNS);
    else /* not again what was said */
        (void)atomic_compare_exchange_strong(&d->starved, &before, WATCH_STARVED);
}

/* A heart that stands still because its thread is ready and waits for a processor: the machine or
 * its control group gives it none. A stopped, hung or dead process has no such thread. */
static bool is_starved(world_watch *v, int32_t l, double age_s)
{
    const world *w = v->w;
    int32_t watcher = atomic_load(&w->desks[l]->watcher);
    if (!v->local[l].has_state || watcher == 0 || watch_process_state(watcher) != 'R') return false;
    if (!v->local[l].starved)
        log_warn("comm",
                 "rank %d on %s gets hardly any processor time: its heartbeat has been ready for "
                 "%.1f s and did not run",
                 w->members[l], v->host[w->members[l]], age_s);
    v->local[l].starved = true;
    return true;
}

/* false: this one is still there */
static bool is_gone(seen *s, int32_t pid)
{
    char state = watch_process_state(pid);
    bool there = state != 0 && state != 'Z' && state != 'X';
    s->missing = s->has_state && !there ? s->missing + 1 : 0;
    return s->missing >= 2;
}

static void judge_local(world_watch *v, int32_t l, double now_s)
{
    const world *w = v->w;
    seen *s = &v->local[l];
    int32_t pid = atomic_load(&w->desks[l]->pid);
    int64_t beats = atomic_load(&w->desks[l]->beats);
    if (beats != s->beats) {
        s->beats = beats;
        s->at_s = now_s;
        s->missing = 0;
    }
    if (l == w->local_rank || !atomic_load(&w->desks[l]->watched)) return;
    double age_s = now_s - s->at_s;
    if (age_s < 2 * v->tick_s) return;
    bool gone = is_gone(s, pid);
    if (!gone && (age_s < v->heartbeat_s || is_starved(v, l, age_s))) return;
    /* a rank that ends in order says so before it goes; one that aborts speaks for itself */
    if (!atomic_load(&w->desks[l]->watched) || atomic_load(&w->desks[0]->aborting)) return;
    char text[1024], place[TEXT_BYTES] = "";
    beat b = read_desk(w, l);
    append_beat(v, &b, place, sizeof place);
    if (gone)
        (void)snprintf(text, sizeof text, "rank %d%s is gone: process %d was killed or crashed",
                       b.rank, place, (int)pid);
    else
        (void)snprintf(text, sizeof text,
                       "rank %d%s has stopped: no heartbeat for %.1f s; "
                       "process %d is %s",
                       b.rank, place, age_s, (int)pid,
                       watch_process_words(watch_process_state(pid)));
    decide(v, text);
}

/* the first rank of the node whose heart beats acts for the node */
static bool acts_for_node(const world_watch *v, double now_s)
{
    for (int32_t l = 0; l < v->w->local_rank; l++)
        if (atomic_load(&v->w->desks[l]->watched) && now_s - v->local[l].at_s < 4 * v->tick_s)
            return false;
    return true;
}

static void send_beats(const world_watch *v, double now_s)
{
    const world *w = v->w;
    beat *all = calloc((size_t)w->local_size, sizeof *all);
    int32_t count = 0;
    for (int32_t l = 0; all && l < w->local_size; l++)
        if (now_s - v->local[l].at_s < v->heartbeat_s) all[count++] = read_desk(w, l);
    if (all) watch_beats_send(&v->beats, w->node_index, all, count);
    free(all);
}

static void hear(void *context, int32_t node, const beat *one)
{
    world_watch *v = context;
    if (node < 0 || node >= v->w->nodes || one->rank < 0 || one->rank >= v->w->size) return;
    v->heard[one->rank] = *one;
    v->heard_s[node] = clock_s();
}

/* a node of which nothing is heard while this process waits */
static void judge_node(world_watch *v, int32_t node, double now_s)
{
    const world *w = v->w;
    double heard_s = v->heard_s[node], waiting_s = atomic_load(&v->waiting_s);
    if (node == w->node_index || heard_s == 0.0 || now_s - heard_s < v->heartbeat_s) return;
    if (waiting_s == 0.0 || now_s - waiting_s < v->heartbeat_s / 2) return;
    char text[1024] = "", name[TEXT_BYTES];
    for (int32_t r = 0, named = 0; r < w->size && named < NAMED_MOST; r++) {
        if (v->node[r] != node || v->heard[r].rank < 0) continue;
        (void)snprintf(name, sizeof name, "%s rank %d", named++ ? "," : "", r);
        append(text, sizeof text, name);
        append_beat(v, &v->heard[r], text, sizeof text);
    }
    char all[1024 + TEXT_BYTES];
    (void)snprintf(all, sizeof all, "no heartbeat for %.1f s from%s: stopped, dead or cut off",
                   now_s - heard_s, text);
    decide(v, all);
}

static void judge_nodes(world_watch *v, double now_s)
{
    const world *w = v->w;
    if (w->nodes == 1 || w->node_index >= BEATS_LISTENERS) return;
    (void)pthread_mutex_lock(&v->lock);
    watch_beats_receive(&v->beats, v, hear);
    /* the second node speaks for the others only when the first is silent too */
    bool first_lives =
        w->node_index > 0 && v->heard_s[0] > 0 && now_s - v->heard_s[0] < v->heartbeat_s;
    for (int32_t n = 0; n < w->nodes && !first_lives && !atomic_load(&v->found); n++)
        judge_node(v, n, now_s);
    (void)pthread_mutex_unlock(&v->lock);
}

/* the main thread has not taken the verdict: it computes, or hangs in a call that does not look */
static void end_process(world_watch *v, double now_s)
{
    world_desk *first = v->w->desks[0];
    double since_s = now_s - v->found_s;
    if (since_s < grace_s) return;
    if (atomic_exchange(&first->aborting, 1) == 0)
        log_error("isoflop", "%s", v->verdict);
    else if (since_s < abort_s)
        return;
    (void)fflush(stderr);
    _exit((int)ERR_COMM);
}

/* --- the thread ------------------------------------------------------------------------------ */

/* false: quit */
static bool next_tick(world_watch *v)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    long nanoseconds = until.tv_nsec + (long)(v->tick_s * 1e9);
    until.tv_sec += nanoseconds / 1000000000;
    until.tv_nsec = nanoseconds % 1000000000;
    (void)pthread_mutex_lock(&v->lock);
    while (!v->quit && pthread_cond_timedwait(&v->wake, &v->lock, &until) == 0) continue;
    bool quit = v->quit;
    (void)pthread_mutex_unlock(&v->lock);
    return !quit;
}

/* after this process itself was held up, nobody's silence counts */
static void forgive(world_watch *v, double now_s)
{
    for (int32_t l = 0; l < v->w->local_size; l++)
        v->local[l].at_s = v->local[l].ready.since_s = now_s;
    (void)pthread_mutex_lock(&v->lock);
    for (int32_t n = 0; n < v->w->nodes; n++)
        if (v->heard_s[n] > 0) v->heard_s[n] = now_s;
    (void)pthread_mutex_unlock(&v->lock);
}

static void *watch_main(void *context)
{
    world_watch *v = context;
    const world *w = v->w;
    double last_s = clock_s();
    atomic_store(&own_desk(w)->watcher, (int32_t)syscall(SYS_gettid));
    for (int64_t turn = 0; next_tick(v); turn++) {
        double now_s = clock_s();
        (void)atomic_fetch_add(&own_desk(w)->beats, 1);
        if (now_s - last_s > 4 * v->tick_s + 0.5) forgive(v, now_s);
        last_s = now_s;
        if (atomic_load(&v->found)) {
            end_process(v, now_s);
            continue;
        }
        bool acts = acts_for_node(v, now_s);
        for (int32_t l = 0; l < w->local_size; l++) {
            bool was = atomic_load(&v->found);
            if (!was && acts) judge_ready(v, l, now_s);
            if (!was && acts) judge_local(v, l, now_s);
            if (!was && !acts) {
                /* only listens, so as to know whom it may have to stand in for */
                int64_t beats = atomic_load(&w->desks[l]->beats);
                if (beats != v->local[l].beats) v->local[l].beats = beats, v->local[l].at_s = now_s;
            }
        }
        if (acts && w->nodes > 1 && turn % SEND_EVERY == 0) send_beats(v, now_s);
        if (acts && !atomic_load(&v->found)) judge_nodes(v, now_s);
    }
    return NULL;
}

/* --- opening and closing --------------------------------------------------------------------- */

static void release(world_watch *v)
{
    if (!v) return;
    watch_beats_deinit(&v->beats);
    free(v->host);
    free(v->node);
    free(v->local);
    free(v->heard);
    free(v->heard_s);
    free(v);
}

static status take(world_watch **out, const world *w, double heartbeat_s)
{
    world_watch *v = calloc(1, sizeof *v);
    REQUIRE(v, ERR_MEMORY, "no memory for a watch");
    size_t size = (size_t)w->size;
    *out = v;
    v->w = w;
    v->heartbeat_s = heartbeat_s;
    v->tick_s = heartbeat_s / 8 < 0.25 ? heartbeat_s / 8 : 0.25;
    v->beats.socket = -1;
    v->host = calloc(size, sizeof *v->host);
    v->node = calloc(size, sizeof *v->node);
    v->local = calloc((size_t)w->local_size, sizeof *v->local);
    v->heard = calloc(size, sizeof *v->heard);
    v->heard_s = calloc((size_t)w->nodes, sizeof *v->heard_s);
    REQUIRE(v->host && v->node && v->local && v->heard && v->heard_s, ERR_MEMORY,
            "no memory to watch %d ranks", w->size);
    for (int32_t r = 0; r < w->size; r++) v->heard[r].rank = -1;
    return OK;
}

/* What every rank tells the others when the watch opens. */
typedef struct greeting {
    char host[HOST_BYTES];
    int32_t node, local_rank;
    beats_address address; /* of a listener */
} greeting;

/* who is where, and how the first nodes are reached. COLLECTIVE */
static status greet(world_watch *v, world *w)
{
    uint64_t token = 0;
    greeting mine = {.node = w->node_index, .local_rank = w->local_rank};
    if (getrandom(&token, sizeof token, 0) < 0) token = (uint64_t)getpid();
    TRY(world_broadcast(w, &token, sizeof token, 0));
    if (gethostname(mine.host, sizeof mine.host - 1) != 0)
        (void)snprintf(mine.host, sizeof mine.host, "node %d", w->node_index);
    /* one process of a node listens: its first rank; with that one, its listening ends */
    bool listens = w->nodes > 1 && w->local_rank == 0 && w->node_index < BEATS_LISTENERS;
    if (w->nodes > 1) watch_beats_init(&v->beats, token, listens, &mine.address);
    greeting *all = calloc((size_t)w->size, sizeof *all);
    status s = all ? OK : status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for greetings");
    s = world_agree(w, s);
    if (s == OK) s = world_gather(w, all, &mine, sizeof mine);
    for (int32_t r = 0; s == OK && r < w->size; r++) {
        memcpy(v->host[r], all[r].host, HOST_BYTES);
        v->node[r] = all[r].node;
        if (all[r].local_rank == 0 && all[r].node < BEATS_LISTENERS)
            v->beats.listener[all[r].node] = all[r].address;
    }
    free(all);
    return s;
}

/* the thread takes no signals: they are the main thread's */
static status start_thread(world_watch *v)
{
    pthread_condattr_t attributes;
    sigset_t all, before;
    (void)pthread_mutex_init(&v->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&v->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    v->started = pthread_create(&v->thread, NULL, watch_main, v) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    REQUIRE(v->started, ERR_MEMORY, "cannot start the thread that watches the ranks");
    return OK;
}

status world_watch_open(world *w, double heartbeat_s)
{
    if (w->size == 1 || w->watch) return OK;
    world_watch *v = NULL;
    REQUIRE(heartbeat_s > 0, ERR_CONFIG, "heartbeat: %g s is not positive", heartbeat_s);
    ASSERT(w->desks);
    status s = world_agree(w, take(&v, w, heartbeat_s));
    if (s == OK) s = greet(v, w);
    atomic_store(&own_desk(w)->pid, (int32_t)getpid());
    atomic_store(&own_desk(w)->entered, 0);
    atomic_store(&own_desk(w)->starved, 0);
    /* everybody's desk says who sits there before anybody looks */
    if (s == OK) s = world_barrier(w);
    for (int32_t l = 0; s == OK && l < w->local_size; l++)
        v->local[l] = (seen){.at_s = clock_s(),
                             .ready = {.since_s = clock_s()},
                             .has_state = watch_process_state(atomic_load(&w->desks[l]->pid)) != 0};
    if (s == OK) s = world_agree(w, start_thread(v));
    if (s != OK) {
        w->watch = v;
        world_watch_close(w);
        return s;
    }
    w->watch = v;
    atomic_store(&own_desk(w)->watched, 1);
    world_watch_note(w, WATCH_OPENING, 0);
    return OK;
}

void world_watch_close(world *w)
{
    if (!w || !w->watch) return;
    world_watch *v = w->watch;
    atomic_store(&own_desk(w)->watched, 0);
    w->watch = NULL;
    if (v->started) {
        (void)pthread_mutex_lock(&v->lock);
        v->quit = true;
        (void)pthread_cond_signal(&v->wake);
        (void)pthread_mutex_unlock(&v->lock);
        (void)pthread_join(v->thread, NULL);
        (void)pthread_cond_destroy(&v->wake);
        (void)pthread_mutex_destroy(&v->lock);
    }
    release(v);
}
