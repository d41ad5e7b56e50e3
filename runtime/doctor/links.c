/* Clocks of the nodes, and the links between them: each pair for itself. */
#include "base/clock.h"
#include "doctor/doctor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    CLOCK_ROUNDS = 5,
    SMALL_ROUNDS = 20,
    LARGE_ROUNDS = 6,
    LARGE_BYTES = 1 << 20,
    ROUNDS_MAX = 63
};

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *values, int32_t count)
{
    double *sorted = malloc((size_t)(count ? count : 1) * sizeof *sorted);
    ASSERT(sorted);
    int32_t known = 0;
    for (int32_t i = 0; i < count; i++)
        if (isfinite(values[i])) sorted[known++] = values[i];
    qsort(sorted, (size_t)known, sizeof *sorted, ascending);
    double m = known ? sorted[(known - 1) / 2] : (double)NAN;
    free(sorted);
    return m;
}

/* All ranks read their clock right after a barrier; the smallest spread of some rounds counts. */
status doctor_clocks(doctor_report *r, world *w)
{
    char where[DOCTOR_TEXT];
    double *at = calloc((size_t)r->ranks, sizeof *at),
           *ahead = calloc((size_t)r->ranks, sizeof *at);
    ASSERT(at && ahead);
    status s = OK;
    for (int round = 0; s == OK && round < CLOCK_ROUNDS; round++) {
        s = world_barrier(w);
        struct timespec now;
        (void)clock_gettime(CLOCK_REALTIME, &now);
        double mine = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
        if (s == OK) s = world_gather(w, at, &mine, sizeof mine);
        double middle = median(at, r->ranks);
        for (int32_t i = 0; i < r->ranks; i++)
            if (round == 0 || fabs(at[i] - middle) < fabs(ahead[i])) ahead[i] = at[i] - middle;
    }
    for (int32_t i = 0; s == OK && i < r->ranks; i++) {
        if (fabs(ahead[i]) > r->skew_s) r->skew_s = fabs(ahead[i]);
        if (fabs(ahead[i]) > 1.0)
            doctor_add(r, "clocks", true, doctor_at(r, i, where),
                       "start a time service on the node (chrony, ntpd)",
                       "its clock is %.1f s %s the others'", fabs(ahead[i]),
                       ahead[i] > 0 ? "ahead of" : "behind");
    }
    free(at);
    free(ahead);
    return s;
}

typedef struct link_speed {
    double latency_s, bytes_per_s; /* NaN: not measured */
} link_speed;

/* Both directions between the two ranks of a world. */
static status measure(world *pair, link_speed *out)
{
    char *bytes = calloc(1, LARGE_BYTES), small[8] = "";
    ASSERT(bytes);
    double quickest = (double)INFINITY, best = (double)INFINITY;
    status s = world_barrier(pair);
    for (int i = 0; s == OK && i < SMALL_ROUNDS; i++) {
        double start = clock_s();
        for (int32_t root = 0; s == OK && root < 2; root++)
            s = world_broadcast(pair, small, sizeof small, root);
        if (clock_s() - start < quickest) quickest = clock_s() - start;
    }
    for (int i = 0; s == OK && i < LARGE_ROUNDS; i++) {
        double start = clock_s();
        for (int32_t root = 0; s == OK && root < 2; root++)
            s = world_broadcast(pair, bytes, LARGE_BYTES, root);
        if (clock_s() - start < best) best = clock_s() - start;
    }
    free(bytes);
    *out = (link_speed){.latency_s = quickest / 2, .bytes_per_s = 2.0 * LARGE_BYTES / best};
    return s;
}

/* One rank per node takes part; place of this rank among them, or -1. */
static int32_t seat(const doctor_report *r, int32_t rank, int32_t *seats)
{
    int32_t mine = -1;
    *seats = 0;
    for (int32_t i = 0; i < r->ranks; i++) {
        if (r->places[i].local_rank != 0) continue;
        if (i == rank) mine = *seats;
        (*seats)++;
    }
    return mine;
}

/* Whom seat `me` meets in a round of a tournament of `even` seats. */
static int32_t opponent(int32_t me, int32_t round, int32_t even)
{
    int32_t n = even - 1;
    if (me == n) return round % n;
    int32_t other = ((2 * round - me) % n + n) % n;
    return other == me ? n : other;
}

