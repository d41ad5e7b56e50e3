/* energy.h — joules from a meter, if there is one: the GPU's own for a rank that computes on one,
 * the packages of the node else. A GPU's joules and a host's are never added. */
#ifndef MEASURE_ENERGY_H
#define MEASURE_ENERGY_H

#include "measure/nvml.h"

#include <stdbool.h>
#include <stdint.h>

enum { ENERGY_PACKAGES = 64 };

typedef struct energy_meter {
    bool on_gpu;
    nvml *gpu;                       /* NULL: none, or no GPU                              */
    int32_t packages;                /* of the node that are counted; 0 on a GPU           */
    int32_t zone[ENERGY_PACKAGES];   /* their numbers in powercap                          */
    double at_j[ENERGY_PACKAGES];    /* their counters at the last reading                 */
    double range_j[ENERGY_PACKAGES]; /* where each begins again from 0; NaN: never         */
    double sum_j;                    /* of all packages since the meter was opened         */
    char why[120];                   /* there is none; ""                                  */
} energy_meter;

/* bus_id: of the GPU that computes; NULL: the host does. The caller closes. */
void energy_open(energy_meter *out, const char *bus_id);
void energy_close(energy_meter *m);
/* "nvml", "rapl" (package counters through powercap) or "none". Borrowed. */
const char *energy_source(const energy_meter *m);
/* Cumulative joules, from an arbitrary origin, of the GPU or of all packages of this node; NaN when
 * the source is none. A package's counter begins again every 262 kJ or so: twenty minutes at 200 W
 * may pass between two readings. */
double energy_read_j(energy_meter *m);

#endif
