/* which_tokenizer.h — the tokenizer that belongs to a checkpoint. */
#ifndef LAUNCHER_WHICH_TOKENIZER_H
#define LAUNCHER_WHICH_TOKENIZER_H

#include "config/config.h"
#include "data/tokenizer.h"

/* spec when given; else the one of the training data named in the run's config.yaml (path: run
 * directory or step folder); else bytes for a vocabulary of 257. ERR_CONFIG when none fits the
 * model's vocabulary; ERR_IO when the data says that it was made by another. Caller closes. */
status which_tokenizer(tokenizer **out, const char *spec, const char *path, const model_config *m);

#endif
