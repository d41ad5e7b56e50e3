/* world_watch.h — finds ranks that have stopped, died or lag, names them and ends the job.
 * Every rank notes in memory that its node shares what it does: phase, step, and a ring of the last
 * collectives it entered. A thread of each process counts heartbeats there; on several nodes the
 * first living rank of each sends what stands there to the first two nodes by UDP (IPv4; where
 * datagrams do not pass, only the deadlines of collectives are left). Threads never call MPI.
 *   - a process that is gone, or whose heartbeat stands still, is named by its own node; one whose
 *     heart would beat if it got a processor is not: that is said once, and waited for;
 *   - a node that is silent while others wait for it is named by the first node, or the second;
 *   - a rank that lives but does not come is named by those who wait, when the deadline of their
 *     collective ends. On its own node that is not counted while a rank is ready and gets no
 *     processor; other nodes do not know that, and name it.
 * The verdict is the ERR_COMM of the call that waits; who passes it on to world_abort prints it. A
 * main thread that does not wait gets some seconds, then its watching thread ends the process. */
#ifndef COMM_WORLD_WATCH_H
#define COMM_WORLD_WATCH_H

#include "comm/world.h"

#include <stdatomic.h>

typedef enum watch_phase {
    WATCH_OPENING,
    WATCH_DATA,
    WATCH_COMPUTE,
    WATCH_REDUCTION,
    WATCH_REPORTS,
    WATCH_UPDATE,
    WATCH_WEIGHTS,
    WATCH_EVALUATION,
    WATCH_CHECKPOINT,
    WATCH_CLOSING,
    WATCH_PHASES
} watch_phase;

/* Starts watching a world of several ranks; heartbeat_s > 0: how long one may stand still. Opens
 * nothing on a world of one rank, or twice. COLLECTIVE. world_close ends it. */
status world_watch_open(world *w, double heartbeat_s);
/* From here on nobody expects this rank's heartbeat. w NULL or not watched: no-op. */
void world_watch_close(world *w);

/* What this rank does now; cheap. w NULL or not watched: no-op, as for all that follow. */
void world_watch_note(world *w, watch_phase phase, int64_t step);
/* This rank enters its next collective (of the world or of a comm). */
void world_watch_enter(world *w);
/* The main thread begins (true) or ends (false) to wait for others. */
void world_watch_wait(world *w, bool waits);
/* ERR_COMM with its text once the thread has a verdict. Polled by whoever waits. */
status world_watch_check(const world *w);
/* Appends where a rank is: " on node2 (step 12, reduction, after collective 345)", or nothing. */
void world_watch_place(const world *w, int32_t rank, char *text, size_t bytes);
/* Appends, in the form "rank 3 on node2 (...), ...", those known to have entered fewer collectives
 * than this rank; false if there are none. */
bool world_watch_behind(const world *w, char *text, size_t bytes);

/* A rank of this node is ready and gets hardly any processor time: that others wait says nothing
 * then, and deadlines begin again. Says it, once. */
bool world_watch_starved(const world *w);

/* --- for world_mpi.c and world_watch.c ------------------------------------------------------- */

enum { WATCH_RING = 8 };
enum { WATCH_RUNS, WATCH_STARVED, WATCH_STARVED_SAID };

typedef struct watch_entry {
    int64_t number; /* collectives entered, this one included */
    int32_t phase;
    double at_s; /* clock_s */
} watch_entry;

/* One per rank of a node, in a window; written by its owner alone but for aborting and starved. */
typedef struct world_desk {
    _Alignas(64) _Atomic int64_t calls; /* collective calls of the world, for naming who is late  */
    _Atomic int32_t aborting;           /* of local rank 0: somebody prints the last message      */
    _Atomic int32_t watched;            /* between open and close of the watch                    */
    _Atomic int32_t starved;            /* WATCH_...; of who acts for the node, and who said it   */
    _Atomic int32_t pid, watcher;       /* the process; its thread whose heart beats             */
    _Atomic int32_t phase;
    _Atomic int64_t step;
    _Atomic int64_t entered; /* collectives of the world and its comms                 */
    _Atomic int64_t beats;
    watch_entry ring[WATCH_RING];
} world_desk;

#endif
