/* bench_comm.c — bandwidth and latency of the communicator beside MPI's own collectives.
 * Usage: mpirun -n R bench_comm [MIB [REPEATS]]     (64 MiB, 15 repeats)
 * One JSON line per row. Every repeat times every row once, the slowest rank counts, rows of one
 * repeat run right after one another: on a shared machine compare ratios, not runs.
 *   algorithm_gb_per_s = bytes of the whole vector / median time
 *   bus_gb_per_s       = that times (R-1)/R for reduce-scatter and all-gather, 2(R-1)/R for
 *                        all-reduce: the factors of nccl-tests, comparable over R               */
#include "base/clock.h"
#include "comm/comm.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#include <mpi.h>
#pragma GCC diagnostic pop

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct bench {
    world *w;
    comm *c;
    char *buf, *plain; /* from comm_alloc, from malloc */
    int64_t bytes;     /* of the whole vector          */
    double comm_s;     /* the last reduce-scatter took */
} bench;

/* --- rows ------------------------------------------------------------------------------------ */

static status run_reduce_scatter(bench *b)
{
    double start_s = clock_s();
    TRY(comm_reduce_scatter(b->c, b->buf, b->bytes / 8 / comm_size(b->c), DTYPE_I64));
    b->comm_s = clock_s() - start_s;
    return OK;
}
/* the same in 8 buckets beside as long a time of something else, with comm_progress every 0.2 ms:
 * perfect overlap takes as long as the row above, none takes twice as long */
static status run_overlapped(bench *b)
{
    enum { BUCKETS = 8 };
    comm_request request[BUCKETS];
    int64_t bucket = b->bytes / BUCKETS / 8 * 8;
    double start_s = clock_s(), next_s = start_s;
    for (int k = 0; k < BUCKETS; k++)
        TRY(comm_start_reduce_scatter(b->c, &request[k], b->buf + k * bucket,
                                      bucket / 8 / comm_size(b->c), DTYPE_I64));
    while (clock_s() - start_s < b->comm_s) {
        if (clock_s() < next_s) continue;
        TRY(comm_progress(b->c));
        next_s = clock_s() + 2e-4;
    }
    for (int k = 0; k < BUCKETS; k++) TRY(comm_wait(b->c, request[k]));
    return OK;
}
static status run_all_gather(bench *b)
{
    return comm_all_gather(b->c, b->buf, b->bytes / comm_size(b->c));
}
static status run_all_reduce(bench *b)
{
    return comm_all_reduce(b->c, b->buf, b->bytes / 8, DTYPE_I64, COMM_SUM);
}
static status run_all_reduce_f32(bench *b)
{
    return comm_all_reduce(b->c, b->buf, b->bytes / 4, DTYPE_F32, COMM_SUM);
}
static status run_small(bench *b)
{
    return comm_all_reduce(b->c, b->buf, 128, DTYPE_I64, COMM_SUM);
}
static status run_barrier(bench *b) { return comm_barrier(b->c); }

static status mpi_done(int code)
{
    REQUIRE(code == MPI_SUCCESS, ERR_COMM, "MPI failed with code %d", code);
    return OK;
}
static status run_mpi_all_reduce(bench *b)
{
    return mpi_done(MPI_Allreduce(MPI_IN_PLACE, b->plain, (int)(b->bytes / 8), MPI_INT64_T, MPI_SUM,
                                  MPI_COMM_WORLD));
}
static status run_mpi_all_reduce_f32(bench *b)
{
    return mpi_done(MPI_Allreduce(MPI_IN_PLACE, b->plain, (int)(b->bytes / 4), MPI_FLOAT, MPI_SUM,
                                  MPI_COMM_WORLD));
}
static status run_mpi_reduce_scatter(bench *b)
{
    return mpi_done(MPI_Reduce_scatter_block(MPI_IN_PLACE, b->plain,
                                             (int)(b->bytes / 8 / comm_size(b->c)), MPI_INT64_T,
                                             MPI_SUM, MPI_COMM_WORLD));
}
static status run_mpi_all_gather(bench *b)
{
    return mpi_done(MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, b->plain,
                                  (int)(b->bytes / comm_size(b->c)), MPI_BYTE, MPI_COMM_WORLD));
}
static status run_mpi_small(bench *b)
{
    return mpi_done(
        MPI_Allreduce(MPI_IN_PLACE, b->plain, 128, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD));
}
static status run_mpi_barrier(bench *b)
{
    (void)b;
    return mpi_done(MPI_Barrier(MPI_COMM_WORLD));
}
/* the limit of the machine: all ranks copy at once */
static status run_copy(bench *b)
{
    memcpy(b->buf, b->plain, (size_t)b->bytes);
    return OK;
}

