/*
 * A guest against the network card, before a backend that is a socket here. The records OTHER are the host's: packets for the
 * guest, and what becomes of the guest's own. The backend gets no packet that the device should have refused.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/fuzz/hostile_guest.h"
#include "vmm/base/bytes.h"
#include "vmm/devices/net.h"

#define PAIRS 2

static int host[PAIRS];
static enum net_outcome outcome;
static unsigned used_pairs;
static uint64_t features; /* that were negotiated */

static enum net_outcome take(struct net_backend *backend, unsigned pair, struct iovec *iov, unsigned count)
{
    uint64_t len = 0;
    volatile uint8_t byte;
    (void)backend;
    FUZZ_CHECK(pair < PAIRS && count > 0 && count <= NET_IOV_MAX &&
               iov[0].iov_len == sizeof(struct net_header));
    for (unsigned i = 0; i < count; i++) {
        len += iov[i].iov_len;
        for (size_t at = 0; at < iov[i].iov_len; at += 64) /* all of it is readable */
            byte = ((const volatile uint8_t *)iov[i].iov_base)[at];
    }
    (void)byte;
    FUZZ_CHECK(len <= sizeof(struct net_header) + NET_FRAME_MAX);
    struct net_header header, again;
    memcpy(&header, iov[0].iov_base, sizeof header);
    again = header;
    FUZZ_CHECK(net_header_check(&again, len - sizeof header, features) &&
               memcmp(&again, &header, sizeof header) == 0);
    return outcome;
}

static enum net_outcome give(struct net_backend *backend, unsigned pair, const struct iovec *iov,
                             unsigned count, size_t *len)
{
    ssize_t n = readv(backend->fd[pair], iov, (int)count);
    if (n < 0)
        return errno == EAGAIN ? NET_LATER : NET_DROPPED;
    *len = (size_t)n;
    return (size_t)n < sizeof(struct net_header) ? NET_DROPPED : NET_DONE;
}

static int start(struct net_backend *backend, uint64_t negotiated, struct cofre_err *err)
{
    (void)backend;
    (void)err;
    features = negotiated;
    return 0;
}

static int use(struct net_backend *backend, unsigned pairs, struct cofre_err *err)
{
    (void)backend;
    (void)err;
    FUZZ_CHECK(pairs >= 1 && pairs <= PAIRS);
    used_pairs = pairs;
    return 0;
}

static void nothing(struct net_backend *backend)
{
    (void)backend;
}

static void tell_host(const uint8_t record[HOSTILE_RECORD])
{
    uint8_t packet[2048] = {0};
    size_t len = sizeof(struct net_header) + le16(record + 2) % (sizeof packet - sizeof(struct net_header));
    memcpy(packet, record + 4, 8); /* the header's first bytes: offloads that the device must not believe */
    if (record[1] & 1)
        (void)send(host[record[1] >> 1 & 1], packet, len, MSG_DONTWAIT);
    else
        outcome = record[1] >> 1 & 4 ? NET_DROPPED : record[1] & 2 ? NET_LATER : NET_DONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct net_backend_ops ops = {
        .send = take, .receive = give, .start = start, .use_pairs = use, .forget = nothing, .free = nothing};
    static struct net_backend backend = {
        .ops = &ops, .name = "fuzz", .pairs = PAIRS, .features = UINT64_MAX, .mac = {2}};
    static struct hostile guest = {.other = tell_host};
    uint8_t rest[4096];
    if (!guest.device) {
        for (unsigned i = 0; i < PAIRS; i++) {
            int ends[2];
            FUZZ_CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
            backend.fd[i] = ends[0];
            host[i] = ends[1];
        }
        FUZZ_CHECK(virtio_net_on(&guest.device, &backend, NULL, NULL) == 0);
        hostile_plug(&guest);
    }
    outcome = NET_DONE;
    hostile_play(&guest, data, size);
    for (unsigned i = 0; i < PAIRS; i++)
        while (recv(backend.fd[i], rest, sizeof rest, MSG_DONTWAIT) > 0)
            continue;
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const uint8_t plain[12 + 60] = {[12] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
                                    checksum[12 + 60] = {1, 0, [6] = 34, [8] = 16},
                                    segments[12 + 100] = {1, 1, 54, 0, 20, 0, 34, 0, 16},
                                    pairs[4] = {4, 0, 2};
    size_t n = 1;
    const uint8_t rings = index % 2 ? PACKED : 0;
    index /= 2;
    if (index > 2)
        return 0;
    out[0] = (uint8_t)(rings | (index == 1 ? WITHOUT_OWN_FEATURES : 0));
    n = hostile_put_request(out, n, 0, 0, "", 0, 1600);
    n = hostile_put_request(out, n, 0, 1, "", 0, 1600);
    n = hostile_put(out, n, OTHER, 1, 60, 0);
    n = hostile_put(out, n, WORK, 0, 0, 0);
    n = hostile_put_request(out, n, 1, 0, plain, sizeof plain, 0);
    n = hostile_put(out, n, OTHER, index == 2 ? 2 : 0, 0, 0);
    n = hostile_put_request(out, n, 1, 1, checksum, sizeof checksum, 0);
    n = hostile_put_request(out, n, 1, 2, segments, sizeof segments, 0);
    n = hostile_put_request(out, n, 0, 2, pairs, sizeof pairs,
                            1); /* queue 4, the control queue, has queue 0's rings here */
    n = hostile_put(out, n, NOTIFY, 0, 0, 4);
    n = hostile_put(out, n, WORK, 0, 0, 0);
    return hostile_put_housekeeping(out, n);
}
