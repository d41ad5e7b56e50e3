#include "study/paired.h"

#include <math.h>
#include <stdbool.h>

/* P(T <= t), df >= 1 (Abramowitz and Stegun 26.7.3, .4) */
static double t_probability(double t, int32_t df)
{
    const double angle = atan2(fabs(t), sqrt((double)df)), c = cos(angle) * cos(angle);
    const bool odd = df % 2;
    /* the finite series over even or odd powers of the cosine; inside: P(|T| <= |t|) */
    double inside, term = odd ? cos(angle) : 1, sum = df >= 2 ? term : 0;
    for (int32_t k = odd ? 3 : 2; k <= df - 1; k += 2) {
        term *= c * (k - 1) / k;
        sum += term;
    }
    if (odd)
        inside = (angle + (df > 1 ? sin(angle) * sum : 0)) * 2 / M_PI;
    else
        inside = sin(angle) * sum;
    return t >= 0 ? 0.5 + inside / 2 : 0.5 - inside / 2;
}

double paired_t_quantile(double level, int32_t df)
{
    const double target = 0.5 + level / 2;
    double low = 0, high = 1;
    while (t_probability(high, df) < target && high < 1e9) high *= 2;
    for (int32_t i = 0; i < 200; i++) {
        const double middle = (low + high) / 2;
        if (t_probability(middle, df) < target)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

paired paired_interval(const double *difference, int32_t n, double level)
{
    paired p = {.pairs = n, .level = level, .mean = NAN, .sd = NAN, .low = NAN, .high = NAN};
    double sum = 0, squares = 0;
    if (n < 1) return p;
    for (int32_t i = 0; i < n; i++) sum += difference[i];
    p.mean = sum / n;
    if (n < 2) return p;
    for (int32_t i = 0; i < n; i++) squares += (difference[i] - p.mean) * (difference[i] - p.mean);
    p.sd = sqrt(squares / (n - 1));
    const double half = paired_t_quantile(level, n - 1) * p.sd / sqrt((double)n);
    p.low = p.mean - half;
    p.high = p.mean + half;
    return p;
}
