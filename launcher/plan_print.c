#include "plan_print.h"

#include "cli.h"
#include "plan_print_machine.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LABEL = 13, LINE = 1024 };
#define PF_DAY 8.64e19

void plan_print_wrapped(const char *label, const char *text) { cli_wrapped(label, LABEL, text); }

const char *plan_print_count(char out[32], double x)
{
    if (!isfinite(x))
        (void)snprintf(out, 32, "-");
    else if (x >= 1e15 || x < 1)
        (void)snprintf(out, 32, "%.3g", x);
    else
        (void)snprintf(out, 32, "%s", cli_count(x).text);
    return out;
}

/* "20.6", "145", "5.27M" */
static const char *ratio_text(char out[32], double ratio)
{
    if (ratio >= 1e6) return plan_print_count(out, ratio);
    (void)snprintf(out, 32, "%.*f", ratio < 100 ? 1 : 0, ratio);
    return out;
}

/* "2.41B..3.21B", or a dash */
static const char *range_text(char out[48], allocate_range r)
{
    char low[32], high[32];
    (void)snprintf(out, 48, "-");
    if (isfinite(r.low) && isfinite(r.high))
        (void)snprintf(out, 48, "%.20s..%.20s", plan_print_count(low, r.low),
                       plan_print_count(high, r.high));
    return out;
}

/* --- the question --------------------------------------------------------- */

static void print_question(const plan_answer *a)
{
    const plan_question *q = &a->question;
    const allocate_question *k = &q->ask;
    char text[LINE] = "", n[32];
    size_t used = 0;
#define ADD(...) used += (size_t)snprintf(text + used, sizeof text - used, __VA_ARGS__)
    if (q->machine)
        ADD("%d ranks of %s for %s%s: %.3g FLOPs at an MFU of %.1f %% (%s)",
            (int)a->machine.step.ranks, a->machine.hw.name,
            cli_duration(isfinite(q->seconds) ? q->seconds
                         : isfinite(q->mfu)
                             ? k->flops / (q->mfu * a->machine.peak * a->machine.step.ranks)
                             : a->machine.run.hours * 3600)
                .text,
            isfinite(q->money) ? ", what the budget pays" : "", k->flops, 100 * a->machine.mfu,
            a->machine.mfu_source);
    else if (isfinite(k->flops))
        ADD("%.4g FLOPs (%.3g PF-days)", k->flops, k->flops / PF_DAY);
    if (isfinite(k->params))
        ADD("%s%s parameters", used ? ", " : "", plan_print_count(n, k->params));
    if (isfinite(k->tokens)) ADD("%s%s tokens", used ? ", " : "", plan_print_count(n, k->tokens));
    if (isfinite(k->loss)) ADD("a loss of %g nats per token, on each law's own data", k->loss);
    if (isfinite(k->tokens_per_param)) ADD(", %g tokens per parameter", k->tokens_per_param);
    if (isfinite(k->inference))
        ADD(", then %s tokens served at the same quality", plan_print_count(n, k->inference));
    if (isfinite(k->unique)) ADD(", of %s unique tokens", plan_print_count(n, k->unique));
#undef ADD
    cli_wrapped("", 0, text);
    (void)putchar('\n');
}

/* --- laws ----------------------------------------------------------------- */

static void print_law(const plan_answer *a, int32_t i)
{
    const plan_law *l = &a->law[i];
    const allocation *s = &l->say;
    const bool budget = isfinite(a->question.ask.flops) && !isfinite(a->question.ask.params);
    char n[32], d[32], c[48], ratio[32] = "-", loss[16] = "-";
    if (isfinite(s->params) && isfinite(s->tokens)) (void)ratio_text(ratio, s->tokens / s->params);
    if (isfinite(s->loss)) (void)snprintf(loss, sizeof loss, "%.4f", s->loss);
    if (budget)
        (void)range_text(c, s->params_range);
    else if (isfinite(s->flops))
        (void)snprintf(c, sizeof c, "%.3g", s->flops);
    else
        (void)snprintf(c, sizeof c, "-");
    const char *data = isfinite(s->loss) ? l->row->data : "";
    printf("%c %-20.20s %8s%c %15s %8s %7s %8s %-12.12s %s\n", i == a->chosen ? '>' : ' ',
           l->row->name, plan_print_count(n, s->params),
           l->row->without_embedding && isfinite(s->params) ? '*' : ' ', c,
           plan_print_count(d, s->tokens), ratio, loss, data,
           s->why      ? ""
           : s->inside ? ""
                       : "extrapolated");
}

