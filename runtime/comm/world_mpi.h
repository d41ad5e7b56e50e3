/* world_mpi.h — what comm_mpi.c needs of the MPI world. Private to runtime/comm. */
#ifndef COMM_WORLD_MPI_H
#define COMM_WORLD_MPI_H

#include "comm/world.h"

/* Open MPI's header casts in ways that -Wconversion and -Wpedantic dislike */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#include <mpi.h>
#pragma GCC diagnostic pop

/* Fails with ERR_COMM and MPI's own words. */
#define MPI_TRY(call)                                                                              \
    do {                                                                                           \
        int mpi_code_ = (call);                                                                    \
        if (mpi_code_ != MPI_SUCCESS)                                                              \
            return world_mpi_failed(mpi_code_, #call, __FILE__, __LINE__);                         \
    } while (0)
status world_mpi_failed(int mpi_code, const char *call, const char *file, int line);

/* Borrowed: all ranks of the world, and those of this node. Errors are returned, not fatal. */
MPI_Comm world_mpi_comm(const world *w);
MPI_Comm world_mpi_node_comm(const world *w);

/* Node-shared memory, `bytes` for every rank, aligned to 64, zeroed by each rank for itself.
 * base: (local size) addresses. COLLECTIVE over node, which is freed by the caller after. */
status world_mpi_window(MPI_Win *out, void **base, MPI_Comm node, int64_t bytes);
/* What one rank's part of a window takes. */
int64_t world_mpi_window_bytes(int64_t bytes);

#endif
