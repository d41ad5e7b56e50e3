/* goodput.h — failures: how often to write a checkpoint, and what share of the time is useful.
 * Pure. Failures come at random with mean time M between them (exponential); a checkpoint takes
 * delta seconds of training time, a restart R; work since the last checkpoint is lost.
 * J. T. Daly, Future Generation Computer Systems 22 (2006) 303-312; J. W. Young, CACM 17 (1974). */
#ifndef PLAN_GOODPUT_H
#define PLAN_GOODPUT_H

typedef struct failure_model {
    double mtbf_s;       /* M, of the whole job: of one node / nodes */
    double checkpoint_s; /* delta                                    */
    double restart_s;    /* R                                        */
} failure_model;

/* Seconds of work between checkpoints: Young sqrt(2 delta M); Daly's higher order (equation 37). */
double goodput_young_s(const failure_model *f);
double goodput_daly_s(const failure_model *f);
/* Useful time / wall time when a checkpoint follows every interval_s of work: Daly's full formula,
 * wall / work = M e^(R/M) (e^((tau + delta)/M) - 1) / tau. */
double goodput_share(const failure_model *f, double interval_s);
/* Expected largest of n standard normal values (n >= 1): the slowest of n ranks. */
double goodput_largest_normal(double n);

#endif
