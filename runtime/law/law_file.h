/* law_file.h — LAW.json: a fitted law with all that a forecast needs to know about it.
 * Carries the constants, their covariance (of the parameters: logarithms where the law works on
 * them), a sample of the replicates behind it, the spread of the residuals, the range of the
 * points, and which data they belong to. Intervals come from the replicates: where the data fix
 * constants only together, along a bent ridge, a covariance promises far wider ones. Files without
 * replicates are read, and their covariance is used. A law of best sizes alone (approach-1,
 * approach-2 of optima.h) has the constants kN, a, kD, b, no loss and no residual_sd, and the range
 * of its budgets beside that of its runs. Flow: fit.h, optima.h -> LAW.json -> plan */
#ifndef LAW_LAW_FILE_H
#define LAW_LAW_FILE_H

#include "law/fit.h"
#include "law/optima.h"

enum { LAW_FILE_SCHEMA = 1, LAW_FILE_TEXT = 128, LAW_FILE_REPLICATES = 200 };

/* How the runs behind a law were trained, so that a new run is one of them:
 * learning rate = rate (N / params)^exponent. rate 0: they follow no such rule. */
typedef struct law_recipe {
    double rate, params, exponent;
    double batch_tokens;
    double warmup_ratio; /* warm-up as a part of a run's tokens; not a number: it differs */
    double init_scale;   /* initial weights x sqrt(width); not a number: it differs */
    double beta2, weight_decay;
    double base_width, base_head_width; /* muP: the width of rate and init_scale; 0 standard */
} law_recipe;

/* What the models behind a law have in common, in the words of a run config. */
typedef struct law_architecture {
    char norm[16], positions[16], mlp[16]; /* norm "": not known, or not the same in all */
    bool bias, tied_embeddings, qk_norm, parallel_block;
} law_architecture;

/* What a law was fitted on. Empty text and 0 context: not known. */
typedef struct law_origin {
    char data[LAW_FILE_TEXT], validation_set[LAW_FILE_TEXT], tokenizer_sha256[LAW_FILE_TEXT];
    char schedule_class[LAW_FILE_TEXT], source[LAW_FILE_TEXT], flop_count[LAW_FILE_TEXT];
    int32_t context;
    bool without_embedding; /* N counts parameters without embeddings */
    law_recipe recipe;      /* its N counts all parameters            */
    law_architecture architecture;
} law_origin;

typedef struct law_file {
    const law *form; /* of laws[], or of law_lines[]: best sizes without a loss */
    double constant[LAW_CONSTANTS];
    fit_interval interval[LAW_CONSTANTS];
    bool has_covariance;
    double covariance[LAW_CONSTANTS * LAW_CONSTANTS];
    int32_t replicates;                                    /* 0: none */
    double replicate[LAW_FILE_REPLICATES * LAW_CONSTANTS]; /* (replicates, constants) constants */
    double residual_sd;                                    /* of ln loss; not a number: not known */
    double range_params[2], range_tokens[2];
    double range_flops[2]; /* of best sizes; otherwise not numbers */
    int32_t points;
    char loss[LAW_FILE_TEXT]; /* "huber"; "" for best sizes */
    points_x x;
    law_origin origin;
} law_file;

void law_file_of(law_file *out, const fit_result *r, const law_origin *origin);
void law_file_of_optima(law_file *out, const optima *o, const law_origin *origin);
status law_file_write(const law_file *f, const char *path);
/* ERR_CONFIG names the key that is wrong, unknown or missing; ERR_IO when it cannot be read. */
status law_file_read(law_file *out, const char *path);

/* Loss of a new run with its interval at a level of 0.8 or 0.95: the replicates (else the
 * covariance) of the constants and the spread of the residuals together. False (low and high are
 * not numbers) without them, or for a law without a loss. */
typedef struct law_forecast {
    double loss, low, high;
    bool inside; /* the range of the points */
} law_forecast;
bool law_file_predict(law_forecast *out, const law_file *f, law_case at, double level);

#endif
