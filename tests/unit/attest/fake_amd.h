/*
 * A vendor of our own for tests: keys, and certificates, revocation lists and reports in AMD's shape, each detail of
 * which a test can make wrong before it is built. Nothing of AMD's is needed or imitated but the names.
 */
#ifndef COFRE_TESTS_FAKE_AMD_H
#define COFRE_TESTS_FAKE_AMD_H

#include <openssl/types.h>

#include "attest/appraise.h"
#include "attest/reference.h"
#include "sev/report.h"
#include "tests/unit/attest/fake_cert.h"

/* AMD's extensions of a leaf; -1: left out. */
struct fake_leaf {
    int structure;
    const char *product_name; /* NULL: left out */
    int svn[9];               /* of .3.1 to .3.9 */
    int hwid_len;
    bool hwid_tagged; /* in an OCTET STRING of its own */
    uint8_t hwid[64];
    const char *csp_id;
    const char *raw_oid; /* this one's value is raw_value instead */
    uint8_t raw_value[8];
    int raw_len;
};

enum fake_ca { FAKE_ARK, FAKE_ASK, FAKE_LEAF, FAKE_CERTS };

/* All that goes into an appraisal. fake_init makes one that passes; tests change it; fake_appraise builds and judges. */
struct fake {
    struct fake_cert cert[FAKE_CERTS];
    bool left_out[FAKE_CERTS];
    struct fake_leaf leaf;
    struct fake_crl crl;
    struct snp_report report;
    EVP_PKEY *signing_key;
    bool trust_root;                /* the ARK is given as --trust-root */
    void (*tamper)(struct fake *f); /* after signing */
    const char *policy;             /* JSON; NULL: the defaults */
    struct view nonce, report_data, measurement;
    int64_t at;
    struct x509_issued *issued;          /* or NULL */
    const struct references *references; /* or NULL */
    const struct svsm_manifest *service; /* or NULL */
};

struct fake_keys {
    EVP_PKEY *ark, *ask, *other; /* RSA-4096 */
    EVP_PKEY *leaf, *other_leaf; /* P-384 */
    EVP_PKEY *p256;
    EVP_PKEY *leaf_compressed; /* leaf, whose point is written compressed */
};
extern struct fake_keys fake_keys;
void fake_keys_make(void); /* seconds: RSA */
void fake_keys_free(void);

void fake_init(struct fake *f, enum snp_product product, uint32_t version);
void fake_use_vlek(struct fake *f);
/* Every component of every TCB version, and the leaf's. */
void fake_set_tcb(struct fake *f, const struct snp_tcb *tcb);

void fake_report_sign(struct fake *f);
int fake_appraise(struct verdict *out, struct fake *f, struct cofre_err *err);

enum snp_product fake_product(const struct fake *f);

#endif
