/* ops.h — the contract of every operation; one typed table of functions per backend.
 *
 * Letters: B sequences, T positions, N = B*T tokens of a micro-batch, C width, F ffn, V vocabulary,
 * NH heads, NKV key/value heads, HS head width. Row-major, last axis contiguous.
 * "act" is the activation type of the run: f32 in fp32 runs, bf16 in bf16 runs. Accumulation,
 * softmax, statistics, the residual stream and every weight gradient are f32 or wider.
 *
 * Work is queued; inputs belong to the queue until sync or an event; errors of queued work surface
 * at sync(). Outputs are overwritten (never added to) unless the field says "+=". Inputs may not
 * alias outputs unless said so. A tensor with data NULL means "none" where a field is (optional).
 * Each op gives the same bits for the same inputs and shapes, whatever ran before.            */
#ifndef KERNELS_OPS_H
#define KERNELS_OPS_H

#include "base/status.h"
#include "base/tensor.h"

typedef struct device device; /* opaque; each backend has its own */

typedef enum activation { ACT_NONE, ACT_GELU } activation; /* gelu: tanh form */
typedef enum norm_kind { NORM_RMS, NORM_LAYER } norm_kind;
typedef enum reduction { REDUCTION_EXACT, REDUCTION_FAST } reduction;
typedef enum queue { QUEUE_COMPUTE, QUEUE_COPY } queue;
enum {
    EVENTS_MAX = 64,
    GRAPHS_MAX = 2,
    CHUNK = 16384
}; /* CHUNK: elements; borders of shards, norms, digests */

/* Gradients are rounded to int64 at this constant scale: integer sums do not depend on order. */
#define EXACT_SCALE 0x1p44

/* What changes from step to step. Lives in device memory; ops read it by pointer, so a step can be
 * captured once and replayed. */
typedef struct step_scalars {
    float learning_rate;
    float beta1, beta2, eps, weight_decay;
    float bias1, bias2;    /* 1 - beta1^t, 1 - beta2^t for the t of this update          */
    float clip;            /* largest allowed norm of the gradient; 0 = no clipping      */
    double mean_scale;     /* sum -> mean: 1/M; clip_scalars adds 1/EXACT_SCALE if exact */
    double gradient_scale; /* out: what adamw multiplies the summed gradient with        */
    double grad_norm;      /* out: norm of the mean gradient, before clipping            */
    int32_t skip;          /* out: 1 = leave weights and state as they are               */
    int32_t pad;
} step_scalars;

/* out[n] (N, C) f32 = table[tokens[n]] (+ positions[n % T]) */
typedef struct embed_args {
    tensor out;       /* (N, C) f32                                    */
    tensor table;     /* (V, C) act                                    */
    tensor positions; /* (T, C) act (optional)                         */
    tensor tokens;    /* (N) i32, each in [0, V)                       */
    int64_t T;
} embed_args;

/* dtable (V, C) += sum of dout rows per token, in token order; dpositions = sums over sequences. */
typedef struct embed_backward_args {
    tensor dtable;     /* (V, C) f32, += (the caller zeroes it, or it holds the tied head's part) */
    tensor dpositions; /* (T, C) f32 (optional)                         */
    tensor dout;       /* (N, C) f32                                    */
    tensor tokens;     /* (N) i32                                       */
    int64_t T;
} embed_backward_args;

/* x += delta; out = norm(x) * gain + bias.
 * rms:   out = x * rstd * gain,             rstd = 1/sqrt(mean(x^2) + eps)
 * layer: out = (x - mean) * rstd * gain + bias, rstd = 1/sqrt(var(x) + eps)             */
typedef struct norm_args {
    norm_kind kind;
    float eps;
    tensor out;        /* (N, C) act                                    */
    tensor sum;        /* (N, C) f32: x + delta; may alias x (optional when delta is none) */
    tensor mean, rstd; /* (N) f32 each; mean unused by rms (optional)   */
    tensor x;          /* (N, C) f32                                    */
    tensor delta;      /* (N, C) act (optional)                         */
    tensor gain, bias; /* (C) act; bias (optional)                      */
} norm_args;

/* With xhat = (x - mean) * rstd and g = dout * gain:
 * dx += rstd * (g - mean(g) [layer only] - xhat * mean(g * xhat)); dgain = sum_n dout*xhat; dbias =
 * sum_n dout */