static int32_t rank_of_seat(const doctor_report *r, int32_t seat_number)
{
    for (int32_t i = 0, at = 0; i < r->ranks; i++)
        if (r->places[i].local_rank == 0 && at++ == seat_number) return i;
    return 0;
}

/* Each node by its best link, which tells a bad node from a node with a bad partner; then each pair
 * by what both its nodes can do. */
static void judge(doctor_report *r, const link_speed *all, int32_t seats)
{
    char where[DOCTOR_TEXT], other[DOCTOR_TEXT];
    double *best = calloc((size_t)seats, sizeof *best), *low = calloc((size_t)seats, sizeof *low);
    ASSERT(best && low);
    for (int32_t i = 0; i < seats; i++) {
        low[i] = (double)INFINITY;
        for (int32_t j = 0; j < seats; j++) {
            best[i] = fmax(best[i], all[i * seats + j].bytes_per_s);
            low[i] = fmin(low[i], all[i * seats + j].latency_s);
        }
    }
    r->bytes_per_s = median(best, seats);
    r->latency_s = median(low, seats);
    for (int32_t i = 0; seats > 2 && i < seats; i++) {
        (void)doctor_at(r, rank_of_seat(r, i), where);
        if (best[i] < 0.4 * r->bytes_per_s)
            doctor_add(r, "links", true, where,
                       "leave the node out (--exclude), or have its cable and port looked at",
                       "its links carry at most %.1f MB/s, those of the others %.1f",
                       best[i] * 1e-6, r->bytes_per_s * 1e-6);
        else if (low[i] > 5 * r->latency_s && low[i] > 2e-4)
            doctor_add(r, "links", true, where,
                       "leave the node out (--exclude), or have its network looked at",
                       "messages take at least %.0f us, between the others %.0f", low[i] * 1e6,
                       r->latency_s * 1e6);
        for (int32_t j = 0; j < i; j++)
            if (all[i * seats + j].bytes_per_s < 0.2 * fmin(best[i], best[j]))
                doctor_add(r, "links", true, where,
                           "have the path between the two looked at, or leave one out",
                           "the link to %s carries %.1f MB/s, other links of both more than %.1f",
                           doctor_at(r, rank_of_seat(r, j), other),
                           all[i * seats + j].bytes_per_s * 1e-6, fmin(best[i], best[j]) * 1e-6);
    }
    free(best);
    free(low);
}

status doctor_links(doctor_report *r, world *w)
{
    int32_t seats, me = seat(r, world_rank(w), &seats);
    if (seats < 2) return OK;
    int32_t even = seats + seats % 2, rounds = even - 1 < ROUNDS_MAX ? even - 1 : ROUNDS_MAX;
    link_speed *mine = malloc((size_t)seats * sizeof *mine), *all = NULL;
    ASSERT(mine);
    for (int32_t i = 0; i < seats; i++) mine[i] = (link_speed){(double)NAN, (double)NAN};
    status s = OK;
    for (int32_t round = 0; s == OK && round < rounds; round++) {
        int32_t other = me < 0 ? -1 : opponent(me, round, even);
        bool plays = me >= 0 && other < seats;
        int32_t colour = plays ? (me < other ? me : other) : seats + world_rank(w);
        world *pair = NULL;
        s = world_split(w, &pair, colour);
        if (s == OK && plays) s = measure(pair, &mine[other]);
        world_close(pair);
        s = world_agree(w, s);
    }
    all = calloc((size_t)r->ranks * (size_t)seats, sizeof *all);
    link_speed *table = calloc((size_t)seats * (size_t)seats, sizeof *table);
    ASSERT(all && table);
    if (s == OK) s = world_gather(w, all, mine, (int64_t)((size_t)seats * sizeof *mine));
    for (int32_t i = 0; i < seats; i++)
        memcpy(table + (size_t)i * (size_t)seats, all + (size_t)rank_of_seat(r, i) * (size_t)seats,
               (size_t)seats * sizeof *table);
    if (s == OK) judge(r, table, seats);
    free(mine);
    free(all);
    free(table);
    return s;
}
