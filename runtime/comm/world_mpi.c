#include "comm/world_mpi.h"
#include "base/clock.h"
#include "base/log.h"
#include "comm/world_driver.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

typedef struct world_mpi {
    world base;
    MPI_Comm all, node;
    MPI_Win window; /* of the desks                                            */
    bool root;      /* owns MPI itself                                         */
    bool failed;    /* a peer did not come: no more collective calls           */
} world_mpi;

enum { SPINS = 200, REST_NS = 200000, WINDOW_PAGE = 4096, WINDOW_ALIGN = 64 };

status world_mpi_failed(int mpi_code, const char *call, const char *file, int line)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    (void)MPI_Error_string(mpi_code, text, &length);
    return status_set(ERR_COMM, file, line, "%.*s: %s", (int)strcspn(call, "("), call, text);
}

MPI_Comm world_mpi_comm(const world *w) { return ((const world_mpi *)w)->all; }
MPI_Comm world_mpi_node_comm(const world *w) { return ((const world_mpi *)w)->node; }

/* --- windows --------------------------------------------------------------------------------- */

int64_t world_mpi_window_bytes(int64_t bytes)
{
    return (bytes + WINDOW_ALIGN + WINDOW_PAGE - 1) / WINDOW_PAGE * WINDOW_PAGE;
}

/* Open MPI keeps windows in files of this folder; a full one must be found before the collective
 * call, in which the rank that makes the file would fail and the others would wait for ever */
static status check_room(int64_t bytes, int ranks)
{
    const char *folder = getenv("OMPI_MCA_osc_sm_backing_directory");
    struct statvfs fs;
    if (!folder) folder = "/dev/shm";
    if (statvfs(folder, &fs) != 0) return OK; /* not kept there, then */
    double need = (double)bytes * ranks / 1048576;
    double have = (double)fs.f_bavail * (double)fs.f_frsize / 1048576;
    REQUIRE(
        need < have, ERR_MEMORY,
        "%s has %.1f MiB free, but the %d ranks of this node are to share %.1f MiB more: enlarge "
        "it (mount -o remount,size=... %s), or take a smaller model or fewer ranks per node",
        folder, have, ranks, need, folder);
    return OK;
}

status world_mpi_window(MPI_Win *out, void **base, MPI_Comm node, int64_t bytes)
{
    /* every rank's part on pages of its own, so that it lies on the NUMA node of its owner */
    MPI_Info info;
    void *mine;
    int ranks, unit;
    MPI_Aint size;
    bytes = world_mpi_window_bytes(bytes);
    MPI_TRY(MPI_Comm_size(node, &ranks));
    status mine_s = check_room(bytes, ranks);
    int32_t worst = (int32_t)mine_s;
    MPI_TRY(MPI_Allreduce(MPI_IN_PLACE, &worst, 1, MPI_INT32_T, MPI_MAX, node));
    if (mine_s != OK) return mine_s;
    REQUIRE(worst == OK, (status)worst, "another rank of this node finds no room to share memory");
    MPI_TRY(MPI_Info_create(&info));
    MPI_TRY(MPI_Info_set(info, "alloc_shared_noncontig", "true"));
    int code = MPI_Win_allocate_shared((MPI_Aint)bytes, 1, info, node, &mine, out);
    (void)MPI_Info_free(&info);
    if (code != MPI_SUCCESS) {
        (void)world_mpi_failed(code, "MPI_Win_allocate_shared", __FILE__, __LINE__);
        return status_prefix(ERR_MEMORY, "cannot share %.1f MiB among the %d ranks of a node",
                             (double)bytes / 1048576, ranks);
    }
    MPI_TRY(MPI_Win_lock_all(MPI_MODE_NOCHECK, *out));
    memset(mine, 0, (size_t)bytes);
    for (int r = 0; r < ranks; r++) {
        MPI_TRY(MPI_Win_shared_query(*out, r, &size, &unit, &base[r]));
        /* mappings start on pages, so a part is as far from alignment in every process */
        uintptr_t address = (uintptr_t)base[r];
        base[r] = (char *)base[r] + (WINDOW_ALIGN - address % WINDOW_ALIGN) % WINDOW_ALIGN;
    }
    return OK;
}

/* --- waiting with a deadline ----------------------------------------------------------------- */

/* names the ranks that have made fewer collective calls than this one; without a watch only those
 * of this node are known */
