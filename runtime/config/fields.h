/* fields.h — every key of a run config, one line each (CONTRACTS: run config).
 * The lists give the structs of config.h, the YAML reader, range and unknown-key errors, the
 * resolved echo, the identity hash and the table in configs/README.md. Nothing else repeats them.
 *
 * Columns: name, limits, default, identity, meaning.
 *   I64(name, min, max, default, identity, meaning)   default: as a user would write it ("1.4B");
 *   F64(name, min, max, default, identity, meaning)   REQUIRED = no default: it must be given
 *   TEXT(name, bytes, default, identity, meaning)
 *   ENUM(name, "a|b|c", default, identity, meaning)   stored as the index of the choice
 *   BOOL(name, default, identity, meaning)
 * identity: ID = part of what the run computes; enters the hash, and resume refuses a change of
 * it. ID_SET = the same for keys that came later: their default is 0 or false, means what was done
 * before there was the key, and does not enter the hash: older runs and weights stay what they are.
 */
#ifndef CONFIG_FIELDS_H
#define CONFIG_FIELDS_H

#define REQUIRED ((const char *)0)
#define NO       0
#define ID       1
#define ID_SET   2

// clang-format off
#define RUN_FIELDS(I64, F64, TEXT, ENUM, BOOL)                                                                          \
    TEXT(name,    96, REQUIRED,              NO, "name of the run; the run directory defaults to runs/NAME")             \
    ENUM(backend, "auto|ref|cpu|cuda", "auto", NO, "which kernels compute; auto = the fastest present")                \
    BOOL(share_gpu, "false",                 NO, "cuda: ranks may share a GPU (for tests: slow); --share-gpu sets it")

#define MODEL_FIELDS(I64, F64, TEXT, ENUM, BOOL)                                                                        \
    I64(layers,     1, 1024,     REQUIRED, ID, "transformer blocks, L")                                                  \
    I64(width,      1, 65536,    REQUIRED, ID, "width of the residual stream, C (d_model)")                              \
    I64(heads,      1, 1024,     REQUIRED, ID, "query heads, NH")                                                        \
    I64(head_width, 0, 1024,     "0",      ID, "width of a head, HS (kv_size); 0 = width / heads")                       \
    I64(kv_heads,   0, 1024,     "0",      ID, "key/value heads, NKV; divides heads; 0 = heads")                         \
    I64(ffn,        0, 1048576,  "0",      ID, "hidden width of the MLP, F; 0 = 4 x width")                              \
    I64(vocab,      2, 1048576,  REQUIRED, ID, "tokens of the vocabulary, V")                                            \
    I64(context,    1, 1048576,  REQUIRED, ID, "tokens of a training sample, T")                                         \
    ENUM(norm,      "rmsnorm|layernorm", "rmsnorm", ID, "normalisation before attention, MLP and head")                  \
    F64(norm_eps,   1e-12, 1e-1, "1e-5",   ID, "added to the mean square or variance")                                   \
    ENUM(positions, "rope|learned|none|relative|alibi", "rope", ID, "position code (train: rope, learned, none)")        \
    F64(rope_theta, 1, 1e9,      "10000",  ID, "base of the rotary wavelengths")                                         \
    ENUM(mlp,       "gelu|swiglu|geglu|relu2", "gelu", ID, "MLP kind (train: gelu, swiglu)")                             \
    BOOL(bias,                   "false",  ID, "biases in linear layers (and layernorm)")                                \
    BOOL(tied_embeddings,        "true",   ID, "the output layer is the token embedding")                                \
    BOOL(qk_norm,                "false",  ID, "normalise q and k per head (train: false)")                              \
    BOOL(parallel_block,         "false",  ID, "attention and MLP read the same input (train: false)")                   \
    F64(init_std,   0, 10,       "0.02",   ID, "standard deviation of initial weights; residual projections / sqrt(2 L)")   \
    I64(base_width,      0, 65536, "0", ID_SET, "muP: width that learning_rate and init_std are for; 0 = standard")         \
    I64(base_head_width, 0, 1024,  "0", ID_SET, "muP: head_width at base_width; 0 = as here")

