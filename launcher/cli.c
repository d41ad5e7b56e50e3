#include "cli.h"

#include "base/clock.h"
#include "base/nearest.h"
#include "config/config.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COLUMNS = 100 };

static status unknown_option(const char *name, const cli_option *options)
{
    nearest n = nearest_any(name);
    for (const cli_option *o = options; o->name; o++) (void)nearest_offer(&n, o->name);
    FAIL(ERR_CONFIG, "unknown option %s; nearest: %s (--help shows all)", name,
         n.found ? n.found : "--help");
}

static const cli_option *find(const char *name, size_t length, const cli_option *options)
{
    for (const cli_option *o = options; o->name; o++)
        if (strlen(o->name) == length && strncmp(o->name, name, length) == 0) return o;
    return NULL;
}

status cli_parse(int argc, char **argv, const cli_option *options, const char **rest,
                 int *rest_count)
{
    uint64_t seen = 0; // bit k: options[k] has its value
    *rest_count = 0;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0) {
            rest[(*rest_count)++] = argv[i];
            continue;
        }
        size_t length = strcspn(argv[i], "=");
        bool inline_value = argv[i][length] == '=';
        const cli_option *o = find(argv[i], length, options);
        if (!o) return unknown_option(argv[i], options);
        if (o->flag) {
            REQUIRE(!inline_value, ERR_CONFIG, "%s takes no value", o->name);
            *o->flag = true;
            continue;
        }
        REQUIRE(inline_value || i + 1 < argc, ERR_CONFIG, "%s needs a value", o->name);
        const uint64_t bit = UINT64_C(1) << (o - options);
        ASSERT(o - options < 64);
        REQUIRE(!(seen & bit), ERR_CONFIG, "%s is given twice; which one is meant?", o->name);
        seen |= bit;
        *o->value = inline_value ? argv[i] + length + 1 : argv[++i];
    }
    return OK;
}

/* *value of the text, whatever its range. */
static status read_number(double *value, const char *option, const char *text)
{
    const status s = config_number(value, text);
    return s == OK ? OK : status_prefix(s, "%s", option);
}

status cli_number(double *out, const char *option, const char *text, double low, double high)
{
    double value;
    if (!text) return OK;
    TRY(read_number(&value, option, text));
    REQUIRE(value >= low && value <= high, ERR_CONFIG,
            "%s: %.60s is outside [%.15g, %.15g]; nearest: %.15g", option, text, low, high,
            value < low ? low : high);
    *out = value;
    return OK;
}

status cli_positive(double *out, const char *option, const char *text, double high)
{
    double value;
    if (!text) return OK;
    TRY(read_number(&value, option, text));
    REQUIRE(value > 0 && value <= high, ERR_CONFIG, "%s: %.60s is outside (0, %g]", option, text,
            high);
    *out = value;
    return OK;
}

status cli_integer(int64_t *out, const char *option, const char *text, int64_t low, int64_t high)
{
    int64_t value;
    if (!text) return OK;
    const status s = config_integer(&value, text);
    if (s != OK) return status_prefix(s, "%s", option);
    REQUIRE(value >= low && value <= high, ERR_CONFIG,
            "%s: %.60s is outside [%" PRId64 ", %" PRId64 "]; nearest: %" PRId64, option, text, low,
            high, value < low ? low : high);
    *out = value;
    return OK;
}

status cli_choice(int32_t *out, const char *option, const char *text, const char *const *words)
{
    char all[256] = "";
    if (!text) return OK;
    for (int32_t i = 0; words[i]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i;
            return OK;
        }
        const size_t used = strlen(all);
        (void)snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", words[i]);
    }
    FAIL(ERR_CONFIG, "%s: '%.60s' is not known; allowed: %s", option, text, all);
}

bool cli_help(int argc, char **argv, const char *text)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            (void)fputs(text, stdout);
            return true;
        }
    return false;
}

int cli_report(status code)
{
    if (code == INTERRUPTED)
        (void)fprintf(stderr, "isoflop: %s\n", status_message());
    else if (code != OK && code != FOUND)
        (void)fprintf(stderr, "isoflop: error: %s\n", status_message());
    return (int)code;
}

int cli_report_rank(const world *w, status code, status usage)
{
    if (world_prints(w)) return cli_report(code);
    return (int)(usage == OK ? code : OK);
}

bool cli_terminal(void)
{
    if (!isatty(STDOUT_FILENO)) return false;
    if (!getenv("OMPI_COMM_WORLD_SIZE")) return true;
    char name[64], target[256];
    (void)snprintf(name, sizeof name, "/proc/%d/fd/1", (int)getppid());
    ssize_t length = readlink(name, target, sizeof target - 1);
    if (length <= 0) return false;
    target[length] = '\0';
    return strncmp(target, "/dev/pts/", 9) == 0 || strncmp(target, "/dev/tty", 8) == 0;
}

cli_meter cli_meter_begin(const char *verb)
{
    const double now = clock_s();
    return (cli_meter){verb, now, now, 0, isatty(STDERR_FILENO)};
}

