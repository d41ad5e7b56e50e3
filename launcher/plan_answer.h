/* plan_answer.h — everything plan has to say about one question, before any of it is printed.
 * Flow: plan_question.h -> plan_answer (laws, plan_model.h, plan_machine.h, plan_config.h)
 *       -> plan_print.h, plan_json.h, plan_emit.h, plan_chart.h                                  */
#ifndef LAUNCHER_PLAN_ANSWER_H
#define LAUNCHER_PLAN_ANSWER_H

#include "plan/rules.h"
#include "plan/shape.h"
#include "plan_question.h"

/* One law's answer. N as the law counts it is in say; counted with embeddings it is here. */
typedef struct plan_law {
    const published_law *row;
    allocation say;
    double params_total, params_without_embedding; /* NaN: the law does not say N */
    double flops_per_token; /* of a law that states it; its N in say is then a model's with it */
} plan_law;

/* What the data is, from its manifests; without --data only an assumed vocabulary. */
typedef struct plan_data {
    bool given;
    char train[768], validation[768]; /* folders; "" none            */
    char tokenizer[32];
    int64_t vocab;
    double tokens, validation_tokens; /* NaN: unknown                */
    double bytes_per_token;           /* NaN: unknown                */
} plan_data;

/* The run on a cluster. */
typedef struct plan_machine {
    bool given;
    cluster hw;
    predict_sharding sharding;
    int32_t precision, recompute, reduction; /* as in the config */
    int64_t workspace_bytes;
    prediction step;
    run_cost run;
    bool ranks_chosen; /* by plan: the most that keep 80 % of the best speed per rank */
    bool has_largest;  /* it does not fit, and this would */
    model_config largest;
    double mfu, peak;       /* behind --gpus and --budget          */
    const char *mfu_source; /* "given", "modelled"; NULL: not used */
} plan_machine;

/* The loss of this very run: only from a law of the same data, tokenizer, validation set, context
 * and schedule. */
typedef struct plan_forecast {
    bool known;
    double loss, low, high; /* 80 %                                   */
    char law[48], validation_set[65];
    char why[256]; /* not known: the reason, one line                  */
} plan_forecast;

typedef struct plan_answer {
    const plan_options *options;
    plan_question question;
    published laws; /* owned; law files of the command line are rows too */
    plan_law *law;  /* (laws.count), owned                                */
    int32_t chosen; /* index into law                                     */
    char reason[256], agreement[768];

    double params, tokens, flops; /* of the recommendation: N with embeddings, D, the law's C */
    bool has_flatness;
    flatness flatness;
    double best_loss; /* of the chosen law on this budget; what off-optimum plans cost */

    plan_data data;
    bool model_given; /* --model */
    char model_name[96];
    bool based; /* --model is a run config: base holds its keys */
    config base;
    shape_rows shapes; /* that may be built from */
    bool alike;        /* a law of one's own knows what its models were like: so is this one */
    model_config like;
    shape shape;
    rules rules;
    double learning_rate;
    int64_t batch_tokens, micro_batch, steps;
    bool batch_clamped; /* the rule's batch would leave fewer than 100 steps */

    config cfg; /* the run: what --emit writes */
    plan_machine machine;
    plan_forecast forecast;
} plan_answer;

/* ERR_CONFIG names the option that is wrong. The caller deinits, after a failure too. */
status plan_answer_build(plan_answer *out, const plan_options *o);
void plan_answer_deinit(plan_answer *a);

#endif
