/* search.h — the best parameters of a law on points: many starts, then a polish.
 * Flow: objective.h, minimize.h -> fit.h                                                        */
#ifndef LAW_SEARCH_H
#define LAW_SEARCH_H

#include "law/minimize.h"
#include "law/objective.h"

typedef struct search_result {
    double parameter[LAW_CONSTANTS];
    double objective;
    int32_t starts;         /* tried                                              */
    int32_t starts_at_best; /* ended within 1e-8 of the best value                */
} search_result;

/* Told how far long work is: what it does, and the share of that which is done. */
typedef struct search_watch {
    void (*progress)(void *context, const char *stage, double done); /* or NULL */
    void *context;
} search_watch;
void search_tell(search_watch watch, const char *stage, int32_t done, int32_t count);

/* All starts of the law, the best ones polished. ERR_NUMERIC when no start has a finite end. */
status search_all(search_result *out, const objective *o, search_watch watch);
/* From parameters that are near: one descent and the polish; returns the value. */
double search_near(const objective *o, double *parameter);

#endif
