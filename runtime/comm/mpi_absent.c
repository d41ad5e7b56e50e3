#include "comm/comm_driver.h"
#include "comm/world_driver.h"

#include <stdio.h>
#include <stdlib.h>

/* Linked instead of world_mpi.c and comm_mpi.c when the build has no MPI. */

status world_open_mpi(world **out)
{
    const char *names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"};
    int ranks = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names && ranks == 0; i++)
        if (getenv(names[i])) ranks = atoi(getenv(names[i]));
    /* a launcher that does not say how many may have started many */
    char several[16] = "several";
    if (ranks > 0) (void)snprintf(several, sizeof several, "%d", ranks);
    REQUIRE(ranks == 1, ERR_CONFIG,
            "a launcher started %s ranks, but this build has no MPI (ISOFLOP_MPI=OFF): "
            "build with -DISOFLOP_MPI=ON, or start one process without a launcher",
            several);
    return world_open_self(out);
}

bool world_mpi_needs_pmix(void) { return false; }

status comm_open_mpi(comm **out, world *w, comm_reach reach, int32_t node_ranks, double deadline_s)
{
    (void)out, (void)w, (void)reach, (void)node_ranks, (void)deadline_s;
    FAIL(ERR_INTERNAL, "this build has no MPI");
}
