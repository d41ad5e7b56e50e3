#include "study/execute.h"

#include "base/clock.h"
#include "base/file.h"
#include "study/branch.h"
#include "study/worklist.h"
#include "train/loop.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PATH_BYTES = 1200 };
/* A group may train for days while the others wait for it at the end. */
static const double DEADLINE_S = 60 * 86400.0;
static const struct timespec REST = {.tv_nsec = 20000000};

struct executor {
    world *all, *group;
    int32_t group_index, groups;
    bool leads; /* the first rank of its group */
    const execute_options *options;
    const execute_hooks *hooks;
    ledger ledger; /* of leading ranks */
    int64_t sitting;
    int32_t damaged_lines, damaged_from;
    const study_run *now; /* being trained */
};

/* --- opening -------------------------------------------------------------- */

static status open_ledger(executor *x)
{
    if (world_rank(x->all) != 0) return OK;
    char runs[PATH_BYTES];
    (void)snprintf(runs, sizeof runs, "%s/runs", x->options->folder);
    TRY(file_make_folder(runs));
    TRY(ledger_open(&x->ledger, x->options->folder));
    TRY(ledger_lock(&x->ledger, x->groups > 1));
    const status s = ledger_recover(&x->ledger, &x->damaged_lines, &x->damaged_from);
    ledger_line *lines = NULL;
    int32_t count;
    const status read = s == OK ? ledger_read(&x->ledger, 0, &lines, &count, &x->sitting) : s;
    free(lines);
    ledger_unlock(&x->ledger);
    return read;
}

status execute_open(executor **out, world *w, const execute_options *options,
                    const execute_hooks *hooks)
{
    const int32_t ranks = world_size(w), each = options->ranks_per_run;
    REQUIRE(ranks % each == 0, ERR_CONFIG,
            "%d ranks do not make whole groups of ranks_per_run=%d; use %d or %d ranks", ranks,
            each, ranks > each ? ranks / each * each : each, (ranks / each + 1) * each);
    executor *x = calloc(1, sizeof *x);
    status s = x ? OK : status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for a study");
    TRY(world_agree(w, s));
    *x = (executor){.all = w, .groups = ranks / each, .options = options, .hooks = hooks};
    x->ledger.fd = -1;
    x->group_index = world_rank(w) / each;
    world_set_deadline(w, DEADLINE_S);
    s = world_split(w, &x->group, x->group_index);
    if (s == OK) x->leads = world_rank(x->group) == 0;
    if (s == OK) s = world_agree(w, open_ledger(x));
    if (s == OK) s = world_broadcast(w, &x->sitting, sizeof x->sitting, 0);
    if (s == OK && x->leads && world_rank(w) != 0) s = ledger_open(&x->ledger, options->folder);
    s = world_agree(w, s);
    if (s != OK) {
        execute_close(x);
        return s;
    }
    *out = x;
    return OK;
}

void execute_close(executor *x)
{
    if (!x) return;
    ledger_close(&x->ledger);
    world_close(x->group);
    free(x);
}

/* --- one run -------------------------------------------------------------- */

static void on_message(void *context, const char *text)
{
    const executor *x = context;
    if (x->hooks->message) x->hooks->message(x->hooks->context, x->now, text);
}

static bool on_stop(void *context)
{
    const executor *x = context;
    return x->hooks->stop && x->hooks->stop(x->hooks->context);
}

/* Trains and tests one run. COLLECTIVE over the group. */
static status train_run(executor *x, const study_runs *runs, const study_run *which)
{
    char folder[PATH_BYTES], parent[PATH_BYTES];
    (void)snprintf(folder, sizeof folder, "%s/runs/%s", x->options->folder, which->name);
    if (which->parent >= 0) {
        (void)snprintf(parent, sizeof parent, "%s/runs/%s", x->options->folder,
                       runs->run[which->parent].name);
        TRY(world_agree(x->group, x->leads ? branch_make(folder, parent) : OK));
    }
    const train_options options = {.folder = folder,
                                   .resume = true,
                                   .accept_other_arithmetic = x->options->accept_other_arithmetic,
                                   .command = x->options->command};
    const train_hooks hooks = {.context = x, .message = on_message, .stop = on_stop};
    TRY(train_loop(x->group, &which->cfg, &options, &hooks));
    if (!x->options->test[0] || which->role == RUN_TRUNK) return OK;
    return outcome_test(x->group, &which->cfg, x->options->test, folder);
}

