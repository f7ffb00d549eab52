#include "tdx/model/pki.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

#include "vmm/base/ecdsa.h"
#include "vmm/base/key_dir.h"

#define LAST "tdx-processor"

const uint8_t tdx_emulated_cpu_svn[TDX_SVNS] = {3, 3, 2, 2, 4, 1, 0, 5};
const uint8_t tdx_emulated_fmspc[6] = {0xe0, 0x06, 0xc0, 0xf0, 0x00, 0x00};
const uint8_t tdx_emulated_pce_id[2] = {0, 0};

void tdx_pki_close(struct tdx_pki *pki)
{
    X509 *const certificates[] = {pki->root, pki->platform_ca, pki->tcb_signing, pki->pck};
    EVP_PKEY *const keys[] = {pki->root_key, pki->platform_ca_key, pki->tcb_signing_key, pki->pck_key,
                              pki->attestation_key};
    for (size_t i = 0; i < sizeof certificates / sizeof *certificates; i++)
        X509_free(certificates[i]);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        EVP_PKEY_free(keys[i]);
    OPENSSL_cleanse(pki, sizeof *pki);
}

static int load(struct tdx_pki *pki, const char *dir, struct cofre_err *err)
{
    const struct {
        const char *pem, *key;
        X509 **to;
        EVP_PKEY **key_to;
    } parts[] = {
        {"tdx-root.pem", "tdx-root.key", &pki->root, &pki->root_key},
        {"tdx-platform-ca.pem", "tdx-platform-ca.key", &pki->platform_ca, &pki->platform_ca_key},
        {"tdx-tcb-signing.pem", "tdx-tcb-signing.key", &pki->tcb_signing, &pki->tcb_signing_key},
        {"tdx-pck.pem", "tdx-pck.key", &pki->pck, &pki->pck_key},
    };
    int rc = key_dir_read_hex((uint8_t *)&pki->processor, sizeof pki->processor, dir, LAST, err);
    for (size_t i = 0; rc == 0 && i < sizeof parts / sizeof *parts; i++) {
        rc = key_dir_read_cert(parts[i].to, dir, parts[i].pem, err);
        if (rc == 0)
            rc = key_dir_read_key(parts[i].key_to, dir, parts[i].key, err);
        if (rc == 0 && X509_check_private_key(*parts[i].to, *parts[i].key_to) != 1)
            rc = key_dir_damaged(dir, parts[i].key, "not the key of the certificate beside it", err);
    }
    if (rc == 0)
        rc = key_dir_read_key(&pki->attestation_key, dir, "tdx-attestation.key", err);
    if (rc == 0 && !ecdsa_is_key(&ecdsa_p256, pki->attestation_key))
        rc = key_dir_damaged(dir, "tdx-attestation.key", "not a key of P-256", err);
    return rc;
}

int tdx_pki_open(struct tdx_pki *out, const char *dir, struct cofre_err *err)
{
    struct tdx_pki pki = {0};
    int rc = key_dir_once(dir, LAST, tdx_pki_make, NULL, err);
    if (rc == 0)
        rc = load(&pki, dir, err);
    if (rc == 0)
        *out = pki;
    else
        tdx_pki_close(&pki);
    return rc;
}
