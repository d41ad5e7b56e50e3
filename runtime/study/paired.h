/* paired.h — the mean of paired differences with its interval by Student's t.
 * Pure. Seeds are pairs: the same seed gives both arms the same order of the data.               */
#ifndef STUDY_PAIRED_H
#define STUDY_PAIRED_H

#include <stdint.h>

typedef struct paired {
    int32_t pairs;
    double mean, sd;
    double low, high; /* of the mean at `level`; not a number with fewer than two pairs */
    double level;
} paired;

/* difference[0..n) -> interval at level (0.95). */
paired paired_interval(const double *difference, int32_t n, double level);
/* t with P(|T| <= t) = level, of Student's t with df >= 1 degrees of freedom. */
double paired_t_quantile(double level, int32_t df);

#endif
