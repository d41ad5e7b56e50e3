/* world_driver.h — what an implementation of world supplies. Private to runtime/comm.
 * world.c holds all that can be said with these few functions, agreement above all.            */
#ifndef COMM_WORLD_DRIVER_H
#define COMM_WORLD_DRIVER_H

#include "comm/world_watch.h"

typedef struct world_driver {
    void (*close)(world *w);
    status (*broadcast)(world *w, void *bytes, int64_t count, int32_t root);
    status (*gather)(world *w, void *all, const void *mine, int64_t bytes);
    status (*barrier)(world *w);
    status (*split)(world *w, world **out, int32_t colour);
    void (*abort)(world *w, status code); /* prints the message, ends all ranks */
} world_driver;

typedef struct world_watch world_watch;

/* First member of every implementation's struct. */
struct world {
    const world_driver *driver;
    int32_t rank, size;
    int32_t local_rank, local_size, nodes, node_index;
    double deadline_s;
    char describe[64];
    world_desk **desks; /* (local_size) in shared memory; NULL: one rank */
    int32_t *members;   /* (local_size) ranks in this world              */
    world_watch *watch; /* NULL: not watched                             */
};

/* Joins the MPI job. world_mpi.c, or mpi_absent.c which refuses. */
status world_open_mpi(world **out);
/* This MPI finds its ranks through PMIx alone (Open MPI), not through PMI 1 or 2. */
bool world_mpi_needs_pmix(void);

#endif
