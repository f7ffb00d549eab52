/* What passt may send: bytes of a stream, in pieces as the input says. A packet that is received is the frame that the stream
 * had there, header zero. The input is pieces: a length (2), then so many bytes. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/base/bytes.h"
#include "vmm/devices/net_stream.h"

#define HEADER sizeof(struct net_header)

static uint8_t sent[FUZZ_SEED_MAX * 2], packet[NET_PACKET_MAX];
static size_t sent_len, taken; /* of the stream: by the other end, and by frames that were received */

static bool take_frame(struct net_backend *backend)
{
    struct iovec iov[3] = {{packet, 7}, {packet + 7, 30}, {packet + 37, sizeof packet - 37}};
    size_t len = 0;
    enum net_outcome outcome = backend->ops->receive(backend, 0, iov, 3, &len);
    if (outcome != NET_DONE)
        return false;
    FUZZ_CHECK(len >= HEADER + NET_FRAME_MIN && len <= NET_PACKET_MAX);
    FUZZ_CHECK(bytes_are_zero(packet, HEADER));
    size_t frame = len - HEADER;
    FUZZ_CHECK(taken + 4 + frame <= sent_len);
    const uint8_t *at = sent + taken;
    FUZZ_CHECK(((size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3]) == frame);
    FUZZ_CHECK(memcmp(packet + HEADER, at + 4, frame) == 0);
    taken += 4 + frame;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net_backend *backend;
    int ends[2];
    sent_len = taken = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) ||
        net_stream_new(&backend, "fuzz", ends[0], NULL))
        abort();
    while (size > 2) {
        size_t piece = le16(data) < size - 2 ? le16(data) : size - 2;
        ssize_t n = send(ends[1], data + 2, piece, MSG_NOSIGNAL);
        if (n > 0)
            memcpy(sent + sent_len, data + 2, (size_t)n);
        sent_len += n > 0 ? (size_t)n : 0;
        data += 2 + piece;
        size -= 2 + piece;
        while (take_frame(backend))
            continue;
        if (n != (ssize_t)piece)
            break;
    }
    close(ends[1]);
    while (take_frame(backend))
        continue;
    backend->ops->free(backend);
    return 0;
}

/* Three frames: in one piece, and in many. */
size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const uint8_t lengths[] = {14, 60, 200};
    static const unsigned pieces[] = {1000, 1, 9};
    uint8_t stream[300];
    size_t len = 0, n = 0;
    if (index >= sizeof pieces / sizeof pieces[0])
        return 0;
    for (size_t i = 0; i < sizeof lengths; i++) {
        memcpy(stream + len, (uint8_t[]){0, 0, 0, lengths[i]}, 4);
        memset(stream + len + 4, lengths[i], lengths[i]);
        len += 4u + lengths[i];
    }
    for (size_t at = 0; at < len; at += pieces[index]) {
        size_t piece = len - at < pieces[index] ? len - at : pieces[index];
        put_le16(out + n, (uint16_t)piece);
        memcpy(out + n + 2, stream + at, piece);
        n += 2 + piece;
    }
    return n;
}
