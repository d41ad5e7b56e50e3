/* L = E + A / N^alpha + B / D^beta (Hoffmann et al. 2022, eq. 2), and the same with effective
 * parameters and tokens of repeated data (Muennighoff et al. 2023, eq. 5 and 6). */
#include "law/laws.h"
#include "law/vector.h"

#include <math.h>
#include <stddef.h>

typedef enum { E, A, B, ALPHA, BETA, R_N, R_D } constant;

/* ln(e^e + e^(a - alpha n) + e^(b - beta d)), the largest term subtracted first */
PER_MACHINE void chinchilla_log_loss(const law *self, const law_points *p, const double *parameter,
                                     double *restrict value, double *restrict slope)
{
    (void)self;
    const int32_t count = p->padded;
    const double *restrict log_n = p->log_params, *restrict log_d = p->log_tokens;
    const double e = parameter[E], a = parameter[A], b = parameter[B];
    const double alpha = parameter[ALPHA], beta = parameter[BETA];
    if (!slope) {
        for (int32_t i = 0; i < count; i++) {
            const double x = a - alpha * log_n[i], y = b - beta * log_d[i];
            const double largest = larger(larger(x, y), e);
            value[i] = largest + log_above_1(exp_negative(x - largest) + exp_negative(y - largest) +
                                             exp_negative(e - largest));
        }
        return;
    }
    double *restrict by_e = slope + (ptrdiff_t)E * count;
    double *restrict by_a = slope + (ptrdiff_t)A * count;
    double *restrict by_b = slope + (ptrdiff_t)B * count;
    double *restrict by_alpha = slope + (ptrdiff_t)ALPHA * count;
    double *restrict by_beta = slope + (ptrdiff_t)BETA * count;
    for (int32_t i = 0; i < count; i++) {
        const double x = a - alpha * log_n[i], y = b - beta * log_d[i];
        const double largest = larger(larger(x, y), e);
        const double px = exp_negative(x - largest), py = exp_negative(y - largest);
        const double pe = exp_negative(e - largest), sum = px + py + pe, share = 1 / sum;
        value[i] = largest + log_above_1(sum);
        by_e[i] = pe * share;
        by_a[i] = px * share;
        by_b[i] = py * share;
        by_alpha[i] = -(px * share) * log_n[i];
        by_beta[i] = -(py * share) * log_d[i];
    }
}

/* Takes the next digit of index in a mixed base. */
static double digit(int32_t *rest, const double *values, int32_t count)
{
    const double value = values[*rest % count];
    *rest /= count;
    return value;
}

/* the 4500 starts of Hoffmann et al., section D.3 */
bool chinchilla_start(const law *self, const law_points *p, int32_t start, double *parameter)
{
    (void)self, (void)p;
    static const double exponents[] = {0, 0.5, 1, 1.5, 2};
    static const double offsets[] = {-1, -0.5, 0, 0.5, 1};
    static const double factors[] = {0, 5, 10, 15, 20, 25};
    int32_t rest = start;
    parameter[ALPHA] = digit(&rest, exponents, 5);
    parameter[BETA] = digit(&rest, exponents, 5);
    parameter[E] = digit(&rest, offsets, 5);
    parameter[A] = digit(&rest, factors, 6);
    parameter[B] = digit(&rest, factors, 6);
    return rest == 0;
}

/* Effective amount U (1 + R (1 - e^(-x))), x = (whole / U - 1) / R, of `whole` of which U is fresh:
 * its logarithm and the derivatives of that by ln U and ln R. */
typedef struct effective {
    double log, by_log_u, by_log_r;
} effective;

static effective effective_of(double log_whole, double log_u, double r)
{
    if (log_whole <= log_u) return (effective){log_whole, 0, 0};
    const double ratio = exp(log_whole - log_u), x = (ratio - 1) / r;
    const double lost = -expm1(-x), rest = exp(-x);
    const double times = 1 + r * lost;
    return (effective){log_u + log(times), 1 - ratio * rest / times, r * (lost - x * rest) / times};
}

void constrained_log_loss(const law *self, const law_points *p, const double *parameter,
                          double *value, double *slope)
{
    (void)self;
    const double alpha = parameter[ALPHA], beta = parameter[BETA], sum = alpha + beta;
    const double r_n = exp(parameter[R_N]), r_d = exp(parameter[R_D]);
    /* fresh parameters: what is compute-optimal for the fresh tokens, ln U_N = g + slant (g + u) */
    const double g = (log(alpha / beta) + parameter[A] - parameter[B]) / sum;
    const double slant = beta / alpha;
    for (int32_t i = 0; i < p->padded; i++) {
        const double u = fmin(p->log_unique[i], p->log_tokens[i]);
        const double u_n = g + slant * (g + u);
        const effective n = effective_of(p->log_params[i], u_n, r_n);
        const effective d = effective_of(p->log_tokens[i], u, r_d);
        const double x = parameter[A] - alpha * n.log, y = parameter[B] - beta * d.log;
        const double largest = fmax(parameter[E], fmax(x, y));
        const double px = exp(x - largest), py = exp(y - largest), pz = exp(parameter[E] - largest);
        const double all = px + py + pz;
        value[i] = largest + log(all);
        if (!slope) continue;
        const double by_x = px / all, by_y = py / all;
        /* by g and slant, through ln U_N */
        const double by_u_n = -alpha * by_x * n.by_log_u;
        const double by_g = by_u_n * (1 + slant), by_slant = by_u_n * (g + u);
        double *at = slope + i;
        const int32_t stride = p->padded;
        at[E * stride] = pz / all;
        at[A * stride] = by_x + by_g / sum;
        at[B * stride] = by_y - by_g / sum;
        at[ALPHA * stride] =
            -by_x * n.log + by_g * (1 / alpha - g) / sum - by_slant * beta / (alpha * alpha);
        at[BETA * stride] = -by_y * d.log + by_g * (-1 / beta - g) / sum + by_slant / alpha;
        at[R_N * stride] = -alpha * by_x * n.by_log_r;
        at[R_D * stride] = -beta * by_y * d.by_log_r;
    }
}

bool constrained_start(const law *self, const law_points *p, int32_t start, double *parameter)
{
    (void)self, (void)p;
    static const double exponents[] = {0.1, 0.35, 0.8}, offsets[] = {-1, 0.4, 1.5};
    static const double factors[] = {0, 6, 14}, stars[] = {-1, 2, 6};
    int32_t rest = start;
    parameter[ALPHA] = digit(&rest, exponents, 3);
    parameter[BETA] = digit(&rest, exponents, 3);
    parameter[E] = digit(&rest, offsets, 3);
    parameter[A] = digit(&rest, factors, 3);
    parameter[B] = digit(&rest, factors, 3);
    parameter[R_N] = digit(&rest, stars, 3);
    parameter[R_D] = digit(&rest, stars, 3);
    return rest == 0;
}
