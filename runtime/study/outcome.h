/* outcome.h — what a finished run of a study gave: its summary.json and, where the study has a test
 * part, test.json, which is written here from the run's last checkpoint. The test part chooses
 * nothing: it is read once, after training.
 * Flow: run directories -> outcome -> table.h, compare.h                                         */
#ifndef STUDY_OUTCOME_H
#define STUDY_OUTCOME_H

#include "comm/world.h"
#include "config/config.h"

typedef struct outcome_loss {
    double loss, loss_se; /* nats/token; NaN: not evaluated           */
    double bits_per_byte; /* NaN: bytes not known                     */
    double entropy;       /* of the very tokens; NaN: not known       */
} outcome_loss;

typedef struct outcome {
    bool finished;
    int64_t steps, tokens, skipped_steps;
    outcome_loss validation, test;
    double tokens_per_s, mfu, time_s; /* measured; NaN unknown         */
    double energy_j;                  /* NaN: not measured             */
    char energy_source[16];
    char arithmetic_id[512];
} outcome;

/* Reads a run directory; *out has finished false where the run is not over. ERR_IO when a file is
 * damaged. */
status outcome_read(outcome *out, const char *folder);
/* Evaluates the run's newest checkpoint on the tokens of `test` and writes folder/test.json, unless
 * it is there. evaluate.tokens says how many. COLLECTIVE. */
status outcome_test(world *w, const config *cfg, const char *test, const char *folder);

#endif
