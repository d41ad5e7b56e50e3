#include "comm/watch_beats.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BEATS_MOST = 32 }; /* of a datagram: stays under the smallest usual packet */

typedef struct datagram {
    uint64_t token;
    int32_t node, count;
    beat beats[BEATS_MOST];
} datagram;

/* the addresses of this host that others may reach */
static void find_addresses(beats_address *out)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0) return;
    for (struct ifaddrs *a = all; a && out->count < BEATS_ADDRESSES; a = a->ifa_next) {
        if (!a->ifa_addr || a->ifa_addr->sa_family != AF_INET) continue;
        if (!(a->ifa_flags & IFF_UP) || (a->ifa_flags & IFF_LOOPBACK)) continue;
        struct sockaddr_in in;
        memcpy(&in, a->ifa_addr, sizeof in);
        out->host[out->count++] = in.sin_addr.s_addr;
    }
    freeifaddrs(all);
}

void watch_beats_init(watch_beats *out, uint64_t token, bool listens, beats_address *mine)
{
    *out = (watch_beats){.token = token};
    *mine = (beats_address){0};
    out->socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    socklen_t length = sizeof at;
    if (out->socket < 0 || !listens) return;
    if (bind(out->socket, (struct sockaddr *)&at, sizeof at) != 0 ||
        getsockname(out->socket, (struct sockaddr *)&at, &length) != 0)
        return;
    mine->port = at.sin_port;
    find_addresses(mine);
}

void watch_beats_deinit(watch_beats *b)
{
    if (b->socket >= 0) (void)close(b->socket);
    b->socket = -1;
}

static void send_one(const watch_beats *b, const datagram *d)
{
    size_t bytes = offsetof(datagram, beats) + (size_t)d->count * sizeof d->beats[0];
    for (int l = 0; l < BEATS_LISTENERS; l++)
        for (int a = 0; a < b->listener[l].count; a++) {
            struct sockaddr_in to = {.sin_family = AF_INET,
                                     .sin_port = b->listener[l].port,
                                     .sin_addr.s_addr = b->listener[l].host[a]};
            (void)sendto(b->socket, d, bytes, 0, (struct sockaddr *)&to, sizeof to);
        }
}

void watch_beats_send(const watch_beats *b, int32_t node, const beat *beats, int32_t count)
{
    if (b->socket < 0) return;
    for (int32_t first = 0; first < count; first += BEATS_MOST) {
        datagram d = {.token = b->token, .node = node};
        d.count = count - first < BEATS_MOST ? count - first : BEATS_MOST;
        memcpy(d.beats, beats + first, (size_t)d.count * sizeof *beats);
        send_one(b, &d);
    }
}

void watch_beats_receive(const watch_beats *b, void *context,
                         void (*heard)(void *context, int32_t node, const beat *one))
{
    datagram d;
    ssize_t bytes;
    while (b->socket >= 0 && (bytes = recv(b->socket, &d, sizeof d, 0)) >= 0) {
        /* a stranger's datagram is dropped */
        if ((size_t)bytes < offsetof(datagram, beats) || d.token != b->token) continue;
        if (d.count < 0 || d.count > BEATS_MOST) continue;
        if ((size_t)bytes != offsetof(datagram, beats) + (size_t)d.count * sizeof d.beats[0])
            continue;
        for (int32_t i = 0; i < d.count; i++) heard(context, d.node, &d.beats[i]);
    }
}
