/* Who asks a cofred, over one connection that is kept as long as cofred keeps it. */
#ifndef COFRE_TEST_HOST_ASKER_H
#define COFRE_TEST_HOST_ASKER_H

#include "tests/unit/host/front/client.h"

struct asker {
    const char *socket;
    unsigned user;
    int fd; /* -1: none */
};
void asker_send(struct asker *a, const char *text, size_t len); /* connects where there is no connection */
bool asker_read(struct asker *a, struct answer *out); /* false: the connection ended before, status 0 */
void asker_hang_up(struct asker *a);
/* path is behind /v1; headers end in \r\n each; body is JSON with ' for ", bytes, or NULL. The caller frees it. */
char *asker_request(const char *method, const char *path, const char *headers, const char *body);

#endif