static void print_laws(const plan_answer *a)
{
    const bool budget = isfinite(a->question.ask.flops) && !isfinite(a->question.ask.params);
    printf("  %-20s %8s  %15s %8s %7s %8s %-12s\n", "law", "params",
           budget ? "80 % interval" : "FLOPs", "tokens", "tok/par", "loss", "of its data");
    for (int32_t i = 0; i < a->laws.count; i++) print_law(a, i);
    char note[LINE] = "", n[32], m[32];
    size_t used = 0;
    for (int32_t i = 0; i < a->laws.count; i++) {
        const plan_law *l = &a->law[i];
        if (!l->row->without_embedding || !isfinite(l->params_total)) continue;
        used += (size_t)snprintf(note + used, sizeof note - used, "%s%s %s = %s", used ? ", " : "",
                                 l->row->name, plan_print_count(n, l->say.params),
                                 plan_print_count(m, l->params_total));
        if (isfinite(l->flops_per_token) && used < sizeof note)
            used += (size_t)snprintf(note + used, sizeof note - used, " (M = %.3g FLOPs per token)",
                                     l->flops_per_token);
        if (used >= sizeof note) break;
    }
    if (used) {
        char line[LINE + 64];
        (void)snprintf(line, sizeof line, "without embeddings; with them: %s", note);
        plan_print_wrapped("           *", line);
    }
    plan_print_wrapped("           -", "the law does not say");
    plan_print_wrapped("        loss",
                       "belongs to the data the law was fitted on, and forecasts no other");
    (void)putchar('\n');
}

/* --- recommendation ------------------------------------------------------- */

static void add_range(char *out, size_t bytes, const char *what, const double *r, bool counts)
{
    char low[32], high[32];
    const size_t used = strlen(out);
    if (!isfinite(r[0]) || !isfinite(r[1])) return;
    if (counts)
        (void)snprintf(out + used, bytes - used, ", %s %s to %s", what, plan_print_count(low, r[0]),
                       plan_print_count(high, r[1]));
    else
        (void)snprintf(out + used, bytes - used, ", %s %.3g to %.3g", what, r[0], r[1]);
}

/* Paper and range of the law that recommends; the others' are in the JSON. */
static void print_source(const published_law *row)
{
    char text[256] = "";
    add_range(text, sizeof text, "N", row->range_params, true);
    add_range(text, sizeof text, "D", row->range_tokens, true);
    add_range(text, sizeof text, "C", row->range_flops, false);
    plan_print_wrapped("", row->source);
    char line[LINE];
    (void)snprintf(line, sizeof line, "fitted on %s%s (--json: source and range of every law)",
                   row->data, text);
    plan_print_wrapped("", line);
}

static void print_recommendation(const plan_answer *a)
{
    const plan_law *own = &a->law[a->chosen];
    char text[LINE], n[32], d[32], r[48], ratio[32];
    (void)snprintf(text, sizeof text, "%s parameters on %s tokens (%s per parameter)",
                   plan_print_count(n, a->params), plan_print_count(d, a->tokens),
                   ratio_text(ratio, a->tokens / a->params));
    plan_print_wrapped("plan", text);
    (void)snprintf(text, sizeof text, "%s: %s", own->row->name, a->reason);
    plan_print_wrapped("by", text);
    print_source(own->row);
    if (isfinite(own->say.params_range.low)) {
        char r2[48];
        (void)snprintf(text, sizeof text, "80 %% interval of N %s, of D %s",
                       range_text(r, own->say.params_range), range_text(r2, own->say.tokens_range));
        plan_print_wrapped("", text);
    }
    if (a->agreement[0]) plan_print_wrapped("agreement", a->agreement);
    if (own->row->note[0]) plan_print_wrapped("note", own->row->note);
}

