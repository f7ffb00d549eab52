/*
 * Frames over a stream socket, as QEMU's socket networks and passt have them: each is a 32-bit big-endian length and
 * the frame. A network device's backend without offloads; who is at the other end is another file's business.
 *
 * After it is made, it needs, in the thread of the device: recvmsg and sendmsg on its socket.
 */
#ifndef COFRE_DEVICES_NET_STREAM_H
#define COFRE_DEVICES_NET_STREAM_H

#include "vmm/devices/net_backend.h"

#define NET_STREAM_FRAME_MAX 65535 /* what passt takes */

/* fd is a connected stream socket, the backend's from here on, also where this fails. */
int net_stream_new(struct net_backend **out, const char *name, int fd, struct cofre_err *err);

#endif
