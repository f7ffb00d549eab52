#include "tests/unit/attest/made_manifest.h"

#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#define MUST(condition)                                                                                      \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            abort();                                                                                         \
    } while (0)

/* As their texts read, mixed as UEFI has them: c476f1eb-0123-45a5-9641-b4e7dde5bfe3, 63849ebb-3d92-4670-a1ff-58f9c94b87bb. */
const uint8_t made_vtpm_guid[16] = {0xeb, 0xf1, 0x76, 0xc4, 0x23, 0x01, 0xa5, 0x45,
                                    0x96, 0x41, 0xb4, 0xe7, 0xdd, 0xe5, 0xbf, 0xe3};
const uint8_t made_services_guid[16] = {0xbb, 0x9e, 0x84, 0x63, 0x92, 0x3d, 0x70, 0x46,
                                        0xa1, 0xff, 0x58, 0xf9, 0xc9, 0x4b, 0x87, 0xbb};

static void init(TPMT_PUBLIC *out, TPM2_ALG_ID type)
{
    /* PolicyA of the TCG's EK credential profile: PolicySecret of the endorsement hierarchy. */
    static const uint8_t policy[32] = {0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc,
                                       0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52,
                                       0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa};
    *out = (TPMT_PUBLIC){.type = type,
                         .nameAlg = TPM2_ALG_SHA256,
                         .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                             TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_ADMINWITHPOLICY |
                                             TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
                         .authPolicy.size = sizeof policy};
    memcpy(out->authPolicy.buffer, policy, sizeof policy);
}

static const TPMT_SYM_DEF_OBJECT cipher = {
    .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB};

void made_rsa(TPMT_PUBLIC *out)
{
    init(out, TPM2_ALG_RSA);
    out->parameters.rsaDetail =
        (TPMS_RSA_PARMS){.symmetric = cipher, .scheme.scheme = TPM2_ALG_NULL, .keyBits = 2048};
    out->unique.rsa.size = 256;
    for (size_t i = 0; i < 256; i++) /* nobody factors it here */
        out->unique.rsa.buffer[i] = (uint8_t)(0xc3 + 7 * i);
    out->unique.rsa.buffer[255] |= 1;
}

void made_ecc(TPMT_PUBLIC *out)
{
    /* The curve's base point (FIPS 186-4, D.1.2.3). */
    static const uint8_t x[32] = {0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6,
                                  0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb,
                                  0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96};
    static const uint8_t y[32] = {0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb,
                                  0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33, 0x57, 0x6b, 0x31,
                                  0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5};
    init(out, TPM2_ALG_ECC);
    out->parameters.eccDetail = (TPMS_ECC_PARMS){.symmetric = cipher,
                                                 .scheme.scheme = TPM2_ALG_NULL,
                                                 .curveID = TPM2_ECC_NIST_P256,
                                                 .kdf.scheme = TPM2_ALG_NULL};
    out->unique.ecc.x.size = out->unique.ecc.y.size = 32;
    memcpy(out->unique.ecc.x.buffer, x, 32);
    memcpy(out->unique.ecc.y.buffer, y, 32);
}

void made_ek(struct made_manifest *out, const TPMT_PUBLIC *area)
{
    out->len = 0;
    MUST(Tss2_MU_TPMT_PUBLIC_Marshal(area, out->data, sizeof out->data, &out->len) == TSS2_RC_SUCCESS);
}

void made_table(struct made_manifest *out, const struct made_manifest *ek, size_t services)
{
    static const uint8_t bytes[8] = "manifest";
    size_t at = 24 * (1 + services);
    memcpy(out->data, made_services_guid, 16);
    for (size_t i = 0; i < services; i++) {
        uint8_t *entry = out->data + 24 * (1 + i);
        const struct view data = i == 0 ? made_view(ek) : (struct view){bytes, i % 3 * 4};
        MUST(at + data.len <= sizeof out->data);
        memcpy(entry, made_vtpm_guid, 16);
        entry[15] = (uint8_t)(entry[15] + i);
        put_le32(entry + 16, (uint32_t)at);
        put_le32(entry + 20, (uint32_t)data.len);
        if (data.len)
            memcpy(out->data + at, data.data, data.len);
        at += data.len;
    }
    put_le32(out->data + 16, (uint32_t)at);
    put_le32(out->data + 20, (uint32_t)services);
    out->len = at;
}
