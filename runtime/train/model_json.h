/* model_json.h — config.json beside the weights. Llama-shaped models (rmsnorm, rope, swiglu, no
 * biases) get the keys that `transformers` reads; every model gets an "isoflop" object with all
 * model fields, which generate, score and diff read back. */
#ifndef TRAIN_MODEL_JSON_H
#define TRAIN_MODEL_JSON_H

#include "config/config.h"

status model_json_write(const char *folder, const model_config *m);
/* ERR_IO names what is missing. */
status model_json_read(const char *folder, model_config *out);

#endif
