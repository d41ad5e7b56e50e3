/* plan_print.h — the answer of plan for people: 100 columns, most important first.
 * Flow: plan_answer.h -> plan_print -> stdout                                                    */
#ifndef LAUNCHER_PLAN_PRINT_H
#define LAUNCHER_PLAN_PRINT_H

#include "plan_answer.h"

void plan_print(const plan_answer *a);
/* "label   text", the text wrapped to 100 columns under itself. */
void plan_print_wrapped(const char *label, const char *text);
/* A count of three digits, or a dash where it is not known. */
const char *plan_print_count(char out[32], double x);

#endif
