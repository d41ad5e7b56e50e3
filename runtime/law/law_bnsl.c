/* Broken neural scaling law (Caballero et al. 2022, eq. 1):
 * L = a + b x^-c0 prod_i (1 + (x / d_i)^(1 / f_i))^(-c_i f_i). */
#include "base/rng.h"
#include "law/laws.h"

#include <math.h>

enum { FIRST = 3, PER_BREAK = 3, STARTS_PER_BREAK = 1500 }; /* ln a, ln b, c0; then c, ln d, ln f */

void bnsl_log_loss(const law *self, const law_points *p, const double *parameter, double *value,
                   double *slope)
{
    const int32_t breaks = (self->constants - FIRST) / PER_BREAK, stride = p->padded;
    for (int32_t i = 0; i < p->padded; i++) {
        const double x = p->log_x[i];
        double power = parameter[1] - parameter[2] * x;
        double by_c[3], by_d[3], by_f[3];
        for (int32_t j = 0; j < breaks; j++) {
            const double *at = parameter + FIRST + PER_BREAK * j;
            const double c = at[0], f = exp(at[2]), t = (x - at[1]) / f;
            /* softplus ln(1 + e^t) and its slope */
            const double soft = t > 0 ? t + log1p(exp(-t)) : log1p(exp(t));
            const double by_t = 1 / (1 + exp(-t));
            power -= c * f * soft;
            by_c[j] = -f * soft;
            by_d[j] = c * by_t;
            by_f[j] = -c * f * (soft - t * by_t);
        }
        const double largest = fmax(power, parameter[0]);
        const double pa = exp(parameter[0] - largest), pb = exp(power - largest), sum = pa + pb;
        value[i] = largest + log(sum);
        if (!slope) continue;
        const double by_power = pb / sum;
        slope[i] = pa / sum;
        slope[stride + i] = by_power;
        slope[2 * stride + i] = -by_power * x;
        for (int32_t j = 0; j < breaks; j++) {
            double *at = slope + (FIRST + PER_BREAK * j) * stride + i;
            at[0] = by_power * by_c[j];
            at[stride] = by_power * by_d[j];
            at[2 * stride] = by_power * by_f[j];
        }
    }
}

typedef struct draws {
    uint64_t stream, at;
} draws;

static double draw(draws *d, double from, double to)
{
    return from + (to - from) * rng_uniform(0xb5, RNG_FIT, d->stream, d->at++);
}

/* Counter-based draws inside the range of the points: breaks in x, the limit below the losses. */
bool bnsl_start(const law *self, const law_points *p, int32_t start, double *parameter)
{
    const int32_t breaks = (self->constants - FIRST) / PER_BREAK;
    if (start >= STARTS_PER_BREAK * breaks) return false;
    double low = p->log_x[0], high = low, least = p->log_loss[0], most = least;
    for (int32_t i = 0; i < p->count; i++) {
        low = fmin(low, p->log_x[i]), high = fmax(high, p->log_x[i]);
        least = fmin(least, p->log_loss[i]), most = fmax(most, p->log_loss[i]);
    }
    draws d = {(uint64_t)start, 0};
    parameter[0] = least + log(draw(&d, 0.02, 0.999));
    const double slope = draw(&d, 0, 1);
    parameter[2] = slope * slope;
    parameter[1] = most + parameter[2] * low;
    for (int32_t j = 0; j < breaks; j++) {
        double *of = parameter + FIRST + PER_BREAK * j;
        const double change = draw(&d, -1, 1);
        of[0] = change * fabs(change);
        of[1] = draw(&d, low, high);
        of[2] = log(draw(&d, 0.02, 1));
    }
    return true;
}
