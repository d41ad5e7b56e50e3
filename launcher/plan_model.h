/* plan_model.h — the model and its training settings behind a plan: vocabulary from the data, shape
 * near N or the one of --model, learning rate and batch by the rules.
 * Flow: plan_answer.c -> plan_model -> plan/shape.h, plan/rules.h                                */
#ifndef LAUNCHER_PLAN_MODEL_H
#define LAUNCHER_PLAN_MODEL_H

#include "plan_answer.h"

/* Reads --data, --model, --sequence: vocabulary, context, exact model. */
status plan_model_read(plan_answer *a);
/* Parameters with embeddings of a model that has n without, and the other way round. */
status plan_model_with_embedding(double *out, const plan_answer *a, double without);
status plan_model_without_embedding(double *out, const plan_answer *a, double with);
/* FLOPs per token M = 6 N + 12 layers width context of the layers (N without embeddings) and their
 * attention: of the model of --model, else of one near `without`; and the N that has a given M. */
status plan_model_per_token(double *out, const plan_answer *a, double without);
status plan_model_of_per_token(double *without, const plan_answer *a, double per_token);
/* How the runs behind the chosen law were trained; NULL: it is not one's own, its file does not
 * say, or a config was given. */
const law_recipe *plan_model_recipe(const plan_answer *a);
/* Shape, rules, batch, steps of a->params on a->tokens. */
status plan_model_build(plan_answer *a);

#endif
