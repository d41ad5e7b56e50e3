#include "plan_words.h"

#include "base/nearest.h"
#include "cli.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Appends, printf-style. */
__attribute__((format(printf, 3, 4))) static void add(char *out, size_t bytes, const char *format,
                                                      ...)
{
    const size_t used = strlen(out);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(out + used, bytes - used, format, args);
    va_end(args);
}

void plan_words_reason(plan_answer *a)
{
    char *out = a->reason;
    const size_t bytes = sizeof a->reason;
    const plan_law *own = &a->law[a->chosen];
    out[0] = '\0';
    if (a->options->law)
        add(out, bytes, own->row->fitted ? "your own law was asked for" : "it was asked for");
    else if (strcmp(own->row->name, "besiroglu") == 0)
        add(out, bytes,
            "corrects approach 3 of Hoffmann et al., and agrees with their approaches 1 and 2");
    else
        add(out, bytes, "tokens run out, and only this law tells repeated from fresh ones");
    if (!own->say.inside) add(out, bytes, "; extrapolated, no fit has seen runs this size");
    if (!own->row->pair)
        add(out, bytes, "; its N and D are no pair: D here is what the budget leaves");
}

static bool has(allocate_range r) { return isfinite(r.low) && isfinite(r.high); }

/* Smallest and largest N of the laws that answer; pairs of laws whose intervals exclude each
 * other's N. */
void plan_words_agreement(plan_answer *a)
{
    const plan_law *least = NULL, *most = NULL, *own = &a->law[a->chosen];
    char *out = a->agreement;
    const size_t bytes = sizeof a->agreement;
    out[0] = '\0';
    const allocate_question *q = &a->question.ask;
    if (isfinite(q->params) || (isfinite(q->flops) && isfinite(q->tokens))) return; // N was given
    for (int32_t i = 0; i < a->laws.count; i++) {
        const plan_law *l = &a->law[i];
        if (!isfinite(l->params_total)) continue;
        if (!least || l->params_total < least->params_total) least = l;
        if (!most || l->params_total > most->params_total) most = l;
    }
    if (!least || least == most) return;
    const double factor = most->params_total / least->params_total;
    add(out, bytes, "%s N from %s (%s) to %s (%s), a factor of %.1f",
        factor > 1.25 ? "the laws disagree:" : "the laws agree well:",
        cli_count(least->params_total).text, least->row->name, cli_count(most->params_total).text,
        most->row->name, factor);
    if (!has(own->say.params_range)) {
        add(out, bytes, "; %s has no published interval to judge that by", own->row->name);
        return;
    }
    int32_t outside = 0;
    char names[256] = "";
    for (int32_t i = 0; i < a->laws.count; i++) {
        const plan_law *l = &a->law[i];
        if (l == own || !isfinite(l->params_total)) continue;
        const double n =
            own->row->without_embedding ? l->params_without_embedding : l->params_total;
        if (!isfinite(n) || (n >= own->say.params_range.low && n <= own->say.params_range.high))
            continue;
        add(names, sizeof names, "%s%s", outside ? ", " : "", l->row->name);
        outside++;
    }
    if (outside == 0)
        add(out, bytes, "; all within the 80 %% interval of %s", own->row->name);
    else
        add(out, bytes, "; outside the 80 %% interval of %s: %s", own->row->name, names);
}

status plan_words_unknown_law(const published *known, const char *name)
{
    nearest n = nearest_any(name);
    char all[512] = "";
    for (int32_t i = 0; i < known->count; i++) {
        (void)nearest_offer(&n, known->row[i].name);
        add(all, sizeof all, "%s%s", i ? ", " : "", known->row[i].name);
    }
    FAIL(ERR_CONFIG, "--law: '%.60s' is not known and no file; nearest: %s; all: %s", name, n.found,
         all);
}
