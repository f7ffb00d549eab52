/*
 * Who may do what on this host. Three steps, each of which can only take away: who asks (identity.h, token.h), whether it was
 * granted (roles and grants, where deny wins and what nothing grants is refused), and, for launches, whether what is launched
 * is among what the tenant's constraint lets run. The functions decide and read rows; they write only where their name says so,
 * in the caller's transaction.
 *
 * Sentences in err are for the log. What may be told to the caller stands in struct access_decision.
 */
#ifndef COFRE_HOST_ACCESS_H
#define COFRE_HOST_ACCESS_H

#include <jansson.h>

#include "attest/store/db.h"
#include "vmm/host/access/identity.h"

struct operation; /* vmm/host/interface/operation.h */
struct operation_parts;

/* The tables, as steps of the host's schema. */
extern const char *const access_schema, *const access_approval_schema;

/* Configuration */

#define ACCESS_ISSUERS_MAX  8
#define ACCESS_MAPPINGS_MAX 256
#define ACCESS_PATTERNS_MAX 64

/* Who signs access tokens. Texts are owned by who filled it in, but for what the functions below copy. */
struct access_issuer {
    char name[64];       /* short, of access_is_name: the ISSUER of principals */
    char issuer[256];    /* "iss", compared byte by byte */
    char audience[256];  /* must be "aud" or in it */
    char key_file[4096]; /* a JSON Web Key Set; read again when it changes */
    char key_url[1024];  /* https: fetched into key_file by the process of keys_fetch.h; "": nobody does */
    char groups[64];     /* the claim with the groups: "groups" */
    unsigned algorithms; /* set of enum token_algorithm (token.h) as 1 << n; 0: all of them */
    int64_t skew;        /* seconds that clocks may differ, 0 to 300 */
};

struct access_config {
    struct access_mapping {
        char user[64];
        struct access_principal identity; /* CERT, KEY, UID or OIDC */
    } mapping[ACCESS_MAPPINGS_MAX];
    size_t mappings;
    struct access_issuer issuer[ACCESS_ISSUERS_MAX];
    size_t issuers;
    /* Operations for which this host asks for a second approver in every tenant: names, or "guest.*". */
    char approval[ACCESS_PATTERNS_MAX][64];
    size_t approvals;
    int64_t approval_lifetime; /* seconds that a request waits; 0: an hour */
};
/* "user ann" has identity "uid:1000". -COFRE_USAGE: no name, no identity, or somebody's already. */
int access_config_map(struct access_config *config, const char *user, const char *identity,
                      struct cofre_err *err);
/* Checks and adds. */
int access_config_issuer(struct access_config *config, const struct access_issuer *issuer,
                         struct cofre_err *err);
int access_config_approval(struct access_config *config, const char *pattern, struct cofre_err *err);

struct access; /* what is kept between requests: key sets that were read, failures that were counted */
/* config stays the caller's and unchanged until access_free. */
int access_new(struct access **out, const struct access_config *config, struct cofre_err *err);
void access_free(struct access *access);

/* Makes principal administrator of the host where nobody is one; for the first start. 1 where somebody was. */
int access_begin(struct db *db, const char *principal, int64_t now, struct cofre_err *err);

/* Who asks */

/*
 * token: the text behind "Bearer "; NULL: none was sent. A token that is shown counts, and the connection where none is: one
 * that is not good is refused and never replaced by the connection's certificate or user.
 * -COFRE_NEGATIVE: refused, and counted against where it came from. -COFRE_LACKING: too many were, it is to come again later
 * (HTTP's 429); what was shown has not been looked at. The sentence is for the log: the caller learns only that it was refused.
 */
int access_identify(struct access_caller *out, struct access *access, const struct identity *identity,
                    const char *token, int64_t now, struct cofre_err *err);

/* May it? */

