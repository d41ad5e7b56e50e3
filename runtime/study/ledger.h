/* ledger.h — which runs of a study were started, done or failed: one JSON line each, append-only.
 *   {"run":"NAME","state":"started|done|failed","step":N,"exit":N,"loss":X,"crc":"8 hex digits"}
 * exit is null of what was only started.
 * crc is the CRC-32 (zlib's) of the line up to the comma before it. Writers of several processes
 * take a file lock around "read, decide, append", so the ledger is also the queue of the study.
 * A line is on disk before the append returns. A line that does not match its crc ends the ledger:
 * what follows is set aside, and the runs themselves (their directories) say how far they are.   */
#ifndef STUDY_LEDGER_H
#define STUDY_LEDGER_H

#include "base/status.h"

#include <stdint.h>

typedef enum ledger_state { LEDGER_STARTED, LEDGER_DONE, LEDGER_FAILED } ledger_state;

typedef struct ledger_line {
    char run[96];
    ledger_state state;
    int64_t step;
    int32_t exit; /* exit code a single run would have left with; 0 at its start */
    double loss;  /* validation; NaN: none                        */
} ledger_line;

typedef struct ledger {
    char path[1100];
    int fd;
    bool locks; /* the file system has file locks */
} ledger;

/* Creates the file where there is none. ERR_IO. The caller closes. */
status ledger_open(ledger *out, const char *folder);
void ledger_close(ledger *l);
/* Holds the ledger against other processes; ERR_IO where the file system has no locks and `needed`
 * is true. */
status ledger_lock(ledger *l, bool needed);
void ledger_unlock(ledger *l);
/* Appends and syncs. */
status ledger_append(ledger *l, const ledger_line *line);
/* Lines from byte `from` on, up to the first damaged one; *end is where that begins (else the size
 * of the file). *lines is malloc'ed. */
status ledger_read(const ledger *l, int64_t from, ledger_line **lines, int32_t *count,
                   int64_t *end);
/* Cuts what follows the first damaged line into PATH.damaged (appended). *lost: how many lines that
 * were; *line: number of the first. Call before anybody else writes. */
status ledger_recover(ledger *l, int32_t *lost, int32_t *line);

#endif
