#include "attest/svsm.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "attest/tpm_public.h"
#include "vmm/base/clean_openssl.h"
#include "vmm/base/ovmf_table.h"

#define GUID_SIZE  16
#define ENTRY_SIZE 24 /* of the table: a GUID and two numbers, as its head is */

static const uint8_t services_guid[GUID_SIZE] =
    GUID(0x63849ebb, 0x3d92, 0x4670, 0xa1, 0xff, 0x58, 0xf9, 0xc9, 0x4b, 0x87, 0xbb);
static const uint8_t vtpm_guid[GUID_SIZE] =
    GUID(0xc476f1eb, 0x0123, 0x45a5, 0x96, 0x41, 0xb4, 0xe7, 0xdd, 0xe5, 0xbf, 0xe3);

void svsm_manifest_free(struct svsm_manifest *m)
{
    EVP_PKEY_free(m->ek.key);
    m->ek.key = NULL;
}

/* The endorsement key */

/* Part 1, on credentials: only a key that nobody can have but the TPM, and that decrypts for nobody but the TPM itself. */
static const char *why_unfit(const struct tpm_public *public, const TPMT_SYM_DEF_OBJECT *cipher)
{
    const TPMA_OBJECT is = public->area.objectAttributes;
    const uint16_t bits = cipher->keyBits.aes;
    const char *why = tpm_public_may_leave(public);
    if (why)
        return why;
    if (!(is & TPMA_OBJECT_RESTRICTED) || !(is & TPMA_OBJECT_DECRYPT) || (is & TPMA_OBJECT_SIGN_ENCRYPT))
        return "is no restricted decryption key, and so decrypts for whoever asks";
    if (cipher->algorithm != TPM2_ALG_AES || cipher->mode.aes != TPM2_ALG_CFB ||
        (bits != 128 && bits != 192 && bits != 256))
        return "protects nothing by AES in CFB mode, as an endorsement key does";
    return NULL;
}

static int read_ek(struct svsm_ek *out, struct view area, struct cofre_err *err)
{
    CLEAN_TPM_PUBLIC public;
    int rc = tpm_public_read(&public, area, err);
    if (rc < 0)
        return rc;
    const TPMT_SYM_DEF_OBJECT *cipher = public.area.type == TPM2_ALG_RSA
                                            ? &public.area.parameters.rsaDetail.symmetric
                                            : &public.area.parameters.eccDetail.symmetric;
    const bool aes = cipher->algorithm == TPM2_ALG_AES && cipher->mode.aes == TPM2_ALG_CFB;
    char ending[32] = "";
    if (aes)
        (void)snprintf(ending, sizeof ending, ", AES-%u-CFB", cipher->keyBits.aes);
    (void)snprintf(out->kind, sizeof out->kind, "%s%s", public.kind, ending);
    memcpy(out->name, public.name, public.name_len);
    out->name_len = public.name_len;
    out->unfit = why_unfit(&public, cipher);
    out->key = public.key;
    public.key = NULL;
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
    if (!vtpm || (vtpm->manifest.len == 0 && out->all))
        return 0;
    int rc = read_ek(&out->ek, vtpm->manifest, err);
    return rc < 0 ? cofre_within(err, rc,
                                 out->all ? "the vTPM's key" : "no table of services, nor the vTPM's key")
                  : 0;
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