struct access_request {
    const struct operation *operation;
    const char *
        tenant; /* of the path; of grant.* and approval.* of the body or row; NULL: the host's, or all tenants */
    const char *resource; /* the guest, image ... of the path; NULL */
    const json_t
        *labels; /* the guest's, or those that a new one would have, an object of texts; NULL: none */
    const json_t *labels_after; /* those that guest.update leaves: it must be granted for both */
    bool absent;                /* the tenant or the guest is not there */
    /* The whole request, as it was read, which is what a second approver approves. NULL where there is none. */
    const struct operation_parts *part;
    const json_t *query, *body;
    int64_t approval; /* the request that waited, was approved, and is carried out now; 0: somebody asks */
    int64_t now;
};

enum access_outcome {
    ACCESS_ALLOWED,
    ACCESS_REFUSED, /* 403 */
    ACCESS_ABSENT,  /* 404: not there, or not to be seen; the caller cannot tell which */
    ACCESS_HELD,    /* 202: a second approver is asked for; approval says which row */
};

struct access_decision {
    enum access_outcome outcome;
    char answer[256]; /* a sentence for the caller */
    char reason[256]; /* for the log: the grant that allowed or denied, "nothing grants guest.start in a" */
    int64_t grant;    /* number of the grant that decided; 0: none */
    int64_t approval; /* the row that waits (ACCESS_HELD), or was used up (ACCESS_ALLOWED); 0: none */
};

/*
 * Writes in one case: an operation that needs a second approver makes its row, or uses up the one that was approved. So it runs
 * in the transaction of the effect. 0 with a decision; negative where the database fails, which is a refusal as well.
 */
int access_decide(struct access_decision *out, struct access *access, struct db *db,
                  const struct access_caller *caller, const struct access_request *request,
                  struct cofre_err *err);

/* For lists and streams: what one caller may, read once and asked for each row. */
struct access_view;
int access_view_open(struct access_view **out, struct db *db, const struct access_caller *caller, int64_t now,
                     struct cofre_err *err);
void access_view_close(struct access_view *view);
bool access_view_tenant(const struct access_view *view, const char *tenant);
bool access_view_guest(const struct access_view *view, const char *tenant, const json_t *labels);

/* A tenant was deleted: its grants, constraint and requests go, so that a later one of its name inherits none. */
int access_forget_tenant(struct db *db, const char *tenant, struct cofre_err *err);

/* May it be launched? */

/* As it was predicted from the definition; 48 bytes each, empty where the guest has none. */
struct access_prediction {
    struct view measurement; /* launch digest or MRTD */
    struct view rtmr[4];
};
/*
 * definition: what guest.create takes, checked by its table. predicted NULL: a guest is being defined, and what is measured cannot
 * be told yet; it is there when one starts. 0: it may be, or the tenant has no constraint. -COFRE_NEGATIVE: the sentence begins with
 * the rule ("emulated: ...") and may be told.
 */
int access_constraint_check(struct db *db, const char *tenant, const json_t *definition,
                            const struct access_prediction *predicted, struct cofre_err *err);
/* Puts what the constraint forces into a definition that leaves it out: host_data, mrconfigid, where it has one value for them. 1
 * where something was put in. */
int access_constraint_force(struct db *db, const char *tenant, json_t *definition, struct cofre_err *err);

/* The operations on what this room keeps. */

/*
 * After access_decide has allowed it, in the same transaction. args: the path's and body's members in one object. *answer is
 * the caller's. What is refused or fails has changed nothing. -COFRE_NEGATIVE: refused (403, or 409 where the sentence says that something is there); the sentence may be told.
 */
typedef int (*access_operation)(json_t **answer, struct access *access, struct db *db,
                                const struct access_caller *caller, const json_t *args, int64_t now,
                                struct cofre_err *err);
/* NULL for operations of other rooms. */
access_operation access_operation_find(const char *name);

/* Failures since the start, for metrics. */
struct access_counts {
    uint64_t identified, failed, slowed;
};
void access_counts(struct access_counts *out, const struct access *access);

#endif
