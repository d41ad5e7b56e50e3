#include "plan/goodput.h"

#include "base/rng.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

/* A job that fails at random, simulated event by event. */
typedef struct job {
    failure_model model;
    uint64_t seed, draws;
    double now_s, useful_s, next_failure_s;
    int failures;
} job;

static void draw_failure(job *j)
{
    const double u = rng_uniform(j->seed, RNG_TEST, 0, j->draws++);
    j->next_failure_s = j->now_s - j->model.mtbf_s * log(u);
}

/* Restarts until one is not itself interrupted. */
static void fail_and_restart(job *j)
{
    do {
        j->now_s = j->next_failure_s;
        j->failures++;
        draw_failure(j);
    } while (j->next_failure_s < j->now_s + j->model.restart_s);
    j->now_s += j->model.restart_s;
}

/* Useful share of the time until so many failures, a checkpoint after each interval_s of work. */
static double simulate(const failure_model *f, double interval_s, uint64_t seed, int failures)
{
    job j = {.model = *f, .seed = seed};
    draw_failure(&j);
    while (j.failures < failures) {
        const double end = j.now_s + interval_s + f->checkpoint_s;
        if (j.next_failure_s < end) {
            fail_and_restart(&j);
            continue;
        }
        j.now_s = end;
        j.useful_s += interval_s;
    }
    return j.useful_s / j.now_s;
}

/* Small and large jobs, quick and slow checkpoints. */
static const failure_model models[] = {
    {.mtbf_s = 86400, .checkpoint_s = 60, .restart_s = 600},
    {.mtbf_s = 10000, .checkpoint_s = 30, .restart_s = 120},
    {.mtbf_s = 3600, .checkpoint_s = 5, .restart_s = 300},
    {.mtbf_s = 1800, .checkpoint_s = 200, .restart_s = 900},
};
enum { MODELS = sizeof models / sizeof models[0], FAILURES = 10000 };

Test(goodput, lost_time_of_ten_thousand_failures_is_dalys_within_two_percent)
{
    for (int i = 0; i < MODELS; i++) {
        const failure_model *f = &models[i];
        const double tau = goodput_daly_s(f);
        const double lost = 1.0 - simulate(f, tau, 1, FAILURES);
        const double formula = 1.0 - goodput_share(f, tau);
        printf("M %6.0f s, delta %4.0f s, R %4.0f s: every %6.0f s, lost %.5f, formula %.5f\n",
               f->mtbf_s, f->checkpoint_s, f->restart_s, tau, lost, formula);
        cr_expect(fabs(lost / formula - 1.0) <= 0.02, "model %d: lost %g, formula %g", i, lost,
                  formula);
    }
}

Test(goodput, dalys_interval_is_within_half_a_percent_of_the_simulated_best)
{
    for (int i = 0; i < MODELS; i++) {
        const failure_model *f = &models[i];
        const double tau = goodput_daly_s(f), at_daly = simulate(f, tau, 2, FAILURES);
        double best = 0.0;
        for (double scale = 0.25; scale < 4.01; scale *= 1.189207115) {
            const double share = simulate(f, tau * scale, 2, FAILURES);
            if (share > best) best = share;
        }
        cr_expect(at_daly >= 0.995 * best, "model %d: %g at Daly's interval, best %g", i, at_daly,
                  best);
    }
}

/* Useful share where a thread writes the checkpoint in write_s seconds beside training: until it is
 * on disk a failure goes back to the one before. */
static double simulate_beside(const failure_model *f, double write_s, double interval_s,
                              uint64_t seed)
{
    job j = {.model = *f, .seed = seed};
    double saved = 0.0, pending = 0.0, on_disk_at = INFINITY; /* useful_s of both checkpoints */
    draw_failure(&j);
    while (j.failures < FAILURES) {
        const double end = j.now_s + interval_s + f->checkpoint_s;
        if (on_disk_at <= fmin(end, j.next_failure_s)) saved = pending, on_disk_at = INFINITY;
        if (j.next_failure_s < end) {
            fail_and_restart(&j);
            j.useful_s = saved;
            on_disk_at = INFINITY;
            continue;
        }
        j.now_s = end;
        j.useful_s += interval_s;
        pending = j.useful_s;
        on_disk_at = end + write_s;
    }
    return saved / j.now_s;
}

Test(goodput, what_is_still_being_written_is_lost_as_if_the_restart_took_longer)
{
    static const double write_s[] = {300, 100, 60};
    for (int i = 0; i < 3; i++) {
        const failure_model *f = &models[i];
        const double tau = goodput_daly_s(f), lost = 1.0 - simulate_beside(f, write_s[i], tau, 3);
        failure_model longer = *f;
        longer.restart_s += write_s[i];
        const double formula = 1.0 - goodput_share(&longer, tau);
        printf("M %6.0f s, written in %4.0f s: lost %.5f, formula %.5f, without %.5f\n", f->mtbf_s,
               write_s[i], lost, formula, 1.0 - goodput_share(f, tau));
        cr_expect(fabs(lost / formula - 1.0) <= 0.03, "model %d: lost %g, formula %g", i, lost,
                  formula);
    }
}

Test(goodput, the_formula_is_best_at_dalys_interval)
{
    for (int i = 0; i < MODELS; i++) {
        const failure_model *f = &models[i];
        const double tau = goodput_daly_s(f), share = goodput_share(f, tau);
        for (double scale = 0.1; scale < 10.0; scale *= 1.1)
            cr_expect(goodput_share(f, tau * scale) <= share * 1.001);
    }
}

Test(goodput, intervals_agree_with_their_papers_in_the_limits)
{
    /* cheap checkpoints: both are sqrt(2 delta M) */
    const failure_model cheap = {.mtbf_s = 1e6, .checkpoint_s = 1e-3, .restart_s = 0};
    cr_expect_float_eq(goodput_daly_s(&cheap) / goodput_young_s(&cheap), 1.0, 1e-3);
    /* a checkpoint longer than twice the time between failures: Daly takes M */
    const failure_model hopeless = {.mtbf_s = 10, .checkpoint_s = 25, .restart_s = 0};
    cr_expect_eq(goodput_daly_s(&hopeless), 10.0);
}

/* Means of the largest of n (Teichroew 1956), and of two: 1 / sqrt(pi). */
Test(goodput, the_slowest_of_n_is_the_tabulated_order_statistic)
{
    static const struct {
        double n, mean;
    } known[] = {{1, 0.0},          {2, 0.5641895835}, {3, 0.8462843753},  {4, 1.0293753730},
                 {5, 1.1629644736}, {8, 1.4236003060}, {10, 1.5387527308}, {20, 1.8674750598}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        cr_expect(fabs(goodput_largest_normal(known[i].n) - known[i].mean) < 1e-6, "n %g: %.10f",
                  known[i].n, goodput_largest_normal(known[i].n));
    /* it keeps growing, and slowly: a hundred thousand ranks wait for 4.4 deviations */
    cr_expect(fabs(goodput_largest_normal(1e5) - 4.40) < 0.05, "%g", goodput_largest_normal(1e5));
}
