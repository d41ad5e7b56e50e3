#include "study/worklist.h"

#include "train/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a run, by all lines of the ledger. */
enum { OPEN, TAKEN, DONE, FAILED };

/* A key to sort indices by. */
typedef struct ranked {
    int32_t index;
    double weight;
    const char *name;
} ranked;

static int by_weight(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return x->weight != y->weight ? (x->weight < y->weight ? 1 : -1) : x->index - y->index;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const ranked *)a)->name, ((const ranked *)b)->name);
}

status worklist_init(worklist *out, const study_runs *runs, ledger *l)
{
    const size_t n = (size_t)runs->count;
    ranked *rows = calloc(n, sizeof *rows);
    *out = (worklist){.runs = runs, .ledger = l};
    out->order = calloc(n, sizeof *out->order);
    out->sorted = calloc(n, sizeof *out->sorted);
    out->state = calloc(n, 1);
    if (!rows || !out->order || !out->sorted || !out->state) {
        free(rows);
        worklist_deinit(out);
        FAIL(ERR_MEMORY, "no memory for a list of %d runs", runs->count);
    }
    for (int32_t i = 0; i < runs->count; i++)
        rows[i] = (ranked){i, runs->run[i].own_flops, runs->run[i].name};
    /* children come after their parents, so one pass from the end carries the longest chain up */
    for (int32_t i = runs->count - 1; i >= 0; i--) {
        const int32_t parent = runs->run[i].parent;
        if (parent < 0) continue;
        const double through = runs->run[parent].own_flops + rows[i].weight;
        if (through > rows[parent].weight) rows[parent].weight = through;
    }
    qsort(rows, n, sizeof *rows, by_weight);
    for (size_t i = 0; i < n; i++) out->order[i] = rows[i].index;
    qsort(rows, n, sizeof *rows, by_name);
    for (size_t i = 0; i < n; i++) out->sorted[i] = rows[i].index;
    free(rows);
    return OK;
}

void worklist_deinit(worklist *q)
{
    free(q->order);
    free(q->sorted);
    free(q->state);
    *q = (worklist){0};
}

static int32_t find(const worklist *q, const char *name)
{
    int32_t low = 0, high = q->runs->count;
    while (low < high) {
        const int32_t middle = (low + high) / 2;
        const int order = strcmp(q->runs->run[q->sorted[middle]].name, name);
        if (order == 0) return q->sorted[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

/* A config, memory or numbers that would fail again, as against a full disk or a lost peer. */
static bool own_fault(int32_t exit)
{
    return exit != ERR_IO && exit != ERR_COMM && exit != ERR_DEVICE;
}

static status read_part(worklist *q, int64_t from, bool now)
{
    ledger_line *lines;
    int32_t count;
    int64_t end;
    TRY(ledger_read(q->ledger, from, &lines, &count, &end));
    for (int32_t i = 0; i < count; i++) {
        const int32_t r = find(q, lines[i].run);
        if (r < 0) continue;
        if (lines[i].state == LEDGER_DONE)
            q->state[r] = DONE;
        else if (lines[i].state == LEDGER_STARTED)
            q->state[r] = now ? TAKEN : OPEN;
        else
            q->state[r] = now || (own_fault(lines[i].exit) && !q->retry) ? FAILED : OPEN;
    }
    free(lines);
    return OK;
}

static status read_states(worklist *q)
{
    memset(q->state, OPEN, (size_t)q->runs->count);
    /* all lines as of earlier sittings, then those of this one again as its own */
    TRY(read_part(q, 0, false));
    return read_part(q, q->sitting, true);
}

static status append(const worklist *q, const study_run *which, ledger_line line)
{
    (void)snprintf(line.run, sizeof line.run, "%s", which->name);
    line.loss = (double)NAN;
    return ledger_append(q->ledger, &line);
}

/* Newest step that the run's folder holds; 0 none. */
static int64_t newest_step(const char *folder, const study_run *which)
{
    char checkpoints[1300];
    int64_t *steps, newest = 0;
    (void)snprintf(checkpoints, sizeof checkpoints, "%s/runs/%s/checkpoints", folder, which->name);
    if (checkpoint_list(checkpoints, &steps) > 0) newest = steps[0];
    free(steps);
    return newest;
}

static status take(worklist *q, int32_t *out, const char *folder)
{
    TRY(read_states(q));
    *out = WORK_NONE;
    for (int32_t i = 0; i < q->runs->count; i++) {
        const int32_t r = q->order[i];
        const study_run *which = &q->runs->run[r];
        if (q->state[r] != OPEN || (q->mine && !q->mine[r])) continue;
        const int before = which->parent < 0 ? DONE : q->state[which->parent];
        if (before == DONE) {
            *out = r;
            return append(q, which,
                          (ledger_line){.state = LEDGER_STARTED,
                                        .step = newest_step(folder, which)});
        }
        if (before == FAILED) {
            /* nothing to branch from */
            TRY(append(q, which, (ledger_line){.state = LEDGER_FAILED, .exit = ERR_CONFIG}));
            q->state[r] = FAILED;
            continue;
        }
        *out = WORK_WAIT;
    }
    return OK;
}

status worklist_take(worklist *q, int32_t *out, const char *folder)
{
    TRY(ledger_lock(q->ledger, q->shared));
    const status s = take(q, out, folder);
    ledger_unlock(q->ledger);
    return s;
}

status worklist_count(worklist *q, int32_t *done, int32_t *failed, int32_t *left)
{
    *done = *failed = *left = 0;
    TRY(read_states(q));
    for (int32_t i = 0; i < q->runs->count; i++) {
        *done += q->state[i] == DONE;
        *failed += q->state[i] == FAILED;
        *left += q->state[i] == OPEN || q->state[i] == TAKEN;
    }
    return OK;
}