/* What being off the optimum costs, and serving. */
static void print_costs(const plan_answer *a)
{
    const plan_law *own = &a->law[a->chosen];
    const flatness *f = &a->flatness;
    char text[LINE], r[3][48], half[32] = "no budget", twice[32] = "no budget";
    const double above = allocate_above(own->say.loss, a->best_loss);
    if (isfinite(above) && above > 5e-5) {
        (void)snprintf(text, sizeof text,
                       "%.4f nats above the best loss of the same compute under %s", above,
                       own->row->name);
        plan_print_wrapped("off optimum", text);
    }
    if (isfinite(own->say.lifetime_flops)) {
        (void)snprintf(text, sizeof text,
                       "%.4g FLOPs to train and serve (6 N D + 2 N T), of which training %.4g",
                       own->say.lifetime_flops, own->say.flops);
        plan_print_wrapped("lifetime", text);
    }
    if (!a->has_flatness) {
        plan_print_wrapped("flatness", "not known: this law has no loss of N and D");
        return;
    }
    (void)snprintf(text, sizeof text, "N within 0.1 %% of the best loss: %s; 0.5 %%: %s; 1 %%: %s",
                   range_text(r[0], f->params[0]), range_text(r[1], f->params[1]),
                   range_text(r[2], f->params[2]));
    plan_print_wrapped("flatness", text);
    if (isfinite(f->half_flops)) (void)snprintf(half, sizeof half, "%.3gx", f->half_flops);
    if (isfinite(f->twice_flops)) (void)snprintf(twice, sizeof twice, "%.3gx", f->twice_flops);
    (void)snprintf(text, sizeof text,
                   "a model half as large costs %+.4f nats (made good by %s the compute), twice as "
                   "large %+.4f (%s)",
                   f->half_loss, half, f->twice_loss, twice);
    plan_print_wrapped("", text);
}

/* --- model, data, training ------------------------------------------------ */

static void print_model(const plan_answer *a)
{
    const shape *s = &a->shape;
    const model_config *m = &s->model;
    const double tokens = (double)(a->steps * a->batch_tokens);
    char text[LINE];
    (void)snprintf(text, sizeof text,
                   "%" PRId64 " layer%s, width %" PRId64 ", %" PRId64 " head%s of %" PRId64
                   ", MLP %" PRId64 ", vocabulary %" PRId64 ", context %" PRId64,
                   m->layers, m->layers == 1 ? "" : "s", m->width, m->heads,
                   m->heads == 1 ? "" : "s", m->head_width, m->ffn, m->vocab, m->context);
    plan_print_wrapped("model", text);
    (void)snprintf(text, sizeof text,
                   "%" PRId64 " parameters, %" PRId64 " without embeddings (%+.1f %%); %s",
                   s->params, s->params_without_embedding, 100 * s->off, s->origin);
    plan_print_wrapped("", text);
    (void)
        snprintf(text, sizeof text,
                 "FLOPs of the run: model %.4g, six_nd %.4g, six_nd_nonemb %.4g, hoffmann_a4 %.4g",
                 s->flops.model * tokens, s->flops.six_nd * tokens, s->flops.six_nd_nonemb * tokens,
                 s->flops.hoffmann_a4 * tokens);
    plan_print_wrapped("", text);
}

