#include "train/limit.h"
#include "base/clock.h"
#include "base/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROBE_BYTES = 32 << 20, PIECE_BYTES = 1 << 20 };

/* beside the checkpoint: leaving MPI, the launcher, the shell */
static const double leaving_s = 5.0;

void limit_init(time_limit *out, double seconds)
{
    *out = (time_limit){.end_s = seconds > 0 ? clock_s() + seconds : 0.0};
}

/* Seconds to write and sync `bytes` in a file of this rank. */
static status probe(double *seconds, const char *path, int64_t bytes)
{
    char *piece = calloc(1, PIECE_BYTES);
    REQUIRE(piece, ERR_MEMORY, "no memory to measure checkpoints");
    double start = clock_s();
    int fd;
    status s = file_open_write(&fd, path, O_TRUNC);
    for (int64_t at = 0; s == OK && at < bytes; at += PIECE_BYTES)
        s = file_write_at(fd, path, at, piece, bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES);
    if (s == OK) s = file_sync(fd, path);
    if (fd >= 0) {
        (void)unlink(path);
        (void)close(fd);
    }
    free(piece);
    *seconds = clock_s() - start;
    return s;
}

status limit_check(time_limit *l, world *w, const char *folder, int64_t own_bytes)
{
    char path[1200];
    double mine = 0.0, slowest = 0.0, left = l->end_s - clock_s();
    if (l->end_s == 0.0) return OK;
    int64_t bytes = own_bytes < PROBE_BYTES ? own_bytes : PROBE_BYTES;
    (void)snprintf(path, sizeof path, "%s/.probe-%d", folder, world_rank(w));
    TRY(world_agree(w, probe(&mine, path, bytes)));
    double *all = calloc((size_t)world_size(w), sizeof *all);
    ASSERT(all);
    status s = world_gather(w, all, &mine, sizeof mine);
    for (int32_t r = 0; s == OK && r < world_size(w); r++)
        if (all[r] > slowest) slowest = all[r];
    free(all);
    TRY(s);
    /* written, and read back */
    l->checkpoint_s = 2.0 * slowest * (double)own_bytes / (double)(bytes > 0 ? bytes : 1);
    REQUIRE(left > 2.0 * l->checkpoint_s + leaving_s, ERR_CONFIG,
            "--time-limit: %.0f s are left, and a checkpoint takes about %.1f s here (measured); "
            "ask for at least %.0f s",
            left, l->checkpoint_s, 10.0 * l->checkpoint_s + 60.0);
    return OK;
}

bool limit_near(const time_limit *l)
{
    return l->end_s > 0.0 && clock_s() + 2.0 * (l->step_s + l->checkpoint_s) + leaving_s > l->end_s;
}