/* What the leading rank writes down when a run has ended. */
static status note_end(executor *x, const study_run *which, status s, double busy_s)
{
    char folder[PATH_BYTES];
    outcome o = {.validation.loss = (double)NAN};
    (void)snprintf(folder, sizeof folder, "%s/runs/%s", x->options->folder, which->name);
    if (s == OK) s = outcome_read(&o, folder);
    if (s == OK && !o.finished)
        s = status_set(ERR_IO, __FILE__, __LINE__, "%s/summary.json does not say that it ended",
                       folder);
    if (x->hooks->end) x->hooks->end(x->hooks->context, which, s, &o, busy_s);
    if (s == INTERRUPTED) return OK;
    ledger_line line = {.state = s == OK ? LEDGER_DONE : LEDGER_FAILED,
                        .step = o.steps,
                        .exit = (int32_t)s,
                        .loss = o.validation.loss};
    (void)snprintf(line.run, sizeof line.run, "%s", which->name);
    TRY(ledger_lock(&x->ledger, x->groups > 1));
    s = ledger_append(&x->ledger, &line);
    ledger_unlock(&x->ledger);
    return s;
}

/* A failure that other runs would share, or after which ranks are not where they should be. */
static bool ends_the_job(status s) { return s == ERR_COMM || s == ERR_DEVICE || s == ERR_INTERNAL; }

/* --- the worklist --------------------------------------------------------- */

/* The group's next run, known to all its ranks. COLLECTIVE over the group. */
static status next_run(executor *x, worklist *q, int32_t *out)
{
    status s = OK;
    for (;;) {
        *out = x->leads && on_stop(x) ? WORK_STOPPED : WORK_NONE;
        if (x->leads && *out == WORK_NONE) s = worklist_take(q, out, x->options->folder);
        if (s != OK || *out != WORK_WAIT) break;
        (void)nanosleep(&REST, NULL);
    }
    TRY(world_agree(x->group, s));
    return world_broadcast(x->group, out, sizeof *out, 0);
}

static status work(executor *x, const study_runs *runs, worklist *q, double *busy_s)
{
    status stopped = OK;
    for (;;) {
        int32_t index;
        TRY(next_run(x, q, &index));
        /* asked to stop between two runs */
        if (index == WORK_STOPPED) stopped = INTERRUPTED;
        if (index < 0) break;
        const study_run *which = &runs->run[index];
        const double begin = clock_s();
        x->now = which;
        if (x->leads && x->hooks->begin)
            x->hooks->begin(x->hooks->context, which, x->group_index, 0);
        status s = train_run(x, runs, which);
        *busy_s += clock_s() - begin;
        if (ends_the_job(s)) return s;
        TRY(world_agree(x->group, x->leads ? note_end(x, which, s, clock_s() - begin) : OK));
        if (s == INTERRUPTED) stopped = s;
        if (stopped != OK) break;
    }
    return stopped;
}

/* Every group's busy time, and what the ledger says. COLLECTIVE */
static status summarize(executor *x, worklist *q, double busy_s, double wall_s,
                        execute_report *report)
{
    const int32_t ranks = world_size(x->all);
    double *all = malloc((size_t)ranks * sizeof *all), mine[1] = {x->leads ? busy_s : 0};
    status s = all ? OK : status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for a report");
    TRY(world_agree(x->all, s));
    s = world_gather(x->all, all, mine, sizeof mine);
    *report = (execute_report){.groups = x->groups,
                               .wall_s = wall_s,
                               .damaged_lines = x->damaged_lines,
                               .damaged_from = x->damaged_from};
    for (int32_t r = 0; s == OK && r < ranks; r++) report->busy_s += all[r];
    free(all);
    if (wall_s > 0) report->utilisation = report->busy_s / (x->groups * wall_s);
    status mine_s = OK;
    if (s == OK && world_rank(x->all) == 0)
        mine_s = worklist_count(q, &report->done, &report->failed, &report->left);
    TRY(s);
    TRY(world_agree(x->all, mine_s));
    return world_broadcast(x->all, report, sizeof *report, 0);
}

status execute_runs(executor *x, const study_runs *runs, const bool *mine, execute_report *report)
{
    worklist q;
    double busy_s = 0;
    const double begin = clock_s();
    TRY(world_agree(x->all, worklist_init(&q, runs, &x->ledger)));
    q.sitting = x->sitting;
    q.retry = x->options->retry;
    q.shared = x->groups > 1;
    q.mine = mine;
    const status s = work(x, runs, &q, &busy_s);
    /* other groups may be in the middle of a run: this one cannot just leave */
    if (s != OK && s != INTERRUPTED && x->groups > 1) world_abort(x->all, s);
    const status all = world_agree(x->all, s);
    const bool goes_on = all == OK || all == INTERRUPTED;
    const status told = goes_on ? summarize(x, &q, busy_s, clock_s() - begin, report) : OK;
    worklist_deinit(&q);
    if (told == OK && all == INTERRUPTED && report->left == 0) return OK;
    if (told == OK && all == INTERRUPTED)
        FAIL(INTERRUPTED, "interrupted; %d of %d runs are done", report->done, runs->count);
    return all == OK ? told : all;
}
