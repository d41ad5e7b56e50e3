/* cli.h — arguments of the verbs, messages for people. */
#ifndef LAUNCHER_CLI_H
#define LAUNCHER_CLI_H

#include "base/json.h"
#include "comm/world.h"

/* One option of a verb; value NULL: a flag. Rows end with name NULL. */
typedef struct cli_option {
    const char *name;   /* "--run"                                    */
    const char **value; /* receives the text after it, or NULL        */
    bool *flag;         /* receives true                              */
} cli_option;

/* Splits argv[1..argc) into options (from the rows), and the rest, kept in order in
 * rest[0..*rest_count).
 * "--run X" and "--run=X" are the same. ERR_CONFIG names an unknown option and the nearest known
 * one, or an option whose value is given twice: the first would be ignored. */
status cli_parse(int argc, char **argv, const cli_option *options, const char **rest,
                 int *rest_count);
/* An option's number, with the endings of configs (1e9, 20B, 2h); *out keeps its value when text is
 * NULL. ERR_CONFIG names option, text, range and the nearest value in it. */
status cli_number(double *out, const char *option, const char *text, double low, double high);
status cli_integer(int64_t *out, const char *option, const char *text, int64_t low, int64_t high);
/* A number above 0 and at most high. */
status cli_positive(double *out, const char *option, const char *text, double high);
/* Index of an option's text among words, which end with NULL; *out keeps its value when text is
 * NULL. ERR_CONFIG lists the words. */
status cli_choice(int32_t *out, const char *option, const char *text, const char *const *words);
/* True when "--help" or "-h" stands among the arguments; prints the text to stdout. */
bool cli_help(int argc, char **argv, const char *text);
/* "isoflop: error: message" on stderr unless OK, FOUND or INTERRUPTED (which prints plainly).
 * Returns code as int. */
int cli_report(status code);
/* The same for a rank of a world, or of none yet: the first speaks. What is wrong with the
 * arguments is wrong on all ranks, before any has joined (usage): then the others return 0, because
 * a launcher ends all ranks when one fails, and the first might not have spoken by then. */
int cli_report_rank(const world *w, status code, status usage);
/* A person is watching stdout. mpirun gives its ranks a terminal of their own; then mpirun's own
 * output decides. */
bool cli_terminal(void);
/* How far long work is, on stderr: a line that rewrites itself on a terminal, elsewhere one line in
 * half a minute. show takes it as void *, because lower libraries call it back. */
typedef struct cli_meter {
    const char *verb;
    double begin_s, last_s, done;
    bool terminal;
} cli_meter;
cli_meter cli_meter_begin(const char *verb);
/* done: the share of the work, 0 to 1. Where it falls, another piece of work begins. */
void cli_meter_show(void *meter, const char *stage, double done);
/* Takes the line away. */
void cli_meter_end(const cli_meter *m);
/* ERR_IO when stdout did not take all that was printed. */
status cli_printed(void);
/* Prints a result of --json to stdout. Takes root over; NULL (a tree that could not be built) is
 * ERR_MEMORY, a stdout that does not take it ERR_IO. */
status cli_json(json_t *root);
/* "label   text" on stdout: the text begins at column `indent` and is wrapped to 100 columns under
 * itself. */
void cli_wrapped(const char *label, int indent, const char *text);
/* The text as one word of a shell: quoted where it has to be. Truncates at bytes, which are at
 * least 3; four for each byte of the text and 3 are always enough. */
void cli_word(char *out, size_t bytes, const char *text);
/* The path of this program as such a word. */
void cli_self(char *out, size_t bytes);
/* Number of bytes as "12.3 MiB", count as "1.25M", seconds as "2h05m"; into a ring of static-free
 * buffers. */
typedef struct cli_text {
    char text[32];
} cli_text;
cli_text cli_bytes(double bytes);
cli_text cli_count(double count);
cli_text cli_duration(double seconds);

#endif
