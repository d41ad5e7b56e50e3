/* watch_beats.h — heartbeats between nodes as UDP datagrams. Private to runtime/comm.
 * The first two nodes listen; every node sends to all their addresses. Nothing here blocks, nothing
 * here fails a run: a datagram that does not come is one heartbeat less. */
#ifndef COMM_WATCH_BEATS_H
#define COMM_WATCH_BEATS_H

#include "comm/world.h"

enum { BEATS_LISTENERS = 2, BEATS_ADDRESSES = 6 };

/* What a rank's desk says. */
typedef struct beat {
    int32_t rank, phase;
    int64_t step, entered;
} beat;

/* Where a listener can be reached; as the socket calls want it. */
typedef struct beats_address {
    uint32_t host[BEATS_ADDRESSES];
    uint16_t port;
    uint16_t count;
} beats_address;

typedef struct watch_beats {
    int socket;
    uint64_t token; /* of this job: others are not listened to */
    beats_address listener[BEATS_LISTENERS];
} watch_beats;

/* listen: this node's listener; out->listener is left to the caller. socket -1 when there is none.
 */
void watch_beats_init(watch_beats *out, uint64_t token, bool listens, beats_address *mine);
void watch_beats_deinit(watch_beats *b);
/* In as many datagrams as it takes. */
void watch_beats_send(const watch_beats *b, int32_t node, const beat *beats, int32_t count);
/* Calls heard for every rank's beat that has come in. */
void watch_beats_receive(const watch_beats *b, void *context,
                         void (*heard)(void *context, int32_t node, const beat *one));

#endif