typedef struct norm_backward_args {
    norm_kind kind;
    tensor dx;           /* (N, C) f32, += : holds the residual stream's gradient         */
    tensor dx_act;       /* (N, C) act copy of the new dx (optional; bf16 runs)           */
    tensor dgain, dbias; /* (C) f32; dbias (optional)                                     */
    tensor dout;         /* (N, C) act                                                    */
    tensor x;            /* (N, C) f32: what was normalised                               */
    tensor mean, rstd;   /* (N) f32; mean unused by rms                                   */
    tensor gain;         /* (C) act                                                       */
} norm_backward_args;

/* pre (M, N) = x (M, K) @ w (N, K)^T + bias (N); out = act(pre) */
typedef struct linear_args {
    tensor out;  /* (M, N) act, or f32 (logits)                                            */
    tensor pre;  /* (M, N) act: kept for the backward pass (only with an activation)       */
    tensor x;    /* (M, K) act                                                             */
    tensor w;    /* (N, K) act                                                             */
    tensor bias; /* (N) act (optional)                                                     */
    activation act;
} linear_args;

/* dx (M, K) = dy (M, N) @ w (N, K), then * act'(pre) where the input came out of an activation */
typedef struct linear_backward_input_args {
    tensor dx;  /* (M, K) act                                                              */
    tensor dy;  /* (M, N) act                                                              */
    tensor w;   /* (N, K) act                                                              */
    tensor pre; /* (M, K) act: the pre-activation of this layer's input (with act)         */
    activation act;
} linear_backward_input_args;

/* dw (N, K) = dy (M, N)^T @ x (M, K); dbias (N) = column sums of dy */
typedef struct linear_backward_weight_args {
    tensor dw;    /* (N, K) f32                                                            */
    tensor dbias; /* (N) f32 (optional)                                                    */
    tensor dy;    /* (M, N) act                                                            */
    tensor x;     /* (M, K) act                                                            */
} linear_backward_weight_args;

/* gate_up (N, 2F): gate in columns [0, F), up in [F, 2F). out (N, F) = silu(gate) * up */
typedef struct swiglu_args {
    tensor out, gate_up; /* act */
} swiglu_args;
typedef struct swiglu_backward_args {
    tensor dgate_up; /* (N, 2F) act */
    tensor dout;     /* (N, F)  act */
    tensor gate_up;  /* (N, 2F) act */
} swiglu_backward_args;

/* Rotates q and k halves in place: (a, b) -> (a cos - b sin, b cos + a sin) for a = x[i], b = x[i +
 * HS/2]. inverse rotates back (the backward pass). qkv (N, (NH + 2 NKV) HS): q heads, then k heads,
 * then v. */
typedef struct rope_args {
    tensor qkv;   /* act, in place                                                          */
    tensor table; /* (T, HS/2, 2) f32: cos, sin                                             */
    int64_t T, NH, NKV, HS;
    bool inverse;
} rope_args;

/* Causal softmax attention inside each sequence, scale 1/sqrt(HS), O(T) memory.
 * head h of q uses k/v head h / (NH / NKV). */
typedef struct attention_args {
    tensor out; /* (N, NH*HS) act                                                           */
    tensor lse; /* (B, NH, T) f32: log sum exp of the scaled scores of each row             */
    tensor qkv; /* (N, (NH + 2 NKV) HS) act                                                 */
    int64_t B, T, NH, NKV, HS;
} attention_args;
typedef struct attention_backward_args {
    tensor dqkv;           /* (N, (NH + 2 NKV) HS) act                                      */
    tensor dout, out, lse; /* as above                                                      */
    tensor qkv;
    int64_t B, T, NH, NKV, HS;
} attention_backward_args;

/* The output layer and its loss in one op, so that logits never exist in f32 as a whole.
 * logits = x @ w^T; lse_n = log sum_v exp(logits); loss_n = lse_n - logits[target_n] (nats).
 * Gradient of mean_n(loss_n) + z_loss * mean_n(lse_n^2):
 * dlogits = ((1 + 2 z_loss lse) softmax - onehot(target)) / N; dx = dlogits @ w; dw = dlogits^T @
 * x. The losses returned are without the z term. Rounding of stored logits to act is allowed for
 * dlogits, not for the losses. */
typedef struct head_args {
    tensor losses;  /* (N) f32                                                              */
    tensor dx;      /* (N, C) act (optional: none = loss only, dw must be none too)         */
    tensor dw;      /* (V, C) f32                                                           */
    tensor x;       /* (N, C) act                                                           */
    tensor w;       /* (V, C) act                                                           */
    tensor targets; /* (N) i32                                                              */
    float z_loss;
} head_args;

