/* cofred's configuration: one JSON file, which root writes (docs/cofred.md). */
#ifndef COFRE_HOST_CONFIG_H
#define COFRE_HOST_CONFIG_H

#include <sys/types.h>

#include "vmm/host/access/access.h"
#include "vmm/host/hands/hands_server.h"

#define CONFIG_LISTENERS_MAX 8

struct config {
    json_t *document; /* owned; the texts below are its */
    const char *state; /* directory: database, log's key, images; the decider's user owns it */
    const char *run;   /* directory: guests' files, and mostly the sockets that are listened at */
    char guests[4200]; /* of it, hands' own */
    const char *log_name;
    const char *administrator;
    struct config_user {
        uid_t uid;
        gid_t gid;
        bool given; /* else each part stays who started cofred */
    } decider, gate;
    struct {
        const char *unix_path; /* NULL: TCP */
        const char *address;
        unsigned mode;
    } listener[CONFIG_LISTENERS_MAX];
    size_t listeners;
    const char *certificate, *key, *client_ca; /* PEM files; NULL: no listener by TLS, no client certificates */
    unsigned connections, of_one;
    uint64_t reserved_memory;
    struct hands_config hands;
    struct access_config *access; /* owned */
};

/* A file's path. Everything in it is checked, and nothing that it names is touched but users' names. -COFRE_USAGE with the member's
 * path, or the line where it is no JSON. */
int config_read(struct config *out, const char *path, struct cofre_err *err);
void config_free(struct config *config);

#endif
