#include "base/rng.h"
#include "law/laws.h"
#include "law/objective.h"
#include "law/points.h"
#include "law/vector.h"

#include <criterion/criterion.h>
#include <math.h>

static double between(double low, double high, uint64_t index)
{
    return low + (high - low) * rng_uniform(3, RNG_TEST, 77, index);
}

Test(law_forms, exp_and_log_are_within_4e_16_of_the_library)
{
    for (uint64_t i = 0; i < 200000; i++) {
        const double x = -between(0, 700, i), y = 1 + between(0, 1, i) * (double)(i % 1000);
        cr_assert(fabs(exp_negative(x) / exp(x) - 1) < 5e-16, "exp(%.17g)", x);
        cr_assert(fabs(log_above_1(y) - log(y)) <= 5e-16 * fmax(log(y), 0.1), "log(%.17g)", y);
    }
    cr_expect(exp_negative(0) == 1 && log_above_1(1) == 0);
    cr_expect(exp_negative(-1e300) < 1e-300);
}

/* every law, every parameter, by central differences of the objective's pieces */
Test(law_forms, slopes_match_finite_differences)
{
    for (int32_t f = 0; f < laws_count; f++) {
        const law *form = &laws[f];
        points p = {0};
        for (uint64_t i = 0; i < 20; i++) {
            const double tokens = exp(between(20, 27, 3 * i));
            fit_point row = {.params = exp(between(16, 22, 3 * i + 1)),
                             .tokens = tokens,
                             .unique = i % 2 ? tokens : tokens * between(0.02, 1, 3 * i + 2),
                             .loss = 2 + between(0, 1, i)};
            cr_assert(points_add(&p, &row) == OK);
        }
        law_points c;
        cr_assert(points_columns(&c, &p, X_TOKENS, false) == OK);
        /* parameters in the middle of the starts, where the law is curved */
        double x[LAW_CONSTANTS] = {0.5, 6, 7, 0.33, 0.37, 1.6, 2.7};
        if (form->needs == LAW_OF_X || form->constants < 5)
            cr_assert(form->start(form, &c, form->constants > 5 ? 7 : 37, x));
        if (form->constants > 5 && form->needs == LAW_OF_X)
            for (int k = 2; k < form->constants; k += 3) x[k] += 0.1;
        static double up[32], down[32], slope[32 * LAW_CONSTANTS];
        form->log_loss(form, &c, x, up, slope);
        for (int32_t k = 0; k < form->constants; k++) {
            const double h = 1e-6 * fmax(1, fabs(x[k])), at = x[k];
            x[k] = at + h;
            form->log_loss(form, &c, x, up, NULL);
            x[k] = at - h;
            form->log_loss(form, &c, x, down, NULL);
            x[k] = at;
            for (int i = 0; i < c.count; i++) {
                const double numeric = (up[i] - down[i]) / (2 * h), s = slope[k * c.padded + i];
                cr_expect(fabs(numeric - s) < 1e-6 * fmax(1, fabs(s)), "%s %s point %d: %g, %g",
                          form->name, form->constant[k], i, s, numeric);
            }
        }
        points_columns_deinit(&c);
        points_deinit(&p);
    }
}

/* Muennighoff et al. 2023, the constants and code of their repository */
Test(law_forms, repeated_data_gives_the_published_losses)
{
    const double c[] = {exp(0.6254804), exp(6.255414), exp(7.3049974), 0.3526596,
                        0.3526596,      5.309743,      15.387756};
    const law *form = law_find("data-constrained");
    const double x =
        law_loss(form, c, (law_case){.params = 6.34e9, .tokens = 242e9, .unique = 25e9}, NULL);
    const double y =
        law_loss(form, c, (law_case){.params = 8.67e9, .tokens = 178e9, .unique = 25e9}, NULL);
    cr_expect(fabs(x - 2.225644088998448) < 2e-12, "%.15g", x);
    cr_expect(fabs(y - 2.226963407508787) < 2e-12, "%.15g", y);
    /* fresh data: the plain law */
    const law_case fresh = {.params = 1e9, .tokens = 20e9};
    cr_expect(fabs(law_loss(form, c, fresh, NULL) -
                   law_loss(law_find("chinchilla"), c, fresh, NULL)) < 1e-13);
}

/* Hoffmann et al. 2022: the constants before rounding; Besiroglu et al. 2024 */
Test(law_forms, frontiers_spend_the_budget_and_match_the_literature)
{
    const double tex[] = {exp(0.5267228), exp(6.0073404), exp(6.0179186), 0.33917084, 0.2849083};
    const double lad[] = {1.81686, 482.006, 2085.434, 0.34781303, 0.36585412};
    law_frontier f;
    cr_assert(law_frontier_of(&f, law_find("chinchilla"), tex));
    cr_expect(fabs(f.G - 1.30005) < 5e-6 && fabs(f.a - 0.45653) < 5e-6, "%g %g", f.G, f.a);
    cr_expect(fabs(law_frontier_params(&f, 5.76e23) / 4.036e10 - 1) < 5e-4);
    cr_expect(fabs(law_frontier_tokens(&f, 1e21) / 7.518e10 - 1) < 5e-4);
    cr_expect(fabs(6 * law_frontier_params(&f, 1e22) * law_frontier_tokens(&f, 1e22) / 1e22 - 1) <
              1e-12);
    cr_assert(law_frontier_of(&f, law_find("chinchilla"), lad));
    cr_expect(fabs(f.G - 0.119633) < 5e-6 && fabs(f.a - 0.51264) < 5e-6, "%g %g", f.G, f.a);
    cr_expect(!law_frontier_of(&f, law_find("kaplan"), tex));
}
