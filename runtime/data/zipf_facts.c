#include "data/zipf_facts.h"

#include "base/rng.h"
#include "data/permutation.h"

#include <math.h>
#include <stdlib.h>

enum { DIGITS_MAX = 32, FACTS_STREAM = 3 };
static const int64_t keys_max = (int64_t)1 << 27;

struct zipf_facts {
    zipf_config cfg;
    uint64_t seed, stream;
    int32_t digits;            /* m                                                              */
    double *below;             /* (K) P(rank <= k): sampling                                     */
    double *mass[DIGITS_MAX];  /* (m, prefixes) P(the first j+1 digits are this prefix)          */
    int64_t place[DIGITS_MAX]; /* B^(m-1-j): what digit j counts                                 */
    double value_hit, value_other; /* -ln p of the fact itself, of any other value                */
};

/* what one record says */
typedef struct record {
    int64_t code; /* permuted key  */
    int32_t value;
    bool hit; /* value is the fact */
} record;

static status make_tables(zipf_facts *z)
{
    int64_t K = z->cfg.keys, B = z->cfg.base;
    z->below = malloc((size_t)K * sizeof *z->below);
    REQUIRE(z->below, ERR_MEMORY, "no memory for %lld facts", (long long)K);
    for (int32_t j = 0; j < z->digits; j++) {
        z->mass[j] = calloc((size_t)((K - 1) / z->place[j] + 1), sizeof(double));
        REQUIRE(z->mass[j], ERR_MEMORY, "no memory for %lld facts", (long long)K);
    }
    /* smallest terms first, so the sums keep their digits */
    double total = 0, run = 0;
    for (int64_t k = K; k >= 1; k--) total += pow((double)k, -(1 + z->cfg.exponent));
    double *leaf = z->mass[z->digits - 1];
    for (int64_t k = 1; k <= K; k++) {
        double p = pow((double)k, -(1 + z->cfg.exponent)) / total;
        z->below[k - 1] = run += p;
        leaf[permutation_at(z->seed, PERMUTE_FACTS, k - 1, K)] = p;
    }
    for (int32_t j = z->digits - 1; j > 0; j--)
        for (int64_t i = 0; i <= (K - 1) / z->place[j]; i++) z->mass[j - 1][i / B] += z->mass[j][i];
    return OK;
}

status zipf_facts_open(zipf_facts **out, const zipf_config *cfg, uint64_t seed, uint64_t stream)
{
    ASSERT(stream < FACTS_STREAM);
    REQUIRE(cfg->keys >= 2 && cfg->keys <= keys_max, ERR_CONFIG,
            "data.zipf_facts.keys: %lld; the tables allow 2 to %lld", (long long)cfg->keys,
            (long long)keys_max);
    REQUIRE(cfg->base >= 2 && cfg->values >= 2 && cfg->exponent > 0 && cfg->noise >= 0 &&
                cfg->noise <= 1,
            ERR_CONFIG,
            "data.zipf_facts: base and values are at least 2, exponent above 0, noise in [0, 1]");
    zipf_facts *z = calloc(1, sizeof *z);
    REQUIRE(z, ERR_MEMORY, "no memory for zipf_facts");
    z->cfg = *cfg;
    z->seed = seed;
    z->stream = stream;
    /* m = ceil(log_B K), by counting: logarithms round */
    for (int64_t reach = 1; reach < cfg->keys; reach *= cfg->base) z->digits++;
    for (int32_t j = z->digits - 1, place = 1; j >= 0; j--) {
        z->place[j] = place;
        if (j > 0) place *= (int32_t)cfg->base;
    }
    double V = (double)cfg->values, other = cfg->noise / V;
    z->value_hit = -log(1 - cfg->noise + other);
    z->value_other = other > 0 ? -log(other) : 0;
    status s = make_tables(z);
    if (s != OK) {
        zipf_facts_close(z);
        return s;
    }
    *out = z;
    return OK;
}

