/* models.h — the rows of the models files before their defaults are resolved, so that a config
 * can change a width and have ffn follow. Private to runtime/config.                             */
#ifndef CONFIG_MODELS_H
#define CONFIG_MODELS_H

#include "config/config.h"

/* A row as written: head_width, kv_heads and ffn may be 0. ERR_CONFIG names the nearest row.
 * Nullable: known, the rows of earlier questions. */
status models_row(model_config *out, config_models *known, const char *name);

/* config_parse, with the rows that are known. */
status config_parse_among(config *out, config_models *models, const char *path, const char *bytes,
                          int64_t size, int override_count, const char *const *overrides);

#endif
