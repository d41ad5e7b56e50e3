#include "plan_predict_print.h"

#include "base/json.h"
#include "base/log.h"
#include "cli.h"
#include "plan_predict.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *recompute_name(const config *cfg)
{
    return config_choice("train", "recompute", cfg->train.recompute);
}

static const char *precision_name(const config *cfg)
{
    return config_choice("train", "precision", cfg->train.precision);
}

static const char *reduction_name(const config *cfg)
{
    return config_choice("train", "reduction", cfg->train.reduction);
}

static const cluster_value *peak_of(const predict_report *r)
{
    return r->cfg->train.precision == PRECISION_BF16 ? &r->hw->peak_bf16 : &r->hw->peak_fp32;
}

/* --- text ----------------------------------------------------------------- */

static void print_heading(const predict_report *r)
{
    const config *cfg = r->cfg;
    printf("%s: %s parameters, context %lld, on %s\n", r->model,
           cli_count((double)block_param_count(&cfg->model)).text, (long long)cfg->model.context,
           r->hw->name);
    printf("sharding %s, recompute %s, %s, %s sums; micro-batches of %lld sequence%s\n",
           predict_sharding_name(r->sharding), recompute_name(cfg), precision_name(cfg),
           reduction_name(cfg), (long long)cfg->train.micro_batch,
           cfg->train.micro_batch == 1 ? "" : "s");
    printf("times are modelled from the cluster's values%s\n",
           r->hw->products.source == SOURCE_MEASURED ? ", which bench has measured"
                                                     : " until bench has measured it");
}

static void print_memory(const predict_report *r, const prediction *p)
{
    printf("\nmemory per rank (%s)\n", p->memory_exact ? "the runtime's own count" : "modelled");
    for (int k = 0; k < MEMORY_KINDS; k++)
        if (p->memory.bytes[k] > 0)
            printf("  %-14s %12s\n", memory_kind_name((memory_kind)k),
                   cli_bytes((double)p->memory.bytes[k]).text);
    printf("  %-14s %12s\n", "total", cli_bytes((double)p->memory.total).text);
    printf("  %-14s %12s of %s: %s\n", p->held_bytes < p->memory.total ? "on the device" : "held",
           cli_bytes((double)p->held_bytes).text, cli_bytes(r->hw->memory_bytes.value).text,
           p->fits ? "fits" : "fits: no");
    char besides[200];
    plan_parts(besides, sizeof besides, r->cfg, r->hw, p->ranks);
    if (besides[0]) printf("  %s\n", besides);
    if (!p->fits && r->has_largest)
        printf("  largest that fits: %s parameters (%lld layers, width %lld)\n",
               cli_count((double)block_param_count(&r->largest)).text, (long long)r->largest.layers,
               (long long)r->largest.width);
}

/* "12.3", or "unknown" */
static cli_text amount(double x, const char *format)
{
    cli_text out;
    if (isfinite(x)) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(out.text, sizeof out.text, format, x);
#pragma GCC diagnostic pop
    } else {
        (void)snprintf(out.text, sizeof out.text, "unknown");
    }
    return out;
}

/* With failures where their rate is known. */
static double run_hours(const run_cost *c)
{
    return isfinite(c->wall_hours) ? c->wall_hours : c->hours;
}

static void print_run(const predict_report *r, const run_cost *c)
{
    printf("\na run of %s tokens: %.0f steps\n", cli_count(r->tokens).text, c->steps);
    printf("  %-14s %12s hours at work\n", "time", amount(c->hours, "%.4g").text);
    if (isfinite(c->goodput)) {
        printf("  %-14s %12s hours with failures: one in %s hours, checkpoint each %s,\n", "",
               amount(c->wall_hours, "%.4g").text, amount(c->mtbf_hours, "%.4g").text,
               cli_duration(c->checkpoint_interval_s).text);
        printf("  %-14s %12s useful share; a checkpoint stops work %s s, takes %s s\n", "",
               amount(c->goodput * 100, "%.2f %%").text, amount(c->checkpoint_s, "%.3g").text,
               amount(c->checkpoint_write_s, "%.3g").text);
    }
    printf("  %-14s %12s kWh (watts %s, PUE %s)\n", "energy",
           amount(c->energy_j / 3.6e6, "%.5g").text, value_source_name(r->hw->power_w.source),
           value_source_name(r->hw->pue.source));
    printf("  %-14s %12s kg CO2 (grid %s)\n", "", amount(c->co2_g / 1e3, "%.5g").text,
           value_source_name(r->hw->grid_g_per_kwh.source));
    printf("  %-14s %12s %s (price %s)\n", "cost", amount(c->money, "%.5g").text, r->hw->currency,
           value_source_name(r->hw->price_per_hour.source));
}