typedef struct row {
    const char *name;
    status (*run)(bench *b);
    int64_t small_bytes; /* 0: the whole vector               */
    double bus;          /* bus factor is bus * (R - 1) / R   */
    int inner;           /* calls per timing                  */
} row;

static const row rows[] = {
    {"reduce_scatter_i64", run_reduce_scatter, 0, 1, 1},
    {"overlapped_reduce_scatter_i64", run_overlapped, 0, 1, 1},
    {"mpi_reduce_scatter_i64", run_mpi_reduce_scatter, 0, 1, 1},
    {"all_gather", run_all_gather, 0, 1, 1},
    {"mpi_all_gather", run_mpi_all_gather, 0, 1, 1},
    {"all_reduce_i64", run_all_reduce, 0, 2, 1},
    {"mpi_all_reduce_i64", run_mpi_all_reduce, 0, 2, 1},
    {"all_reduce_f32", run_all_reduce_f32, 0, 2, 1},
    {"mpi_all_reduce_f32", run_mpi_all_reduce_f32, 0, 2, 1},
    {"all_reduce_1KiB", run_small, 1024, 2, 50},
    {"mpi_all_reduce_1KiB", run_mpi_small, 1024, 2, 50},
    {"barrier", run_barrier, 4, 0, 50},
    {"mpi_barrier", run_mpi_barrier, 4, 0, 50},
    {"memcpy", run_copy, 0, 0, 1},
};
enum { ROWS = sizeof rows / sizeof *rows, REPEATS_MAX = 201 };

/* --- timing ---------------------------------------------------------------------------------- */

static status time_row(bench *b, const row *r, double *out_s)
{
    TRY(comm_barrier(b->c));
    double start_s = clock_s();
    for (int i = 0; i < r->inner; i++) TRY(r->run(b));
    *out_s = (clock_s() - start_s) / r->inner;
    return comm_all_reduce(b->c, out_s, 1, DTYPE_F64, COMM_MAX);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_row(const bench *b, const row *r, double *times_s, int repeats)
{
    qsort(times_s, (size_t)repeats, sizeof *times_s, ascending);
    double median_s = times_s[repeats / 2], ranks = comm_size(b->c);
    double bytes = (double)(r->small_bytes ? r->small_bytes : b->bytes);
    (void)printf("{\"bench\": \"comm\", \"what\": \"%s\", \"comm\": \"%s\", \"ranks\": %d, "
                 "\"bytes\": %.0f, \"median_s\": %.4g, \"min_s\": %.4g, "
                 "\"algorithm_gb_per_s\": %.4g, \"bus_gb_per_s\": %.4g}\n",
                 r->name, comm_name(b->c), comm_size(b->c), bytes, median_s, times_s[0],
                 bytes / median_s / 1e9, bytes / median_s / 1e9 * r->bus * (ranks - 1) / ranks);
}

static status run_bench(bench *b, int repeats)
{
    static double times_s[ROWS][REPEATS_MAX];
    double unused_s;
    TRY(comm_open(&b->c, b->w, 60));
    TRY(comm_alloc(b->c, (void **)&b->buf, b->bytes));
    b->plain = calloc(1, (size_t)b->bytes);
    REQUIRE(b->plain, ERR_MEMORY, "out of memory");
    for (int r = 0; r < ROWS; r++) TRY(time_row(b, &rows[r], &unused_s));
    for (int k = 0; k < repeats; k++)
        for (int r = 0; r < ROWS; r++) TRY(time_row(b, &rows[r], &times_s[r][k]));
    for (int r = 0; r < ROWS && world_rank(b->w) == 0; r++)
        print_row(b, &rows[r], times_s[r], repeats);
    return OK;
}

int main(int count, char **words)
{
    bench b = {0};
    int64_t mib = count > 1 ? atoi(words[1]) : 64;
    int repeats = count > 2 ? atoi(words[2]) : 15;
    if (mib < 1 || repeats < 1 || repeats > REPEATS_MAX) return ERR_CONFIG;
    status s = world_open(&b.w);
    if (s == OK && strcmp(world_describe(b.w), "self") == 0)
        s = status_set(ERR_CONFIG, __FILE__, __LINE__, "start it with mpirun");
    if (s == OK) {
        /* whole stripes of whole elements */
        b.bytes = (mib << 20) / (64 * world_size(b.w)) * (64 * world_size(b.w));
        s = run_bench(&b, repeats);
    }
    if (s != OK) (void)fprintf(stderr, "error: %s\n", status_message());
    comm_close(b.c);
    world_close(b.w);
    free(b.plain);
    return (int)s;
}
