/* study_session.h — one call of the verb study: what was asked for, the runs that follow from it,
 * and the folder they go to.
 * Flow: arguments, study file -> session -> study_scale.h, cmd_study.c */
#ifndef LAUNCHER_STUDY_SESSION_H
#define LAUNCHER_STUDY_SESSION_H

#include "comm/world.h"
#include "law/law_file.h"
#include "plan/cluster.h"
#include "study/expand.h"
#include "train/lock.h"

typedef struct study_arguments {
    const char *run, *scale, *minutes, *law, *only, *cluster;
    bool resume, dry, slurm, retry, accept, json;
    const char *path;
    double minutes_max; /* 0: not given */
    int32_t job;        /* 0: not given */
} study_arguments;

typedef struct study_session {
    const study_arguments *a;
    world *w;
    bool first;      /* rank 0 */
    study s;         /* of rank 0 */
    study_runs runs; /* of all ranks */
    bool *mine;      /* (runs) with --only; NULL all */
    double *unique;  /* (runs) of rank 0 */
    int64_t *bytes;  /* (runs) of rank 0 */
    int64_t ranks_per_run;
    char folder[1024], test[768], command[2048];
    cluster *machine;        /* NULL: none named */
    law_file *law;           /* of rank 0 with --law; NULL: none */
    char validation_set[65]; /* identity; "" unknown          */
    int objects;             /* with --json: the stdout of before        */
    run_lock *lock;          /* of the study's folder, while rank 0 works on it */
} study_session;

/* Rank 0 reads and expands the study and checks its runs; the others do nothing. */
status study_session_prepare(study_session *x);
/* Data, counts and memory of the first run of every cell from run `first` on; nothing is written or
 * trained. */
status study_session_check(study_session *x, int32_t first);
/* Room beside the runs for what is known of each. */
status study_session_room(study_session *x);
/* Every rank gets the runs of rank 0, byte by byte. COLLECTIVE */
status study_session_share(study_session *x, status mine);
/* Rank 0 takes the folder: the lock, the study file, runs that began as these. */
status study_session_claim(study_session *x);

#endif
