/* pin.h — one rank per core. */
#ifndef COMM_PIN_H
#define COMM_PIN_H

#include "comm/world.h"

/* Binds this process to a core of its own when it shares its allowed cores with the other ranks of
 * the node, spread evenly over them; leaves alone what a launcher has bound, a rank that is alone
 * on its node, and nodes with fewer cores than ranks. text says what was done. Fails only when the
 * world does. COLLECTIVE. Call it before starting threads or touching large memory. */
status pin_rank(world *w, char *text, size_t bytes);

#endif
