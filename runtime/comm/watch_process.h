/* watch_process.h — what the kernel says of the processes of this node, for world_watch.c.       */
#ifndef COMM_WATCH_PROCESS_H
#define COMM_WATCH_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/* 'R' ready or running, 'S' sleeps, 'D' held by the kernel, 'T' stopped, 'Z' dead, ...; 0: there is
 * no such process or thread here. */
char watch_process_state(int32_t id);
/* That in words, for one whose heart stands still. */
const char *watch_process_words(char state);

/* Whether the main thread of a process was ready at every look and hardly ran. One that waits for
 * others sleeps now and then; one that hangs sleeps, or runs. Begins as {0, .since_s = now}. */
typedef struct watch_ready {
    double since_s; /* then it last ran, or was not ready */
    double ran_s;   /* its processor time by then         */
} watch_ready;
/* Looks; for how long it has been so. */
double watch_ready_for(watch_ready *r, int32_t pid, double now_s);

#endif
