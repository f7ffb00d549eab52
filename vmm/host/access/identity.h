/*
 * Who asks. What the gate says of a connection, or a token in its place, comes to a list of principals: the one that it is,
 * and the groups that it is in. A principal is a text that begins with its kind, which is written here and nowhere else; what
 * stands behind it has its kind's alphabet. So no certificate, token or user can spell another kind's.
 */
#ifndef COFRE_HOST_ACCESS_IDENTITY_H
#define COFRE_HOST_ACCESS_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/host/front/identity.h"

#define ACCESS_PRINCIPAL_SIZE 336 /* with its end: "group:" ISSUER ":" and 255 characters */
#define ACCESS_GROUPS_MAX     32

enum access_kind {
    ACCESS_USER, /* "user:ann": a person or program by the configuration, whatever it comes with */
    ACCESS_CERT, /* "cert:CN=ann,O=Example": the subject of a client certificate that the gate verified, as RFC 2253 writes it */
    ACCESS_KEY,  /* "key:HEX": SHA-256 of that certificate's public key */
    ACCESS_UID,  /* "uid:1000": of the process at the other end of the unix socket */
    ACCESS_OIDC, /* "oidc:ISSUER:SUB": ISSUER is the configuration's short name */
    ACCESS_GID,  /* "gid:100": that process's group; a group */
    ACCESS_GROUP, /* "group:ISSUER:NAME": a group of an issuer's tokens; a group */
    ACCESS_KINDS
};

struct access_principal {
    enum access_kind kind;
    char text[ACCESS_PRINCIPAL_SIZE];
};

/* From outside, or from the configuration. -COFRE_USAGE where it has no kind, or what its kind does not have. */
int access_principal_parse(struct access_principal *out, const char *text, struct cofre_err *err);
/* -COFRE_MALFORMED where value is none of that kind's. */
int access_principal_make(struct access_principal *out, enum access_kind kind, const char *value,
                          struct cofre_err *err);

/* Lower-case letters, digits and inner '-', 63 at most: names of tenants, issuers, users, roles. */
bool access_is_name(const char *text);

#define ACCESS_OWN_MAX 3 /* a user, and a certificate with its key */
struct access_caller {
    struct access_principal principal[ACCESS_OWN_MAX + 1 + ACCESS_GROUPS_MAX];
    size_t
        own; /* the first of them are names of the caller itself, [0] the one that it is called by; 0: nobody */
    size_t principals; /* groups come behind */
    char from[96];     /* for the log: "192.0.2.7:40312", "pid 17" */
};
/* "user:ann", "uid:1000"; "nobody". */
const char *access_caller_name(const struct access_caller *caller);
bool access_caller_is(const struct access_caller *caller, const char *principal);
/* Are the two one by what both are called? Groups do not count. */
bool access_callers_meet(const struct access_caller *caller, const char *const *names, size_t count);

struct access_config;
/* Puts the user before what the caller is by itself, where the configuration has one. */
int access_caller_settle(struct access_caller *caller, const struct access_config *config,
                         struct cofre_err *err);
/* By the connection alone. A TLS connection without a certificate is nobody, who may nothing. */
int access_identify_connection(struct access_caller *out, const struct access_config *config,
                               const struct identity *identity, struct cofre_err *err);

#endif