#define DATA_FIELDS(I64, F64, TEXT, ENUM, BOOL)                                                                         \
    TEXT(train,      768, "",    NO, "folder or file of training tokens (prepare writes it); empty with synthetic")      \
    TEXT(validation, 768, "",    NO, "folder or file of validation tokens")                                              \
    I64(seed,  0, 9e18,   "1",   ID, "key of the sample order")                                                          \
    ENUM(repeat, "refuse|allow", "refuse", NO, "more tokens than the data holds: refuse, or start a new epoch")          \
    ENUM(synthetic, "none|zipf_facts", "none", ID, "samples from a source of known entropy instead of files")

#define ZIPF_FIELDS(I64, F64, TEXT, ENUM, BOOL)                                                                         \
    I64(keys,     2, 1 << 27,    "1000000", ID, "zipf_facts: number of facts, K: what its tables hold")                    \
    F64(exponent, 0.01, 4,       "0.5",     ID, "zipf_facts: P(k) ~ k^-(1 + exponent)")                                  \
    I64(values,   2, 65536,      "64",      ID, "zipf_facts: values a fact can have, V")                                 \
    F64(noise,    0, 1,          "0.1",     ID, "zipf_facts: probability e of a value drawn uniformly")                  \
    I64(base,     2, 65536,      "16",      ID, "zipf_facts: base of the key's digits")

#define TRAIN_FIELDS(I64, F64, TEXT, ENUM, BOOL)                                                                        \
    I64(tokens,       1, 9e18,   REQUIRED, ID, "training tokens, D; rounded up to whole steps")                          \
    I64(batch_tokens, 1, 1e12,   REQUIRED, ID, "tokens of an optimizer step; a multiple of micro_batch x context")       \
    I64(micro_batch,  1, 65536,  REQUIRED, ID, "sequences of a micro-batch, B: the unit of arithmetic")                  \
    ENUM(precision, "fp32|bf16", "bf16",   ID, "operand type; masters, moments, sums and statistics are fp32 or wider")  \
    I64(seed,         0, 9e18,   "1",      ID, "key of the initial weights")                                             \
    ENUM(reduction, "exact|fast", "exact", ID, "exact: the same bits on any number of ranks; fast: float sums")          \
    ENUM(sharding,  "none|zero1", "zero1", NO, "optimizer state on every rank, or a stripe on each")                     \
    ENUM(recompute, "none|mlp|block", "none", NO, "activations computed again in backward instead of kept")              \
    ENUM(attention, "auto|own|cudnn", "auto", NO, "attention kernels (cpu: own)")

#define OPTIMIZER_FIELDS(I64, F64, TEXT, ENUM, BOOL)                                                                    \
    ENUM(name, "adamw", "adamw",         ID, "update rule")                                                              \
    F64(learning_rate, 0, 10, REQUIRED,  ID, "peak learning rate")                                                       \
    F64(beta1, 0, 0.999999,  "0.9",      ID, "decay of the first moment")                                                \
    F64(beta2, 0, 0.999999,  "0.95",     ID, "decay of the second moment")                                               \
    F64(eps,   1e-30, 1,     "1e-8",     ID, "added to the root of the second moment, which may be 0")                   \
    F64(weight_decay, 0, 10, "0.1",      ID, "decoupled decay of matrices (never of norms and biases)")                  \
    F64(clip,  0, 1e9,       "1.0",      ID, "largest norm of the gradient; 0 = no clipping")                            \
    F64(z_loss, 0, 1,        "0",        ID, "weight of the squared log-partition in the loss")

#define SCHEDULE_FIELDS(I64, F64, TEXT, ENUM, BOOL)                                                                     \
    ENUM(name, "cosine|linear|constant|wsd", "cosine", ID, "shape of the learning rate over tokens")                     \
    I64(warmup_tokens, 0, 9e18, "0",     ID, "linear rise from 0")                                                       \
    I64(decay_tokens,  0, 9e18, "0",     ID, "wsd: tokens of the final decay")                                           \
    F64(final_ratio,   0, 1,    "0.1",   ID, "last learning rate / peak (constant: 1, this is not used)")

