/* fit_print.h — a fit as text for people and as one JSON object.
 * Flow: law/fit.h, law/optima.h -> cmd_fit.c                                                    */
#ifndef LAUNCHER_FIT_PRINT_H
#define LAUNCHER_FIT_PRINT_H

#include "law/fit.h"
#include "law/optima.h"

#include <jansson.h>

/* What was asked beside the constants; 0: nothing. */
typedef struct fit_question {
    double flops; /* the optimum of this budget */
    law_case at;  /* the loss of this run       */
} fit_question;

status fit_print_text(const fit_result *r, const fit_question *q);
/* The object; new reference. */
status fit_json(json_t **out, const fit_result *r, const fit_question *q);
status fit_print_json(const fit_result *r, const fit_question *q);
/* Approaches 1 and 2; flops 0: no budget was asked about. */
status fit_print_optima_text(const optima *o, double flops);
status fit_optima_json(json_t **out, const optima *o, double flops);
status fit_print_optima_json(const optima *o, double flops);

#endif
