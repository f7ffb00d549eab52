#include "sev/model/chain.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"

#define PEM_MAX (64 * 1024)

static void cleanup_bio(BIO **bio)
{
    BIO_free_all(*bio);
}
#define CLEAN_BIO __attribute__((cleanup(cleanup_bio))) BIO

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

static int path_in(char path[PATH_MAX], const char *dir, const char *name, struct cofre_err *err)
{
    if (snprintf(path, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
        return cofre_fail(err, COFRE_USAGE, "%s: the name is too long", dir);
    return 0;
}

static int read_part(struct bytes *out, const char *dir, const char *name, struct cofre_err *err)
{
    char path[PATH_MAX];
    int rc = path_in(path, dir, name, err);
    return rc < 0 ? rc : file_read(out, path, PEM_MAX, err);
}

static int damaged(const char *dir, const char *name, const char *why, struct cofre_err *err)
{
    return cofre_fail(err, COFRE_MALFORMED,
                      "%s/%s: %s; remove the directory and the emulated platform makes itself a new chip",
                      dir, name, why);
}

enum pem_kind { PEM_CERT, PEM_CRL, PEM_KEY };

static int read_pem(const char *dir, const char *name, enum pem_kind kind, void *out, struct cofre_err *err)
{
    CLEAN_BYTES text = {0};
    int rc = read_part(&text, dir, name, err);
    if (rc < 0)
        return rc;
    CLEAN_BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    void *got = !bio               ? NULL
                : kind == PEM_CERT ? (void *)PEM_read_bio_X509(bio, NULL, NULL, NULL)
                : kind == PEM_CRL  ? (void *)PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)
                                   : (void *)PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    if (!got)
        return damaged(dir, name, "not what it should be", err);
    *(void **)out = got;
    return 0;
}

static int read_chip_id(struct psp_chain *out, const char *dir, struct cofre_err *err)
{
    CLEAN_BYTES text = {0};
    int rc = read_part(&text, dir, "chip_id", err);
    if (rc < 0)
        return rc;
    char digits[2 * sizeof out->chip_id + 1] = {0};
    if (text.len != sizeof digits || text.data[text.len - 1] != '\n')
        return damaged(dir, "chip_id", "not 128 hexadecimal digits", err);
    memcpy(digits, text.data, sizeof digits - 1);
    return hex_decode(out->chip_id, sizeof out->chip_id, digits)
               ? 0
               : damaged(dir, "chip_id", "not 128 hexadecimal digits", err);
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
        return damaged(dir, "ark.pem", "the root of no product", err);
    if (product != SNP_PRODUCT_UNKNOWN && chain->chip->product != product)
        return cofre_fail(err, COFRE_USAGE,
                          "%s: this emulated chip is a %s, and a %s was asked for; give another directory",
                          dir, snp_product_name(chain->chip->product), snp_product_name(product));
    if (X509_check_private_key(chain->vcek, chain->vcek_key) != 1)
        return damaged(dir, "vcek.key", "not the key of vcek.pem", err);
    if (X509_check_private_key(chain->vlek, chain->vlek_key) != 1)
        return damaged(dir, "vlek.key", "not the key of vlek.pem", err);
    return 0;
}

static int load_chain(struct psp_chain *out, const char *dir, enum snp_product product, struct cofre_err *err)
{
    struct psp_chain chain = {0};
    const struct {
        const char *name;
        enum pem_kind kind;
        void *to;
    } parts[] = {
        {"ark.pem", PEM_CERT, &chain.ark},      {"ask.pem", PEM_CERT, &chain.ask},
        {"asvk.pem", PEM_CERT, &chain.asvk},    {"vcek.pem", PEM_CERT, &chain.vcek},
        {"vlek.pem", PEM_CERT, &chain.vlek},    {"crl.pem", PEM_CRL, &chain.crl},
        {"vcek.key", PEM_KEY, &chain.vcek_key}, {"vlek.key", PEM_KEY, &chain.vlek_key},
    };
    int rc = read_chip_id(&chain, dir, err);
    for (size_t i = 0; rc == 0 && i < sizeof parts / sizeof *parts; i++)
        rc = read_pem(dir, parts[i].name, parts[i].kind, parts[i].to, err);
    if (rc == 0)
        rc = check_chain(&chain, dir, product, err);
    if (rc < 0) {
        psp_chain_close(&chain);
        return rc;
    }
    *out = chain;
    return 0;
}

static bool is_complete(const char *dir)
{
    char path[PATH_MAX];
    struct stat st;
    return path_in(path, dir, "chip_id", NULL) == 0 && stat(path, &st) == 0;
}

static int make_directories(const char *dir, struct cofre_err *err)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s", dir) >= (int)sizeof path)
        return cofre_fail(err, COFRE_USAGE, "%s: the name is too long", dir);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        (void)mkdir(path, 0755); /* whether it could be made shows below */
        *slash = '/';
    }
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return cofre_fail(
            err, COFRE_LACKING,
            "%s: cannot be made for the emulated platform's certificates: %s; COFRE_EMULATED_DIR names "
            "another place",
            dir, strerror(errno));
    return 0;
}

/* Whoever holds the lock makes the chain; who waited for it finds the chain there. */
static int make_once(const char *dir, enum snp_product product, struct cofre_err *err)
{
    const struct psp_product *chip =
        psp_product(product == SNP_PRODUCT_UNKNOWN ? SNP_PRODUCT_MILAN : product);
    if (!chip)
        return cofre_fail(err, COFRE_USAGE, "%s: there is no such product as %d", dir, product);
    char path[PATH_MAX];
    int rc = make_directories(dir, err);
    if (rc == 0)
        rc = path_in(path, dir, "lock", err);
    if (rc < 0)
        return rc;
    CLEAN_FD lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0)
        return cofre_fail(err, COFRE_LACKING,
                          "%s: cannot be written for the emulated platform's certificates: %s", path,
                          strerror(errno));
    while (flock(lock, LOCK_EX) < 0)
        if (errno != EINTR)
            return cofre_fail(err, COFRE_FAILED, "%s: cannot be locked: %s", path, strerror(errno));
    return is_complete(dir) ? 0 : psp_chain_make(dir, chip, err);
}

int psp_chain_open(struct psp_chain *out, const char *dir, enum snp_product product, struct cofre_err *err)
{
    if (!is_complete(dir)) {
        int rc = make_once(dir, product, err);
        if (rc < 0)
            return rc;
    }
    return load_chain(out, dir, product, err);
}
