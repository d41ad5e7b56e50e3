/* plan_print_machine.h — the plan on its cluster, for people.
 * Flow: plan_print.c -> plan_print_machine -> stdout                                             */
#ifndef LAUNCHER_PLAN_PRINT_MACHINE_H
#define LAUNCHER_PLAN_PRINT_MACHINE_H

#include "plan_answer.h"

void plan_print_machine(const plan_answer *a);

#endif
