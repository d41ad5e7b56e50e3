/* run_record.h — a run directory as data: header, steps, evaluations, events and summary.
 * Reads what train writes and nothing else; a run may still be going on. A record is read up to its
 * first damaged line; what lies behind it is counted and said, never guessed.
 * Flow: runs/NAME/{record.jsonl, summary.json} -> run_points.h, report.h                        */
#ifndef REPORT_RUN_RECORD_H
#define REPORT_RUN_RECORD_H

#include "base/json.h"

#include <stdint.h>

/* One optimizer step; what the record gives as null is not a number. */
typedef struct step_point {
    double step, tokens, flops, loss, learning_rate, step_time_s, tokens_per_s, mfu, energy_j;
    bool skipped;
} step_point;

typedef struct eval_point {
    double step, tokens, loss, loss_se, bits_per_byte, entropy;
} eval_point;

typedef struct run_record {
    char *folder;     /* as given                                                */
    const char *name; /* its last part                                          */
    json_t *header;   /* never NULL                                              */
    json_t *summary;  /* NULL: the run has not ended                             */
    json_t *events;   /* array of event lines                                    */
    json_t *role;     /* what the study.json of its study says of it; NULL: no study    */
    int32_t study;    /* whose number that is among those of a run_set                  */
    step_point *step;
    int32_t steps;
    eval_point *eval;
    int32_t evals;
    int32_t damaged_line, lost_lines; /* 0: the record is whole               */
} run_record;

/* ERR_CONFIG when the folder holds no record or its header is damaged; ERR_IO when it cannot be
 * read. Writes *out only on success; the caller deinits. */
status run_record_read(run_record *out, const char *folder);
void run_record_deinit(run_record *r);
/* Has this folder a record? */
bool run_record_is(const char *folder);

/* Shorthands over header and summary. */
bool run_record_finished(const run_record *r);
/* Parameters, tokens, FLOPs of the whole run; of an unfinished one as far as it went. */
double run_record_params(const run_record *r);
double run_record_params_nonemb(const run_record *r);
double run_record_tokens(const run_record *r);
double run_record_flops(const run_record *r);
/* The last evaluation; not a number before the first. */
double run_record_val_loss(const run_record *r);
double run_record_bits_per_byte(const run_record *r);
/* Wall time of its steps. */
double run_record_time_s(const run_record *r);

#endif