static status late(world_mpi *w, const char *what)
{
    char text[32], names[768] = "";
    w->failed = true;
    if (world_watch_behind(&w->base, names, sizeof names))
        FAIL(ERR_COMM, "%s: nothing heard for %g s from%s", what, w->base.deadline_s, names);
    int64_t mine = atomic_load(&w->base.desks[w->base.local_rank]->calls);
    for (int32_t l = 0; l < w->base.local_size; l++) {
        if (atomic_load(&w->base.desks[l]->calls) >= mine) continue;
        (void)snprintf(text, sizeof text, "%s rank %d", names[0] ? "," : "", w->base.members[l]);
        if (strlen(names) + strlen(text) < sizeof names) strcat(names, text);
    }
    FAIL(ERR_COMM, "%s: nothing heard for %g s from%s", what, w->base.deadline_s,
         names[0] ? names : " a rank of another node");
}

static status finish(world_mpi *w, MPI_Request *request, const char *what)
{
    double start_s = clock_s();
    for (int64_t polls = 0;; polls++) {
        int done;
        MPI_TRY(MPI_Test(request, &done, MPI_STATUS_IGNORE));
        if (done) break;
        if (polls < SPINS) continue;
        if (polls == SPINS) world_watch_wait(&w->base, true);
        TRY(world_watch_check(&w->base));
        double waited_s = clock_s() - start_s;
        if (waited_s > w->base.deadline_s) {
            if (!world_watch_starved(&w->base)) return late(w, what);
            start_s = clock_s();
        }
        /* setup and checkpoints may take long: leave the core to those who work */
        if (waited_s < 0.02)
            (void)sched_yield();
        else
            (void)nanosleep(&(struct timespec){.tv_nsec = REST_NS}, NULL);
    }
    world_watch_wait(&w->base, false);
    return OK;
}

static status enter(world_mpi *w)
{
    REQUIRE(!w->failed, ERR_COMM, "a rank was missing before");
    (void)atomic_fetch_add(&w->base.desks[w->base.local_rank]->calls, 1);
    world_watch_enter(&w->base);
    return OK;
}

/* --- driver entries -------------------------------------------------------------------------- */

static status mpi_broadcast(world *base, void *bytes, int64_t count, int32_t root)
{
    world_mpi *w = (world_mpi *)base;
    enum { PART = 1 << 30 };
    TRY(enter(w));
    for (int64_t at = 0; at < count; at += PART) {
        int part = count - at < PART ? (int)(count - at) : PART;
        MPI_Request request;
        MPI_TRY(MPI_Ibcast((char *)bytes + at, part, MPI_BYTE, root, w->all, &request));
        TRY(finish(w, &request, "broadcast"));
    }
    return OK;
}

static status mpi_gather(world *base, void *all, const void *mine, int64_t bytes)
{
    world_mpi *w = (world_mpi *)base;
    MPI_Request request;
    REQUIRE(bytes <= INT32_MAX, ERR_INTERNAL, "gather of %lld bytes", (long long)bytes);
    TRY(enter(w));
    MPI_TRY(
        MPI_Iallgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, w->all, &request));
    return finish(w, &request, "gather");
}

static status mpi_barrier(world *base)
{
    world_mpi *w = (world_mpi *)base;
    MPI_Request request;
    TRY(enter(w));
    MPI_TRY(MPI_Ibarrier(w->all, &request));
    return finish(w, &request, "barrier");
}

static void mpi_abort(world *base, status code)
{
    world_mpi *w = (world_mpi *)base;
    /* the first of a node prints; other nodes hold back: an abort of the first node, which takes up
     * to seconds to reach them, ends them before they repeat the message; and the first rank of a
     * node knows more of the others (world_watch.h) */
    if (code == ERR_COMM && w->base.local_rank > 0) (void)usleep(200000);
    bool first = atomic_exchange(&w->base.desks[0]->aborting, 1) == 0;
    if (!first)
        (void)sleep(5);
    else if (w->base.node_index > 0)
        (void)sleep(3);
    if (first) log_error("isoflop", "%s", status_message());
    (void)fflush(NULL);
    (void)MPI_Abort(MPI_COMM_WORLD, (int)code);
}

static void free_parts(world_mpi *w)
{
    if (w->window != MPI_WIN_NULL) {
        (void)MPI_Win_unlock_all(w->window);
        (void)MPI_Win_free(&w->window);
    }
    if (w->node != MPI_COMM_NULL) (void)MPI_Comm_free(&w->node);
    if (w->all != MPI_COMM_NULL) (void)MPI_Comm_free(&w->all);
}

static void mpi_close(world *base)
{
    world_mpi *w = (world_mpi *)base;
    world_watch_close(base);
    /* without the missing rank no collective call ends; the launcher ends the job when we exit */
    if (!w->failed) {
        free_parts(w);
        if (w->root) (void)MPI_Finalize();
    }
    free(w->base.desks);
    free(w->base.members);
    free(w);
}

