/* Socket pairs between cofred's processes: SOCK_SEQPACKET, a message a record, descriptors beside it. */
#ifndef COFRE_HOST_FRONT_PAIR_H
#define COFRE_HOST_FRONT_PAIR_H

#include <sys/types.h>

#include "vmm/base/bytes.h"

#define PAIR_DESCRIPTORS_MAX 2

/* 0, or a negative errno: -EAGAIN where the other end has to take something first, -EPIPE where it is gone. Descriptors stay the
 * caller's. */
int pair_send(int to, struct view message, const int *fd, size_t count);

/* The record's length, 0 at the end, or a negative errno. fd[0] to fd[count - 1] are the descriptors that came with it, -1 where none
 * did. A record longer than room, or with more of them, is -EBADMSG, and none is left open. */
ssize_t pair_receive(int from, void *out, size_t room, int *fd, size_t count);

#endif
