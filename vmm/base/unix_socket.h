/* Unix stream sockets by path. */
#ifndef COFRE_BASE_UNIX_SOCKET_H
#define COFRE_BASE_UNIX_SOCKET_H

#include <stdbool.h>
#include <sys/un.h>

/* False where the path is too long for a socket. */
bool unix_address(struct sockaddr_un *out, const char *path);

/* A non-blocking, close-on-exec descriptor of a connection to who listens at path; -1 and errno (ENAMETOOLONG for
 * such a path; EAGAIN where too many already wait there). */
int unix_connect(const char *path);

#endif