static status mpi_split(world *base, world **out, int32_t colour);
static const world_driver driver = {mpi_close,   mpi_broadcast, mpi_gather,
                                    mpi_barrier, mpi_split,     mpi_abort};

/* --- opening --------------------------------------------------------------------------------- */

/* "Open MPI v4.1.4, package: ..." -> "Open MPI 4.1.4" */
static void describe(char *out, size_t bytes)
{
    char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0;
    (void)MPI_Get_library_version(text, &length);
    size_t used = 0;
    for (const char *c = text; *c && *c != ',' && *c != '\n' && used + 1 < bytes; c++) {
        bool digit_next = c[1] >= '0' && c[1] <= '9';
        if (*c == 'v' && digit_next) continue;
        char plain = *c == '\t' ? ' ' : *c;
        if (plain == ' ' && used > 0 && out[used - 1] == ' ') continue;
        out[used++] = plain;
    }
    out[used] = '\0';
}

/* ranks of this node, nodes of this world */
static status find_place(world_mpi *w)
{
    MPI_TRY(MPI_Comm_rank(w->all, &w->base.rank));
    MPI_TRY(MPI_Comm_size(w->all, &w->base.size));
    MPI_TRY(
        MPI_Comm_split_type(w->all, MPI_COMM_TYPE_SHARED, w->base.rank, MPI_INFO_NULL, &w->node));
    MPI_TRY(MPI_Comm_set_errhandler(w->node, MPI_ERRORS_RETURN));
    MPI_TRY(MPI_Comm_rank(w->node, &w->base.local_rank));
    MPI_TRY(MPI_Comm_size(w->node, &w->base.local_size));
    /* nodes are numbered by their lowest rank */
    int32_t leads = w->base.local_rank == 0, before = 0;
    MPI_TRY(MPI_Allreduce(&leads, &w->base.nodes, 1, MPI_INT32_T, MPI_SUM, w->all));
    MPI_TRY(MPI_Exscan(&leads, &before, 1, MPI_INT32_T, MPI_SUM, w->all));
    if (w->base.rank == 0) before = 0;
    MPI_TRY(MPI_Bcast(&before, 1, MPI_INT32_T, 0, w->node));
    w->base.node_index = before;
    w->base.desks = calloc((size_t)w->base.local_size, sizeof *w->base.desks);
    w->base.members = calloc((size_t)w->base.local_size, sizeof *w->base.members);
    REQUIRE(w->base.desks && w->base.members, ERR_MEMORY, "out of memory");
    MPI_TRY(MPI_Allgather(&w->base.rank, 1, MPI_INT32_T, w->base.members, 1, MPI_INT32_T, w->node));
    TRY(world_mpi_window(&w->window, (void **)w->base.desks, w->node, sizeof(world_desk)));
    MPI_TRY(MPI_Barrier(w->node)); /* all have zeroed theirs */
    return OK;
}

static status open_on(world **out, MPI_Comm all, bool root, double deadline_s)
{
    world_mpi *w = calloc(1, sizeof *w);
    REQUIRE(w, ERR_MEMORY, "out of memory");
    w->base = (world){.driver = &driver, .deadline_s = deadline_s};
    w->all = all;
    w->node = MPI_COMM_NULL;
    w->window = MPI_WIN_NULL;
    w->root = root;
    describe(w->base.describe, sizeof w->base.describe);
    status s = find_place(w);
    if (s != OK) {
        mpi_close(&w->base);
        return s;
    }
    *out = &w->base;
    return OK;
}

bool world_mpi_needs_pmix(void)
{
#ifdef OPEN_MPI
    return true;
#else
    return false;
#endif
}

status world_open_mpi(world **out)
{
    int level = 0;
    MPI_Comm all;
    MPI_TRY(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level));
    REQUIRE(level >= MPI_THREAD_FUNNELED, ERR_CONFIG,
            "this MPI has no MPI_THREAD_FUNNELED (its level is %d)", level);
    MPI_TRY(MPI_Comm_dup(MPI_COMM_WORLD, &all));
    MPI_TRY(MPI_Comm_set_errhandler(all, MPI_ERRORS_RETURN));
    return open_on(out, all, true, 3600);
}

static status mpi_split(world *base, world **out, int32_t colour)
{
    world_mpi *w = (world_mpi *)base;
    MPI_Comm part;
    TRY(mpi_barrier(base)); /* the deadline holds here; what follows has none */
    MPI_TRY(MPI_Comm_split(w->all, colour, base->rank, &part));
    MPI_TRY(MPI_Comm_set_errhandler(part, MPI_ERRORS_RETURN));
    return open_on(out, part, false, base->deadline_s);
}