/* exact: sum (n) i64 (+)= rint(gradient * 2^44). A value that is not finite, or whose magnitude
 * after scaling is not below limit, or a sum that leaves int64, sets *flag = 1 (never clears it)
 * and counts as 0. With limit <= 2^63 / M the sum of M micro-batches cannot leave int64, however
 * they are split over ranks. fast: sum (n) f32 (+)= gradient; a non-finite value sets *flag. first:
 * "=" instead of "+=". */
typedef struct accumulate_args {
    tensor sum;      /* (n) i64 or f32                                                      */
    tensor gradient; /* (n) f32                                                             */
    int32_t *flag;   /* device memory                                                       */
    reduction kind;
    bool first;
    double limit; /* exact: see above; 0 = 2^62                                          */
} accumulate_args;

/* out[c] f64 = sum of the squares of chunk c of values (n) i64 or f32, in index order by a fixed
 * pattern; i64 values are taken times 2^-44. n need not be a multiple of CHUNK; out has
 * ceil(n / CHUNK) entries. */
typedef struct sum_squares_args {
    tensor out, values;
} sum_squares_args;

/* grad_norm = mean_scale * sqrt(sum of squares, in order); gradient_scale = mean_scale * min(1,
 * clip / grad_norm) (and * 2^-44 when exact); skip = *flag != 0 or grad_norm not finite. */
typedef struct clip_args {
    step_scalars *scalars;
    tensor squares; /* (chunks) f64, over the whole vector in chunk order                   */
    const int32_t *flag;
    reduction kind;
} clip_args;

/* Decoupled weight decay (Loshchilov & Hutter 2019): g = gradient * gradient_scale;
 * m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2;
 * w -= lr * (rate * m/bias1 / (sqrt(v/bias2) + eps) + wd * w).
 * Does nothing when scalars->skip. Writes the bf16 copy in the same pass. */
typedef struct adamw_args {
    tensor weights;  /* (n) f32 masters                                                     */
    tensor copy;     /* (n) bf16 (optional)                                                 */
    tensor m, v;     /* (n) f32                                                             */
    tensor gradient; /* (n) i64 or f32: the sum over micro-batches                          */
    bool decay;      /* false: this range is not decayed                                    */
    float rate;      /* factor of the learning rate, not of the decay; 1 changes no bit     */
    const step_scalars *scalars;
} adamw_args;

/* out[c] u64 = digest of the bits of chunk c of values (n) f32: sum over pairs (2i, 2i+1) of
 * (u32)(x[2i] + k[2i]) * (u32)(x[2i+1] + k[2i+1]) mod 2^64, the NH construction, with
 * k[j] = (u32)((j + 1) * 0x9E3779B9 ^ (j >> 3) * 0x85EBCA6B); a missing last element counts as 0.
 * The same on every backend. */
typedef struct digest_args {
    tensor out, values;
} digest_args;

/* The largest shapes a run will pass; backends size their workspace from it. */
typedef struct op_shapes {
    int64_t B, T, C, F, V, NH, NKV, HS;
    bool gated; /* the MLP has a gate: widest product is 2F */
    dtype act;
} op_shapes;

typedef struct device_options {
    int32_t local_rank; /* which accelerator or core of this node                      */
    bool share;         /* several ranks may use one accelerator: for tests, never for speed */
    const char *path; /* instruction path: "auto", or "portable", "avx2", "avx512", "amx" on cpu */
} device_options;

/* A library behind a backend, or its device's own context, and memory it takes besides arenas. */
typedef struct device_part {
    const char *name;
    int64_t workspace_bytes; /* of what workspace_bytes counts; -1: not known before it is opened */
    int64_t grown_bytes;     /* more in use on the device once it was started; -1: not measured   */
} device_part;
enum { DEVICE_PARTS_MAX = 5 };