void zipf_facts_close(zipf_facts *z)
{
    if (!z) return;
    for (int32_t j = 0; j < DIGITS_MAX; j++) free(z->mass[j]);
    free(z->below);
    free(z);
}

static double unit(uint32_t high, uint32_t low)
{
    return (double)(((uint64_t)high << 32 | low) >> 11) * 0x1p-53;
}

/* rank whose interval of the cumulated distribution holds u */
static int64_t rank_of(const zipf_facts *z, double u)
{
    int64_t low = 0, high = z->cfg.keys - 1;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (z->below[middle] > u)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* the fact of a key; its own stream, the same for every split */
static int32_t fact_of(const zipf_facts *z, int64_t rank)
{
    rng_block b = rng_at(z->seed, RNG_SYNTH, FACTS_STREAM, (uint64_t)rank);
    return (int32_t)((uint64_t)b.word[0] * (uint64_t)z->cfg.values >> 32);
}

/* record r of sample k */
static record record_at(const zipf_facts *z, int64_t k, int64_t r)
{
    rng_block b = rng_at(z->seed, RNG_SYNTH, (uint64_t)r << 2 | z->stream, (uint64_t)k);
    int64_t rank = rank_of(z, unit(b.word[0], b.word[1]));
    double u = unit(b.word[2], b.word[3]);
    int32_t fact = fact_of(z, rank), value = fact;
    /* below e the same number, stretched, also picks the value */
    if (u < z->cfg.noise) {
        value = (int32_t)(u / z->cfg.noise * (double)z->cfg.values);
        if (value >= z->cfg.values) value = (int32_t)z->cfg.values - 1;
    }
    return (record){permutation_at(z->seed, PERMUTE_FACTS, rank, z->cfg.keys), value,
                    value == fact};
}

void zipf_facts_read(const zipf_facts *z, int64_t k, int64_t count, int32_t *tokens)
{
    int64_t length = z->digits + 1, records = (count + length - 1) / length;
    for (int64_t r = 0; r < records; r++) {
        record now = record_at(z, k, r);
        for (int64_t j = 0; j < length && r * length + j < count; j++)
            tokens[r * length + j] = j < z->digits ? (int32_t)(now.code / z->place[j] % z->cfg.base)
                                                   : (int32_t)z->cfg.base + now.value;
    }
}

double zipf_facts_nats(const zipf_facts *z, int64_t k, int64_t count)
{
    int64_t length = z->digits + 1, records = (count + length - 1) / length;
    double nats = 0;
    for (int64_t r = 0; r < records; r++) {
        record now = record_at(z, k, r);
        int64_t seen = count - r * length;
        /* the digits telescope: their sum is -ln P of the longest prefix inside the window */
        int32_t last = (int32_t)(seen < z->digits ? seen : z->digits) - 1;
        nats -= log(z->mass[last][now.code / z->place[last]]);
        if (seen > z->digits) nats += now.hit ? z->value_hit : z->value_other;
        if (r == 0) nats += log(z->mass[0][now.code / z->place[0]]); /* token 0 is not scored */
    }
    return nats;
}

double zipf_facts_first_nats(const zipf_facts *z, int32_t digit)
{
    ASSERT(digit >= 0 && digit < z->cfg.base);
    return digit <= (z->cfg.keys - 1) / z->place[0] ? -log(z->mass[0][digit]) : (double)INFINITY;
}

zipf_entropy zipf_facts_entropy(const zipf_facts *z)
{
    zipf_entropy h = {.digits = z->digits};
    for (int64_t i = 0; i < z->cfg.keys; i++) {
        double p = z->mass[z->digits - 1][i];
        if (p > 0) h.key -= p * log(p);
    }
    double q = exp(-z->value_hit), r = z->cfg.noise / (double)z->cfg.values;
    h.value = q * z->value_hit + (double)(z->cfg.values - 1) * r * z->value_other;
    h.token = (h.key + h.value) / (z->digits + 1);
    return h;
}
