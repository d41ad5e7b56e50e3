/* branch.h — a run directory that begins where another run ended. Private to runtime/study.     */
#ifndef STUDY_BRANCH_H
#define STUDY_BRANCH_H

#include "base/status.h"

/* Makes folder, unless it is there, out of the newest complete checkpoint of `parent` and its
 * record up to that step; appears whole or not at all. Files are linked where that is possible. */
status branch_make(const char *folder, const char *parent);

#endif
