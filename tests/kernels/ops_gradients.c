/* the backward pass of every op against central finite differences of the forward pass, on ref with
 * all tensors in f64. The loss is a fixed random projection of the outputs: its gradient with
 * respect to the outputs is what the backward op is given.                                       */
#include "op_test.h"

#include <math.h>

#define STEP    1e-5
#define ALLOWED 1e-8 /* of the largest gradient; truncation is STEP^2, rounding 1e-16 / STEP */

typedef struct probe {
    device *d;
    op_call call;    /* the backward op and its memory                       */
    op_args forward; /* the forward op on the same inputs, with own outputs  */
    op_id op;        /* the forward op                                       */
    tensor extra;    /* what else a loss needs                               */
    double (*loss)(const struct probe *p);
} probe;

static double *doubles(tensor t) { return t.data; }
static double dot(tensor a, tensor b)
{
    double sum = 0;
    for (int64_t i = 0; i < tensor_count(a); i++) sum += doubles(a)[i] * doubles(b)[i];
    return sum;
}

/* opens ref, builds the case in f64 and runs the backward op */
static void probe_open(probe *p, const op_case *c)
{
    cr_assert(ref_ops.open(&p->d, NULL) == OK);
    op_call_build(&p->call, c, DTYPE_F64);
    p->forward = (op_args){0};
    int64_t bytes = ref_ops.workspace_bytes(p->d, &p->call.shapes);
    tensor workspace = op_call_tensor(&p->call, tensor_1(NULL, DTYPE_F64, bytes / 8));
    cr_assert(ref_ops.reserve(p->d, workspace.data, bytes, &p->call.shapes) == OK);
}
static void probe_run(probe *p)
{
    cr_assert(op_run(&ref_ops, p->d, p->call.op, &p->call.args) == OK, "%s", status_message());
}
static void probe_close(probe *p)
{
    op_call_free(&p->call);
    ref_ops.close(p->d);
}
static tensor same_shape(probe *p, tensor t) { return op_call_tensor(&p->call, t); }
static tensor copy_of(probe *p, tensor t)
{
    tensor out = op_call_tensor(&p->call, t);
    memcpy(out.data, t.data, (size_t)tensor_bytes(t));
    return out;
}

static double loss_at(const probe *p, double *place, double value)
{
    double before = *place;
    *place = value;
    double loss = p->loss(p);
    *place = before;
    return loss;
}

/* gradient (+ what it held before the backward op, where it is added to) against differences */
static void check(const probe *p, const char *name, tensor input, tensor gradient,
                  const tensor *before)
{
    double largest = 0, worst = 0;
    cr_assert(tensor_count(input) == tensor_count(gradient) && input.type == DTYPE_F64);
    for (int64_t i = 0; i < tensor_count(input); i++) {
        double *x = &doubles(input)[i], at = *x;
        double slope = (loss_at(p, x, at + STEP) - loss_at(p, x, at - STEP)) / (2 * STEP);
        double got = doubles(gradient)[i] - (before ? doubles(*before)[i] : 0);
        largest = fmax(largest, fabs(slope));
        worst = fmax(worst, fabs(slope - got));
        cr_assert(isfinite(got), "%s %s[%lld] is %g", p->call.name, name, (long long)i, got);
    }
    cr_expect(worst <= ALLOWED * fmax(largest, 1e-3), "%s: %s is off by %.3g, largest slope %.3g",
              p->call.name, name, worst, largest);
}

static void forward_op(const probe *p)
{
    cr_assert(op_run(&ref_ops, p->d, p->op, &p->forward) == OK, "%s", status_message());
}

/* --- embed ---------------------------------------------------------------- */

static double embed_loss(const probe *p)
{
    forward_op(p);
    return dot(p->forward.embed.out, p->call.args.embed_backward.dout);
}

Test(gradients, of_embed_match_finite_differences)
{
    probe p = {.op = OP_embed, .loss = embed_loss};
    probe_open(&p, &(op_case){OP_embed_backward, OPT_POSITIONS, .B = 3, .T = 4, .C = 3, .V = 5});
    embed_backward_args *b = &p.call.args.embed_backward;
    embed_args *f = &p.forward.embed;
    *f = (embed_args){.out = same_shape(&p, b->dout),
                      .table = op_call_normal(&p.call, b->dtable, 1),
                      .positions = op_call_normal(&p.call, b->dpositions, 1),
                      .tokens = b->tokens,
                      .T = b->T};
    tensor before = copy_of(&p, b->dtable);
    probe_run(&p);
    check(&p, "dtable", f->table, b->dtable, &before);
    check(&p, "dpositions", f->positions, b->dpositions, NULL);
    probe_close(&p);
}

/* --- norm: both outputs, the normalised one and the stream, carry gradient --- */

