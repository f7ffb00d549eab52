/*
 * Judges the report that emulated_report left in a directory, and issues tokens on the verdict for other programs to read:
 * issued_token DIR writes token.jwt, token.cwt, keys.json and keys.cose there. The keys are new ones, the time is now.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "attest/appraise.h"
#include "attest/token/token.h"
#include "vmm/base/file.h"

static int read_in(struct bytes *out, const char *dir, const char *name, struct cofre_err *err)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return file_read(out, path, EVIDENCE_FILE_MAX, err);
}

static int write_in(const char *dir, const char *name, const struct bytes *data, struct cofre_err *err)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return file_write(path, bytes_view(data), 0644, err);
}

static int add_cert(struct x509_certs *to, const char *dir, const char *name, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = read_in(&file, dir, name, err);
    return rc < 0 ? rc : x509_certs_add(to, bytes_view(&file), err);
}

static int judge(struct verdict *out, struct evidence *evidence, const char *dir, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    CLEAN_CERTS certs = {0}, roots = {0};
    CLEAN_POLICY policy;
    policy_init(&policy);
    int rc = read_in(&file, dir, "report.bin", err);
    if (rc == 0)
        rc = evidence_parse(evidence, bytes_view(&file), err);
    if (rc == 0)
        rc = add_cert(&roots, dir, "ark.der", err);
    if (rc == 0)
        rc = add_cert(&certs, dir, "ask.der", err);
    if (rc == 0)
        rc = add_cert(&certs, dir, "leaf.der", err);
    const struct appraisal in = {
        .evidence = evidence, .policy = &policy, .certs = &certs, .roots = &roots, .at = time(NULL)};
    return rc < 0 ? rc : appraise(out, &in, err);
}

static int issue(const struct ear *ear, const char *dir, struct cofre_err *err)
{
    CLEAN_KEY_SET set = {0};
    CLEAN_BYTES jwt = {0}, cwt = {0}, jwks = {0}, cose = {0};
    static const char *const algs[] = {"ES256", "ES384"};
    int rc = 0;
    for (int i = 0; rc == 0 && i < 2; i++) {
        EVP_PKEY *key = NULL;
        rc = key_generate(&key, algs[i], err);
        if (rc == 0)
            rc = key_set_add(&set, key, i ? KEY_CURRENT : KEY_NEXT, 0, err);
    }
    if (rc < 0 || (rc = jwt_sign(&jwt, ear, key_set_current(&set), err)) < 0 ||
        (rc = cwt_sign(&cwt, ear, key_set_current(&set), err)) < 0 ||
        (rc = key_set_jwks(&jwks, &set, 0, err)) < 0 || (rc = key_set_cose(&cose, &set, 0, err)) < 0 ||
        (rc = write_in(dir, "token.jwt", &jwt, err)) < 0 ||
        (rc = write_in(dir, "token.cwt", &cwt, err)) < 0 || (rc = write_in(dir, "keys.json", &jwks, err)) < 0)
        return rc;
    return write_in(dir, "keys.cose", &cose, err);
}

int main(int argc, char **argv)
{
    CLEAN_VERDICT verdict = {0};
    CLEAN_EVIDENCE evidence = {0};
    CLEAN_EAR ear = {0};
    struct cofre_err err = {""};
    if (argc != 2)
        return COFRE_USAGE;
    int rc = judge(&verdict, &evidence, argv[1], &err);
    const struct ear_occasion occasion = {
        .evidence = bytes_view(&evidence.report),
        .policy_id = "interop",
        .policy_version = 1,
        .nonce = {(const uint8_t *)"interop-nonce", 13},
        .channel_key = {(const uint8_t *)"32 bytes that stand for a digest", 32},
        .id = {(const uint8_t *)"id", 2},
        .issuer = "https://verifier.example",
        .build = "interop",
        .at = time(NULL),
        .lifetime = 300};
    if (rc == 0)
        rc = ear_make(&ear, &verdict, &occasion, &err);
    if (rc == 0)
        rc = issue(&ear, argv[1], &err);
    if (rc < 0)
        fprintf(stderr, "issued_token: %s\n", err.text);
    return -rc;
}
