/* targets.h — what the op tests run on: every backend of backends[], and each instruction path of
 * cpu by name; OP_TARGET=NAME in the environment leaves that backend alone. Used by index, because
 * Criterion's workers do not share pointers.                                                    */
#ifndef SUPPORT_TARGETS_H
#define SUPPORT_TARGETS_H

#include "kernels/ops.h"

enum { TARGETS_MAX = 16 };
int target_count(void);
/* "cpu:avx2", "ref", ... */
void target_name(int index, char *text, size_t bytes);
/* Opens the target, inside the strict backend if asked; the caller closes. *missing = true and OK
 * when this machine's processor lacks the path; a path it has must open. */
status target_open(int index, bool strict, const ops **o, device **d, bool *missing);

#endif