static double norm_loss(const probe *p)
{
    forward_op(p);
    return dot(p->forward.norm.out, p->call.args.norm_backward.dout) +
           dot(p->forward.norm.sum, p->extra);
}

static void check_norm(int options)
{
    probe p = {.op = OP_norm, .loss = norm_loss};
    probe_open(&p,
               &(op_case){OP_norm_backward, options | OPT_BIAS | OPT_COPY, .B = 1, .T = 4, .C = 7});
    norm_backward_args *b = &p.call.args.norm_backward;
    norm_args *f = &p.forward.norm;
    p.extra = copy_of(&p, b->dx);
    *f = (norm_args){.kind = b->kind,
                     .eps = 1e-5f,
                     .out = same_shape(&p, b->dout),
                     .sum = same_shape(&p, b->x),
                     .x = b->x,
                     .delta = same_shape(&p, b->x),
                     .gain = b->gain,
                     .bias = op_call_normal(&p.call, b->gain, 1)};
    probe_run(&p);
    /* x and delta enter as their sum: both have the stream's gradient */
    check(&p, "dx", f->x, b->dx, NULL);
    check(&p, "dx", f->delta, b->dx, NULL);
    check(&p, "dx_act", f->x, b->dx_act, NULL);
    check(&p, "dgain", f->gain, b->dgain, NULL);
    check(&p, "dbias", f->bias, b->dbias, NULL);
    probe_close(&p);
}
Test(gradients, of_rms_norm_match_finite_differences) { check_norm(0); }
Test(gradients, of_layer_norm_match_finite_differences) { check_norm(OPT_LAYER); }

/* --- linear --------------------------------------------------------------- */

static double linear_loss_weight(const probe *p)
{
    forward_op(p);
    return dot(p->forward.linear.out, p->call.args.linear_backward_weight.dy);
}

Test(gradients, of_linear_weights_match_finite_differences)
{
    probe p = {.op = OP_linear, .loss = linear_loss_weight};
    probe_open(&p, &(op_case){OP_linear_backward_weight, OPT_BIAS, .B = 1, .T = 5, .C = 4, .F = 3});
    linear_backward_weight_args *b = &p.call.args.linear_backward_weight;
    linear_args *f = &p.forward.linear;
    *f = (linear_args){.out = same_shape(&p, b->dy),
                       .x = b->x,
                       .w = op_call_normal(&p.call, b->dw, 1),
                       .bias = op_call_normal(&p.call, b->dbias, 1)};
    probe_run(&p);
    check(&p, "dw", f->w, b->dw, NULL);
    check(&p, "dbias", f->bias, b->dbias, NULL);
    probe_close(&p);
}

/* gelu(pre) as the output of a linear with the identity, then the product under test */
static double linear_loss_input(const probe *p)
{
    forward_op(p);
    const linear_backward_input_args *b = &p->call.args.linear_backward_input;
    linear_args second = {.out = p->extra, .x = p->forward.linear.out, .w = b->w};
    /* w (N, K) of the layer: out (M, N) = x (M, K) w^T */
    cr_assert(ref_ops.linear(p->d, &second) == OK);
    return dot(second.out, b->dy);
}

static void check_linear_input(int options)
{
    probe p = {.op = OP_linear, .loss = linear_loss_input};
    probe_open(&p, &(op_case){OP_linear_backward_input, options, .B = 1, .T = 5, .C = 4, .F = 3});
    linear_backward_input_args *b = &p.call.args.linear_backward_input;
    tensor identity = op_call_tensor(&p.call, tensor_2(NULL, DTYPE_F64, 4, 4));
    for (int i = 0; i < 4; i++) doubles(identity)[i * 5] = 1;
    tensor x = b->act ? b->pre : op_call_normal(&p.call, b->dx, 1);
    p.extra = same_shape(&p, b->dy);
    p.forward.linear = (linear_args){.out = same_shape(&p, b->dx),
                                     .x = x,
                                     .w = identity,
                                     .pre = b->act ? same_shape(&p, b->dx) : (tensor){0},
                                     .act = b->act};
    probe_run(&p);
    check(&p, "dx", x, b->dx, NULL);
    probe_close(&p);
}
Test(gradients, of_linear_inputs_match_finite_differences) { check_linear_input(0); }
Test(gradients, through_gelu_match_finite_differences) { check_linear_input(OPT_GELU); }

/* --- swiglu, rope --------------------------------------------------------- */

static double swiglu_loss(const probe *p)
{
    forward_op(p);
    return dot(p->forward.swiglu.out, p->call.args.swiglu_backward.dout);
}