typedef struct ops {
    const char *name; /* "ref", "cpu", "cuda" */

    /* Accelerators this process could open; 0: why tells what is missing. NULL: none is needed. */
    int32_t (*present)(char *why, size_t bytes);
    status (*open)(device **out, const device_options *options); /* caller closes            */
    void (*close)(device *d);                                    /* NULL is a no-op          */
    /* The backend's part of the arithmetic id: path, libraries, versions, e.g. "cpu amx, bf16
     * products, kernels 1". */
    void (*describe)(const device *d, char *text, size_t bytes);

    /* Who computes attention from here on: wanted "auto", "own" or "cudnn", with exactly these
     * shapes where it is cuDNN. why says who, and for what. ERR_CONFIG, and own kernels, where it
     * cannot be. Before workspace_bytes and describe, which depend on it. NULL: always own. */
    status (*choose_attention)(device *d, const char *wanted, const op_shapes *shapes, char *why,
                               size_t bytes);
    /* Scratch the ops need for these shapes; reserve hands it over (owned by the caller) before the
     * first op. Device NULL: with own attention kernels, before anything is opened (cuda alone). */
    int64_t (*workspace_bytes)(const device *d, const op_shapes *shapes);
    status (*reserve)(device *d, void *workspace, int64_t bytes, const op_shapes *shapes);
    /* Device memory, zeroed. On host backends plain memory. */
    status (*alloc)(device *d, void **out, int64_t bytes);
    void (*release)(device *d, void *memory, int64_t bytes);
    /* On the compute queue. from_host may change once upload returns; a download is complete. */
    status (*upload)(device *d, void *to, const void *from_host, int64_t bytes);
    status (*download)(device *d, void *to_host, const void *from, int64_t bytes);
    status (*zero)(device *d, void *memory, int64_t bytes);

    /* Bytes in use on the accelerator now, by everyone; -1: it does not tell. NULL: host memory. */
    int64_t (*used_bytes)(const device *d);
    /* What takes memory there besides; fills at most DEVICE_PARTS_MAX - 2, because a communicator
     * adds two of its own, and returns their count. Device NULL: what would, before anything is
     * opened. NULL: nothing does. */
    int32_t (*parts)(const device *d, const op_shapes *shapes, device_part *out);

    status (*event_record)(device *d, int32_t event, queue q);
    status (*queue_wait)(device *d, queue q, int32_t event);
    /* Waits for the compute queue; errors of what ran there surface. */
    status (*sync)(device *d);
    /* Between begin and end what ops queue for compute is recorded, not run; launch queues all of
     * it at once. Ops only in between, each of which has run before with these shapes. end must be
     * called after begin, also when an op failed; when it fails nothing was recorded or run, and
     * the message says why. NULL: no such thing here. */
    status (*graph_begin)(device *d);
    status (*graph_end)(device *d, int32_t graph);
    status (*graph_launch)(device *d, int32_t graph);
    /* The stream behind a queue, for comm_nccl alone. NULL: the backend's memory is host memory,
     * and work is done when the call returns. */
    void *(*native_queue)(device *d, queue q);
    /* PCI address of the accelerator, "0000:1B:00.0", for its meters. NULL: it is not one. */
    void (*bus_id)(const device *d, char *text, size_t bytes);

    status (*embed)(device *d, const embed_args *a);
    status (*embed_backward)(device *d, const embed_backward_args *a);
    status (*norm)(device *d, const norm_args *a);
    status (*norm_backward)(device *d, const norm_backward_args *a);
    status (*linear)(device *d, const linear_args *a);
    status (*linear_backward_input)(device *d, const linear_backward_input_args *a);
    status (*linear_backward_weight)(device *d, const linear_backward_weight_args *a);
    status (*swiglu)(device *d, const swiglu_args *a);
    status (*swiglu_backward)(device *d, const swiglu_backward_args *a);
    status (*rope)(device *d, const rope_args *a);
    status (*attention)(device *d, const attention_args *a);
    status (*attention_backward)(device *d, const attention_backward_args *a);
    status (*head)(device *d, const head_args *a);
    status (*accumulate)(device *d, const accumulate_args *a);
    status (*sum_squares)(device *d, const sum_squares_args *a);
    status (*clip_scalars)(device *d, const clip_args *a);
    status (*adamw)(device *d, const adamw_args *a);
    status (*digest)(device *d, const digest_args *a);
    /* f32 <-> bf16, or the same type; same count */
    status (*convert)(device *d, tensor to, tensor from);
    /* Burst of products at the fastest there is, some ms: FLOP/s now. It may use the workspace. 0
     * where it means nothing. */
    double (*burst)(device *d, dtype type);
} ops;

extern const ops ref_ops, cpu_ops, cuda_ops;
/* NULL-terminated; backends.c is the only place that knows what was compiled in. */
extern const ops *const backends[];
/* The row with this name, "auto" = the fastest compiled in and present; fails with ERR_CONFIG
 * naming the choices. */
status backend_find(const ops **out, const char *name);

#endif
