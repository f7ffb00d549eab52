/*
 * The process that fetches issuers' key sets into their files: alone in reaching the network, and with nothing but those files to
 * write to. Who decides reads the files (token.h), and stops using one that was not fetched anew for a day.
 */
#ifndef COFRE_HOST_ACCESS_KEYS_FETCH_H
#define COFRE_HOST_ACCESS_KEYS_FETCH_H

#include "vmm/host/access/access.h"

#define KEYS_FETCH_INTERVAL 900 /* seconds between two good answers */
#define KEYS_FETCH_AGAIN    10 /* after the first that was none; then twice as long each time, to the interval */

/* Zeroed to begin. */
struct keys_fetch {
    struct {
        int64_t next;
        unsigned failures; /* since the last good answer */
    } issuer[ACCESS_ISSUERS_MAX];
};

/* Asks whoever it is time to ask. An answer that is no set of keys (token_keys_read), too long, late or a redirection leaves the file as
 * it is. The seconds until the next is to be asked: 1 or more. */
int64_t keys_fetch_round(struct keys_fetch *fetch, const struct access_config *config, int64_t now);

/* Rounds until the other end of the descriptor is closed. download_prepare() was called. -COFRE_FAILED where it cannot wait. */
int keys_fetch_run(const struct access_config *config, int until, struct cofre_err *err);

#endif
