/* The published energies of four systems, from their own hours, watts and PUE. */
#include "plan/predict.h"

#include <criterion/criterion.h>
#include <math.h>

typedef struct system_energy {
    const char *name;
    double rank_hours, power_w, pue, mwh;
} system_energy;

static const system_energy systems[] = {
    {"PaLM 540B, Chowdhery et al. 2022", 8404992, 378.5, 1.08, 3435.7},
    {"GPT-3, Patterson et al. 2021", 10000 * 14.8 * 24, 330, 1.10, 1287},
    {"LLaMA 65B, Touvron et al. 2023", 1022362, 400, 1.1, 449},
    {"LLaMA 13B, Touvron et al. 2023", 135168, 400, 1.1, 59},
    {"BLOOM, Luccioni et al. 2022", 1082990, 400, 1.0, 433.2},
};
enum { SYSTEMS = sizeof systems / sizeof systems[0] };

Test(energy, published_energies_follow_from_their_hours_and_watts)
{
    for (int i = 0; i < SYSTEMS; i++) {
        const system_energy *s = &systems[i];
        const cluster c = {.power_w = {.value = s->power_w}, .pue = {.value = s->pue}};
        const double mwh = cluster_energy_j(&c, s->rank_hours) / 3.6e9;
        cr_expect(fabs(mwh / s->mwh - 1.0) < 0.01, "%s: %.1f MWh, published %.1f", s->name, mwh,
                  s->mwh);
    }
}

/* The shipped TPU v4 file carries PaLM's measured watts and PUE; v3's are Gopher's. */
Test(energy, the_shipped_tpus_are_those_of_palm_and_gopher)
{
    cluster c;
    cr_assert(cluster_load(&c, "tpu-v4") == OK, "%s", status_message());
    const double palm = cluster_energy_j(&c, 8404992);
    cr_expect(fabs(palm / 3.6e9 / 3435.7 - 1.0) < 0.01);
    cr_expect(fabs(cluster_co2_g(&c, palm) / 271e6 - 1.0) < 0.01);
    cr_assert(cluster_load(&c, "tpu-v3") == OK, "%s", status_message());
    const double gopher = cluster_energy_j(&c, 4096.0 * 920) / c.pue.value;
    cr_expect(fabs(gopher / 3.6e9 / 1066 - 1.0) < 0.01);
    cr_expect(fabs(cluster_co2_g(&c, gopher * c.pue.value) / 380e6 - 1.0) < 0.01);
}

Test(energy, what_the_cluster_does_not_know_is_unknown_and_not_zero)
{
    const cluster c = {.power_w = {.value = 100},
                       .pue = {.value = NAN},
                       .grid_g_per_kwh = {.value = 1},
                       .price_per_hour = {.value = NAN}};
    cr_expect(isnan(cluster_energy_j(&c, 1)));
    cr_expect(isnan(cluster_co2_g(&c, cluster_energy_j(&c, 1))));
    cr_expect(isnan(cluster_money(&c, 1)));
}
