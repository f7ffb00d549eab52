/* The emulated processor: what it puts into reports, and by what it knows them again. */
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "tdx/model/enclave.h"
#include "vmm/base/clean_openssl.h"
#include "vmm/base/key_dir.h"

/* Of module 1.5 (major version 1), version 5 of it; P-SEAMLDR's is 2. TCB levels of the collateral know it as current. */
const uint8_t tdx_emulated_tee_tcb_svn[TDX_SVNS] = {5, 1, 2};

/* VALID of TEE_TCB_INFO: TEE_TCB_SVN, MRSEAM, MRSIGNERSEAM, ATTRIBUTES, and TEE_TCB_SVN_2 of TDX 1.5. */
#define TCB_INFO_VALID 0x301ffull

int tdx_platform_open(struct tdx_platform **out, const char *dir, const struct tdx_platform_options *options,
                      struct cofre_err *err)
{
    unsigned version = options && options->quote_version ? options->quote_version : 4;
    if (version != 4 && version != 5)
        return cofre_fail(err, COFRE_USAGE,
                          "emulated TDX platform: quotes of version %u are not made; 4 and 5 are", version);
    struct tdx_platform *platform = calloc(1, sizeof *platform);
    if (!platform)
        return cofre_fail(err, COFRE_FAILED, "emulated TDX platform: no memory");
    platform->quote_version = version;
    int rc = tdx_pki_open(&platform->pki, key_dir_emulated(dir), err);
    if (rc < 0) {
        free(platform);
        return rc;
    }
    *out = platform;
    return 0;
}

void tdx_platform_close(struct tdx_platform *platform)
{
    if (!platform)
        return;
    tdx_pki_close(&platform->pki);
    free(platform);
}

/* A MAC that could not be computed must never look like one. */
static void mac_of(uint8_t mac[32], const struct tdx_platform *platform, const struct tdx_report_mac *report)
{
    unsigned len = 32;
    if (!HMAC(EVP_sha256(), platform->pki.processor.mac_key, sizeof platform->pki.processor.mac_key,
              (const uint8_t *)report, offsetof(struct tdx_report_mac, mac), mac, &len) ||
        len != 32)
        abort();
}

void tdx_platform_seal_report(const struct tdx_platform *platform, struct tdx_report *report)
{
    static const char module[] = "EMULATED TDX module by Cofre";
    struct tdx_tee_tcb_info *tcb = &report->tcb;
    memset(tcb, 0, sizeof *tcb);
    put_le64(tcb->valid, TCB_INFO_VALID);
    memcpy(tcb->tee_tcb_svn, tdx_emulated_tee_tcb_svn, sizeof tcb->tee_tcb_svn);
    memcpy(tcb->tee_tcb_svn_2, tdx_emulated_tee_tcb_svn, sizeof tcb->tee_tcb_svn_2);
    SHA384((const uint8_t *)module, sizeof module - 1, tcb->mrseam); /* MRSIGNERSEAM is zero, as Intel's is */
    struct tdx_report_mac *mac = &report->mac;
    mac->type = TDX_TEE_TYPE;
    memcpy(mac->cpu_svn, tdx_emulated_cpu_svn, sizeof mac->cpu_svn);
    SHA384((const uint8_t *)tcb, sizeof *tcb, mac->tee_tcb_info_hash);
    SHA384((const uint8_t *)&report->td, sizeof report->td, mac->tee_info_hash);
    mac_of(mac->mac, platform, mac);
}

bool tdx_platform_made(const struct tdx_platform *platform, const struct tdx_report_mac *mac)
{
    uint8_t expected[sizeof mac->mac];
    mac_of(expected, platform, mac);
    return CRYPTO_memcmp(expected, mac->mac, sizeof expected) == 0;
}

int tdx_platform_root(const struct tdx_platform *platform, struct bytes *out, struct cofre_err *err)
{
    X509 *const root[] = {platform->pki.root};
    return tdx_pem_chain(out, root, 1, err);
}

int tdx_pem_chain(struct bytes *out, X509 *const *certificates, size_t count, struct cofre_err *err)
{
    CLEAN(bio) BIO *bio = BIO_new(BIO_s_mem());
    bool ok = bio;
    char *text;
    for (size_t i = 0; ok && i < count; i++)
        ok = PEM_write_bio_X509(bio, certificates[i]) == 1;
    long len = ok ? BIO_get_mem_data(bio, &text) : 0;
    return len > 0 ? bytes_copy(out, (struct view){(uint8_t *)text, (size_t)len}, err)
                   : cofre_fail(err, COFRE_FAILED, "OpenSSL could not write an emulated certificate");
}
