/* config.h — a run config: YAML bytes -> checked structs.
 * The structs hold plain values only; config_parse has resolved every default that depends on
 * another key (head_width, kv_heads, ffn) and checked what one key says about another.
 * Flow: document (YAML) -> config.c with table (the field lists) and models -> check -> config.  */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/status.h"
#include "config/fields.h"

#include <stdint.h>
#include <stdio.h>

#define CONFIG_I64(name, ...)         int64_t name;
#define CONFIG_F64(name, ...)         double name;
#define CONFIG_TEXT(name, bytes, ...) char name[bytes];
#define CONFIG_ENUM(name, ...)        int32_t name;
#define CONFIG_BOOL(name, ...)        bool name;
#define CONFIG_STRUCT(prefix, type, member, LIST)                                                  \
    typedef struct type {                                                                          \
        LIST(CONFIG_I64, CONFIG_F64, CONFIG_TEXT, CONFIG_ENUM, CONFIG_BOOL)                        \
    } type;
CONFIG_SECTIONS(CONFIG_STRUCT)

#define CONFIG_MEMBER(prefix, type, member, LIST) type member;
typedef struct config {
    CONFIG_SECTIONS(CONFIG_MEMBER)
    char model_name[96]; /* the row of configs/models it starts from, "" if the fields were given */
} config;

/* Values of the ENUM fields, in the order of their choices. */
enum { BACKEND_AUTO, BACKEND_REF, BACKEND_CPU, BACKEND_CUDA };
enum { MODEL_RMSNORM, MODEL_LAYERNORM };
enum { POSITIONS_ROPE, POSITIONS_LEARNED, POSITIONS_NONE, POSITIONS_RELATIVE, POSITIONS_ALIBI };
enum { MLP_GELU, MLP_SWIGLU, MLP_GEGLU, MLP_RELU2 };
enum { OPTIMIZER_ADAMW };
enum { REPEAT_REFUSE, REPEAT_ALLOW };
enum { SYNTHETIC_NONE, SYNTHETIC_ZIPF_FACTS };
enum { PRECISION_FP32, PRECISION_BF16 };
enum { CONFIG_EXACT, CONFIG_FAST };
enum { SHARDING_NONE, SHARDING_ZERO1 };
enum { RECOMPUTE_NONE, RECOMPUTE_MLP, RECOMPUTE_BLOCK };
enum { ATTENTION_AUTO, ATTENTION_OWN, ATTENTION_CUDNN };
enum { SCHEDULE_COSINE, SCHEDULE_LINEAR, SCHEDULE_CONSTANT, SCHEDULE_WSD };

/* Reads bytes[0..size) (the file `path`, for messages; "": none, they name no line), applies the
 * overrides "section.key=value" in order, looks a model name up in the models files, resolves
 * defaults and checks everything that needs no data or device. Architectures and options that only
 * plan knows are accepted. Writes *out only on success. Fails with ERR_CONFIG: "path:line:
 * section.key: what; allowed or nearest". Files above CONFIG_BYTES_MAX are refused. */
status config_parse(config *out, const char *path, const char *bytes, int64_t size,
                    int override_count, const char *const *overrides);
enum { CONFIG_BYTES_MAX = 16 << 20 };
/* Same, from a file found as config_find does. */
status config_load(config *out, const char *path, int override_count, const char *const *overrides);
/* Rows of the models files, read when the first one is asked for and kept for further configs.
 * Begin with zeros; the owner deinits. */
typedef struct config_models {
    struct model_row *row;
    int32_t count, capacity;
    bool read;
} config_models;
void config_models_deinit(config_models *m);
/* config_load for the many configs of a study. */
status config_load_among(config *out, config_models *models, const char *path, int override_count,
                         const char *const *overrides);
/* Where a config named without a path lies: as given, $ISOFLOP_CONFIGS, the source tree's configs,
 * PREFIX/share/isoflop/configs, in these also in their folder `kind` ("clusters", "studies"; "" for
 * run configs); ".yaml" may be left out. Writes the path found. ERR_CONFIG lists where it looked
 * and names the nearest. */
status config_find(char *path, size_t bytes, const char *kind, const char *name);
/* Refuses, by name, what the reader knows and training does not run (relative positions, ...). */
status config_check_trainable(const config *cfg);
/* The MLP multiplies two products: three matrices, and the first product is 2 ffn wide. */
static inline bool config_gated(const model_config *m)
{
    return m->mlp == MLP_SWIGLU || m->mlp == MLP_GEGLU;
}
/* muP: what the rate of a hidden matrix is multiplied with, so that outputs move as at base_width.
 */
static inline double config_hidden_rate(const model_config *m)
{
    return m->base_width > 0 ? (double)m->base_width / (double)m->width : 1.0;
}

/* What one key of a model says about another; *m is resolved. `where` opens the message. */
status config_check_model(const model_config *m, const char *where);
/* Gives head_width, kv_heads and ffn the values that 0 stands for. */
void config_resolve_model(model_config *m);
/* A named row of the models files (models/ *.yaml beside the configs), resolved and checked.
 * ERR_CONFIG names the nearest row. */
status config_model_row(model_config *out, const char *name);
/* All rows: calls visit for each, files by name, rows in file order. */
status config_model_rows(void (*visit)(void *context, const char *name, const model_config *m),
                         void *context);

/* The resolved config as YAML that config_parse reads back to the same structs. */
status config_write(const config *cfg, FILE *out);
/* Text as YAML between quotes: what the readers here let through needs a backslash before quotes
 * and backslashes alone. */
void config_put_text(FILE *out, const char *text);
/* The keys of its section model alone, two blanks in; row: of configs/models, or "". */
void config_write_model(const model_config *m, const char *row, FILE *out);
/* 16 hex digits over the identity keys and their values, plus NUL. */
void config_hash(const config *cfg, char out[17]);
/* OK when the identity keys are equal, else ERR_CONFIG naming the first that differs. */
status config_same_identity(const config *mine, const config *theirs);
/* "KEY: x in A, y in B; ..." of all identity keys that differ, cut at bytes; "" if none does. */
void config_differences(char *out, size_t bytes, const config *a, const config *b);
/* The name of an ENUM value: config_choice("train", "precision", 1) = "bf16". Static text. */
const char *config_choice(const char *section, const char *key, int32_t value);
/* The tables of keys, in Markdown, as configs/README.md holds them. */
status config_write_table(FILE *out);

/* Numbers as users write them: 1e21, 70B, 1.4T, 512K, 64Ki (binary), 3d, 2h. ERR_CONFIG. */
status config_number(double *out, const char *text);
status config_integer(int64_t *out, const char *text); /* exact; refuses fractions and overflow */

#endif
