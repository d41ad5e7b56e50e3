#include "study_scale.h"

#include "cli.h"
#include "study_print.h"
#include "base/file.h"
#include "study/probe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCALES = 16 };
/* What hours of work rest on is measured longer than what is only shown. */
static const double CHOICE_S = 4.4;

/* The scales of the list, in file order. */
static int32_t list_scales(const study *s, const char *scale[SCALES])
{
    int32_t count = 0;
    for (const tree *t = s->mode == STUDY_RUNS ? s->part->child : NULL; t; t = t->next) {
        const tree *tag = tree_find(t, "scale");
        bool known = !tag || tag->kind != TREE_TEXT;
        for (int32_t i = 0; i < count && !known; i++) known = strcmp(scale[i], tag->text) == 0;
        if (!known && count < SCALES) scale[count++] = tag->text;
    }
    return count;
}

/* Speed of the slowest kind of run, on all ranks at once as the study will use them. COLLECTIVE */
status study_scale_rate(study_session *x, double seconds, double *flops_per_s)
{
    world *group = NULL;
    double rates[2] = {0, 0}, mine;
    const int32_t each = (int32_t)x->ranks_per_run;
    int32_t last = 0;
    /* the cheapest and the dearest model per token */
    for (int32_t i = 1; i < x->runs.count; i++)
        if (x->runs.run[i].params > x->runs.run[last].params) last = i;
    const int32_t which[2] = {0, last};
    TRY(world_split(x->w, &group, world_rank(x->w) / each));
    status s = OK;
    const int kinds = x->runs.run[last].params == x->runs.run[0].params ? 1 : 2;
    for (int k = 0; k < kinds && s == OK; k++)
        s = probe_rate(&rates[k], group, &x->runs.run[which[k]].cfg, seconds / kinds);
    world_close(group);
    TRY(world_agree(x->w, s));
    mine = fmin(rates[0], rates[kinds - 1]);
    double *all = calloc((size_t)world_size(x->w), sizeof *all);
    s = world_agree(x->w,
                    all ? OK : status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for rates"));
    if (s == OK) s = world_gather(x->w, all, &mine, sizeof mine);
    *flops_per_s = mine;
    for (int32_t r = 0; s == OK && r < world_size(x->w); r++)
        *flops_per_s = fmin(*flops_per_s, all[r]);
    free(all);
    return s;
}

/* The scale that a study was begun with stands in its folder. */
static status recall_scale(study_session *x, bool *known)
{
    char path[1100], *text;
    int64_t bytes;
    *known = false;
    (void)snprintf(path, sizeof path, "%s/scale", x->folder);
    if (!file_exists(path)) return OK;
    TRY(file_read_text(&text, &bytes, path, STUDY_NAME));
    text[strcspn(text, "\n")] = '\0';
    (void)snprintf(x->s.keys.scale, sizeof x->s.keys.scale, "%s", text);
    free(text);
    *known = true;
    return OK;
}

status study_scale_remember(const study_session *x)
{
    char path[1100], text[STUDY_NAME + 2];
    if (!*x->s.keys.scale) return OK;
    (void)snprintf(path, sizeof path, "%s/scale", x->folder);
    const int n = snprintf(text, sizeof text, "%s\n", x->s.keys.scale);
    return file_write_text(path, text, n);
}

/* Room for evaluations, checkpoints and the ends of queues. */
static const double MARGIN = 1.15;

/* Tries the scales from the smallest on; leaves the runs of the largest that fits. COLLECTIVE */
status study_scale_choose(study_session *x)
{
    const char *scale[SCALES] = {NULL};
    int32_t count = x->first ? list_scales(&x->s, scale) : 0;
    int32_t known = 0, groups = world_size(x->w) / (int32_t)x->ranks_per_run;
    double rate = 0, best_s = 0;
    char best[STUDY_NAME] = "";
    status s = OK;
    if (x->first) {
        bool found = false;
        s = recall_scale(x, &found);
        known = found;
        if (s == OK && count == 0)
            s = status_set(ERR_CONFIG, __FILE__, __LINE__,
                           "--minutes: the runs of %s name no scale", x->s.path);
        if (s == OK && !known)
            (void)snprintf(x->s.keys.scale, sizeof x->s.keys.scale, "%.31s", scale[0]);
    }
    TRY(study_session_share(x, s == OK ? study_session_prepare(x) : s));
    TRY(world_broadcast(x->w, &known, sizeof known, 0));
    if (known) return OK;
    TRY(study_scale_rate(x, CHOICE_S, &rate));
    for (int32_t i = 0; x->first && s == OK && i < count; i++) {
        study_runs runs;
        (void)snprintf(x->s.keys.scale, sizeof x->s.keys.scale, "%.31s", scale[i]);
        s = expand_study(&runs, &x->s);
        if (s != OK) break;
        const double need_s = MARGIN * study_duration(&runs, groups, rate);
        printf("scale      %-8s about %s\n", scale[i], cli_duration(need_s).text);
        if (i > 0 && need_s > 60 * x->a->minutes_max) {
            expand_deinit(&runs);
            break;
        }
        expand_deinit(&x->runs);
        x->runs = runs;
        best_s = need_s;
        (void)snprintf(best, sizeof best, "%.31s", scale[i]);
    }
    if (x->first && s == OK) {
        (void)snprintf(x->s.keys.scale, sizeof x->s.keys.scale, "%s", best);
        printf("chosen     %s, at %.1f GFLOP/s per group (measured in five seconds)%s\n",
               x->s.keys.scale, rate * 1e-9,
               best_s > 60 * x->a->minutes_max ? ": the smallest there is, and it takes longer"
                                               : "");
        s = study_session_room(x);
        if (s == OK) s = study_session_check(x, 0);
    }
    return study_session_share(x, s);
}
