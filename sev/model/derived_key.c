/* MSG_KEY_REQ (56860, 7.2): keys that only this chip gives, and only to a guest with the same fields. */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

#include "sev/model/guest.h"

/* GUEST_FIELD_SELECT: what else goes into a derived key. */
enum {
    FIELD_POLICY = 1,
    FIELD_IMAGE_ID = 2,
    FIELD_FAMILY_ID = 4,
    FIELD_MEASUREMENT = 8,
    FIELD_GUEST_SVN = 16,
    FIELD_TCB_VERSION = 32,
    FIELD_ALL = 63,
};

/* Everything that a derived key depends on besides its root: the context of the derivation. */
struct mix_data {
    uint32_t select; /* bit 0 root key; bits 2:1: 0 no ID block, 1 its ID key, 2 its author key */
    uint32_t vmpl;
    uint64_t guest_field_select;
    uint32_t guest_svn;
    uint32_t reserved;
    uint64_t tcb_version;
    uint64_t policy;
    uint8_t image_id[16];
    uint8_t family_id[16];
    uint8_t measurement[SNP_DIGEST_SIZE];
    uint8_t host_data[32];
    uint8_t key_digest[SNP_DIGEST_SIZE];
} __attribute__((packed));

static void mix(struct mix_data *out, const struct psp_guest *guest, const struct psp_key_req *request)
{
    uint64_t fields = request->guest_field_select;
    *out =
        (struct mix_data){.select = request->select & 1, .vmpl = request->vmpl, .guest_field_select = fields};
    memcpy(out->host_data, guest->host_data, sizeof out->host_data);
    if (guest->id_block_en) {
        out->select |= (guest->author_key_en ? 2u : 1u) << 1;
        memcpy(out->key_digest, guest->author_key_en ? guest->author_key_digest : guest->id_key_digest,
               sizeof out->key_digest);
    }
    if (fields & FIELD_POLICY)
        out->policy = guest->policy;
    if (fields & FIELD_IMAGE_ID)
        memcpy(out->image_id, guest->id_block.image_id, sizeof out->image_id);
    if (fields & FIELD_FAMILY_ID)
        memcpy(out->family_id, guest->id_block.family_id, sizeof out->family_id);
    if (fields & FIELD_MEASUREMENT)
        memcpy(out->measurement, guest->digest, sizeof out->measurement);
    if (fields & FIELD_GUEST_SVN)
        out->guest_svn = request->guest_svn;
    if (fields & FIELD_TCB_VERSION)
        out->tcb_version = request->tcb_version;
}

/* NIST SP 800-108 in counter mode with HMAC-SHA-256, as the firmware derives. */
static bool kbkdf(uint8_t out[32], const void *key, size_t key_len, const char *label, const void *context,
                  size_t context_len)
{
    char mode[] = "counter", mac[] = "HMAC", digest[] = "SHA2-256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MODE, mode, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MAC, mac, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)key, key_len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)label, strlen(label)),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)context, context_len),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "KBKDF", NULL);
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    bool ok = ctx && EVP_KDF_derive(ctx, out, 32, params) == 1;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return ok;
}

/* The VCEK's or VLEK's secret at a TCB: one derived at an older TCB stays the same when the platform's TCB rises. */
static bool root_of_chip_key(uint8_t out[32], EVP_PKEY *key, uint64_t tcb)
{
    BIGNUM *secret = NULL;
    uint8_t scalar[48];
    bool ok = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &secret) == 1 &&
              BN_bn2lebinpad(secret, scalar, sizeof scalar) == sizeof scalar &&
              kbkdf(out, scalar, sizeof scalar, "cofre-chip-root", &tcb, sizeof tcb);
    BN_clear_free(secret);
    OPENSSL_cleanse(scalar, sizeof scalar);
    return ok;
}

static enum psp_status check_key_request(const struct psp_guest *guest, unsigned vmpck,
                                         const struct psp_key_req *request)
{
    uint64_t fields = request->guest_field_select;
    enum psp_status status = psp_check_vmpl(request->vmpl, vmpck);
    if (status != PSP_SUCCESS)
        return status;
    if (fields & ~(uint64_t)FIELD_ALL)
        return psp_refuse(PSP_INVALID_PARAM, "key request: a reserved bit of GUEST_FIELD_SELECT is set");
    if ((fields & FIELD_TCB_VERSION) && !psp_product_tcb_within(guest->psp->chain.chip, request->tcb_version))
        return psp_refuse(PSP_INVALID_PARAM, "key request: TCB 0x%016llx is above the platform's 0x%016llx",
                          (unsigned long long)request->tcb_version, (unsigned long long)guest->psp->tcb);
    if ((fields & FIELD_GUEST_SVN) && request->guest_svn > guest->id_block.guest_svn)
        return psp_refuse(PSP_INVALID_PARAM, "key request: guest SVN %u is above the ID block's %u",
                          request->guest_svn, guest->id_block.guest_svn);
    return PSP_SUCCESS;
}

static enum psp_status select_root(uint8_t out[32], const struct psp_guest *guest,
                                   const struct psp_key_req *request)
{
    EVP_PKEY *key;
    uint32_t signing_key;
    uint64_t tcb = request->guest_field_select & FIELD_TCB_VERSION ? request->tcb_version : guest->psp->tcb;
    if (request->select & 1) {
        memcpy(out, guest->vmrk, 32);
        return PSP_SUCCESS;
    }
    if (guest->psp->options.mask_chip_key)
        return psp_refuse(PSP_INVALID_KEY, "key request: the chip key is masked on this platform");
    enum psp_status status = psp_select_key(guest, request->select >> 1, &key, &signing_key);
    if (status == PSP_SUCCESS && !root_of_chip_key(out, key, tcb))
        status = psp_refuse(PSP_RESOURCE_LIMIT, "key request: OpenSSL could not derive a key");
    return status;
}

enum psp_status psp_derive_key(const struct psp_guest *guest, unsigned vmpck,
                               const struct psp_key_req *request, struct psp_key_rsp *response)
{
    uint8_t root[32];
    struct mix_data context;
    memset(response, 0, sizeof *response);
    enum psp_status status = request->select >> 3 || request->reserved
                                 ? psp_refuse(PSP_INVALID_PARAM, "key request: a reserved field is not zero")
                                 : select_root(root, guest, request);
    if (status == PSP_SUCCESS)
        status = check_key_request(guest, vmpck, request);
    if (status == PSP_SUCCESS) {
        mix(&context, guest, request);
        if (!kbkdf(response->key, root, sizeof root, "gmsg-keyreq", &context, sizeof context))
            status = psp_refuse(PSP_RESOURCE_LIMIT, "key request: OpenSSL could not derive a key");
    }
    OPENSSL_cleanse(root, sizeof root);
    response->status = status;
    return status;
}
