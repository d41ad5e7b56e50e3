#include "report/figure.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, SVG_LIMIT = 1 << 26 };

extern char **environ;

status figure_init(figure *f, const char *name, const char *title)
{
    *f = (figure){0};
    (void)snprintf(f->name, sizeof f->name, "%s", name);
    (void)snprintf(f->title, sizeof f->title, "%s", title);
    f->to = open_memstream(&f->script, &f->script_bytes);
    REQUIRE(f->to, ERR_MEMORY, "no memory for the figure %s", name);
    /* what all figures share: thin grey axes; a grid behind and raised powers, but for letters */
    (void)fputs("set encoding utf8\nset border 3 lw 0.6 lc rgb '#666666'\n"
                "set tics nomirror out scale 0.6 textcolor rgb '#333333'\n"
                "if (GPVAL_TERM ne 'dumb') set grid lw 0.4 lc rgb '#dddddd' lt 1\n"
                "power = GPVAL_TERM eq 'dumb' ? '1e%T' : '10^{%T}'\n"
                "set key outside right top Left reverse samplen 1.5\n"
                "set datafile missing '?'\n",
                f->to);
    return OK;
}

status figure_end(figure *f)
{
    const int failed = fclose(f->to);
    f->to = NULL;
    REQUIRE(!failed, ERR_MEMORY, "no memory for the figure %s", f->name);
    return OK;
}

void figure_deinit(figure *f)
{
    if (f->to) (void)fclose(f->to);
    free(f->caption);
    free(f->script);
    free(f->svg);
    free(f->text);
    *f = (figure){0};
}

const char *figure_quote(char out[160], const char *text)
{
    size_t used = 0;
    for (; *text && used + 2 < 160; text++) {
        const char c = *text;
        out[used++] = c == '"' || c == '\'' || c == '\\' || (unsigned char)c < 32 ? ' ' : c;
    }
    out[used] = 0;
    return out;
}

const char *figure_quote_path(char *out, size_t bytes, const char *path)
{
    size_t used = 0;
    out[used++] = '\'';
    for (; *path && used + 4 <= bytes; path++) {
        if (*path == '\'') out[used++] = '\''; /* '' inside '...' is one quote */
        out[used++] = *path;
    }
    out[used++] = '\'';
    out[used] = '\0';
    return out;
}

/* --- drawing -------------------------------------------------------------- */

bool figure_can_draw(void)
{
    const char *path = getenv("PATH");
    char program[PATH_BYTES];
    while (path && *path) {
        const size_t length = strcspn(path, ":");
        (void)snprintf(program, sizeof program, "%.*s/gnuplot", (int)length, path);
        if (access(program, X_OK) == 0) return true;
        path += length + (path[length] == ':');
    }
    return false;
}

status figure_gnuplot(const char *settings, const char *script, const char *said)
{
    char *const argument[] = {"gnuplot", "-d", "-e", (char *)settings, (char *)script, NULL};
    posix_spawn_file_actions_t actions;
    pid_t child;
    int state = 0;
    REQUIRE(posix_spawn_file_actions_init(&actions) == 0, ERR_MEMORY, "no memory for gnuplot");
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&actions, 1, said, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    (void)posix_spawn_file_actions_adddup2(&actions, 1, 2);
    const int failed = posix_spawnp(&child, "gnuplot", &actions, NULL, argument, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    REQUIRE(!failed, ERR_IO, "cannot start gnuplot: %s", strerror(failed));
    while (waitpid(child, &state, 0) < 0 && errno == EINTR) continue;
    if (WIFEXITED(state) && WEXITSTATUS(state) == 0) return OK;
    char *text = NULL;
    int64_t bytes;
    (void)file_read_text(&text, &bytes, said, SVG_LIMIT);
    const status s = status_set(ERR_IO, __FILE__, __LINE__, "gnuplot fails on %s: %.200s", script,
                                text ? text + strspn(text, " \n") : "");
    free(text);
    return s;
}

/* The picture without its XML prologue, for a page. */
static status read_svg(char **out, const char *path)
{
    int64_t bytes;
    char *text;
    TRY(file_read_text(&text, &bytes, path, SVG_LIMIT));
    const char *svg = strstr(text, "<svg");
    if (svg) memmove(text, svg, strlen(svg) + 1);
    *out = text;
    REQUIRE(svg, ERR_IO, "%s: gnuplot wrote no picture", path);
    return OK;
}

/* Letters only: no form feed before, no blank lines at either end. */
static status read_drawing(char **out, const char *path)
{
    int64_t bytes;
    char *text;
    TRY(file_read_text(&text, &bytes, path, SVG_LIMIT));
    size_t length = strlen(text);
    while (length && strchr(" \n\f", text[length - 1])) text[--length] = 0;
    char *first = text;
    for (char *at = text; strchr(" \n\f", *at) && *at; at++)
        if (*at != ' ') first = at + 1;
    memmove(text, first, strlen(first) + 1);
    *out = text;
    return OK;
}

status figure_draw(figure *f, const char *folder, int columns)
{
    char script[PATH_BYTES], svg[PATH_BYTES], said[PATH_BYTES], drawn[PATH_BYTES];
    char terminal[3 * PATH_BYTES];
    (void)snprintf(script, sizeof script, "%s/%s.gp", folder, f->name);
    (void)snprintf(svg, sizeof svg, "%s/%s.svg", folder, f->name);
    (void)snprintf(said, sizeof said, "%s/.%s.said", folder, f->name);
    (void)snprintf(drawn, sizeof drawn, "%s/.%s.txt", folder, f->name);
    TRY(file_write_text(script, f->script, (int64_t)f->script_bytes));
    if (!figure_can_draw()) return OK;
    char output[2 * PATH_BYTES + 4];
    /* letters and _ only */
    char name[sizeof f->name];
    for (size_t i = 0; i < sizeof name; i++) name[i] = f->name[i] == '-' ? '_' : f->name[i];
    (void)snprintf(terminal, sizeof terminal,
                   "set terminal svg size 820,460 dynamic enhanced font 'sans-serif,13' name '%s' "
                   "lw 1.3; set output %s",
                   name, figure_quote_path(output, sizeof output, svg));
    TRY(figure_gnuplot(terminal, script, said));
    status s = read_svg(&f->svg, svg);
    /* in a file of its own: in some locales gnuplot warns of characters that it cannot convert */
    (void)snprintf(terminal, sizeof terminal,
                   "set terminal dumb size %d, 24 noenhanced; set output %s", columns,
                   figure_quote_path(output, sizeof output, drawn));
    if (s == OK) s = figure_gnuplot(terminal, script, said);
    if (s == OK) s = read_drawing(&f->text, drawn);
    (void)unlink(said);
    (void)unlink(drawn);
    return s;
}
