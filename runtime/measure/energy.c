#include "measure/energy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A line of what powercap says of a zone. False where there is none. */
static bool read_zone(char text[32], int32_t zone, const char *name)
{
    char path[96];
    (void)snprintf(path, sizeof path, "/sys/class/powercap/intel-rapl:%d/%s", (int)zone, name);
    FILE *f = fopen(path, "r");
    if (!f) return false;
    const bool found = fgets(text, 32, f) != NULL;
    (void)fclose(f);
    return found;
}

/* One number of a zone, from micro-joules; NaN where it cannot be read. */
static double read_joules(int32_t zone, const char *name)
{
    char text[32];
    double micro;
    const bool read = read_zone(text, zone, name) && sscanf(text, "%lf", &micro) == 1;
    return read ? micro * 1e-6 : (double)NAN;
}

/* Beside packages there may be a zone of the platform, which counts them again. */
static bool is_package(int32_t zone)
{
    char text[32];
    return read_zone(text, zone, "name") && strncmp(text, "package", 7) == 0;
}

void energy_open(energy_meter *out, const char *bus_id)
{
    *out = (energy_meter){.on_gpu = bus_id != NULL};
    if (bus_id) {
        out->gpu = nvml_open(bus_id, out->why, sizeof out->why);
        return;
    }
    for (int32_t zone = 0; zone < ENERGY_PACKAGES; zone++) {
        const double at_j = is_package(zone) ? read_joules(zone, "energy_uj") : (double)NAN;
        if (!isfinite(at_j)) continue;
        out->zone[out->packages] = zone;
        out->at_j[out->packages] = at_j;
        out->range_j[out->packages++] = read_joules(zone, "max_energy_range_uj");
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
        const double now_j = read_joules(m->zone[i], "energy_uj"), used_j = now_j - m->at_j[i];
        m->sum_j += used_j < 0 ? used_j + m->range_j[i] : used_j;
        m->at_j[i] = now_j;
    }
    return m->packages > 0 ? m->sum_j : (double)NAN;
}
