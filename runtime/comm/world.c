#include "comm/world_driver.h"

#include <stdlib.h>
#include <string.h>

/* --- which world ----------------------------------------------------------------------------- */

/* the variables by which the launchers we know hand a rank to a process */
static bool started_by_launcher(void)
{
    return getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMIX_RANK") || getenv("PMI_RANK");
}

status world_launch_check(void)
{
    if (getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMIX_RANK")) return OK;
    if (getenv("PMI_RANK") && !world_mpi_needs_pmix()) return OK;
    /* several tasks that do not know of each other would each train the whole run */
    const char *tasks = getenv("SLURM_STEP_NUM_TASKS");
    REQUIRE(
        !getenv("SLURM_PROCID") || !tasks || atoi(tasks) <= 1, ERR_CONFIG,
        "srun started %s tasks without PMIx, so they cannot find each other; use srun --mpi=pmix "
        "(or mpirun inside the allocation)",
        tasks ? tasks : "several");
    return OK;
}

status world_open(world **out)
{
    TRY(world_launch_check());
    return started_by_launcher() ? world_open_mpi(out) : world_open_self(out);
}

void world_close(world *w)
{
    if (w) w->driver->close(w);
}

/* --- who ------------------------------------------------------------------------------------- */

int32_t world_rank(const world *w) { return w->rank; }
int32_t world_size(const world *w) { return w->size; }
int32_t world_local_rank(const world *w) { return w->local_rank; }
int32_t world_local_size(const world *w) { return w->local_size; }
int32_t world_nodes(const world *w) { return w->nodes; }
int32_t world_node(const world *w) { return w->node_index; }
const char *world_describe(const world *w) { return w->describe; }

bool world_prints(const world *w)
{
    if (w) return w->rank == 0;
    /* not joined: what the launcher says */
    const char *const ranks[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"};
    for (int i = 0; i < 4; i++)
        if (getenv(ranks[i])) return atoi(getenv(ranks[i])) == 0;
    return true;
}

void world_set_deadline(world *w, double deadline_s)
{
    ASSERT(deadline_s > 0);
    w->deadline_s = deadline_s;
}

/* --- agreement and small messages ------------------------------------------------------------ */

status world_agree(world *w, status mine)
{
    if (w->size == 1) return mine;
    /* everybody learns everybody's verdict */
    int32_t code = (int32_t)mine;
    int32_t *codes = malloc((size_t)w->size * sizeof *codes);
    ASSERT(codes);
    status s = w->driver->gather(w, codes, &code, sizeof code);
    int32_t failing = 0;
    while (s == OK && failing < w->size && codes[failing] == OK) failing++;
    status verdict = s == OK && failing < w->size ? (status)codes[failing] : OK;
    free(codes);
    if (s != OK || verdict == OK) return s;
    /* the lowest failing rank tells why */
    char message[1024] = {0};
    if (w->rank == failing) (void)strncpy(message, status_message(), sizeof message - 1);
    TRY(w->driver->broadcast(w, message, sizeof message, failing));
    FAIL(verdict, "rank %d: %s", failing, message);
}

status world_barrier(world *w) { return w->driver->barrier(w); }

status world_broadcast(world *w, void *bytes, int64_t count, int32_t root)
{
    ASSERT(count >= 0 && root >= 0 && root < w->size);
    return count == 0 ? OK : w->driver->broadcast(w, bytes, count, root);
}

status world_gather(world *w, void *all, const void *mine, int64_t bytes)
{
    ASSERT(bytes >= 0);
    return bytes == 0 ? OK : w->driver->gather(w, all, mine, bytes);
}

_Noreturn void world_abort(world *w, status code)
{
    w->driver->abort(w, code);
    abort(); /* not reached */
}

status world_split(world *w, world **out, int32_t colour)
{
    return w->driver->split(w, out, colour);
}