static void print_case(const predict_report *r, const predict_case *c)
{
    const prediction *p = &c->p;
    printf("\n%d rank%s on %d node%s%s; a step is %s tokens, %lld micro-batch%s a rank\n",
           (int)p->ranks, p->ranks == 1 ? "" : "s", (int)p->nodes, p->nodes == 1 ? "" : "s",
           p->beyond ? " (more than it has)" : "", cli_count(p->batch_tokens).text,
           (long long)p->accumulate, p->accumulate == 1 ? "" : "es");
    printf("  %-14s %12.5g s\n", "step", p->step_time_s);
    for (int i = 0; i < STEP_PARTS; i++)
        printf("    %-13s %11.5g s  %5.1f %%\n", step_part_name((step_part)i), p->part_s[i],
               100.0 * p->part_s[i] / p->step_time_s);
    if (p->hidden_communication_s > 0)
        printf("    (%.3g s more of communication run beside products)\n",
               p->hidden_communication_s);
    printf("  %-14s %12s   %s per rank\n", "tokens/s", cli_count(p->tokens_per_s).text,
           cli_count(p->tokens_per_s_per_rank).text);
    printf("  %-14s %11.2f%% of %s FLOP/s (peak %s)\n", "MFU", 100.0 * p->mfu,
           cli_count(peak_of(r)->value).text, value_source_name(peak_of(r)->source));
    print_memory(r, p);
    if (r->tokens > 0) print_run(r, &c->run);
}

static void print_row(const predict_report *r, const predict_case *c)
{
    const prediction *p = &c->p;
    const double *part = p->part_s, step = p->step_time_s;
    printf("%7d %6d %8s %9.4g %7s %6.1f %6.1f %5.1f %5.1f %8s%s", (int)p->ranks, (int)p->nodes,
           cli_count(p->batch_tokens).text, step, cli_count(p->tokens_per_s).text,
           100 * c->efficiency, 100 * p->mfu, 100 * part[PART_COMMUNICATION] / step,
           100 * part[PART_SLOWEST] / step, cli_bytes((double)p->held_bytes).text,
           p->fits ? " " : "!");
    if (r->tokens > 0)
        printf(" %8s %9s", amount(run_hours(&c->run), "%.4g").text,
               amount(c->run.money, "%.4g").text);
    printf("%s\n", p->beyond ? "+" : "");
}

static void print_list(const predict_report *r)
{
    printf("%s scaling: the batch %s\n\n", r->weak ? "weak" : "strong",
           r->weak ? "grows with the ranks" : "stays");
    printf("%7s %6s %8s %9s %7s %6s %6s %5s %5s %8s ", "ranks", "nodes", "batch", "step s", "tok/s",
           "eff. %", "MFU %", "comm", "wait", "memory");
    if (r->tokens > 0) printf(" %8s %9s", "hours", r->hw->currency);
    printf("\n");
    bool beyond = false, large = false;
    for (int32_t i = 0; i < r->count; i++) {
        print_row(r, &r->cases[i]);
        beyond |= r->cases[i].p.beyond;
        large |= !r->cases[i].p.fits;
    }
    printf("\neff.: tokens/s per rank against %d rank%s; comm: communication that nothing hides,\n"
           "wait: for the slowest rank, %% of the step%s%s\n",
           (int)r->base_ranks, r->base_ranks == 1 ? "" : "s",
           large ? "; !: does not fit in memory" : "",
           beyond ? ";\n+: more ranks than the cluster has" : "");
    if (r->cut)
        printf("more than %lld ranks have no work: the critical batch is %lld micro-batches\n",
               (long long)r->critical_ranks, (long long)r->critical_ranks);
}

static void print_answer(const predict_report *r)
{
    const predict_answer *a = &r->answer;
    const predict_case *c = &r->cases[a->chosen];
    char wish[160] = "";
    size_t used = 0;
    if (a->deadline_hours > 0)
        used += (size_t)snprintf(wish, sizeof wish, " within %.5g hours", a->deadline_hours);
    if (a->budget > 0)
        used += (size_t)snprintf(wish + used, sizeof wish - used, " for %.5g %s", a->budget,
                                 r->hw->currency);
    if (a->efficiency > 0)
        (void)snprintf(wish + used, sizeof wish - used, " at %.3g %% efficiency",
                       100.0 * a->efficiency);
    if (a->met)
        printf("\nask for %d rank%s%s\n", (int)c->p.ranks, c->p.ranks == 1 ? "" : "s", wish);
    else
        printf("\nno number of ranks can:%s\nthe nearest is %d rank%s", wish, (int)c->p.ranks,
               c->p.ranks == 1 ? "" : "s");
    if (!a->met && r->tokens > 0) {
        printf(": %s hours", amount(run_hours(&c->run), "%.5g").text);
        if (isfinite(c->run.money)) printf(", %.5g %s", c->run.money, r->hw->currency);
    }
    if (!a->met)
        printf(", %.3g %% efficiency%s\n", 100.0 * c->efficiency,
               c->p.fits ? "" : ";\nit does not fit in memory");
    if (r->weak && r->critical_ranks == 0)
        printf("(the batch grows with the ranks, here to %s tokens, as if that cost no loss: give\n"
               "--critical-batch where it is known)\n",
               cli_count(c->p.batch_tokens).text);
}

