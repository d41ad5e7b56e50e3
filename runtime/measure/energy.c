#include "measure/energy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Sum of the package counters; false if there is none or it cannot be read. */
static int read_rapl(double *joules)
{
    int found = 0;
    *joules = 0.0;
    for (int package = 0; package < 64; package++) {
        char path[96], text[32];
        (void)snprintf(path, sizeof path, "/sys/class/powercap/intel-rapl:%d/energy_uj", package);
        FILE *f = fopen(path, "r");
        if (!f) break;
        double micro;
        if (fgets(text, sizeof text, f) && sscanf(text, "%lf", &micro) == 1) {
            *joules += micro * 1e-6;
            found = 1;
        }
        (void)fclose(f);
    }
    return found;
}

const char *energy_source(void)
{
    double joules;
    return read_rapl(&joules) ? "rapl" : "none";
}

double energy_read_j(void)
{
    double joules;
    return read_rapl(&joules) ? joules : (double)NAN;
}
