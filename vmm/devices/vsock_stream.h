/*
 * One stream of the socket device: a connection between a host program's unix socket and a guest's port, with its state,
 * credit and buffer. vsock.c owns the table of streams and the queues; vsock_stream.c what happens on one stream.
 * All with the device's lock held.
 */
#ifndef COFRE_DEVICES_VSOCK_STREAM_H
#define COFRE_DEVICES_VSOCK_STREAM_H

#include <assert.h>

#include "vmm/devices/virtio.h"
#include "vmm/devices/vsock.h"

#define VSOCK_STREAMS 128         /* at once */
#define VSOCK_BUFFER  (64u << 10) /* what the guest may send ahead on one stream: its credit */
#define VSOCK_RESETS  64          /* that wait for a buffer of the guest's; more are forgotten */
#define VSOCK_HOST    2u

enum vsock_op {
    VSOCK_REQUEST = 1,
    VSOCK_RESPONSE = 2,
    VSOCK_RST = 3,
    VSOCK_SHUTDOWN = 4,
    VSOCK_RW = 5,
    VSOCK_CREDIT_UPDATE = 6,
    VSOCK_CREDIT_REQUEST = 7,
};
enum vsock_shutdown { VSOCK_NO_RECEIVE = 1, VSOCK_NO_SEND = 2, VSOCK_NEITHER = 3 };

#define VSOCK_STREAM_TYPE 1

/* virtio 1.2, 5.10.6: struct virtio_vsock_hdr, little-endian as the host is. */
struct vsock_header {
    uint64_t src_cid, dst_cid;
    uint32_t src_port, dst_port, len;
    uint16_t type, op;
    uint32_t flags, buf_alloc, fwd_cnt;
} __attribute__((packed));
static_assert(sizeof(struct vsock_header) == 44, "virtio 1.2, 5.10.6");

enum vsock_state {
    VSOCK_GREETING,  /* a host program has connected and not yet said where to */
    VSOCK_REQUESTED, /* the guest has been asked */
    VSOCK_OPEN,
};

struct vsock;

struct vsock_stream {
    struct vsock *vsock;
    struct loop_source source; /* the host's end */
    enum vsock_state state;
    uint32_t host_port, guest_port;
    uint32_t owed;       /* packets to send when there is room, by bit of enum vsock_op */
    unsigned guest_shut; /* enum vsock_shutdown: what the guest said it will do no more */
    unsigned host_shut;  /* the same of the host's program; owed to the guest as VSOCK_SHUTDOWN */
    bool host_told;      /* shutdown(2) was called: the program sees the end */
    uint32_t sent, peer_alloc, peer_forwarded; /* bytes to the guest, and its credit as last told */
    uint32_t forwarded, told;                  /* bytes from the guest that the host has, and as last told */
    uint32_t head, count;                      /* of buffer */
    uint8_t buffer[VSOCK_BUFFER];              /* from the guest, not yet taken by the host */
};

struct vsock_reset {
    uint64_t host_cid;
    uint32_t host_port, guest_port;
    uint16_t type;
};

struct vsock {
    struct virtio_device virtio;
    uint64_t cid;
    struct vsock_way way;
    struct loop_source listener;
    struct vsock_stream *stream[VSOCK_STREAMS];
    uint32_t next_port;
    bool starved, held; /* no buffer of the guest's to fill; one is taken and not yet filled */
    struct queue_chain room;
    struct vsock_reset reset[VSOCK_RESETS];
    unsigned resets;
};

/* vsock.c */

/* Whether a packet can be sent to the guest now. When not, all streams are told to wait. */
bool vsock_has_room(struct vsock *v);
/* Fills the buffer that vsock_has_room found; source and destination are filled in here. */
void vsock_send(struct vsock *v, struct vsock_header *h, const void *data);
/* Owes the guest a reset of these ports. */
void vsock_owe_reset(struct vsock *v, const struct vsock_reset *reset);

/* After whatever happened: sends what is owed, as far as the guest has buffers, and watches every stream anew. */
void vsock_flush(struct vsock *v);

/* vsock_stream.c */

/* Takes fd over. NULL when there are too many streams, or no memory; fd is closed then. */
struct vsock_stream *vsock_stream_new(struct vsock *v, int fd, enum vsock_state state);
/* Closes it; the guest is told with a reset unless it was the guest that reset it, or never heard of it. */
void vsock_stream_end(struct vsock_stream *s, bool tell_guest);
/* A packet of the guest's for this stream; its data, h->len bytes, is in chain after the header. */
void vsock_stream_packet(struct vsock_stream *s, const struct vsock_header *h,
                         const struct queue_chain *chain);
/* Sends the next packet that is owed; there is room, and something is owed. */
void vsock_stream_pay(struct vsock_stream *s);
/* Watches the host's end for what can be done now. */
void vsock_stream_watch(struct vsock_stream *s);

#endif
