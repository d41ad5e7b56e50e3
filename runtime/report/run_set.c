#include "report/run_set.h"

#include "base/file.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 4096 };

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
            // one damaged run does not take the others with it
            if (code == ERR_CONFIG) code = add_note(s, "%s", status_message());
        }
        free(entry[i]);
    }
    free(entry);
    return code;
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
        if (code == OK && s.count == before)
            code = status_set(ERR_CONFIG, __FILE__, __LINE__,
                              "%s: no run directory (it has no record.jsonl), and none below it",
                              path[i]);
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
    free(s->run);
    free(s->note);
    *s = (run_set){0};
}
