/* run_set.h — the runs below some folders, read once and kept in the order of their names, those of
 * a study in its own. A folder is a run directory, a study (study.yaml, runs/), or holds run
 * directories. Flow: folders -> run_record.h -> run_points.h, report.h */
#ifndef REPORT_RUN_SET_H
#define REPORT_RUN_SET_H

#include "report/run_record.h"

typedef struct run_set {
    run_record *run;
    int32_t count;
    json_t *study; /* study.json of the first study among the paths; NULL: none */
    int32_t studies;
    char **note; /* what could not be read, and damage: "FOLDER: ..."; owned */
    int32_t notes;
} run_set;

/* Every path by itself must hold at least one run: ERR_CONFIG. A run below a path whose record
 * cannot be read is a note, a path that is itself such a run an error. The caller deinits. */
status run_set_read(run_set *out, const char *const *path, int32_t paths);
void run_set_deinit(run_set *s);

#endif