void cli_meter_show(void *meter, const char *stage, double done)
{
    cli_meter *m = meter;
    const double now = clock_s();
    if (done < m->done) m->begin_s = now;
    m->done = done;
    if (now - m->last_s < (m->terminal ? 0.2 : 30)) return;
    m->last_s = now;
    if (m->terminal) (void)fputs("\r\033[K", stderr);
    (void)fprintf(stderr, "%s: %s %3.0f %%", m->verb, stage, 100 * done);
    if (done > 0)
        (void)fprintf(stderr, ", %s left",
                      cli_duration((now - m->begin_s) / done * (1 - done)).text);
    if (!m->terminal) (void)fputc('\n', stderr);
    (void)fflush(stderr);
}

void cli_meter_end(const cli_meter *m)
{
    if (m->terminal) (void)fputs("\r\033[K", stderr);
}

void cli_word(char *out, size_t bytes, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_./-+=:,@%";
    size_t used = 0;
    if (*text && text[strspn(text, plain)] == '\0') {
        (void)snprintf(out, bytes, "%s", text);
        return;
    }
    out[used++] = '\'';
    for (; *text && used + 6 < bytes; text++) {
        if (*text == '\'')
            used += (size_t)snprintf(out + used, bytes - used, "'\\''");
        else
            out[used++] = *text;
    }
    out[used++] = '\'';
    out[used] = '\0';
}

void cli_self(char *out, size_t bytes)
{
    char *program = realpath("/proc/self/exe", NULL);
    cli_word(out, bytes, program ? program : "isoflop");
    free(program);
}

status cli_printed(void)
{
    REQUIRE(fflush(stdout) == 0 && !ferror(stdout), ERR_IO, "stdout does not take the result: %s",
            strerror(errno));
    return OK;
}

status cli_json(json_t *root)
{
    REQUIRE(root, ERR_MEMORY, "no memory for a result");
    const int failed =
        json_dumpf(root, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17));
    json_decref(root);
    REQUIRE(!failed && putchar('\n') != EOF, ERR_IO, "stdout does not take the result: %s",
            strerror(errno));
    return cli_printed();
}

/* Whole in the first unit and from 1000 up, else three digits. */
static void print_value(char text[400], double value, int unit)
{
    (void)snprintf(text, 400, unit == 0 || fabs(value) >= 999.5 ? "%.0f" : "%.3g", value);
}

static cli_text scaled(double value, double step, const char *const *units, int count)
{
    cli_text out;
    char text[400];
    int i = 0;
    /* the unit is chosen for what is printed: 999999.99 rounds to 1000K, which is 1M */
    for (print_value(text, value, i); i + 1 < count && fabs(strtod(text, NULL)) >= step;) {
        value /= step;
        print_value(text, value, ++i);
    }
    (void)snprintf(out.text, sizeof out.text, "%.20s%s", text, units[i]);
    return out;
}

cli_text cli_bytes(double bytes)
{
    static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB"};
    return scaled(bytes, 1024, units, 5);
}

cli_text cli_count(double count)
{
    static const char *const units[] = {"", "K", "M", "B", "T"};
    return scaled(count, 1000, units, 5);
}

cli_text cli_duration(double seconds)
{
    cli_text out;
    const double whole = round(seconds), minutes = floor(whole / 60);
    if (!isfinite(seconds))
        (void)snprintf(out.text, sizeof out.text, "?");
    else if (whole < 60)
        (void)snprintf(out.text, sizeof out.text, "%.0fs", whole);
    else if (whole < 3600)
        (void)snprintf(out.text, sizeof out.text, "%.0fm%02.0fs", minutes, fmod(whole, 60));
    else if (whole < 3.6e9)
        (void)snprintf(out.text, sizeof out.text, "%.0fh%02.0fm", floor(minutes / 60),
                       fmod(minutes, 60));
    else
        (void)snprintf(out.text, sizeof out.text, "%.3gh", whole / 3600);
    return out;
}

/* Bytes of UTF-8 that show as `columns` columns at most, cut at a blank where there is one; never
 * between a number and its %. */
static size_t fitting(const char *text, size_t columns)
{
    size_t bytes = 0, shown = 0, blank = 0;
    while (text[bytes] && text[bytes] != '\n') {
        size_t step = 1;
        while (((unsigned char)text[bytes + step] & 0xc0) == 0x80) step++;
        if (shown == columns) return blank ? blank : bytes;
        if (text[bytes] == ' ' && text[bytes + 1] != '%') blank = bytes;
        bytes += step;
        shown++;
    }
    return bytes;
}

void cli_wrapped(const char *label, int indent, const char *text)
{
    printf("%-*s", indent, label);
    while (*text) {
        const size_t n = fitting(text, (size_t)(COLUMNS - indent));
        printf("%.*s\n", (int)n, text);
        text += n;
        while (*text == ' ' || *text == '\n') text++;
        if (*text) printf("%*s", indent, "");
    }
}
