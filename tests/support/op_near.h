/* op_near.h — is what an op computed near what ref did? The tolerances are near.h's.             */
#ifndef SUPPORT_OP_NEAR_H
#define SUPPORT_OP_NEAR_H

#include "support/op_cases.h"

/* Compares every field that the op writes; text says what differs first, and by how much. */
bool op_near(const op_call *got, const op_call *expected, const char *target, char *text,
             size_t bytes);

#endif
