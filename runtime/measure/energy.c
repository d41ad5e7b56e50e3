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

void energy_open(energy_meter *out, const char *bus_id)
{
    double joules;
    *out = (energy_meter){.on_gpu = bus_id != NULL};
    if (bus_id)
        out->gpu = nvml_open(bus_id, out->why, sizeof out->why);
    else if (!read_rapl(&joules))
        (void)snprintf(out->why, sizeof out->why, "no package counters that can be read");
}

void energy_close(energy_meter *m)
{
    nvml_close(m->gpu);
    m->gpu = NULL;
}

const char *energy_source(const energy_meter *m)
{
    return isfinite(energy_read_j(m)) ? (m->on_gpu ? "nvml" : "rapl") : "none";
}

double energy_read_j(const energy_meter *m)
{
    double joules;
    if (m->on_gpu) return m->gpu ? nvml_energy_j(m->gpu) : (double)NAN;
    return read_rapl(&joules) ? joules : (double)NAN;
}
