/* worklist.h — which run comes next: the ledger read as a queue shared by groups of ranks.
 * Longest first (with all that branches from it), each run once. A run that was begun by an earlier
 * sitting is begun again and resumes; one that failed by its own fault stays failed.
 * Flow: ledger.h, expand.h -> worklist -> execute.c. Private to runtime/study */
#ifndef STUDY_WORKLIST_H
#define STUDY_WORKLIST_H

#include "study/expand.h"
#include "study/ledger.h"

typedef struct worklist {
    const study_runs *runs;
    ledger *ledger;
    int64_t sitting;  /* byte of the ledger at which this sitting began  */
    bool retry;       /* also runs that failed by their own fault        */
    bool shared;      /* other groups work on it too: locks are needed   */
    const bool *mine; /* (runs) which runs this job does; NULL: all     */
    int32_t *order;   /* (runs) longest first; owned                     */
    int32_t *sorted;  /* (runs) by name; owned                           */
    char *state;      /* (runs) scratch; owned                           */
} worklist;

enum { WORK_NONE = -1, WORK_WAIT = -2, WORK_STOPPED = -3 }; /* the last: asked to stop */

status worklist_init(worklist *out, const study_runs *runs, ledger *l);
void worklist_deinit(worklist *q);
/* Marks the next run as started and returns its index; WORK_WAIT: a run that another group trains
 * must end first; WORK_NONE: nothing is left. A run whose parent failed is marked failed. */
status worklist_take(worklist *q, int32_t *out, const char *folder);
/* How many runs are done, failed and neither, by the ledger. */
status worklist_count(worklist *q, int32_t *done, int32_t *failed, int32_t *left);

#endif
