#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sev/cert_table.h"
#include "sev/fw_status.h"
#include "sev/model/guest.h"
#include "vmm/base/key_dir.h"

/* The firmware versions that brought each report version. */
static const struct {
    unsigned report;
    uint8_t minor, build;
} firmwares[] = {{2, 51, 3}, {3, 55, 21}, {5, 58, 1}};

enum psp_status psp_refuse(enum psp_status status, const char *format, ...)
{
    char why[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, sizeof why, format, args);
    va_end(args);
    log_info("%s: %s", snp_fw_status(status)->name, why);
    return status;
}

static int set_firmware(struct psp *psp, struct cofre_err *err)
{
    unsigned report = psp->options.report_version ? psp->options.report_version : 3;
    if (report == 2 && psp->chain.chip->product == SNP_PRODUCT_TURIN)
        return cofre_fail(err, COFRE_USAGE,
                          "emulated platform: no Turin's firmware makes reports of version 2");
    for (size_t i = 0; i < sizeof firmwares / sizeof *firmwares; i++) {
        if (firmwares[i].report != report)
            continue;
        psp->options.report_version = report;
        psp->api_major = 1;
        psp->api_minor = firmwares[i].minor;
        psp->build = firmwares[i].build;
        return 0;
    }
    return cofre_fail(err, COFRE_USAGE,
                      "emulated platform: reports of version %u are not made; 2, 3 and 5 are", report);
}

int psp_open(struct psp **out, const char *dir, const struct psp_options *options, struct cofre_err *err)
{
    struct psp *psp = calloc(1, sizeof *psp);
    if (!psp)
        return cofre_fail(err, COFRE_FAILED, "emulated platform: no memory");
    if (options)
        psp->options = *options;
    int rc = psp_chain_open(&psp->chain, key_dir_emulated(dir), psp->options.product, err);
    if (rc == 0)
        rc = set_firmware(psp, err);
    if (rc < 0) {
        psp_close(psp);
        return rc;
    }
    psp->options.product = psp->chain.chip->product;
    psp->tcb = snp_tcb_encode(&psp->chain.chip->tcb, psp->chain.chip->product);
    *out = psp;
    return 0;
}

void psp_close(struct psp *psp)
{
    if (!psp)
        return;
    psp_chain_close(&psp->chain);
    free(psp);
}

void psp_version(const struct psp *psp, struct psp_version *out)
{
    const struct psp_options *o = &psp->options;
    *out = (struct psp_version){psp->api_major, psp->api_minor, psp->build,
                                (uint32_t)(o->mask_chip_id | o->mask_chip_key << 1 | o->vlek << 2), psp->tcb};
}

const char *psp_product_name(const struct psp *psp)
{
    return snp_product_name(psp->chain.chip->product);
}

uint32_t psp_fms(const struct psp *psp)
{
    return psp->chain.chip->fms;
}

int psp_root(const struct psp *psp, struct bytes *out, struct cofre_err *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    long len = bio && PEM_write_bio_X509(bio, psp->chain.ark) == 1 ? BIO_get_mem_data(bio, &text) : 0;
    int rc = len > 0 ? bytes_copy(out, (struct view){(uint8_t *)text, (size_t)len}, err)
                     : cofre_fail(err, COFRE_FAILED, "OpenSSL could not write the emulated root");
    BIO_free_all(bio);
    return rc;
}

/* DER of a certificate or CRL, which i2d_* hands over; freed by the caller with OPENSSL_free. */
static struct view der_of(int (*encode)(const void *, uint8_t **), const void *object)
{
    uint8_t *data = NULL;
    int len = encode(object, &data);
    return len > 0 ? (struct view){data, (size_t)len} : (struct view){0};
}

static int encode_cert(const void *object, uint8_t **out)
{
    return i2d_X509(object, out);
}

static int encode_crl(const void *object, uint8_t **out)
{
    return i2d_X509_CRL(object, out);
}

int psp_cert_table(const struct psp *psp, struct bytes *out, struct cofre_err *err)
{
    const struct psp_chain *chain = &psp->chain;
    bool vlek = psp->options.vlek;
    struct snp_cert_entry entries[] = {
        {.kind = vlek ? SNP_CERT_VLEK : SNP_CERT_VCEK,
         .data = der_of(encode_cert, vlek ? chain->vlek : chain->vcek)},
        {.kind = SNP_CERT_ASK, .data = der_of(encode_cert, vlek ? chain->asvk : chain->ask)},
        {.kind = SNP_CERT_ARK, .data = der_of(encode_cert, chain->ark)},
        {.kind = SNP_CERT_CRL, .data = der_of(encode_crl, chain->crl)},
    };
    size_t count = sizeof entries / sizeof *entries;
    int rc = snp_cert_table_build(out, entries, count, err);
    for (size_t i = 0; i < count; i++)
        OPENSSL_free((void *)entries[i].data.data);
    return rc;
}
