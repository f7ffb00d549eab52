#include "sev/id_block.h"

#include <openssl/evp.h>
#include <string.h>

#include "sev/ecdsa.h"
#include "sev/policy.h"

static void cleanup_pkey(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}
#define CLEAN_PKEY __attribute__((cleanup(cleanup_pkey))) EVP_PKEY

static struct view view_of(const void *data, size_t len)
{
    return (struct view){data, len};
}

int snp_id_block_parse(struct snp_id_block *out, struct view in, struct cofre_err *err)
{
    if (in.len != sizeof *out)
        return cofre_fail(err, COFRE_MALFORMED, "ID block: %zu bytes, and one has %zu", in.len, sizeof *out);
    memcpy(out, in.data, sizeof *out);
    if (le32(&out->version) != SNP_ID_BLOCK_VERSION)
        return cofre_fail(err, COFRE_MALFORMED, "ID block: version %u, and only version %d is known",
                          le32(&out->version), SNP_ID_BLOCK_VERSION);
    if (snp_policy_check(le64(&out->policy), err) < 0)
        return cofre_within(err, -COFRE_MALFORMED, "ID block");
    return 0;
}

bool snp_id_auth_has_author(const struct snp_id_auth *auth)
{
    return le32(&auth->author_key_algo) != 0;
}

int snp_id_auth_parse(struct snp_id_auth *out, struct view in, struct cofre_err *err)
{
    if (in.len != sizeof *out)
        return cofre_fail(err, COFRE_MALFORMED, "ID authentication: %zu bytes, and it has %zu", in.len,
                          sizeof *out);
    memcpy(out, in.data, sizeof *out);
    uint32_t id = le32(&out->id_key_algo), author = le32(&out->author_key_algo);
    if (id != SNP_ALGO_ECDSA_P384_SHA384 || (author != 0 && author != SNP_ALGO_ECDSA_P384_SHA384))
        return cofre_fail(err, COFRE_MALFORMED,
                          "ID authentication: key algorithms %u and %u, and only 1 (ECDSA P-384) is known",
                          id, author);
    if (!bytes_are_zero(out->reserved_008, sizeof out->reserved_008) ||
        !bytes_are_zero(out->reserved_644, sizeof out->reserved_644) ||
        !bytes_are_zero(out->reserved_c84, sizeof out->reserved_c84))
        return cofre_fail(err, COFRE_MALFORMED, "ID authentication: a reserved byte is not zero");
    if (!author && (!bytes_are_zero(&out->id_key_sig, sizeof out->id_key_sig) ||
                    !bytes_are_zero(&out->author_key, sizeof out->author_key)))
        return cofre_fail(err, COFRE_MALFORMED, "ID authentication: an author key without an algorithm");
    return 0;
}

int snp_id_auth_sign(struct snp_id_auth *out, const struct snp_id_block *block, EVP_PKEY *id_key,
                     EVP_PKEY *author_key, struct cofre_err *err)
{
    memset(out, 0, sizeof *out);
    put_le32(&out->id_key_algo, SNP_ALGO_ECDSA_P384_SHA384);
    int rc = snp_ecdsa_key_export(&out->id_key, id_key, err);
    if (rc == 0)
        rc = snp_ecdsa_sign(&out->id_block_sig, id_key, view_of(block, sizeof *block), err);
    if (rc < 0)
        return cofre_within(err, rc, "ID key");
    if (!author_key)
        return 0;
    put_le32(&out->author_key_algo, SNP_ALGO_ECDSA_P384_SHA384);
    rc = snp_ecdsa_key_export(&out->author_key, author_key, err);
    if (rc == 0)
        rc = snp_ecdsa_sign(&out->id_key_sig, author_key, view_of(&out->id_key, sizeof out->id_key), err);
    return rc < 0 ? cofre_within(err, rc, "author key") : 0;
}

static int verify_one(const struct snp_ecdsa_key *key, const struct snp_signature *signature,
                      struct view message, const char *what, struct cofre_err *err)
{
    CLEAN_PKEY *pkey = NULL;
    int rc = snp_ecdsa_key_import(&pkey, key, err);
    if (rc == 0)
        rc = snp_ecdsa_verify(signature, pkey, message, err);
    return rc < 0 ? cofre_within(err, rc, "%s", what) : 0;
}

int snp_id_auth_verify_author(const struct snp_id_auth *auth, struct cofre_err *err)
{
    if (!snp_id_auth_has_author(auth))
        return cofre_fail(err, COFRE_MALFORMED, "ID key, signed by the author key: there is no author key");
    return verify_one(&auth->author_key, &auth->id_key_sig, view_of(&auth->id_key, sizeof auth->id_key),
                      "ID key, signed by the author key", err);
}

int snp_id_auth_verify(const struct snp_id_auth *auth, const struct snp_id_block *block, bool with_author,
                       struct cofre_err *err)
{
    int rc = verify_one(&auth->id_key, &auth->id_block_sig, view_of(block, sizeof *block),
                        "ID block, signed by the ID key", err);
    return rc < 0 || !with_author ? rc : snp_id_auth_verify_author(auth, err);
}
