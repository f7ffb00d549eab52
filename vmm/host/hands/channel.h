/* Records with descriptors over a SOCK_SEQPACKET pair, without waiting. */
#ifndef COFRE_HOST_HANDS_CHANNEL_H
#define COFRE_HOST_HANDS_CHANNEL_H

#include <stddef.h>
#include <sys/types.h>

/* 0, or -1 and errno (EAGAIN: there is no room now). */
int channel_send(int socket, const void *data, size_t size, const int *fds, unsigned count);
/* The record's size; -1 and errno otherwise: EAGAIN, ECONNRESET for the end, EMSGSIZE for a record that is longer or has more
 * descriptors, of which none is left open. fds are the caller's, and closed on execve(2). */
ssize_t channel_receive(int socket, void *out, size_t size, int *fds, unsigned *count, unsigned max);

#endif
