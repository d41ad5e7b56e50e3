/* conformance.h — what every communicator must do, as one function: run on threads by Criterion,
 * on processes by comm_mpirun.c.                                                               */
#ifndef TESTS_COMM_CONFORMANCE_H
#define TESTS_COMM_CONFORMANCE_H

#include "comm/comm.h"

/* Every collective, type and a range of counts on pseudo-random data against the serial answer.
 * node_ranks: ranks of one node, whose float sums are formed first; the size of c for one node.
 * ERR_NUMERIC names the first wrong element. COLLECTIVE. */
status comm_conformance(comm *c, int32_t node_ranks);

#endif
