#include "base/json.h"
#include "train/model_json.h"
#include "base/file.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 1200 };

/* Every model field, from the field list. */
static json_t *all_fields(const model_config *m)
{
    json_t *o = json_object();
#define PUT_I64(name, ...)  (void)json_object_set_new(o, #name, json_integer(m->name));
#define PUT_F64(name, ...)  (void)json_object_set_new(o, #name, json_real(m->name));
#define PUT_TEXT(name, ...) (void)json_object_set_new(o, #name, json_string(m->name));
#define PUT_ENUM(name, ...)                                                                        \
    (void)json_object_set_new(o, #name, json_string(config_choice("model", #name, m->name)));
#define PUT_BOOL(name, ...) (void)json_object_set_new(o, #name, json_boolean(m->name));
    MODEL_FIELDS(PUT_I64, PUT_F64, PUT_TEXT, PUT_ENUM, PUT_BOOL)
    return o;
}

static bool llama_shaped(const model_config *m)
{
    return m->norm == MODEL_RMSNORM && m->positions == POSITIONS_ROPE && m->mlp == MLP_SWIGLU &&
           !m->bias;
}

status model_json_write(const char *folder, const model_config *m)
{
    bool llama = llama_shaped(m);
    json_t *root = json_pack(
        "{s:[s], s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:b, s:s, "
        "s:s, s:b, s:b, s:o}",
        "architectures", llama ? "LlamaForCausalLM" : "IsoflopForCausalLM", "transformers_weights",
        "weights.safetensors", "model_type", llama ? "llama" : "isoflop", "hidden_size",
        (json_int_t)m->width, "intermediate_size", (json_int_t)m->ffn, "num_hidden_layers",
        (json_int_t)m->layers, "num_attention_heads", (json_int_t)m->heads, "num_key_value_heads",
        (json_int_t)m->kv_heads, "head_dim", (json_int_t)m->head_width, "vocab_size",
        (json_int_t)m->vocab, "max_position_embeddings", (json_int_t)m->context, "rms_norm_eps",
        m->norm_eps, "rope_theta", m->rope_theta, "tie_word_embeddings", (int)m->tied_embeddings,
        "hidden_act", m->mlp == MLP_SWIGLU ? "silu" : "gelu_pytorch_tanh", "torch_dtype", "float32",
        "attention_bias", (int)m->bias, "mlp_bias", (int)m->bias, "isoflop", all_fields(m));
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/config.json", folder);
    return json_write(root, path);
}

/* Index of a choice's name; -1 if it is none. */
static int32_t choice_index(const char *key, const char *name)
{
    for (int32_t i = 0; name; i++) {
        const char *choice = config_choice("model", key, i);
        if (!choice) return -1;
        if (strcmp(choice, name) == 0) return i;
    }
    return -1;
}

static status take_fields(model_config *m, const json_t *o, const char *path)
{
    *m = (model_config){0};
    const char *missing = NULL;
/* older files lack the keys that came later: their default is 0, as it stands there already */
#define GET(name, id, valid, value)                                                                \
    if (valid(json_object_get(o, #name)))                                                          \
        m->name = value(json_object_get(o, #name));                                                \
    else if (id != ID_SET || json_object_get(o, #name))                                            \
        missing = #name;
#define GET_I64(name, low, high, def, id, about) GET(name, id, json_is_integer, json_integer_value)
#define GET_F64(name, low, high, def, id, about) GET(name, id, json_is_number, json_number_value)
#define GET_TEXT(name, ...)
#define GET_ENUM(name, ...)                                                                        \
    m->name = choice_index(#name, json_string_value(json_object_get(o, #name)));                   \
    if (m->name < 0) missing = #name;
#define GET_BOOL(name, def, id, about) GET(name, id, json_is_boolean, json_is_true)
    MODEL_FIELDS(GET_I64, GET_F64, GET_TEXT, GET_ENUM, GET_BOOL)
    REQUIRE(!missing, ERR_IO, "%s: isoflop.%s is missing or of the wrong type", path, missing);
    return config_check_model(m, path);
}

status model_json_read(const char *folder, model_config *out)
{
    char path[PATH_BYTES], *text;
    (void)snprintf(path, sizeof path, "%s/config.json", folder);
    TRY(file_read_text(&text, NULL, path, 1 << 20));
    json_error_t error;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    free(text);
    REQUIRE(root, ERR_IO, "%s is not JSON: %s", path, error.text);
    status s = take_fields(out, json_object_get(root, "isoflop"), path);
    json_decref(root);
    return s;
}
