/* schedule.h — learning rate as a function of tokens seen. Pure. */
#ifndef TRAIN_SCHEDULE_H
#define TRAIN_SCHEDULE_H

#include "config/config.h"

/* Rate of the update that consumes tokens (done, done + step]; total = tokens of the whole run.
 * Warm-up: linear from 0, reached at warmup_tokens. Then
 * constant: peak; cosine and linear: from peak to final_ratio x peak at the end of the run;
 * wsd: peak, then over the last decay_tokens linearly to final_ratio x peak (Hu et al. 2024). */
double schedule_rate(const schedule_config *s, double peak, int64_t done, int64_t step,
                     int64_t total);

#endif
