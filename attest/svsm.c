#include "attest/svsm.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "vmm/base/clean_openssl.h"
#include "vmm/base/ecdsa.h"
#include "vmm/base/ovmf_table.h"

#define GUID_SIZE  16
#define ENTRY_SIZE 24 /* of the table: a GUID and two numbers, as its head is */

static const uint8_t services_guid[GUID_SIZE] =
    GUID(0x63849ebb, 0x3d92, 0x4670, 0xa1, 0xff, 0x58, 0xf9, 0xc9, 0x4b, 0x87, 0xbb);
static const uint8_t vtpm_guid[GUID_SIZE] =
    GUID(0xc476f1eb, 0x0123, 0x45a5, 0x96, 0x41, 0xb4, 0xe7, 0xdd, 0xe5, 0xbf, 0xe3);

/* tpm2-tss would print a line of its own for what is malformed. Before there are threads, since it goes by the environment. */
__attribute__((constructor)) static void be_quiet(void)
{
    (void)setenv("TSS2_LOG", "all+none", 0);
}

void svsm_manifest_free(struct svsm_manifest *m)
{
    EVP_PKEY_free(m->ek.key);
    m->ek.key = NULL;
}

/* The endorsement key */

static const struct hash {
    TPMI_ALG_HASH number;
    const char *name;
    const EVP_MD *(*md)(void);
} hashes[] = {{TPM2_ALG_SHA256, "SHA-256", EVP_sha256},
              {TPM2_ALG_SHA384, "SHA-384", EVP_sha384},
              {TPM2_ALG_SHA512, "SHA-512", EVP_sha512}};

static const struct hash *find_hash(TPMI_ALG_HASH number)
{
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++)
        if (hashes[i].number == number)
            return &hashes[i];
    return NULL;
}

/* Only what is written again as the same bytes: a name is of bytes, and there must be one reading of them. */
static int unmarshal(TPMT_PUBLIC *out, struct view area, struct cofre_err *err)
{
    uint8_t again[sizeof(TPMT_PUBLIC)];
    UINT16 type = 0;
    size_t at = 0, used = 0, len = 0;
    memset(out, 0, sizeof *out);
    if (Tss2_MU_UINT16_Unmarshal(area.data, area.len, &at, &type) != TSS2_RC_SUCCESS ||
        (type != TPM2_ALG_RSA && type != TPM2_ALG_ECC))
        return cofre_fail(err, COFRE_MALFORMED,
                          "it is neither a table of an SVSM's services nor a TPM's public key of RSA or of "
                          "an elliptic curve");
    if (Tss2_MU_TPMT_PUBLIC_Unmarshal(area.data, area.len, &used, out) != TSS2_RC_SUCCESS)
        return cofre_fail(err, COFRE_MALFORMED, "a TPM's public key is cut off, or is none");
    if (used != area.len)
        return cofre_fail(err, COFRE_MALFORMED, "%zu bytes are behind a TPM's public key", area.len - used);
    if (Tss2_MU_TPMT_PUBLIC_Marshal(out, again, sizeof again, &len) != TSS2_RC_SUCCESS || len != used ||
        memcmp(again, area.data, len) != 0)
        return cofre_fail(err, COFRE_MALFORMED, "a TPM's public key is not written as a TPM writes it");
    return 0;
}

