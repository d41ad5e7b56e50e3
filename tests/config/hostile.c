/* Files that were not written to be read: refused with a reason, quickly, whatever they hold. */
#include "config/config_text.h"

#include <time.h>

static void refused_bytes(const char *bytes, size_t size, const char *message)
{
    config c;
    const status s = config_parse(&c, "run.yaml", bytes, (int64_t)size, 0, NULL);
    cr_assert_eq(s, ERR_CONFIG, "accepted, or status %d", (int)s);
    cr_assert(strstr(status_message(), message), "expected: %s\ngot:      %s", message,
              status_message());
}

Test(hostile, empty_files_and_files_that_are_no_mapping)
{
    refused("", "run.yaml: the file is empty");
    refused("\n\n# nothing\n", "run.yaml: the file is empty");
    refused("---\n", "not a mapping");
    refused("hello\n", "run.yaml:1: not a mapping");
    refused("- a\n- b\n", "run.yaml:1: a list");
    refused("{}", "name: not given");
    refused(SMALL_CONFIG "---\nname: second\n", "run.yaml:6: a second document");
}

Test(hostile, bytes_that_are_no_text)
{
    refused_bytes("name: a\0b\n", 10, "run.yaml:1: a NUL byte");
    refused_bytes("name: ok\nmodel: \xff\xfe\n", 19, "run.yaml:2: ");
    refused_bytes("name: \xc3\n", 8, "run.yaml:1: ");
    refused_bytes("name: \xed\xa0\x80\n", 10, "run.yaml:1: ");
    refused_bytes("name: \xf4\x90\x80\x80\n", 11, "run.yaml:1: ");
    refused_bytes("name: \x01\n", 8, "run.yaml:1: ");
    refused_bytes("\xff\xfen\0a\0m\0e\0:\0", 12, "run.yaml:1: a NUL byte");
    refused("name: \"a\\0b\"\n", "name: a NUL byte in the value");
    refused("\"na\\0me\": b\n", "a NUL byte in a key");
    refused("name: \"a\\nb\"\n" SMALL_MODEL SMALL_DATA SMALL_TRAIN SMALL_OPTIMIZER,
            "name: the text holds the control character U+000A");
    refused("name: \"a\\u2028b\"\n", "control character U+2028");
}

Test(hostile, tabs_that_indent)
{
    refused("name: x\nmodel:\n\tlayers: 2\n", "run.yaml:3: a tab; allowed: spaces");
    refused("name: x\nmodel:\n  \tlayers: 2\n", "run.yaml:3: a tab");
    /* a tab before a comment harms nobody */
    accepted(SMALL_CONFIG "backend: cpu \t# fast\n", NULL);
}

Test(hostile, yaml_that_configs_do_not_use)
{
    refused("name: &a x\n", "run.yaml:1: an anchor");
    refused("name: *a\n", "run.yaml:1: an alias");
    refused("name: !!str x\n", "run.yaml:1: a tag");
    refused("<<: {name: x}\n", "run.yaml:1: <<: unknown key");
    refused("? {a: b}\n: c\n", "run.yaml:1: a key that is not plain text");
    refused("\"\": x\n", "run.yaml:1: an empty key");
    refused("name: [x\n", "run.yaml:1: a list");
    refused("name: {x\n", "run.yaml:");
    refused("name: \"x\n", "run.yaml:");
    refused("name: x\n  model: y\n", "run.yaml:2: ");
    refused("name: @x\n", "run.yaml:1: ");
    refused("name: x\nname\n", "run.yaml:");
    refused("%YAML 9.9\n---\nname: x\n", "run.yaml:1: ");
    /* ten anchors of ten would be 10^10 values: the first is refused */
    refused("a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n", "run.yaml:1: ");
}

static double seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* 10 MB: head, then a pattern repeated, then the end. */
static char *ten_megabytes(const char *head, const char *pattern, const char *end, size_t *size)
{
    const size_t n = 10u << 20, h = strlen(head), p = strlen(pattern), e = strlen(end);
    char *text = malloc(n + h + p + e + 1);
    memcpy(text, head, h);
    size_t used = h;
    for (; used < n; used += p) memcpy(text + used, pattern, p);
    memcpy(text + used, end, e + 1);
    *size = used + e;
    return text;
}

Test(hostile, ten_megabytes_are_answered_within_seconds, .timeout = 60)
{
    static const struct {
        const char *head, *pattern, *end, *message;
    } cases[] = {
        {SMALL_CONFIG, "# a comment that goes on and on\n", "", NULL},
        {SMALL_CONFIG, "\n", "", NULL},
        {"name: ", "x", "\n", "name: 1048"},
        {"name: \"", "x y ", "\"\n", "name: 1048"},
        {"name: |\n", "  line\n", "\n", "name: "},
        {SMALL_CONFIG "evaluate: {tokens: ", "9", "}\n", "evaluate.tokens: '999"},
        {"", "k", ": 1\n", "run.yaml:1: "},
        {"", "a: ", "\n", "run.yaml:1: "},
        {"", "- ", "\n", "run.yaml:1: a list"},
        {"", "[", "", "run.yaml:1: a list"},
        {"", "{", "", "run.yaml:1: "},
        {"", "? ", "", "run.yaml:1: "},
        {"", "\"", "", "run.yaml:1: "},
        {"name: x\n", "nome: y\n", "", "run.yaml:2: nome: unknown key"},
        {"name: x\n", "--- \n", "", "run.yaml:2: a second document"},
        {"name: ", "!", "\n", "run.yaml:1: "},
        {"name: ", "&a ", "\n", "run.yaml:1: "},
        {"", " ", "name: x\n", "run.yaml"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t size;
        char *text = ten_megabytes(cases[i].head, cases[i].pattern, cases[i].end, &size);
        const double start = seconds();
        if (cases[i].message) {
            refused_bytes(text, size, cases[i].message);
        } else {
            config c;
            cr_assert_eq(config_parse(&c, "run.yaml", text, (int64_t)size, 0, NULL), OK, "%s",
                         status_message());
        }
        const double took = seconds() - start;
        cr_assert_lt(took, 10, "case %zu took %.1f s", i, took);
        free(text);
    }
}

Test(hostile, files_above_the_stated_size_are_refused_unread)
{
    refused_bytes("", CONFIG_BYTES_MAX + 1ul, "run.yaml: larger than a config can be (16 MiB)");
}

Test(hostile, a_config_cut_anywhere_is_refused_or_read_but_never_breaks)
{
    const char *whole = SMALL_CONFIG "schedule: {name: wsd, decay_tokens: 1K}\n";
    const size_t n = strlen(whole);
    for (size_t i = 0; i < n; i++) {
        config c;
        char *cut = malloc(i + 1); /* exactly as long as it is: reading beyond is seen by ASan */
        memcpy(cut, whole, i);
        const status s = config_parse(&c, "run.yaml", cut, (int64_t)i, 0, NULL);
        cr_assert(s == OK || (s == ERR_CONFIG && strncmp(status_message(), "run.yaml", 8) == 0),
                  "%zu bytes: %s", i, status_message());
        free(cut);
    }
}
