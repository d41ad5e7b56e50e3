/* Kaplan et al. 2020 (eq. 1.1, 1.2, 1.5) and power laws of one variable, with and without offset.
 */
#include "law/laws.h"

#include <math.h>

typedef enum { N_C, D_C, ALPHA_N, ALPHA_D } kaplan_index;

/* ln L = alpha_D ln(e^((alpha_N / alpha_D)(n_c - n)) + e^(d_c - d)) */
void kaplan_log_loss(const law *self, const law_points *p, const double *parameter, double *value,
                     double *slope)
{
    (void)self;
    const double alpha_n = parameter[ALPHA_N], alpha_d = parameter[ALPHA_D];
    const double ratio = alpha_n / alpha_d;
    for (int32_t i = 0; i < p->padded; i++) {
        const double n = parameter[N_C] - p->log_params[i], d = parameter[D_C] - p->log_tokens[i];
        const double x = ratio * n, largest = fmax(x, d);
        const double px = exp(x - largest), py = exp(d - largest), sum = px + py;
        const double log_sum = largest + log(sum), by_x = alpha_d * px / sum;
        value[i] = alpha_d * log_sum;
        if (!slope) continue;
        slope[N_C * p->padded + i] = by_x * ratio;
        slope[D_C * p->padded + i] = alpha_d * py / sum;
        slope[ALPHA_N * p->padded + i] = by_x * n / alpha_d;
        slope[ALPHA_D * p->padded + i] = log_sum - by_x * x / alpha_d;
    }
}

bool kaplan_start(const law *self, const law_points *p, int32_t start, double *parameter)
{
    (void)self, (void)p;
    static const double exponents[] = {0.03, 0.07, 0.15, 0.3, 0.5};
    if (start >= 10 * 10 * 5 * 5) return false;
    parameter[N_C] = 12 + 3 * (start % 10);
    parameter[D_C] = 12 + 3 * (start / 10 % 10);
    parameter[ALPHA_N] = exponents[start / 100 % 5];
    parameter[ALPHA_D] = exponents[start / 500];
    return true;
}

/* parameters: ln K, gamma, and ln E where the law has an offset */
void power_log_loss(const law *self, const law_points *p, const double *parameter, double *value,
                    double *slope)
{
    const double *log_x = self->needs & LAW_OF_PARAMS   ? p->log_params
                          : self->needs & LAW_OF_TOKENS ? p->log_tokens
                                                        : p->log_x;
    for (int32_t i = 0; i < p->padded; i++) {
        const double distance = parameter[0] - log_x[i], y = parameter[1] * distance;
        double by_y = 1, by_e = 0;
        value[i] = y;
        if (self->constants == 3) {
            const double largest = fmax(y, parameter[2]);
            const double py = exp(y - largest), pe = exp(parameter[2] - largest);
            value[i] = largest + log(py + pe);
            by_y = py / (py + pe);
            by_e = pe / (py + pe);
        }
        if (!slope) continue;
        slope[i] = by_y * parameter[1];
        slope[p->padded + i] = by_y * distance;
        if (self->constants == 3) slope[2 * p->padded + i] = by_e;
    }
}

bool power_start(const law *self, const law_points *p, int32_t start, double *parameter)
{
    (void)p;
    static const double exponents[] = {0.03, 0.07, 0.15, 0.3, 0.6, 1};
    const int32_t offsets = self->constants == 3 ? 5 : 1;
    if (start >= 20 * 6 * offsets) return false;
    parameter[0] = -10 + 4 * (start % 20);
    parameter[1] = exponents[start / 20 % 6];
    if (offsets > 1) parameter[2] = -1 + 0.5 * (start / 120);
    return true;
}
