/* rules.h — learning rate and batch by every published rule, side by side.
 * A rule is a product of powers of N, D and C (configs/laws/rules.yaml); a recipe is what one
 * published family used near N (configs/laws/recipes.yaml). Outside the range of a rule its answer
 * is an extrapolation and comes with a bracket of three rates to try; its rate is never above that
 * of the nearest point of the range.
 * Flow: config/rows.h, allocate.h -> rules -> launcher/plan_answer.h                             */
#ifndef PLAN_RULES_H
#define PLAN_RULES_H

#include "base/status.h"

#include <stdint.h>

enum { RULES_MAX = 24, RULE_BRACKET = 3 };

/* What the rules are asked about. */
typedef struct rule_case {
    double params, params_without_embedding, tokens, flops;
} rule_case;

typedef struct rule_answer {
    char name[48], source[160], status[16], range_status[16];
    double learning_rate, batch_tokens; /* NaN: the rule does not say        */
    char range[96];                     /* "N 60M to 1B, D 2B to 100B"       */
    bool inside;                        /* this range                        */
    bool capped;                        /* the rate is that of the nearest point of the range */
    double beyond;                      /* the rate had it gone on; NaN: not a rule           */
    bool recipe;                        /* what a published model used       */
} rule_answer;

typedef struct rules {
    rule_answer row[RULES_MAX];
    int32_t count;
    int32_t
        chosen; /* index: the first that says both and holds here; else the first that says both */
    double bracket[RULE_BRACKET]; /* rates around the chosen one: half, itself, twice */
} rules;

/* Reads both files and answers. ERR_CONFIG names file, line and field. */
status rules_ask(rules *out, const rule_case *at);

#endif