Test(gradients, of_swiglu_match_finite_differences)
{
    probe p = {.op = OP_swiglu, .loss = swiglu_loss};
    probe_open(&p, &(op_case){OP_swiglu_backward, 0, .B = 1, .T = 4, .F = 5});
    swiglu_backward_args *b = &p.call.args.swiglu_backward;
    p.forward.swiglu = (swiglu_args){.out = same_shape(&p, b->dout), .gate_up = b->gate_up};
    probe_run(&p);
    check(&p, "dgate_up", b->gate_up, b->dgate_up, NULL);
    probe_close(&p);
}

/* rope works in place: the loss rotates a copy */
static double rope_loss(const probe *p)
{
    rope_args f = p->forward.rope;
    memcpy(f.qkv.data, p->extra.data, (size_t)tensor_bytes(f.qkv));
    cr_assert(ref_ops.rope(p->d, &f) == OK);
    double sum = 0;
    for (int64_t i = 0; i < tensor_count(f.qkv); i++) sum += doubles(f.qkv)[i] * sin((double)i);
    return sum;
}

Test(gradients, of_rope_are_the_inverse_rotation)
{
    probe p = {.op = OP_rope, .loss = rope_loss};
    probe_open(&p, &(op_case){OP_rope, OPT_INVERSE, .B = 2, .T = 3, .NH = 2, .NKV = 1, .HS = 6});
    rope_args *b = &p.call.args.rope;
    p.forward.rope = *b;
    p.forward.rope.inverse = false;
    p.forward.rope.qkv = same_shape(&p, b->qkv);
    p.extra = op_call_normal(&p.call, b->qkv, 1);
    for (int64_t i = 0; i < tensor_count(b->qkv); i++) doubles(b->qkv)[i] = sin((double)i);
    probe_run(&p);
    check(&p, "qkv", p.extra, b->qkv, NULL);
    probe_close(&p);
}

/* --- attention: ref's backward op reads out and lse, so they are fresh from the forward op --- */

static double attention_loss(const probe *p)
{
    forward_op(p);
    return dot(p->forward.attention.out, p->call.args.attention_backward.dout);
}

static void check_attention(const op_case *c)
{
    probe p = {.op = OP_attention, .loss = attention_loss};
    probe_open(&p, c);
    attention_backward_args *b = &p.call.args.attention_backward;
    p.forward.attention = (attention_args){
        same_shape(&p, b->out), same_shape(&p, b->lse), b->qkv, b->B, b->T, b->NH, b->NKV, b->HS};
    probe_run(&p);
    check(&p, "dqkv", b->qkv, b->dqkv, NULL);
    probe_close(&p);
}
Test(gradients, of_attention_match_finite_differences)
{
    check_attention(
        &(op_case){OP_attention_backward, 0, .B = 2, .T = 5, .NH = 2, .NKV = 2, .HS = 3});
}
Test(gradients, of_grouped_query_attention_match_finite_differences)
{
    check_attention(
        &(op_case){OP_attention_backward, 0, .B = 2, .T = 6, .NH = 6, .NKV = 2, .HS = 4});
}
Test(gradients, of_attention_over_one_position_match_finite_differences)
{
    check_attention(
        &(op_case){OP_attention_backward, 0, .B = 2, .T = 1, .NH = 2, .NKV = 1, .HS = 4});
}

/* --- head: mean(loss) + z_loss mean(lse^2), with lse = loss + logit of the target --- */

static double head_loss(const probe *p)
{
    const head_args *f = &p->forward.head;
    const int32_t *targets = f->targets.data;
    int64_t N = f->x.dim[0], C = f->x.dim[1];
    double sum = 0;
    forward_op(p);
    for (int64_t n = 0; n < N; n++) {
        double loss = doubles(f->losses)[n], logit = 0;
        for (int64_t c = 0; c < C; c++)
            logit += doubles(f->x)[n * C + c] * doubles(f->w)[targets[n] * C + c];
        sum += loss + (double)f->z_loss * (loss + logit) * (loss + logit);
    }
    return sum / (double)N;
}

static void check_head(int options)
{
    probe p = {.op = OP_head, .loss = head_loss};
    probe_open(&p, &(op_case){OP_head, options, .B = 1, .T = 5, .C = 4, .V = 7});
    head_args *b = &p.call.args.head;
    p.forward.head = *b;
    p.forward.head.dx = p.forward.head.dw = (tensor){0};
    p.forward.head.losses = same_shape(&p, b->losses);
    probe_run(&p);
    check(&p, "dx", b->x, b->dx, NULL);
    check(&p, "dw", b->w, b->dw, NULL);
    probe_close(&p);
}
Test(gradients, of_the_head_match_finite_differences) { check_head(0); }
Test(gradients, of_the_head_with_z_loss_match_finite_differences) { check_head(OPT_Z_LOSS); }
