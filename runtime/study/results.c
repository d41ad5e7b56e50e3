#include "study/results.h"

#include "study/ledger.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 1300 };

status results_read(result **out, const study_runs *runs, const char *folder)
{
    ledger l;
    ledger_line *lines = NULL;
    int32_t count;
    int64_t end;
    result *r = calloc((size_t)runs->count, sizeof *r);
    REQUIRE(r, ERR_MEMORY, "no memory for %d results", runs->count);
    status s = ledger_open(&l, folder);
    if (s == OK) {
        s = ledger_read(&l, 0, &lines, &count, &end);
        ledger_close(&l);
    }
    for (int32_t i = 0; s == OK && i < runs->count; i++) {
        char path[PATH_BYTES];
        r[i].got.validation.loss = r[i].got.test.loss = (double)NAN;
        for (int32_t k = 0; k < count; k++) {
            if (strcmp(lines[k].run, runs->run[i].name) != 0) continue;
            r[i].done = lines[k].state == LEDGER_DONE;
            r[i].failed = lines[k].state == LEDGER_FAILED;
            r[i].exit = lines[k].exit;
        }
        (void)snprintf(path, sizeof path, "%s/runs/%s", folder, runs->run[i].name);
        if (r[i].done) s = outcome_read(&r[i].got, path);
    }
    free(lines);
    if (s != OK) {
        free(r);
        return s;
    }
    *out = r;
    return OK;
}

/* --- sweeps --------------------------------------------------------------- */

status results_choose(sweep_choice **out, int32_t *cells, const study_runs *runs, const result *r)
{
    *cells = 0;
    for (int32_t i = 0; i < runs->count; i++)
        if (runs->run[i].cell_index >= *cells) *cells = runs->run[i].cell_index + 1;
    sweep_choice *c = calloc((size_t)*cells + 1, sizeof *c);
    REQUIRE(c, ERR_MEMORY, "no memory for %d cells", *cells);
    for (int32_t k = 0; k < *cells; k++) {
        double low = INFINITY, high = 0;
        c[k].run = -1;
        for (int32_t i = 0; i < runs->count; i++) {
            const study_run *run = &runs->run[i];
            if (run->cell_index != k || run->role != RUN_SWEEP) continue;
            low = fmin(low, run->factor);
            high = fmax(high, run->factor);
            const double loss = r[i].got.validation.loss;
            if (!r[i].done || !isfinite(loss))
                c[k].missing += !r[i].done && !r[i].failed;
            else if (c[k].run < 0 || loss < r[c[k].run].got.validation.loss)
                c[k].run = i;
        }
        if (c[k].run >= 0) {
            const double factor = runs->run[c[k].run].factor;
            c[k].interior = factor > low && factor < high;
        }
    }
    *out = c;
    return OK;
}

status results_points(bool **out, const study_runs *runs, const result *r)
{
    sweep_choice *choice;
    int32_t cells;
    bool *point = calloc((size_t)runs->count + 1, sizeof *point);
    REQUIRE(point, ERR_MEMORY, "no memory for %d runs", runs->count);
    const status s = results_choose(&choice, &cells, runs, r);
    if (s != OK) {
        free(point);
        return s;
    }
    for (int32_t i = 0; i < runs->count; i++) {
        const study_run *run = &runs->run[i];
        point[i] =
            run->role == RUN_POINT || (run->role == RUN_SWEEP && choice[run->cell_index].run == i);
    }
    free(choice);
    *out = point;
    return OK;
}

trunk_costs results_trunks(const study_runs *runs)
{
    trunk_costs c = {0, 0};
    for (int32_t i = 0; i < runs->count; i++) {
        const study_run *run = &runs->run[i];
        if (run->trunk < 0) continue;
        c.branched += run->own_flops;
        if (run->role == RUN_POINT) c.separate += run->flops;
    }
    return c;
}

/* --- the comparison of two arms ------------------------------------------- */

/* The finished run of this row, arm and seed; -1 none. */
static int32_t find_pair(const study_runs *runs, const result *r, const bool *point,
                         const char *row, const char *arm, int64_t seed)
{
    for (int32_t i = 0; i < runs->count; i++)
        if (point[i] && r[i].done && runs->run[i].seed == seed &&
            strcmp(runs->run[i].arm, arm) == 0 &&
            (strcmp(runs->run[i].row, row) == 0 || strcmp(runs->run[i].also, row) == 0))
            return i;
    return -1;
}

static double final_loss(const result *r, bool on_test)
{
    return on_test ? r->got.test.loss : r->got.validation.loss;
}

/* Means over the seeds that both arms finished. */
static void compare_one(compare_row *out, const study *s, const study_runs *runs, const result *r,
                        const bool *point, bool on_test)
{
    double difference[STUDY_SEEDS];
    int32_t n = 0;
    for (int32_t k = 0; k < s->seed_count; k++) {
        const int32_t a = find_pair(runs, r, point, out->row, s->arms[0], s->seeds[k]);
        const int32_t b = find_pair(runs, r, point, out->row, s->arms[1], s->seeds[k]);
        if (a < 0 || b < 0) continue;
        const int32_t pair[2] = {a, b};
        for (int i = 0; i < 2; i++) {
            const result *one = &r[pair[i]];
            compare_arm *arm = &out->arm[i];
            arm->like = &runs->run[pair[i]];
            arm->loss += final_loss(one, on_test);
            arm->validation_loss += one->got.validation.loss;
            arm->bits_per_byte +=
                on_test ? one->got.test.bits_per_byte : one->got.validation.bits_per_byte;
            arm->tokens_per_s += one->got.tokens_per_s;
            arm->energy_j += one->got.energy_j;
            arm->time_s += one->got.time_s;
        }
        difference[n++] = final_loss(&r[a], on_test) - final_loss(&r[b], on_test);
    }
    for (int i = 0; i < 2; i++) {
        out->arm[i].loss /= n;
        out->arm[i].validation_loss /= n;
        out->arm[i].bits_per_byte /= n;
        out->arm[i].tokens_per_s /= n;
    }
    out->difference = paired_interval(difference, n, 0.95);
    out->winner = out->difference.low > 0 ? 1 : out->difference.high < 0 ? 0 : -1;
}

void results_compare(comparison *out, const study *s, const study_runs *runs, const result *r)
{
    bool *point;
    *out = (comparison){.winner = -1, .on_test = true};
    if (!*s->arms[0] || results_points(&point, runs, r) != OK) return;
    for (int32_t i = 0; i < runs->count; i++) {
        int32_t k = 0;
        if (!point[i]) continue;
        if (r[i].done && !isfinite(r[i].got.test.loss)) out->on_test = false;
        while (k < out->rows && strcmp(out->row[k].row, runs->run[i].row) != 0) k++;
        if (k == out->rows && k < COMPARE_ROWS) out->row[out->rows++].row = runs->run[i].row;
    }
    for (int32_t k = 0; k < out->rows; k++) {
        compare_one(&out->row[k], s, runs, r, point, out->on_test);
        const int32_t winner = out->row[k].winner;
        out->winner = k == 0 || winner == out->winner ? winner : -1;
    }
    free(point);
}
