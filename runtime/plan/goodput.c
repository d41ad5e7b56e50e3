#include "plan/goodput.h"

#include <math.h>

double goodput_young_s(const failure_model *f) { return sqrt(2.0 * f->checkpoint_s * f->mtbf_s); }

double goodput_daly_s(const failure_model *f)
{
    const double M = f->mtbf_s, delta = f->checkpoint_s;
    if (delta >= 2.0 * M) return M;
    const double x = delta / (2.0 * M);
    return sqrt(2.0 * delta * M) * (1.0 + sqrt(x) / 3.0 + x / 9.0) - delta;
}

double goodput_share(const failure_model *f, double interval_s)
{
    const double M = f->mtbf_s;
    return interval_s / (M * exp(f->restart_s / M) * expm1((interval_s + f->checkpoint_s) / M));
}

/* E max = integral over x > 0 of 1 - F(x)^n minus that over x < 0 of F(x)^n */
double goodput_largest_normal(double n)
{
    if (n <= 1.0) return 0.0;
    const double step = 0.0625, end = 9.0;
    double sum = 0.0;
    for (double x = step / 2.0; x < end; x += step) {
        const double above = 0.5 * erfc(x / sqrt(2.0)); /* 1 - F(x) = F(-x) */
        sum += -expm1(n * log1p(-above)) - exp(n * log(above));
    }
    return sum * step;
}
