/* plan_words.h — what plan says in sentences: why this law, and whether the laws agree.
 * Flow: plan_answer.c -> plan_words                                                             */
#ifndef LAUNCHER_PLAN_WORDS_H
#define LAUNCHER_PLAN_WORDS_H

#include "plan_answer.h"

void plan_words_reason(plan_answer *a);
void plan_words_agreement(plan_answer *a);
/* ERR_CONFIG naming the nearest law. */
status plan_words_unknown_law(const published *known, const char *name);

#endif
