/*
 * An EAT Attestation Result (draft-ietf-rats-ear-04): what a verifier signs about evidence that it has judged, with the
 * trustworthiness vector of AR4SI (draft-ietf-rats-ar4si-10). One model for both serialisations, cwt.h and jwt.h; made from a
 * verdict by the table that docs/tokens.md explains. Pure: the time is the caller's.
 */
#ifndef COFRE_ATTEST_TOKEN_EAR_H
#define COFRE_ATTEST_TOKEN_EAR_H

#include <jansson.h>

#include "attest/verdict.h"
#include "vmm/base/bytes.h"

#define EAR_PROFILE     "tag:ietf.org,2026:rats/ear#04"
#define EAR_TOKEN_MAX   (64u << 10) /* bytes of a token */
#define EAR_SUBMODS_MAX 8
#define EAR_NONCE_MIN   8
#define EAR_NONCE_MAX   64
#define EAR_DIGEST_SIZE 32

/* By their numbers in a vector. */
enum ear_member {
    EAR_INSTANCE_IDENTITY,
    EAR_CONFIGURATION,
    EAR_EXECUTABLES,
    EAR_FILE_SYSTEM,
    EAR_HARDWARE,
    EAR_RUNTIME_OPAQUE,
    EAR_STORAGE_OPAQUE,
    EAR_SOURCED_DATA,
    EAR_MEMBERS
};
extern const char *const ear_member_names[EAR_MEMBERS]; /* "instance-identity" */

/* Tiers by the value that stands for each as a status. */
enum ear_tier { EAR_NONE = 0, EAR_AFFIRMING = 2, EAR_WARNING = 32, EAR_CONTRAINDICATED = 96 };
enum ear_tier ear_tier_of(int8_t value);
const char *ear_tier_name(enum ear_tier tier); /* "affirming" */
/* The one of two values that says less good: contraindicated, warning, none, affirming; within a tier the higher. */
int8_t ear_worse(int8_t a, int8_t b);

struct ear_vector {
    bool has[EAR_MEMBERS];
    int8_t value[EAR_MEMBERS];
};

/* At most 64 bytes. len 0: there are none. */
struct ear_bytes {
    uint8_t data[64];
    size_t len;
};

#define EAR_TEXT_SIZE 128 /* with its end; an empty text is not there */

/* What was found of one attester. */
struct ear_submod {
    char name[EAR_TEXT_SIZE];
    int64_t status; /* an ear_tier */
    struct ear_vector vector;
    json_t *policy_ids;     /* lists of texts, owned; NULL where there are none */
    struct ear_bytes nonce; /* in the evidence */
    /* by the attester's authority */
    char tee[EAR_TEXT_SIZE], product[EAR_TEXT_SIZE];
    struct ear_bytes measurement, report_data, host_data, rtmr[4];
    /* by the verifier's */
    char verdict[EAR_TEXT_SIZE]; /* "pass", "fail", "unjudged" */
    bool emulated;
    char root[EAR_TEXT_SIZE], tcb_status[EAR_TEXT_SIZE];
    json_t *advisories, *failed, *unjudged; /* of the last two: ids of checks */
    struct ear_bytes evidence_digest;       /* SHA-256 of the report or quote */
    int64_t policy_version;                 /* 0: none */
    struct ear_bytes channel_key; /* SHA-256 of the SubjectPublicKeyInfo that the evidence is bound to */
};

struct ear {
    char issuer[EAR_TEXT_SIZE];
    int64_t issued, expires;                             /* seconds since 1970 */
    struct ear_bytes id;                                 /* of the token */
    struct ear_bytes nonce;                              /* the relying party's */
    char developer[EAR_TEXT_SIZE], build[EAR_TEXT_SIZE]; /* of the verifier */
    int64_t status;                                      /* overall; an ear_tier */
    struct ear_submod submod[EAR_SUBMODS_MAX];
    size_t submods;
};

void ear_free(struct ear *ear);
#define CLEAN_EAR __attribute__((cleanup(ear_free))) struct ear

/* What goes into a result besides the verdict. Borrowed; what is NULL, empty or 0 is left out, except for lifetime. */
struct ear_occasion {
    struct view evidence; /* the report or quote that was judged */
    const char *policy_id;
    int64_t policy_version;
    struct view nonce;          /* the relying party's, EAR_NONCE_MIN to EAR_NONCE_MAX bytes */
    struct view evidence_nonce; /* that the evidence was found to carry; the same bounds, or it is left out */
    struct view channel_key;    /* SHA-256 of the key of the attested channel over which it came */
    struct view id;
    const char *issuer, *build; /* a build that is not told is "unknown": a result must have one */
    int64_t at, lifetime;       /* seconds; the token expires so long after */
};

/* -COFRE_USAGE where the occasion has something that a token cannot carry, -COFRE_FAILED without memory. */
int ear_make(struct ear *out, const struct verdict *verdict, const struct ear_occasion *occasion,
             struct cofre_err *err);

/* A token that was read and whose signature verified: is it of now (with a minute's tolerance of clocks that differ), and for
 * this nonce where one is given? -COFRE_NEGATIVE otherwise. */
int ear_check(const struct ear *ear, int64_t at, struct view nonce, struct cofre_err *err);
/* Does it speak well of every attester: affirming, or warning of what the policy accepted, and nowhere a verdict but "pass"?
 * -COFRE_NEGATIVE with what it says otherwise. */
int ear_check_result(const struct ear *ear, struct cofre_err *err);

/* The claims as a JWT has them; NULL without memory. */
json_t *ear_json(const struct ear *ear);
/* -COFRE_MALFORMED names the claim. Claims that are not known are passed over. */
int ear_from_json(struct ear *out, const json_t *claims, struct cofre_err *err);

#endif