static int import_rsa(struct svsm_ek *out, const TPMT_PUBLIC *public, struct cofre_err *err)
{
    const TPMS_RSA_PARMS *parms = &public->parameters.rsaDetail;
    const TPM2B_PUBLIC_KEY_RSA *n = &public->unique.rsa;
    if ((parms->keyBits != 2048 && parms->keyBits != 3072 && parms->keyBits != 4096) ||
        n->size != parms->keyBits / 8 || !(n->buffer[0] & 0x80) || !(n->buffer[n->size - 1] & 1) ||
        (parms->exponent && parms->exponent != RSA_F4))
        return cofre_fail(err, COFRE_MALFORMED,
                          "a TPM's public key is not one of RSA with 2048, 3072 or 4096 bits and the "
                          "exponent 65537");
    BIGNUM *modulus = BN_bin2bn(n->buffer, n->size, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    const bool made = modulus && build && ctx &&
                      OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
                      OSSL_PARAM_BLD_push_uint(build, OSSL_PKEY_PARAM_RSA_E, RSA_F4) == 1 &&
                      (params = OSSL_PARAM_BLD_to_param(build)) && EVP_PKEY_fromdata_init(ctx) == 1 &&
                      EVP_PKEY_fromdata(ctx, &out->key, EVP_PKEY_PUBLIC_KEY, params) == 1;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_free(modulus);
    (void)snprintf(out->kind, sizeof out->kind, "RSA-%u", parms->keyBits);
    return made ? 0 : cofre_fail(err, COFRE_FAILED, "OpenSSL took no public key of RSA");
}

static bool put_number(uint8_t *out, size_t size, const TPM2B_ECC_PARAMETER *number)
{
    if (number->size > size)
        return false;
    memcpy(out + size - number->size, number->buffer, number->size);
    return true;
}

static int import_ecc(struct svsm_ek *out, const TPMT_PUBLIC *public, struct cofre_err *err)
{
    const TPMI_ECC_CURVE id = public->parameters.eccDetail.curveID;
    const struct ecdsa_curve *curve = id == TPM2_ECC_NIST_P256   ? &ecdsa_p256
                                      : id == TPM2_ECC_NIST_P384 ? &ecdsa_p384
                                                                 : NULL;
    uint8_t point[2 * ECDSA_SIZE_MAX] = {0};
    if (!curve || !put_number(point, curve->size, &public->unique.ecc.x) ||
        !put_number(point + curve->size, curve->size, &public->unique.ecc.y))
        return cofre_fail(err, COFRE_MALFORMED,
                          "a TPM's public key is not one of the curves P-256 and P-384");
    (void)snprintf(out->kind, sizeof out->kind, "ECC %s", curve->name);
    return ecdsa_key_import(&out->key, curve, point, err) < 0
               ? cofre_fail(err, COFRE_MALFORMED, "a TPM's public key is no point of %s", curve->name)
               : 0;
}

/* Part 1, on credentials: only a key that nobody can have but the TPM, and that decrypts for nobody but the TPM itself. */
static const char *why_unfit(const TPMT_PUBLIC *public, const TPMT_SYM_DEF_OBJECT *cipher)
{
    const TPMA_OBJECT is = public->objectAttributes;
    if (!(is & TPMA_OBJECT_FIXEDTPM) || !(is & TPMA_OBJECT_FIXEDPARENT))
        return "may be taken to other TPMs (fixedTPM or fixedParent is clear)";
    if (!(is & TPMA_OBJECT_SENSITIVEDATAORIGIN))
        return "was not made by the TPM (sensitiveDataOrigin is clear)";
    if (!(is & TPMA_OBJECT_RESTRICTED) || !(is & TPMA_OBJECT_DECRYPT) || (is & TPMA_OBJECT_SIGN_ENCRYPT))
        return "is no restricted decryption key, and so decrypts for whoever asks";
    const uint16_t bits = cipher->keyBits.aes;
    if (cipher->algorithm != TPM2_ALG_AES || cipher->mode.aes != TPM2_ALG_CFB ||
        (bits != 128 && bits != 192 && bits != 256))
        return "protects nothing by AES in CFB mode, as an endorsement key does";
    return NULL;
}

static void add_kind(struct svsm_ek *ek, const struct hash *hash, const TPMT_SYM_DEF_OBJECT *cipher)
{
    char ending[32] = "";
    const size_t len = strlen(ek->kind);
    if (cipher->algorithm == TPM2_ALG_AES && cipher->mode.aes == TPM2_ALG_CFB)
        (void)snprintf(ending, sizeof ending, ", AES-%u-CFB", cipher->keyBits.aes);
    (void)snprintf(ek->kind + len, sizeof ek->kind - len, ", %s%s", hash->name, ending);
}

static int put_name(struct svsm_ek *ek, const struct hash *hash, struct view area, struct cofre_err *err)
{
    unsigned len = 0;
    ek->name[0] = (uint8_t)(hash->number >> 8);
    ek->name[1] = (uint8_t)hash->number;
    if (EVP_Digest(area.data, area.len, ek->name + 2, &len, hash->md(), NULL) != 1)
        return cofre_fail(err, COFRE_FAILED, "%s failed", hash->name);
    ek->name_len = 2 + len;
    return 0;
}

static int read_ek(struct svsm_ek *out, struct view area, struct cofre_err *err)
{
    TPMT_PUBLIC public;
    int rc = unmarshal(&public, area, err);
    if (rc < 0)
        return rc;
    const struct hash *hash = find_hash(public.nameAlg);
    if (!hash)
        return cofre_fail(err, COFRE_MALFORMED, "a TPM's public key is named by the hash 0x%04x",
                          public.nameAlg);
    const bool rsa = public.type == TPM2_ALG_RSA;
    const TPMT_SYM_DEF_OBJECT *cipher =
        rsa ? &public.parameters.rsaDetail.symmetric : &public.parameters.eccDetail.symmetric;
    rc = rsa ? import_rsa(out, &public, err) : import_ecc(out, &public, err);
    if (rc == 0)
        rc = put_name(out, hash, area, err);
    if (rc < 0)
        return rc;
    add_kind(out, hash, cipher);
    out->unfit = why_unfit(&public, cipher);
    return 0;
}

/* Manifests */

static const struct svsm_service *find_service(const struct svsm_manifest *m, const uint8_t *guid)
{
    for (size_t i = 0; i < m->services; i++)
        if (memcmp(m->service[i].guid, guid, GUID_SIZE) == 0)
            return &m->service[i];
    return NULL;
}

/* One byte of the manifest belongs to one thing, so that nobody reads there what another reads elsewhere. */
static bool lies_free(const struct svsm_manifest *m, struct view data)
{
    for (size_t i = 0; i < m->services; i++) {
        const struct view other = m->service[i].manifest;
        if (data.len && other.len && data.data < other.data + other.len && other.data < data.data + data.len)
            return false;
    }
    return true;
}

static int add_service(struct svsm_manifest *m, const uint8_t *entry, size_t head, struct cofre_err *err)
{
    char guid[GUID_TEXT_SIZE];
    struct view data;
    const uint32_t offset = le32(entry + GUID_SIZE), size = le32(entry + GUID_SIZE + 4);
    guid_format(guid, entry);
    if (find_service(m, entry))
        return cofre_fail(err, COFRE_MALFORMED, "the service %s is there twice", guid);
    if (offset < head || !view_sub(m->bytes, offset, size, &data))
        return cofre_fail(err, COFRE_MALFORMED,
                          "the service %s has %u bytes at %u, which are not in the manifest's %zu behind its "
                          "head of %zu",
                          guid, size, offset, m->bytes.len, head);
    if (!lies_free(m, data))
        return cofre_fail(err, COFRE_MALFORMED, "the service %s lies over another", guid);
    struct svsm_service *s = &m->service[m->services++];
    memcpy(s->guid, entry, GUID_SIZE);
    s->manifest = data;
    return 0;
}

static int read_table(struct svsm_manifest *m, struct cofre_err *err)
{
    const uint8_t *data = m->bytes.data;
    const uint32_t size = le32(data + GUID_SIZE), count = le32(data + GUID_SIZE + 4);
    m->all = true;
    if (size != m->bytes.len)
        return cofre_fail(err, COFRE_MALFORMED, "a table of services says that it has %u bytes, and has %zu",
                          size, m->bytes.len);
    const size_t head = ENTRY_SIZE * (1 + (size_t)count);
    if (count > SVSM_SERVICES_MAX || head > size)
        return cofre_fail(err, COFRE_MALFORMED, "a table of services of %u bytes says that it has %u", size,
                          count);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = add_service(m, data + ENTRY_SIZE * (1 + i), head, err);
    return rc;
}

static bool is_table(struct view file)
{
    return file.len >= ENTRY_SIZE && memcmp(file.data, services_guid, GUID_SIZE) == 0;
}

int svsm_manifest_read(struct svsm_manifest *out, struct view file, struct cofre_err *err)
{
    *out = (struct svsm_manifest){.bytes = file};
    if (file.len > SVSM_MANIFEST_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "%zu bytes, more than a manifest has (%u)", file.len,
                          SVSM_MANIFEST_MAX);
    if (is_table(file)) {
        int rc = read_table(out, err);
        if (rc < 0)
            return rc;
    } else {
        memcpy(out->service[0].guid, vtpm_guid, GUID_SIZE);
        out->service[0].manifest = file;
        out->services = 1;
    }
    const struct svsm_service *vtpm = find_service(out, vtpm_guid);
    return vtpm && (vtpm->manifest.len || !out->all) ? read_ek(&out->ek, vtpm->manifest, err) : 0;
}

int svsm_ek_pem(struct bytes *out, const struct svsm_ek *ek, struct cofre_err *err)
{
    CLEAN(bio) BIO *bio = BIO_new(BIO_s_mem());
    uint8_t *data = NULL;
    if (!ek->key)
        return cofre_fail(err, COFRE_MALFORMED, "the manifest has no vTPM's endorsement key");
    if (!bio || PEM_write_bio_PUBKEY(bio, ek->key) != 1)
        return cofre_fail(err, COFRE_FAILED, "the vTPM's key cannot be written as PEM");
    const long len = BIO_get_mem_data(bio, &data);
    return bytes_copy(out, (struct view){data, (size_t)len}, err);
}
