/* compare.h — where two runs part: the first step whose data, weights or loss differ, and from
 * checkpoints of the same step the first tensor, element and owning rank. */
#ifndef TRAIN_COMPARE_H
#define TRAIN_COMPARE_H

#include "config/config.h"

typedef struct run_difference {
    int64_t steps;            /* steps both records hold                                */
    int64_t step;             /* first that differs; -1: none                           */
    bool data, weights, loss; /* what differs there                                     */
    double loss_a, loss_b;
    char config_keys[2048]; /* the identity keys that differ, as config_differences; "" */
    char arithmetic[2][512];
    int64_t
        checkpoint; /* first step with checkpoints in both whose weights differ; -1: none differ */
    int64_t compared; /* checkpoints compared                                   */
    bool shapes;      /* the models have different shapes: weights are not compared */
    char tensor[64];
    int64_t element;  /* first differing element inside the tensor              */
    int64_t elements; /* how many of the tensor's elements differ               */
    double value_a, value_b;
    int32_t rank_a, rank_b; /* whose stripe it lies in (ranks of the writing run)     */
} run_difference;

/* Run directories. ERR_IO when a record is missing or damaged. */
status compare_runs(run_difference *out, const char *a, const char *b);

#endif
