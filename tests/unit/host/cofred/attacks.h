/* Attacks on a whole cofred, as data: who sends what, and what is answered. Nothing of what cofred keeps may be another afterwards. */
#ifndef COFRE_TEST_HOST_ATTACKS_H
#define COFRE_TEST_HOST_ATTACKS_H

#include <stddef.h>

/* Users of the unix socket; all of tenant blue but the last two. */
enum attacker {
    LAUNCHER,
    TENANTS_ADMINISTRATOR, /* user "adam" of the configuration */
    ADAM_AGAIN,            /* the same, by another number */
    VIEWER,
    TEAM,     /* launcher of guests of team a alone */
    DENIED,   /* administrator who is denied guest.start */
    SHORT,    /* administrator until a time */
    STRANGER, /* nothing is granted to him */
    HOSTS_ADMINISTRATOR,
    ATTACKERS,
};

/*
 * In path and body: %R is the digest of an image that red alone has, %K of blue's kernel, %U of a text that nobody stored; %H a request of
 * red's that waits for a second approver, %O one of adam's own; %D the denial of the one who is denied; %0 a zero byte, %% itself.
 * method NULL: path is all bytes that are sent. body: JSON with ' for ", or bytes.
 */
struct attack {
    const char *name;
    enum attacker who;
    const char *method, *path, *headers, *body;
    int status;       /* 0: none, the connection ends */
    const char *word; /* in the answer; NULL */
};
extern const struct attack attacks[];
extern const size_t attacks_count;

#endif
