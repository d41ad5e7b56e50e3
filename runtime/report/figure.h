/* figure.h — pictures: a gnuplot script with its data inside, drawn as SVG and as text.
 * The script names no terminal and no file, so the same lines give every form; NAME.gp is kept
 * beside NAME.svg for people who want another one. Without gnuplot the scripts still come.
 * Flow: report_*.c -> figure -> page.h                                                          */
#ifndef REPORT_FIGURE_H
#define REPORT_FIGURE_H

#include "base/status.h"

#include <stdio.h>

typedef struct figure {
    char name[48], title[160];
    char *caption; /* owned; NULL: none                                     */
    char *script;  /* gnuplot; owned                                        */
    size_t script_bytes;
    FILE *to;   /* receives the script until figure_end                      */
    char *svg;  /* drawn; NULL without gnuplot; owned                        */
    char *text; /* drawn with letters; NULL without gnuplot; owned          */
} figure;

/* Opens a script; write to f->to, then end it. ERR_MEMORY. The caller deinits. */
status figure_init(figure *f, const char *name, const char *title);
status figure_end(figure *f);
void figure_deinit(figure *f);
/* Text inside a gnuplot string: quotes and controls become blanks. out has 160 bytes. */
const char *figure_quote(char out[160], const char *text);
/* 'PATH' with quotes around and within: a gnuplot string; cut at bytes (4 or more). Returns out. */
const char *figure_quote_path(char *out, size_t bytes, const char *path);

/* Is there a gnuplot? */
bool figure_can_draw(void);
/* Runs gnuplot on a script, after settings ("set terminal dumb", or ""); what it says goes to the
 * file said. ERR_IO when it cannot start or fails, with its first words. */
status figure_gnuplot(const char *settings, const char *script, const char *said);
/* Writes FOLDER/NAME.gp, draws FOLDER/NAME.svg and both forms into *f. OK without gnuplot too.
 * ERR_IO when gnuplot fails: a bug of ours, with its first line. */
status figure_draw(figure *f, const char *folder, int columns);

#endif
