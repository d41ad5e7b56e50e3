#include "report/run_set.h"

#include "base/file.h"
#include "base/nearest.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 4096, STUDY_LIMIT = 1 << 28 };

__attribute__((format(printf, 2, 3))) static status add_note(run_set *s, const char *format, ...)
{
    char **grown = realloc(s->note, ((size_t)s->notes + 1) * sizeof *grown);
    REQUIRE(grown, ERR_MEMORY, "no memory for a list of runs");
    s->note = grown;
    va_list arguments;
    va_start(arguments, format);
    const int length = vasprintf(&s->note[s->notes], format, arguments);
    va_end(arguments);
    REQUIRE(length >= 0, ERR_MEMORY, "no memory for a list of runs");
    s->notes++;
    return OK;
}

static status add_run(run_set *s, const char *folder)
{
    run_record *grown = realloc(s->run, ((size_t)s->count + 1) * sizeof *grown);
    REQUIRE(grown, ERR_MEMORY, "no memory for a list of runs");
    s->run = grown;
    TRY(run_record_read(&s->run[s->count], folder));
    const run_record *r = &s->run[s->count++];
    if (!r->damaged_line) return OK;
    return add_note(s, "%s: record.jsonl is damaged at line %d; read up to there, %d line%s lost",
                    r->name, r->damaged_line, r->lost_lines, r->lost_lines == 1 ? "" : "s");
}

static int visible(const struct dirent *e) { return e->d_name[0] != '.'; }

/* All runs that lie in this folder. */
static status add_folder(run_set *s, const char *folder)
{
    struct dirent **entry = NULL;
    const int count = scandir(folder, &entry, visible, alphasort);
    status code = OK;
    for (int i = 0; i < count; i++) {
        char path[PATH_BYTES + 300];
        (void)snprintf(path, sizeof path, "%.4000s/%s", folder, entry[i]->d_name);
        if (code == OK && run_record_is(path)) {
            code = add_run(s, path);
            /* one damaged run does not take the others with it */
            if (code == ERR_CONFIG) code = add_note(s, "%s", status_message());
        }
        free(entry[i]);
    }
    free(entry);
    return code;
}

/* Moves run `from` to place `to` before it; those between follow in their order. */
static void move_run(run_set *s, int32_t from, int32_t to)
{
    const run_record r = s->run[from];
    memmove(&s->run[to + 1], &s->run[to], (size_t)(from - to) * sizeof r);
    s->run[to] = r;
}

/* What a study says of each of its runs. A run that failed or was never begun is said: nothing is
 * dropped silently. */
static status add_roles(run_set *s, json_t *study, int32_t first)
{
    size_t index;
    json_t *row;
    int32_t place = first; /* the study's order, which is that of its budgets and sizes */
    json_array_foreach(json_at(study, "runs"), index, row)
    {
        const char *name = json_text_at(row, "run"), *state = json_text_at(row, "state");
        int32_t found = place;
        while (found < s->count && strcmp(s->run[found].name, name) != 0) found++;
        if (found < s->count) {
            json_decref(s->run[found].role);
            s->run[found].role = json_incref(row);
            s->run[found].study = s->studies;
            move_run(s, found, place++);
        }
        if (strcmp(state, "failed") == 0)
            TRY(add_note(s, "%s: failed with exit code %.0f", name, json_number_at(row, "exit")));
        else if (found == s->count)
            TRY(add_note(s, "%s: not begun yet", name));
    }
    return OK;
}

/* study.json, if this folder is a study. */
static status add_study(run_set *s, const char *folder, int32_t first)
{
    char path[PATH_BYTES], *text;
    int64_t bytes;
    (void)snprintf(path, sizeof path, "%s/study.json", folder);
    if (!file_exists(path)) return OK;
    TRY(file_read_text(&text, &bytes, path, STUDY_LIMIT));
    json_t *study = json_loads(text, 0, NULL);
    free(text);
    if (!study) return add_note(s, "study.json is damaged: the runs stand by themselves");
    const status taken = add_roles(s, study, first);
    s->studies++;
    if (s->study)
        json_decref(study);
    else
        s->study = study;
    return taken;
}

status run_set_read(run_set *out, const char *const *path, int32_t paths)
{
    run_set s = {0};
    status code = OK;
    for (int32_t i = 0; i < paths && code == OK; i++) {
        const int32_t before = s.count;
        char runs[PATH_BYTES];
        (void)snprintf(runs, sizeof runs, "%s/runs", path[i]);
        if (run_record_is(path[i]))
            code = add_run(&s, path[i]);
        else
            code = add_folder(&s, file_exists(runs) ? runs : path[i]);
        if (code == OK) code = add_study(&s, path[i], before);
        if (code == OK && s.count == before) code = file_reach(path[i]);
        if (code == OK && s.count == before)
            code = status_set(ERR_CONFIG, __FILE__, __LINE__,
                              "%s: no run directory (it has no record.jsonl), and none below it%s",
                              path[i], nearest_file(path[i]).text);
    }
    if (code == OK)
        *out = s;
    else
        run_set_deinit(&s);
    return code;
}

void run_set_deinit(run_set *s)
{
    for (int32_t i = 0; i < s->count; i++) run_record_deinit(&s->run[i]);
    for (int32_t i = 0; i < s->notes; i++) free(s->note[i]);
    json_decref(s->study);
    free(s->run);
    free(s->note);
    *s = (run_set){0};
}
