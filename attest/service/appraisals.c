/*
 * POST /v1/appraisals {"evidence": {...}, "policy": NAME, "challenge": HEX or "nonce": HEX}: evidence to a result. challenge is a nonce of
 * the service's, which is used up; nonce is one of the caller's own, whose freshness is the caller's affair.
 * With "binding": "channel" the report data is not the nonce: it binds this very connection and the client's key in it. With "jwt": false
 * the CWT is the only token.
 */
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#include "attest/appraise.h"
#include "attest/channel/judge.h"
#include "attest/service/appraisals.h"
#include "attest/service/endorsements.h"
#include "attest/service/handlers.h"
#include "attest/service/ledger.h"
#include "attest/service/result_text.h"
#include "attest/service/route.h"
#include "attest/service/signer.h"
#include "attest/store/policy.h"
#include "attest/store/reference.h"
#include "vmm/base/json.h"

void job_free(struct job *job)
{
    evidence_free(&job->evidence);
    bytes_free(&job->nonce);
    references_free(&job->references);
}

static bool sha256(uint8_t out[static 32], struct view data)
{
    return EVP_Digest(data.data, data.len, out, NULL, EVP_sha256(), NULL) == 1;
}

int job_read_nonce(struct job *job, const char *challenge, const char *nonce, struct cofre_err *err)
{
    const char *text = challenge ? challenge : nonce, *name = challenge ? "challenge" : "nonce";
    if (!challenge == !nonce)
        return cofre_fail(
            err, COFRE_USAGE,
            "the body has to have \"challenge\" (a nonce of this service) or \"nonce\" (one of the "
            "caller's), and not both");
    job->ours = challenge != NULL;
    int rc = hex_decode_some(&job->nonce, EVIDENCE_NONCE_MAX, text, err);
    if (rc == 0 && job->nonce.len < EAR_NONCE_MIN)
        rc = cofre_fail(err, COFRE_USAGE, "%zu bytes are too few", job->nonce.len);
    return rc < 0 ? cofre_within(err, -COFRE_USAGE, "%s", name) : 0;
}

int job_bind(struct job *job, struct channel_binding *out, struct cofre_err *err)
{
    const struct request_channel *channel = request_channel(job->call->request);
    if (!channel)
        return cofre_fail(err, COFRE_USAGE,
                          "the client has shown no certificate, whose key the evidence could be bound to");
    *out = (struct channel_binding){
        .end = CHANNEL_CLIENT, .nonce = bytes_view(&job->nonce), .key = bytes_view(&channel->key)};
    memcpy(out->exporter, channel->exporter, sizeof out->exporter);
    job->bound = true;
    return sha256(job->key, out->key) ? 0 : cofre_fail(err, COFRE_FAILED, "SHA-256 failed");
}

static int bind_channel(struct job *job, const char *binding, struct cofre_err *err)
{
    struct channel_binding b;
    if (strcmp(binding, "channel") != 0)
        return cofre_fail(err, COFRE_USAGE, "binding: it is to be \"channel\", or not there");
    int rc = job_bind(job, &b, err);
    return rc < 0 ? cofre_within(err, rc, "binding") : channel_report_data(job->report_data, &b, err);
}

int job_read_evidence(struct job *job, json_t *object, struct cofre_err *err)
{
    int rc = evidence_from_json(&job->evidence, object, err);
    return rc < 0 ? cofre_within(err, rc, "evidence") : 0;
}

static int take_policy(void *context, const struct stored_policy *p, struct cofre_err *err)
{
    struct job *job = context;
    const struct view text = {(const uint8_t *)p->document, strlen(p->document)};
    job->policy_version = p->version;
    int rc = memory_policy(job->call->memory, &job->policy, job->policy_digest, text, err);
    return rc < 0 ? cofre_fail(err, COFRE_FAILED, "the policy \"%s\" cannot be read back", p->name) : 0;
}

int job_find_policy(struct job *job, int64_t version, struct cofre_err *err)
{
    const struct caller *caller = &job->call->caller;
    int rc = access_name_check(job->policy_name, "policy", err);
    if (rc == 0 && *caller->scope && strcmp(caller->scope, job->policy_name) != 0)
        rc = cofre_fail(err, COFRE_USAGE, "%s may use the policy \"%s\" alone", caller->name, caller->scope);
    return rc < 0 ? rc : stored_policy_find(job->call->db, job->policy_name, version, take_policy, job, err);
}

