/* The argument of --net: tap=NAME | tap-fd=N[:N]... | passt[=SOCKET], then [,mac=XX:XX:XX:XX:XX:XX][,queues=N][,vhost=on|off] */
#ifndef COFRE_DEVICES_NET_SPEC_H
#define COFRE_DEVICES_NET_SPEC_H

#include "vmm/devices/net_backend.h"

enum net_kind { NET_KIND_NONE, NET_KIND_TAP, NET_KIND_TAP_FD, NET_KIND_PASST };
enum net_wish { NET_WHERE_POSSIBLE, NET_REQUIRED, NET_NEVER };

struct net_spec {
    enum net_kind kind;
    char name[NET_NAME_SIZE]; /* tap: the interface; passt: the socket, or empty: start one */
    int fd[NET_PAIRS_MAX];    /* tap-fd */
    unsigned pairs;
    enum net_wish vhost;
    bool has_mac;
    uint8_t mac[NET_MAC_LEN];
};

/* COFRE_USAGE, with a sentence that begins with the part that is wrong. */
int net_spec_parse(struct net_spec *out, const char *spec, struct cofre_err *err);

/* The address of one card, as 02:00:00:00:00:01: no group's, and not all zero. COFRE_USAGE otherwise. */
int net_mac_parse(uint8_t mac[NET_MAC_LEN], const char *text, struct cofre_err *err);

#endif