/* The values behind the numbers, by source. */
static void print_source(void *context, const char *key, const cluster_value *v,
                         const char *meaning)
{
    (void)meaning;
    int32_t *column = context;
    if (isnan(v->value)) return;
    char text[96];
    const int n =
        snprintf(text, sizeof text, "%s %.4g (%s)", key, v->value, value_source_name(v->source));
    if (*column + n + 2 > 98) {
        printf("\n ");
        *column = 1;
    }
    printf(" %s%s", text, ";");
    *column += n + 2;
}

void predict_print_text(const predict_report *r)
{
    print_heading(r);
    if (r->list) print_list(r);
    if (r->answer.asked) print_answer(r);
    if (!r->list || r->answer.asked)
        print_case(r, &r->cases[r->answer.asked ? r->answer.chosen : 0]);
    int32_t column = 1;
    printf("\n%s:\n ", r->hw->name);
    cluster_each(r->hw, &column, print_source);
    printf("\n");
}

/* --- JSON ----------------------------------------------------------------- */

static json_t *parts_object(const prediction *p)
{
    json_t *out = json_object();
    for (int i = 0; i < STEP_PARTS; i++)
        json_object_set_new(out, step_part_name((step_part)i), json_real(p->part_s[i]));
    return out;
}

static json_t *bytes_object(const prediction *p)
{
    json_t *out = json_object();
    for (int k = 0; k < MEMORY_KINDS; k++)
        json_object_set_new(out, memory_kind_name((memory_kind)k),
                            json_integer((json_int_t)p->memory.bytes[k]));
    json_object_set_new(out, "source", json_string(p->memory_exact ? "runtime" : "modelled"));
    return out;
}

static json_t *run_object(const predict_report *r, const run_cost *c)
{
    json_t *out = json_object();
    json_object_set_new(out, "tokens", json_real(r->tokens));
    json_object_set_new(out, "steps", json_real(c->steps));
    json_object_set_new(out, "hours", json_finite(c->hours));
    json_object_set_new(out, "wall_hours", json_finite(c->wall_hours));
    json_object_set_new(out, "rank_hours", json_finite(c->rank_hours));
    json_object_set_new(out, "goodput", json_finite(c->goodput));
    json_object_set_new(out, "mtbf_hours", json_finite(c->mtbf_hours));
    json_object_set_new(out, "checkpoint_s", json_finite(c->checkpoint_s));
    json_object_set_new(out, "checkpoint_write_s", json_finite(c->checkpoint_write_s));
    json_object_set_new(out, "checkpoint_interval_s", json_finite(c->checkpoint_interval_s));
    json_object_set_new(out, "restart_s", json_finite(c->restart_s));
    json_object_set_new(out, "energy_j", json_finite(c->energy_j));
    json_object_set_new(out, "energy_source", json_string("modelled"));
    json_object_set_new(out, "co2_g", json_finite(c->co2_g));
    json_object_set_new(out, "cost", json_finite(c->money));
    json_object_set_new(out, "currency", json_string(r->hw->currency));
    return out;
}

/* {value, source, date, from} of every value the file gives. */
static void put_value(void *context, const char *key, const cluster_value *v, const char *meaning)
{
    (void)meaning;
    json_t *one = json_pack("{s:o,s:s}", "value", json_finite(v->value), "source",
                            value_source_name(v->source));
    if (v->date[0]) json_object_set_new(one, "date", json_string(v->date));
    if (v->from[0]) json_object_set_new(one, "from", json_string(v->from));
    json_object_set_new(context, key, one);
}

static json_t *values_object(const cluster *hw)
{
    json_t *out = json_object();
    cluster_each(hw, out, put_value);
    return out;
}

