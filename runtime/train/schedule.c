#include "train/schedule.h"

#include <math.h>

typedef double (*shape)(const schedule_config *s, double done, double total);

/* Each shape gives rate / peak after warm-up, from 1 down to final_ratio. */
static double falling(double part, double final_ratio) { return 1.0 + (final_ratio - 1.0) * part; }

static double progress(const schedule_config *s, double done, double total)
{
    double span = total - (double)s->warmup_tokens;
    return span > 0 ? fmin(1.0, (done - (double)s->warmup_tokens) / span) : 1.0;
}

static double cosine(const schedule_config *s, double done, double total)
{
    return falling(0.5 * (1.0 - cos(M_PI * progress(s, done, total))), s->final_ratio);
}

static double linear(const schedule_config *s, double done, double total)
{
    return falling(progress(s, done, total), s->final_ratio);
}

static double constant(const schedule_config *s, double done, double total)
{
    (void)s, (void)done, (void)total;
    return 1.0;
}

static double wsd(const schedule_config *s, double done, double total)
{
    double start = total - (double)s->decay_tokens;
    if (done <= start || s->decay_tokens == 0) return 1.0;
    return falling(fmin(1.0, (done - start) / (double)s->decay_tokens), s->final_ratio);
}

static const shape shapes[] = {[SCHEDULE_COSINE] = cosine,
                               [SCHEDULE_LINEAR] = linear,
                               [SCHEDULE_CONSTANT] = constant,
                               [SCHEDULE_WSD] = wsd};

double schedule_rate(const schedule_config *s, double peak, int64_t done, int64_t step,
                     int64_t total)
{
    double after = (double)(done + step);
    ASSERT((size_t)s->name < sizeof shapes / sizeof shapes[0] && shapes[s->name]);
    if (after <= (double)s->warmup_tokens) return peak * after / (double)s->warmup_tokens;
    return peak * shapes[s->name](s, after, (double)total);
}
