/* One appraisal that a request asks for: what it reads, step by step, and the record that its verdict leaves for the ledger. */
#ifndef COFRE_ATTEST_SERVICE_APPRAISALS_H
#define COFRE_ATTEST_SERVICE_APPRAISALS_H

#include "attest/channel/binding.h"
#include "attest/evidence.h"
#include "attest/reference.h"
#include "attest/service/ledger.h"
#include "attest/service/route.h"
#include "attest/verdict.h"

/* What was asked, taken apart. */
struct job {
    struct call *call;
    struct evidence evidence;
    struct bytes nonce;
    bool ours;  /* the nonce is a challenge */
    bool bound; /* to the connection: by this report data, to this key */
    bool jwt;   /* a JWT is made beside the CWT, whose digest is in the log */
    uint8_t report_data[CHANNEL_REPORT_DATA], key[32];
    const char *policy_name;
    int64_t policy_version;
    const struct policy *policy;  /* the worker remembers it */
    struct references references; /* of the names that the policy has */
    uint8_t policy_digest[32];
    int64_t again; /* when collateral may be there that could not be had; 0: that is not what failed */
    /* Of what does more with a verdict than keep it; NULL: nobody. */
    int (*look)(struct job *job, const struct verdict *verdict, struct cofre_err *err);
    void *context;
};
void job_free(struct job *job);
#define CLEAN_JOB __attribute__((cleanup(job_free))) struct job

/* The guest is the client of this connection: what its evidence must be bound to is computed from the connection itself.
 * -COFRE_USAGE: the client has shown no certificate. */
int job_bind(struct job *job, struct channel_binding *out, struct cofre_err *err);
/* One of the two, in hexadecimal; the other is NULL. */
int job_read_nonce(struct job *job, const char *challenge, const char *nonce, struct cofre_err *err);
/* Of policy_name; version 0: the active one. -COFRE_USAGE: it is not the caller's to use. */
int job_find_policy(struct job *job, int64_t version, struct cofre_err *err);
int job_read_evidence(struct job *job, json_t *object, struct cofre_err *err);
int job_find_references(struct job *job, struct cofre_err *err);
/* The verdict, as a record that the ledger can be given; look is called when it is filled. */
int job_judge(struct job *job, struct record *record, struct cofre_err *err);
/* Where job_judge() says -COFRE_LACKING, and again is not 0: nothing was judged, and a challenge is still good. */
void job_refuse_for_now(struct call *call, int64_t again, const struct cofre_err *why);

#endif
