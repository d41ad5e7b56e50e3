#include "measure/energy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* One number of a package in powercap, from micro-joules; NaN where it cannot be read. */
static double read_package(int32_t package, const char *name)
{
    char path[96], text[32];
    double micro, joules = (double)NAN;
    (void)snprintf(path, sizeof path, "/sys/class/powercap/intel-rapl:%d/%s", (int)package, name);
    FILE *f = fopen(path, "r");
    if (!f) return joules;
    if (fgets(text, sizeof text, f) && sscanf(text, "%lf", &micro) == 1) joules = micro * 1e-6;
    (void)fclose(f);
    return joules;
}

void energy_open(energy_meter *out, const char *bus_id)
{
    *out = (energy_meter){.on_gpu = bus_id != NULL};
    if (bus_id) {
        out->gpu = nvml_open(bus_id, out->why, sizeof out->why);
        return;
    }
    for (int32_t i = 0; i < ENERGY_PACKAGES; i++) {
        const double at_j = read_package(i, "energy_uj");
        if (!isfinite(at_j)) break;
        out->at_j[i] = at_j;
        out->range_j[i] = read_package(i, "max_energy_range_uj");
        out->packages = i + 1;
    }
    if (out->packages == 0)
        (void)snprintf(out->why, sizeof out->why, "no package counters that can be read");
}

void energy_close(energy_meter *m)
{
    nvml_close(m->gpu);
    m->gpu = NULL;
}

const char *energy_source(const energy_meter *m)
{
    if (m->on_gpu) return m->gpu && isfinite(nvml_energy_j(m->gpu)) ? "nvml" : "none";
    return m->packages > 0 ? "rapl" : "none";
}

double energy_read_j(energy_meter *m)
{
    if (m->on_gpu) return m->gpu ? nvml_energy_j(m->gpu) : (double)NAN;
    for (int32_t i = 0; i < m->packages; i++) {
        const double now_j = read_package(i, "energy_uj"), used_j = now_j - m->at_j[i];
        m->sum_j += used_j < 0 ? used_j + m->range_j[i] : used_j;
        m->at_j[i] = now_j;
    }
    return m->packages > 0 ? m->sum_j : (double)NAN;
}
