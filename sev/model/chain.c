#include "sev/model/chain.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

#include "vmm/base/key_dir.h"

#define LAST "chip_id"

void psp_chain_close(struct psp_chain *chain)
{
    X509 *const certificates[] = {chain->ark, chain->ask, chain->asvk, chain->vcek, chain->vlek};
    for (size_t i = 0; i < sizeof certificates / sizeof *certificates; i++)
        X509_free(certificates[i]);
    X509_CRL_free(chain->crl);
    EVP_PKEY_free(chain->vcek_key);
    EVP_PKEY_free(chain->vlek_key);
    memset(chain, 0, sizeof *chain);
}

/* The product is told by the root's common name, "ARK-Milan". */
static const struct psp_product *product_of(X509 *ark)
{
    char name[32] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(ark), NID_commonName, name, sizeof name);
    return strncmp(name, "ARK-", 4) == 0 ? psp_product(snp_product_named(name + 4, strlen(name + 4))) : NULL;
}

static int check_chain(struct psp_chain *chain, const char *dir, enum snp_product product,
                       struct cofre_err *err)
{
    chain->chip = product_of(chain->ark);
    if (!chain->chip)
        return key_dir_damaged(dir, "ark.pem", "the root of no product", err);
    if (product != SNP_PRODUCT_UNKNOWN && chain->chip->product != product)
        return cofre_fail(err, COFRE_USAGE,
                          "%s: this emulated chip is a %s, and a %s was asked for; give another directory",
                          dir, snp_product_name(chain->chip->product), snp_product_name(product));
    if (X509_check_private_key(chain->vcek, chain->vcek_key) != 1)
        return key_dir_damaged(dir, "vcek.key", "not the key of vcek.pem", err);
    if (X509_check_private_key(chain->vlek, chain->vlek_key) != 1)
        return key_dir_damaged(dir, "vlek.key", "not the key of vlek.pem", err);
    return 0;
}

static int load_chain(struct psp_chain *out, const char *dir, enum snp_product product, struct cofre_err *err)
{
    struct psp_chain chain = {0};
    const struct {
        const char *name;
        X509 **to;
    } certificates[] = {{"ark.pem", &chain.ark},
                        {"ask.pem", &chain.ask},
                        {"asvk.pem", &chain.asvk},
                        {"vcek.pem", &chain.vcek},
                        {"vlek.pem", &chain.vlek}};
    int rc = key_dir_read_hex(chain.chip_id, sizeof chain.chip_id, dir, LAST, err);
    for (size_t i = 0; rc == 0 && i < sizeof certificates / sizeof *certificates; i++)
        rc = key_dir_read_cert(certificates[i].to, dir, certificates[i].name, err);
    if (rc == 0)
        rc = key_dir_read_crl(&chain.crl, dir, "crl.pem", err);
    if (rc == 0)
        rc = key_dir_read_key(&chain.vcek_key, dir, "vcek.key", err);
    if (rc == 0)
        rc = key_dir_read_key(&chain.vlek_key, dir, "vlek.key", err);
    if (rc == 0)
        rc = check_chain(&chain, dir, product, err);
    if (rc < 0) {
        psp_chain_close(&chain);
        return rc;
    }
    *out = chain;
    return 0;
}

/* context: the product that was asked for. */
static int make_chain(const char *dir, void *context, struct cofre_err *err)
{
    enum snp_product product = *(enum snp_product *)context;
    return psp_chain_make(dir, psp_product(product == SNP_PRODUCT_UNKNOWN ? SNP_PRODUCT_MILAN : product),
                          err);
}

int psp_chain_open(struct psp_chain *out, const char *dir, enum snp_product product, struct cofre_err *err)
{
    if (product != SNP_PRODUCT_UNKNOWN && !psp_product(product))
        return cofre_fail(err, COFRE_USAGE, "%s: there is no such product as %d", dir, product);
    int rc = key_dir_once(dir, LAST, make_chain, &product, err);
    return rc < 0 ? rc : load_chain(out, dir, product, err);
}