static int take_reference(void *context, const struct stored_reference *s, struct cofre_err *err)
{
    return references_append(context, &s->value, err);
}

int job_find_references(struct job *job, struct cofre_err *err)
{
    const enum reference_tee tee =
        strcmp(job->evidence.tee, reference_tee_names[REFERENCE_TDX]) == 0 ? REFERENCE_TDX : REFERENCE_SNP;
    const struct policy_list *names =
        tee == REFERENCE_TDX ? &job->policy->tdx.reference : &job->policy->snp.reference;
    for (size_t i = 0; i < names->count; i++) {
        char name[REFERENCE_NAME_MAX + 1];
        (void)snprintf(name, sizeof name, "%.*s", (int)names->item[i].len, (const char *)names->item[i].data);
        int rc = stored_reference_list(job->call->db, tee, name, take_reference, &job->references, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_job(struct job *job, json_t *body, struct cofre_err *err)
{
    json_error_t why;
    json_t *evidence;
    const char *challenge = NULL, *nonce = NULL, *binding = NULL;
    int jwt = true;
    if (json_unpack_ex(body, &why, JSON_STRICT, "{s:o, s:s, s?s, s?s, s?s, s?b}", "evidence", &evidence,
                       "policy", &job->policy_name, "challenge", &challenge, "nonce", &nonce, "binding",
                       &binding, "jwt", &jwt) < 0)
        return cofre_fail(err, COFRE_USAGE, "the body: %s", why.text);
    job->jwt = jwt;
    int rc = job_read_nonce(job, challenge, nonce, err);
    if (rc == 0 && binding)
        rc = bind_channel(job, binding, err);
    if (rc == 0)
        rc = job_find_policy(job, 0, err);
    if (rc == 0)
        rc = job_read_evidence(job, evidence, err);
    return rc < 0 ? rc : job_find_references(job, err);
}

/* A repeated request is known by its challenge, or by the key that the client gave it; another one is never the same. */
static int request_key(struct job *job, uint8_t out[static 32], const uint8_t evidence[static 32],
                       struct cofre_err *err)
{
    const char *given = request_header(job->call->request, "Idempotency-Key"),
               *caller = job->call->caller.name;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    uint8_t random[32];
    bool good = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(md, caller, strlen(caller) + 1) == 1 &&
                EVP_DigestUpdate(md, job->policy_name, strlen(job->policy_name) + 1) == 1 &&
                EVP_DigestUpdate(md, evidence, 32) == 1 &&
                EVP_DigestUpdate(md, job->nonce.data, job->nonce.len) == 1;
    if (good && job->bound) /* over another connection it is another request */
        good = EVP_DigestUpdate(md, job->report_data, sizeof job->report_data) == 1;
    if (good && given)
        good = EVP_DigestUpdate(md, given, strlen(given)) == 1;
    else if (good && !job->ours)
        good = RAND_bytes(random, sizeof random) == 1 && EVP_DigestUpdate(md, random, sizeof random) == 1;
    good = good && EVP_DigestFinal_ex(md, out, NULL) == 1;
    EVP_MD_CTX_free(md);
    return good ? 0 : cofre_fail(err, COFRE_FAILED, "SHA-256 failed");
}

static const enum log_outcome logged[] = {
    [CHECK_PASSED] = LOG_PASSED, [CHECK_FAILED] = LOG_FAILED, [CHECK_UNJUDGED] = LOG_UNJUDGED};

static int sign(struct job *job, struct record *r, const struct verdict *verdict, const uint8_t id[static 16],
                struct cofre_err *err)
{
    const struct trust_config *config = job->call->trust->config;
    CLEAN_EAR ear = {0};
    CLEAN_BYTES jwt = {0};
    const bool bound = job->bound && verdict_outcome(verdict) == CHECK_PASSED;
    const struct ear_occasion occasion = {.evidence = bytes_view(&job->evidence.report),
                                          .policy_id = job->policy_name,
                                          .policy_version = job->policy_version,
                                          .nonce = bytes_view(&job->nonce),
                                          .channel_key = {job->key, bound ? sizeof job->key : 0},
                                          .id = {id, 16},
                                          .issuer = config->name,
                                          .build = "cofre-trust",
                                          .at = job->call->now,
                                          .lifetime = config->token_seconds};
    int rc = ear_make(&ear, verdict, &occasion, err);
    if (rc == 0)
        rc = signer_sign_cwt(job->call->trust->signer, &r->cwt, &ear, err);
    if (rc == 0 && job->jwt)
        rc = signer_sign_jwt(job->call->trust->signer, &jwt, &ear, err);
    if (rc == 0 && !(r->jwt = strndup(jwt.len ? (const char *)jwt.data : "", jwt.len)))
        rc = cofre_fail(err, COFRE_FAILED, "out of memory");
    return rc;
}

static int fill_record(struct job *job, struct record *r, const struct verdict *verdict,
                       struct cofre_err *err)
{
    uint8_t id[16];
    const enum check_outcome outcome = verdict_outcome(verdict);
    r->verdict = verdict_text(verdict);
    r->policy = strdup(job->policy_name);
    r->submitter = strdup(job->call->caller.name);
    if (!r->verdict || !r->policy || !r->submitter || RAND_bytes(id, sizeof id) != 1 ||
        !sha256(r->evidence, bytes_view(&job->evidence.report)))
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    hex_encode(r->id, id, sizeof id);
    int rc = sign(job, r, verdict, id, err);
    if (rc == 0)
        rc = request_key(job, r->key, r->evidence, err);
    if (rc < 0)
        return rc;
    if (job->ours) {
        r->challenge = job->nonce;
        job->nonce = (struct bytes){0};
    }
    r->entry =
        (struct log_entry){.kind = LOG_ENTRY_VERDICT, .time = job->call->now, .outcome = logged[outcome]};
    (void)snprintf(r->entry.tee, sizeof r->entry.tee, "%s", verdict->tee);
    memcpy(r->entry.evidence.data, r->evidence, 32);
    memcpy(r->entry.policy.data, job->policy_digest, 32);
    if (!sha256(r->entry.token.data, bytes_view(&r->cwt)))
        return cofre_fail(err, COFRE_FAILED, "SHA-256 failed");
    r->result = (struct result){.id = r->id,
                                .request = {r->key, 32},
                                .made = job->call->now,
                                .tee = r->entry.tee,
                                .outcome = verdict_outcome_word(verdict),
                                .policy = r->policy,
                                .policy_version = job->policy_version,
                                .evidence = {r->evidence, 32},
                                .submitter = r->submitter,
                                .verdict = r->verdict,
                                .cwt = bytes_view(&r->cwt),
                                .jwt = r->jwt};
    return 0;
}

int job_judge(struct job *job, struct record *r, struct cofre_err *err)
{
    CLEAN_VERDICT verdict = {0};
    struct appraisal in = {.evidence = &job->evidence,
                           .policy = job->policy,
                           .references = &job->references,
                           .issued = &job->call->memory->issued,
                           .signers = &job->call->memory->signers,
                           .nonce = job->bound ? (struct view){0} : bytes_view(&job->nonce),
                           .report_data = {job->report_data, job->bound ? sizeof job->report_data : 0},
                           .at = job->call->now};
    int rc =
        endorsements_appraise(job->call->trust->endorsements, job->call->db, &verdict, &in, &job->again, err);
    if (rc == 0 && job->bound)
        channel_word_verdict(&verdict);
    if (rc == 0)
        rc = fill_record(job, r, &verdict, err);
    return rc == 0 && job->look ? job->look(job, &verdict, err) : rc;
}

/* Nothing was judged, and a challenge is still good. */
void job_refuse_for_now(struct call *call, int64_t again, const struct cofre_err *why)
{
    char seconds[24];
    (void)snprintf(seconds, sizeof seconds, "%lld", (long long)(again > call->now ? again - call->now : 1));
    request_add_header(call->request, "Retry-After", seconds);
    request_problem(call->request, 503, "collateral", "%s", why->text);
}

void appraisal_create(struct call *call)
{
    struct cofre_err err;
    CLEAN_JOB job = {.call = call};
    CLEAN_JSON *body = call_body(call);
    if (!body)
        return;
    struct record *r = calloc(1, sizeof *r);
    int rc = r ? read_job(&job, body, &err) : cofre_fail(&err, COFRE_FAILED, "out of memory");
    if (rc == 0)
        rc = job_judge(&job, r, &err);
    if (rc < 0) {
        record_free(r);
        if (rc == -COFRE_LACKING && job.again)
            job_refuse_for_now(call, job.again, &err);
        else
            call_fail(call, rc, &err);
        return;
    }
    r->request = call->request;
    ledger_give(call->trust->ledger, r);
}
