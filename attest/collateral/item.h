/*
 * What vendors publish about their platforms, one thing at a time: how each is called, and what must hold before it is kept.
 * Sources: AMD, "VCEK certificate and KDS interface specification" (57230); Intel, SGX and TDX Provisioning Certification
 * Service API v4; Intel's PCCS design guide.
 */
#ifndef COFRE_ATTEST_COLLATERAL_ITEM_H
#define COFRE_ATTEST_COLLATERAL_ITEM_H

#include "sev/certs.h"
#include "tdx/chain.h"

enum collateral_vendor { COLLATERAL_AMD, COLLATERAL_INTEL, COLLATERAL_VENDORS };

enum collateral_kind {
    KDS_CHAIN, /* ASK and ARK of a product, PEM */
    KDS_CRL,   /* what the product's ARK revoked, DER */
    KDS_VCEK,  /* DER */
    PCS_TCB_INFO,
    PCS_QE_IDENTITY,
    PCS_PCK_CRL, /* DER, as it is kept */
    PCS_ROOT_CRL,
    COLLATERAL_KINDS
};

/* Which one. Members that the kind does not need are zero. */
struct collateral_id {
    enum collateral_kind kind;
    enum snp_product product;
    bool vlek; /* the list is asked for at the VLEK's address */
    uint8_t hwid[64];
    struct snp_tcb tcb;
    uint8_t fmspc[6];
    bool early;       /* update=early */
    bool platform_ca; /* else the processor CA */
};

/* "kds/Milan/vcek/crl", "kds/Milan/vcek/HWID/TCB", "pcs/tcb/FMSPC/standard" ...; there is one name of each. */
#define COLLATERAL_NAME_MAX 192
void collateral_name(char out[COLLATERAL_NAME_MAX], const struct collateral_id *id);
bool collateral_id_parse(struct collateral_id *out, const char *name);
/* For sentences: "the VCEK of chip 0123456789abcdef... at TCB db18000000000004". */
void collateral_describe(char out[COLLATERAL_NAME_MAX], const struct collateral_id *id);
enum collateral_vendor collateral_vendor(enum collateral_kind kind);

/* What another is checked with: false where the kind needs none. */
bool collateral_base(struct collateral_id *out, const struct collateral_id *id);

#define COLLATERAL_BODY_MAX (1u << 20)
#define COLLATERAL_FOR_EVER INT64_MAX

struct collateral_item {
    struct bytes body;
    struct bytes chain;    /* PEM; of Intel's: who signed it */
    int64_t issued, until; /* as it says itself; seconds since 1970 */
};
void collateral_item_free(struct collateral_item *item);
#define CLEAN_ITEM __attribute__((cleanup(collateral_item_free))) struct collateral_item

/*
 * It is what was asked for, under the vendor's pinned root or one of roots (may be NULL), and current; fills in issued and
 * until. base: see collateral_base, or NULL. -COFRE_MALFORMED or -COFRE_NEGATIVE with what is wrong; -COFRE_LACKING where it
 * is genuine and not of now.
 */
int collateral_check(const struct collateral_id *id, struct collateral_item *item,
                     const struct collateral_item *base, const struct x509_certs *roots, int64_t now,
                     struct cofre_err *err);

#endif
