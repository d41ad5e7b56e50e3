#include "study_session.h"

#include "study_scale.h"
#include "base/file.h"
#include "train/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

status study_session_check(study_session *x, int32_t first)
{
    world *alone = NULL;
    status s = world_open_self(&alone);
    int32_t cell = -1;
    run *before = NULL;
    for (int32_t i = first; s == OK && i < x->runs.count; i++) {
        const study_run *one = &x->runs.run[i];
        if (one->cell_index == cell && one->role != RUN_TRUNK && one->parent < 0) {
            x->unique[i] = x->unique[i - 1];
            x->bytes[i] = x->bytes[i - 1];
            continue;
        }
        run *r = NULL;
        cell = one->cell_index;
        s = run_check_like(&r, &one->cfg, alone, before);
        if (s != OK) {
            (void)status_prefix(s, "%s: run %s", x->s.path, one->name);
            break;
        }
        const samples_info *about = samples_about(r->train);
        x->unique[i] = about->tokens < INT64_MAX ? (double)about->tokens : 0;
        x->bytes[i] = r->plan.total;
        if (i == 0 && r->validation)
            (void)snprintf(x->validation_set, sizeof x->validation_set, "%s",
                           samples_about(r->validation)->identity);
        run_close(before);
        before = r;
    }
    run_close(before);
    world_close(alone);
    return s;
}

status study_session_room(study_session *x)
{
    const size_t n = (size_t)x->runs.count + 1;
    double *unique = realloc(x->unique, n * sizeof *unique);
    if (unique) x->unique = unique;
    int64_t *bytes = realloc(x->bytes, n * sizeof *bytes);
    if (bytes) x->bytes = bytes;
    REQUIRE(unique && bytes, ERR_MEMORY, "no memory for %d runs", x->runs.count);
    return OK;
}

status study_session_share(study_session *x, status mine)
{
    TRY(world_agree(x->w, mine));
    int32_t count = x->runs.count;
    TRY(world_broadcast(x->w, &count, sizeof count, 0));
    status s = OK;
    if (!x->first) {
        free(x->runs.run);
        x->runs = (study_runs){calloc((size_t)count + 1, sizeof *x->runs.run), count, count + 1};
        if (!x->runs.run) s = status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for the runs");
    }
    TRY(world_agree(x->w, s));
    return world_broadcast(x->w, x->runs.run, (int64_t)count * (int64_t)sizeof *x->runs.run, 0);
}

status study_session_prepare(study_session *x)
{
    if (!x->first) return OK;
    TRY(expand_study(&x->runs, &x->s));
    TRY(study_session_room(x));
    return study_session_check(x, 0);
}

/* --- the folder ----------------------------------------------------------- */

/* Runs that began as something else may not go on. */
static status same_runs(const study_session *x)
{
    config before;
    char path[1300];
    for (int32_t i = 0; i < x->runs.count; i++) {
        (void)snprintf(path, sizeof path, "%s/runs/%s/config.yaml", x->folder, x->runs.run[i].name);
        if (!file_exists(path)) continue;
        TRY(config_load(&before, path, 0, NULL));
        const status s = config_same_identity(&x->runs.run[i].cfg, &before);
        if (s != OK)
            return status_prefix(s, "run %s of %s was begun with another config",
                                 x->runs.run[i].name, x->folder);
    }
    return OK;
}

status study_session_claim(study_session *x)
{
    char path[1100], *text;
    int64_t bytes;
    if (!x->first) return OK;
    (void)snprintf(path, sizeof path, "%s/study.yaml", x->folder);
    REQUIRE(x->a->resume || !file_exists(path), ERR_CONFIG,
            "--run %s: a study stands there already; --resume continues it, or name another",
            x->folder);
    TRY(file_make_folder(x->folder));
    /* the tasks of an array job share the folder: each run's own lock parts them */
    if (!x->a->job) TRY(lock_open(&x->lock, x->folder));
    TRY(same_runs(x));
    TRY(file_read_text(&text, &bytes, x->s.path, STUDY_BYTES_MAX));
    status s = strcmp(x->s.path, path) == 0 ? OK : file_write_text(path, text, bytes);
    free(text);
    return s == OK ? study_scale_remember(x) : s;
}
