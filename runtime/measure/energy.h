/* energy.h — joules of this node from a meter, if it has one. */
#ifndef MEASURE_ENERGY_H
#define MEASURE_ENERGY_H

/* "rapl" (package counters through powercap) or "none". Borrowed. */
const char *energy_source(void);
/* Cumulative joules of all packages of this node; NaN when the source is none. */
double energy_read_j(void);

#endif