static void print_data(const plan_answer *a)
{
    const plan_data *d = &a->data;
    char text[LINE], n[32], t[32];
    if (!d->given) {
        (void)snprintf(text, sizeof text,
                       "vocabulary %" PRId64 "%s; --data DIR gives the true one, and what a token "
                       "spells",
                       d->vocab, a->model_given ? " (the model's)" : " assumed");
    } else {
        (void)snprintf(text, sizeof text, "%s tokens of %s, vocabulary %" PRId64 ": %.2f epochs%s",
                       plan_print_count(n, d->tokens), d->tokenizer, d->vocab,
                       a->tokens / d->tokens, a->tokens > d->tokens ? " (repeat: allow)" : "");
    }
    plan_print_wrapped("data", text);
    if (!isfinite(d->bytes_per_token)) return;
    (void)
        snprintf(text, sizeof text,
                 "%.2f bytes per token: the run reads %s of text; the laws counted tokens of other "
                 "tokenizers, so bytes at their ratio are an extrapolation",
                 d->bytes_per_token, cli_bytes(a->tokens * d->bytes_per_token).text);
    (void)t;
    plan_print_wrapped("", text);
}

static void print_training(const plan_answer *a)
{
    const rule_answer *rule = &a->rules.row[a->rules.chosen];
    char text[LINE], d[32];
    (void)snprintf(text, sizeof text,
                   "batch %" PRId64 " tokens%s, %" PRId64 " steps, learning rate %.2g%s%s",
                   a->batch_tokens,
                   a->batch_clamped ? " (smaller than the rule says: at least 100 steps)" : "",
                   a->steps, a->learning_rate, a->based ? " (of the config)" : " by ",
                   a->based ? "" : rule->name);
    plan_print_wrapped("training", text);
    if (!a->based && rule->capped) {
        (void)snprintf(text, sizeof text,
                       "outside the range of this rule (%s; %s): the rate of the nearest point of "
                       "it; going on would give %.2g",
                       rule->range, rule->source, rule->beyond);
        plan_print_wrapped("", text);
    }
    if (!a->based && !rule->inside) {
        (void)snprintf(text, sizeof text, "%stry %.2g, %.2g and %.2g, and keep the best",
                       rule->capped ? "" : "extrapolated: ", a->rules.bracket[0],
                       a->rules.bracket[1], a->rules.bracket[2]);
        plan_print_wrapped("", text);
    }
    printf("\n  %-18s %13s %9s  %-12s %s\n", "rule", "learning rate", "batch", "", "range");
    for (int32_t i = 0; i < a->rules.count; i++) {
        const rule_answer *r = &a->rules.row[i];
        char rate[16] = "-";
        if (isfinite(r->learning_rate)) (void)snprintf(rate, sizeof rate, "%.2e", r->learning_rate);
        const bool recalled = strcmp(r->range_status, "recalled") == 0;
        printf("%c %-18.18s %13s %9s  %-12s %.*s%s\n", i == a->rules.chosen ? '>' : ' ', r->name,
               rate, plan_print_count(d, r->batch_tokens),
               r->inside   ? ""
               : r->capped ? "at its edge"
                           : "extrapolated",
               recalled ? 27 : 38, r->range, recalled ? " (recalled)" : "");
    }
}

static void print_forecast(const plan_answer *a)
{
    const plan_forecast *f = &a->forecast;
    char text[LINE];
    if (f->known)
        (void)snprintf(text, sizeof text,
                       "validation loss %.4f [%.4f, %.4f] (80 %% of new runs), by %s%s%s", f->loss,
                       f->low, f->high, f->law, f->why[0] ? "; " : "", f->why);
    else
        (void)snprintf(text, sizeof text, "%s", f->why);
    plan_print_wrapped("forecast", text);
}

void plan_print(const plan_answer *a)
{
    print_question(a);
    print_laws(a);
    print_recommendation(a);
    print_costs(a);
    (void)putchar('\n');
    print_model(a);
    print_data(a);
    print_training(a);
    (void)putchar('\n');
    if (a->machine.given) plan_print_machine(a);
    print_forecast(a);
}
