/* config_text.h — a small run config as text, and what its parse must say. */
#ifndef CONFIG_CONFIG_TEXT_H
#define CONFIG_CONFIG_TEXT_H

#include "config/config.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_MODEL     "model: {layers: 2, width: 32, heads: 2, vocab: 257, context: 64}\n"
#define SMALL_DATA      "data: {train: corpus/train, validation: corpus/validation}\n"
#define SMALL_TRAIN     "train: {tokens: 4096, batch_tokens: 512, micro_batch: 4}\n"
#define SMALL_OPTIMIZER "optimizer: {learning_rate: 1e-3}\n"
#define SMALL_CONFIG    "name: small\n" SMALL_MODEL SMALL_DATA SMALL_TRAIN SMALL_OPTIMIZER

static inline status parse(config *out, const char *text, int count, const char *const *overrides)
{
    return config_parse(out, "run.yaml", text, (int64_t)strlen(text), count, overrides);
}

/* The config that text and overrides (up to a NULL) give. */
static inline config accepted(const char *text, const char *const *overrides)
{
    config cfg;
    int count = 0;
    while (overrides && overrides[count]) count++;
    const status s = parse(&cfg, text, count, overrides);
    cr_assert_eq(s, OK, "%s", status_message());
    return cfg;
}

/* Text is refused as a config error whose message holds `message`, and *out is left alone. */
static inline void refused(const char *text, const char *message)
{
    config cfg, before;
    memset(&cfg, 0x5a, sizeof cfg);
    memcpy(&before, &cfg, sizeof cfg);
    const status s = parse(&cfg, text, 0, NULL);
    cr_assert_eq(s, ERR_CONFIG, "status %d for:\n%s", (int)s, text);
    cr_assert(strstr(status_message(), message), "expected: %s\ngot:      %s", message,
              status_message());
    cr_assert_eq(memcmp(&cfg, &before, sizeof cfg), 0, "*out was written");
}

/* The same for one override of the small config. */
static inline void refused_override(const char *override, const char *message)
{
    config cfg;
    const status s = parse(&cfg, SMALL_CONFIG, 1, &override);
    cr_assert_eq(s, ERR_CONFIG, "accepted: %s", override);
    cr_assert(strstr(status_message(), message), "expected: %s\ngot:      %s", message,
              status_message());
}

#endif
