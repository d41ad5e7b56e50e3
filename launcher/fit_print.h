/* fit_print.h — a fit as text for people and as one JSON object.
 * Flow: law/fit.h -> cmd_fit.c                                                                  */
#ifndef LAUNCHER_FIT_PRINT_H
#define LAUNCHER_FIT_PRINT_H

#include "law/fit.h"

/* What was asked beside the constants; 0: nothing. */
typedef struct fit_question {
    double flops; /* the optimum of this budget */
    law_case at;  /* the loss of this run       */
} fit_question;

status fit_print_text(const fit_result *r, const fit_question *q);
status fit_print_json(const fit_result *r, const fit_question *q);

#endif
