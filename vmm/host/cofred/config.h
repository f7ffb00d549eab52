/* cofred's configuration: one JSON file, which root writes (docs/cofred.md). */
#ifndef COFRE_HOST_CONFIG_H
#define COFRE_HOST_CONFIG_H

#include <sys/types.h>

#include "vmm/base/bytes.h"
#include "vmm/base/json.h"
#include "vmm/host/access/access.h"
#include "vmm/host/hands/hands_server.h"

#define CONFIG_LISTENERS_MAX 8
#define CONFIG_FILE_MAX      (1u << 20)

struct config {
    json_t *document;  /* owned; the texts below are its */
    const char *state; /* directory: database, log's key, images; the decider's user owns it */
    const char *run;   /* directory: guests' files, and mostly the sockets that are listened at */
    char guests[4200]; /* of it, hands' own */
    const char *log_name;
    const char *log_tpm; /* a device or a unix socket; NULL: no TPM vouches for the log */
    const char *administrator;
    struct config_user {
        uid_t uid;
        gid_t gid;
    } decider, gate;
    struct {
        const char *unix_path; /* NULL: TCP */
        const char *address;
        unsigned mode;
    } listener[CONFIG_LISTENERS_MAX];
    size_t listeners;
    const char *certificate, *key,
        *client_ca; /* PEM files; NULL: no listener by TLS, no client certificates */
    unsigned connections, of_one;
    uint64_t reserved_memory;
    struct hands_config hands;
    struct access_config *access; /* owned */
    bool fetches;                 /* some issuer's keys are fetched, into STATE/issuers */
};

/* Everything in it is checked, and nothing that it names is touched but users' names. -COFRE_USAGE with the member's path and its line:
 * "line 12: listen[0].mode: ...". *out is the caller's, also where this fails. */
int config_parse(struct config *out, struct view file, struct cofre_err *err);
/* The same of a file, which errors name. */
int config_read(struct config *out, const char *path, struct cofre_err *err);
void config_free(struct config *config);

/* The line, from 1, of what a path leads to, as schema_check names it: "issuers[1].name". Of a path that goes on behind what is there (a
 * member that is missing) it is the line of what there is. 0: json is none. */
unsigned config_line(struct view json, const char *path);

#endif