#define EVALUATE_FIELDS(I64, F64, TEXT, ENUM, BOOL)                                                                     \
    I64(every_tokens, 0, 9e18, "0",      NO, "tokens between evaluations; 0 = at the end only")                          \
    I64(tokens,       0, 9e18, "0",      NO, "tokens of the evaluation set; 0 = all of it (synthetic: 256Ki, at most 100M)")

#define CHECKPOINT_FIELDS(I64, F64, TEXT, ENUM, BOOL)                                                                   \
    I64(every_tokens,      0, 9e18, "0", NO, "tokens between checkpoints; 0 = at the end only")                          \
    I64(keep_last,         1, 1000, "2", NO, "newest checkpoints kept")                                                  \
    I64(keep_every_tokens, 0, 9e18, "0", NO, "checkpoints at multiples of this are kept for ever; 0 = none")             \
    BOOL(asynchronous,           "true", NO, "write in the background while training goes on")

#define LIMITS_FIELDS(I64, F64, TEXT, ENUM, BOOL)                                                                       \
    I64(nonfinite_in_a_row,    1, 1000, "5",  NO, "skipped steps in a row that end the run")                             \
    F64(collective_deadline_s, 1, 86400, "60", NO, "seconds a collective waits for a peer")                            \
    F64(heartbeat_s,         0.1, 3600, "10", NO, "seconds a rank's process may stand still before the run ends")

#define FORECAST_FIELDS(I64, F64, TEXT, ENUM, BOOL)                                                                     \
    TEXT(law, 256, "",           NO, "law behind the forecast, or none; written by plan --emit, graded at the end")      \
    F64(loss, 0, 100, "0",       NO, "predicted validation loss, nats/token; 0 = no forecast")                           \
    F64(low,  0, 100, "0",       NO, "lower end of the prediction interval")                                             \
    F64(high, 0, 100, "0",       NO, "upper end of the prediction interval")                                             \
    F64(level, 0, 1, "0.8",      NO, "share of new runs the interval should hold")                                       \
    I64(params, 0, 9e18, "0",    NO, "parameters of the run this is about; another run is not graded; 0 = any")          \
    I64(tokens, 0, 9e18, "0",    NO, "tokens of the run this is about, in whole steps; 0 = any")                         \
    TEXT(validation_set, 65, "", NO, "identity of the validation set the loss is about; empty = any")                    \
    I64(ranks, 0, 10000000, "0", NO, "ranks the time is predicted for; 0 = no forecast of time, memory, energy")         \
    F64(time_s, 0, 1e15, "0",    NO, "predicted seconds of training; 0 = no forecast")                                   \
    I64(bytes_per_rank, 0, 9e18, "0", NO, "predicted bytes of the fullest rank; 0 = no forecast")                        \
    F64(energy_j, 0, 1e30, "0",  NO, "predicted joules, chips and building; 0 = no forecast")
// clang-format on

/* Sections of the file: X(prefix in the file, struct type, member of config, LIST).
 * "" = top level. */
#define CONFIG_SECTIONS(X)                                                                         \
    X("", run_config, run, RUN_FIELDS)                                                             \
    X("model", model_config, model, MODEL_FIELDS)                                                  \
    X("data", data_config, data, DATA_FIELDS)                                                      \
    X("data.zipf_facts", zipf_config, zipf, ZIPF_FIELDS)                                           \
    X("train", train_config, train, TRAIN_FIELDS)                                                  \
    X("optimizer", optimizer_config, optimizer, OPTIMIZER_FIELDS)                                  \
    X("schedule", schedule_config, schedule, SCHEDULE_FIELDS)                                      \
    X("evaluate", evaluate_config, evaluate, EVALUATE_FIELDS)                                      \
    X("checkpoint", checkpoint_config, checkpoint, CHECKPOINT_FIELDS)                              \
    X("limits", limits_config, limits, LIMITS_FIELDS)                                              \
    X("forecast", forecast_config, forecast, FORECAST_FIELDS)

#endif
