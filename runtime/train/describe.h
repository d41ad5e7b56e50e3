/* describe.h — what a run is, as JSON text: the header line of the record, and summary.json. */
#ifndef TRAIN_DESCRIBE_H
#define TRAIN_DESCRIBE_H

#include "base/json.h"
#include "train/stragglers.h"

/* Peak product rate of one rank, measured now and then; its median divides for MFU. */
typedef struct peak_rate {
    double samples[64];
    int32_t count;
} peak_rate;
/* Adds a measurement (the oldest are dropped); 0 is ignored. */
void peak_add(peak_rate *p, double flops);
/* Median; NaN without samples. */
double peak_median(const peak_rate *p);

typedef struct run_summary {
    evaluation last; /* windows 0: never evaluated */
    double loss;     /* mean of the last steps' training losses */
    double tokens_per_s, mfu, energy_j;
    bool finished;
    straggler_table stragglers;
} run_summary;

/* The resolved config, section by section, from the field lists; NULL without memory. */
json_t *describe_config(const config *cfg);
/* Malloc'ed JSON without newline; NULL without memory. command: the command line. */
char *describe_header(const run *r, const char *command, const peak_rate *peak);
char *describe_summary(const run *r, const run_summary *s);
char *describe_evaluation(const run *r, const evaluation *e);
/* The GPU of every rank, as reported with the last step. */
char *describe_gpus(const run *r);
/* What the checkpoint published last cost. */
char *describe_checkpoint(const run *r);
char *describe_event(const run *r, const char *event, const char *detail);
/* steps, seconds: work after the checkpoint, which is done again. */
char *describe_resume(const run *r, const char *detail, int64_t steps, double seconds);

#endif
