#include "plan_question.h"

#include "cli.h"

#include <math.h>
#include <string.h>

#define PF_DAY 8.64e19

/* Compute also in petaflop/s-days: 12PFday, PFday, 3.5PF-days. */
static status compute(double *out, const char *option, const char *text)
{
    char number[64];
    static const char *const endings[] = {"PFday", "PFdays", "PF-day", "PF-days"};
    for (int i = 0; i < 4; i++) {
        const size_t n = strlen(text), m = strlen(endings[i]);
        if (n < m || n - m >= sizeof number || strcmp(text + n - m, endings[i]) != 0) continue;
        (void)snprintf(number, sizeof number, "%.*s", (int)(n - m), text);
        TRY(cli_positive(out, option, number[0] ? number : "1", 1e20));
        *out *= PF_DAY;
        return OK;
    }
    return cli_positive(out, option, text, 1e40);
}

/* Hours: 72, 72h, 3d. */
static status hours(double *seconds, const char *text)
{
    const char last = text[0] ? text[strlen(text) - 1] : '0';
    TRY(cli_positive(seconds, "--hours", text, 1e12));
    if (last != 'h' && last != 'd') *seconds *= 3600;
    return OK;
}

static status read_numbers(plan_question *q, const plan_options *o)
{
    allocate_question *a = &q->ask;
    double percent = NAN;
    if (o->flops) TRY(compute(&a->flops, "--flops", o->flops));
    TRY(cli_positive(&a->params, "--params", o->params, 1e18));
    TRY(cli_positive(&a->tokens, "--tokens", o->tokens, 1e24));
    TRY(cli_positive(&a->loss, "--loss", o->loss, 100));
    TRY(cli_positive(&a->unique, "--unique-tokens", o->unique_tokens, 1e24));
    if (o->inference_tokens)
        TRY(cli_positive(&a->inference, "--inference-tokens", o->inference_tokens, 1e24));
    if (o->tokens_per_param)
        TRY(cli_positive(&a->tokens_per_param, "--tokens-per-param", o->tokens_per_param, 1e9));
    TRY(cli_positive(&q->gpus, "--gpus", o->gpus, 1e7));
    if (o->hours) TRY(hours(&q->seconds, o->hours));
    TRY(cli_positive(&q->money, "--budget", o->budget, 1e15));
    REQUIRE(!o->gpus || q->gpus == floor(q->gpus), ERR_CONFIG, "--gpus: %s is not a whole number",
            o->gpus);
    if (!o->mfu) return OK;
    /* 0.4 or 40% */
    char text[64];
    const size_t n = strlen(o->mfu);
    const bool sign = n > 1 && n < sizeof text && o->mfu[n - 1] == '%';
    (void)snprintf(text, sizeof text, "%.*s", (int)(sign ? n - 1 : n), o->mfu);
    TRY(cli_positive(&percent, "--mfu", text, sign ? 100 : 1));
    q->mfu = sign ? percent / 100 : percent;
    return OK;
}

/* Questions that cannot be asked together. */
static status check(plan_question *q, const plan_options *o)
{
    const bool money = o->budget != NULL, time = o->gpus || o->hours;
    const int32_t sizes = (o->flops != NULL) + (o->params != NULL) + (o->tokens != NULL);
    const bool pair = sizes == 2;
    q->machine = money || time;
    q->asked = sizes > 0 || o->loss || q->machine;
    REQUIRE(sizes < 3, ERR_CONFIG,
            "--flops, --params and --tokens together: two of them give the third; leave one out");
    REQUIRE(!o->loss || (sizes == 0 && !q->machine), ERR_CONFIG,
            "--loss with %s: the loss follows from the budget; give one of them",
            o->flops    ? "--flops"
            : o->params ? "--params"
            : o->tokens ? "--tokens"
                        : "a budget of machines");
    REQUIRE(!q->machine || !o->flops, ERR_CONFIG,
            "--flops with %s: both are the budget; give one of them",
            money ? "--budget" : "--gpus and --hours");
    REQUIRE(!time || (o->gpus && o->hours), ERR_CONFIG, "--gpus and --hours belong together: %s",
            o->gpus ? "how many hours (--hours 3d)?" : "how many GPUs (--gpus 8)?");
    REQUIRE(!money || !time, ERR_CONFIG, "--budget with --gpus: both are the budget; give one");
    REQUIRE(!q->machine || sizes < 2, ERR_CONFIG,
            "--params and --tokens with a budget: two of them give the third; leave one out");
    REQUIRE(!q->machine || o->predict.cluster, ERR_CONFIG,
            "%s needs --cluster, whose ranks and price it is about (--cluster 8xh100)",
            money ? "--budget" : "--gpus");
    REQUIRE(!o->mfu || q->machine, ERR_CONFIG, "--mfu belongs to --gpus and --hours, or --budget");
    REQUIRE(!o->tokens_per_param || !(pair || (q->machine && sizes == 1)), ERR_CONFIG,
            "--tokens-per-param with two of --flops, --params, --tokens: they give the ratio");
    REQUIRE(!o->inference_tokens || !(o->tokens_per_param || pair || o->loss), ERR_CONFIG,
            "--inference-tokens with %s: it chooses the tokens itself",
            o->tokens_per_param ? "--tokens-per-param"
            : o->loss           ? "--loss"
                                : "two of --flops, --params, --tokens");
    REQUIRE(!o->inference_tokens || !o->unique_tokens, ERR_CONFIG,
            "--inference-tokens with --unique-tokens: no published law answers both");
    return OK;
}

status plan_question_read(plan_question *out, const plan_options *o)
{
    *out = (plan_question){
        .ask = allocate_nothing(), .gpus = NAN, .seconds = NAN, .mfu = NAN, .money = NAN};
    TRY(read_numbers(out, o));
    return check(out, o);
}