json_t *predict_case_json(const predict_report *r, const predict_case *c)
{
    const prediction *p = &c->p;
    const config *cfg = r->cfg;
    json_t *out = json_object();
    json_object_set_new(out, "model", json_string(r->model));
    json_object_set_new(out, "params", json_integer((json_int_t)block_param_count(&cfg->model)));
    json_object_set_new(out, "cluster", json_string(r->hw->name));
    json_object_set_new(out, "ranks", json_integer(p->ranks));
    json_object_set_new(out, "nodes", json_integer(p->nodes));
    json_object_set_new(out, "beyond_cluster", json_boolean(p->beyond));
    json_object_set_new(out, "sharding", json_string(predict_sharding_name(r->sharding)));
    json_object_set_new(out, "recompute", json_string(recompute_name(cfg)));
    json_object_set_new(out, "precision", json_string(precision_name(cfg)));
    json_object_set_new(out, "reduction", json_string(reduction_name(cfg)));
    json_object_set_new(out, "sequence", json_integer((json_int_t)cfg->model.context));
    json_object_set_new(out, "micro_batch", json_integer((json_int_t)cfg->train.micro_batch));
    json_object_set_new(out, "accumulate", json_integer((json_int_t)p->accumulate));
    json_object_set_new(out, "batch_tokens", json_real(p->batch_tokens));
    json_object_set_new(out, "tokens_per_s", json_real(p->tokens_per_s));
    json_object_set_new(out, "tokens_per_s_per_rank", json_real(p->tokens_per_s_per_rank));
    json_object_set_new(out, "mfu", json_real(p->mfu));
    json_object_set_new(out, "peak_source", json_string(value_source_name(peak_of(r)->source)));
    json_object_set_new(out, "step_time_s", json_real(p->step_time_s));
    json_object_set_new(out, "parts", parts_object(p));
    json_object_set_new(out, "hidden_communication_s", json_real(p->hidden_communication_s));
    json_object_set_new(out, "efficiency", json_finite(c->efficiency));
    json_object_set_new(out, "efficiency_against_ranks",
                        r->base_ranks ? json_integer(r->base_ranks) : json_null());
    json_object_set_new(out, "bytes_per_rank", json_integer((json_int_t)p->memory.total));
    json_object_set_new(out, "held_bytes_per_rank", json_integer((json_int_t)p->held_bytes));
    json_object_set_new(out, "bytes", bytes_object(p));
    json_object_set_new(out, "fits", json_boolean(p->fits));
    if (r->tokens > 0) json_object_set_new(out, "run", run_object(r, &c->run));
    json_object_set_new(out, "source", json_string("modelled"));
    return out;
}

static json_t *answer_object(const predict_report *r)
{
    const predict_answer *a = &r->answer;
    json_t *out = json_object();
    json_object_set_new(out, "ranks", json_integer(r->cases[a->chosen].p.ranks));
    json_object_set_new(out, "met", json_boolean(a->met));
    const predict_case *c = &r->cases[a->chosen];
    if (r->tokens > 0) {
        json_object_set_new(out, "hours", json_finite(run_hours(&c->run)));
        json_object_set_new(out, "cost", json_finite(c->run.money));
    }
    json_object_set_new(out, "efficiency_reached", json_finite(c->efficiency));
    json_object_set_new(out, "fits", json_boolean(c->p.fits));
    json_object_set_new(out, "critical_batch_said", json_boolean(r->critical_ranks > 0));
    if (a->deadline_hours > 0)
        json_object_set_new(out, "deadline_hours", json_real(a->deadline_hours));
    if (a->budget > 0) json_object_set_new(out, "budget", json_real(a->budget));
    if (a->efficiency > 0) json_object_set_new(out, "efficiency", json_real(a->efficiency));
    return out;
}

status predict_print_json(const predict_report *r)
{
    if (r->cut)
        log_warn("plan", "the list ends at %lld ranks: the critical batch has no work for more",
                 (long long)r->critical_ranks);
    json_t *list = json_array(), *root;
    for (int32_t i = 0; r->list && i < r->count; i++)
        json_array_append_new(list, predict_case_json(r, &r->cases[i]));
    if (r->list && !r->answer.asked) {
        root = list;
    } else {
        const predict_case *shown = &r->cases[r->answer.asked ? r->answer.chosen : 0];
        json_t *one = predict_case_json(r, shown);
        if (r->has_largest)
            json_object_set_new(one, "largest_params_that_fit",
                                json_integer((json_int_t)block_param_count(&r->largest)));
        root = json_pack("{s:o,s:o}", "prediction", one, "cluster", values_object(r->hw));
        if (r->answer.asked) json_object_set_new(root, "answer", answer_object(r));
        if (r->list) json_object_set(root, "scale", list);
        json_decref(list);
    }
    return cli_json(root);
}
