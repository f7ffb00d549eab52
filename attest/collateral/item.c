#include "attest/collateral/item.h"

#include <openssl/asn1.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "attest/collateral/kinds.h"
#include "vmm/base/timestamp.h"

#define HWID_SHOWN 8 /* bytes of a chip's id in a sentence */

static const struct kind {
    enum collateral_vendor vendor;
    int (*check)(struct collateral_case *c, struct cofre_err *err);
} kinds[COLLATERAL_KINDS] = {
    [KDS_CHAIN] = {COLLATERAL_AMD, kds_check_chain},
    [KDS_CRL] = {COLLATERAL_AMD, kds_check_crl},
    [KDS_VCEK] = {COLLATERAL_AMD, kds_check_vcek},
    [PCS_TCB_INFO] = {COLLATERAL_INTEL, pcs_check_tcb_info},
    [PCS_QE_IDENTITY] = {COLLATERAL_INTEL, pcs_check_qe_identity},
    [PCS_PCK_CRL] = {COLLATERAL_INTEL, pcs_check_pck_crl},
    [PCS_ROOT_CRL] = {COLLATERAL_INTEL, pcs_check_root_crl},
};

static const char *update_word(bool early)
{
    return early ? "early" : "standard";
}

void collateral_name(char out[COLLATERAL_NAME_MAX], const struct collateral_id *id)
{
    const char *product = snp_product_name(id->product);
    char digits[2 * sizeof id->hwid + 1];
    switch (id->kind) {
    case KDS_CHAIN:
        (void)snprintf(out, COLLATERAL_NAME_MAX, "kds/%s/vcek/cert_chain", product);
        break;
    case KDS_CRL:
        (void)snprintf(out, COLLATERAL_NAME_MAX, "kds/%s/%s/crl", product, id->vlek ? "vlek" : "vcek");
        break;
    case KDS_VCEK:
        hex_encode(digits, id->hwid, sizeof id->hwid);
        (void)snprintf(out, COLLATERAL_NAME_MAX, "kds/%s/vcek/%s/%016llx", product, digits,
                       (unsigned long long)snp_tcb_encode(&id->tcb, id->product));
        break;
    case PCS_TCB_INFO:
        hex_encode(digits, id->fmspc, sizeof id->fmspc);
        (void)snprintf(out, COLLATERAL_NAME_MAX, "pcs/tcb/%s/%s", digits, update_word(id->early));
        break;
    case PCS_QE_IDENTITY:
        (void)snprintf(out, COLLATERAL_NAME_MAX, "pcs/qe/%s", update_word(id->early));
        break;
    case PCS_PCK_CRL:
        (void)snprintf(out, COLLATERAL_NAME_MAX, "pcs/pckcrl/%s", id->platform_ca ? "platform" : "processor");
        break;
    default:
        (void)snprintf(out, COLLATERAL_NAME_MAX, "pcs/rootcacrl");
    }
}

/* The segments of a name, between slashes. */
struct segments {
    char part[5][2 * 64 + 1];
    size_t count;
};

static bool split(struct segments *out, const char *name)
{
    *out = (struct segments){.count = 0};
    for (;; name++) {
        size_t len = strcspn(name, "/");
        if (out->count == 5 || len >= sizeof out->part[0])
            return false;
        memcpy(out->part[out->count++], name, len);
        name += len;
        if (!*name)
            return true;
    }
}

static bool parse_kds(struct collateral_id *id, const struct segments *s)
{
    uint8_t raw[8];
    uint64_t tcb = 0;
    id->product = snp_product_named(s->part[1], strlen(s->part[1]));
    id->vlek = strcmp(s->part[2], "vlek") == 0;
    if (s->count == 5) {
        id->kind = KDS_VCEK;
        if (!hex_decode(id->hwid, sizeof id->hwid, s->part[3]) || !hex_decode(raw, sizeof raw, s->part[4]))
            return false;
        for (size_t i = 0; i < sizeof raw; i++)
            tcb = tcb << 8 | raw[i];
        return snp_tcb_decode(&id->tcb, tcb, id->product);
    }
    id->kind = strcmp(s->part[3], "crl") == 0 ? KDS_CRL : KDS_CHAIN;
    return id->product != SNP_PRODUCT_UNKNOWN;
}

static bool parse_pcs(struct collateral_id *id, const struct segments *s)
{
    static const struct {
        const char *word;
        enum collateral_kind kind;
    } words[] = {
        {"tcb", PCS_TCB_INFO}, {"qe", PCS_QE_IDENTITY}, {"pckcrl", PCS_PCK_CRL}, {"rootcacrl", PCS_ROOT_CRL}};
    const char *last = s->part[s->count - 1];
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(s->part[1], words[i].word) == 0)
            id->kind = words[i].kind;
    id->early = strcmp(last, "early") == 0;
    id->platform_ca = strcmp(last, "platform") == 0;
    return id->kind != PCS_TCB_INFO || hex_decode(id->fmspc, sizeof id->fmspc, s->part[2]);
}

/* What was read is written again: only the name of what was understood is the same. */
bool collateral_id_parse(struct collateral_id *out, const char *name)
{
    struct segments s;
    char again[COLLATERAL_NAME_MAX];
    *out = (struct collateral_id){.kind = KDS_CHAIN};
    if (!split(&s, name) || s.count < 2)
        return false;
    if (!(strcmp(s.part[0], "kds") == 0 ? parse_kds(out, &s) : parse_pcs(out, &s)))
        return false;
    collateral_name(again, out);
    return strcmp(again, name) == 0;
}

void collateral_describe(char out[COLLATERAL_NAME_MAX], const struct collateral_id *id)
{
    const char *product = snp_product_name(id->product);
    char digits[2 * HWID_SHOWN + 1];
    switch (id->kind) {
    case KDS_CHAIN:
        (void)snprintf(out, COLLATERAL_NAME_MAX, "AMD's chain for %s", product);
        break;
    case KDS_CRL:
        (void)snprintf(out, COLLATERAL_NAME_MAX, "AMD's revocation list for %s (%s)", product,
                       id->vlek ? "VLEK" : "VCEK");
        break;
    case KDS_VCEK:
        hex_encode(digits, id->hwid, HWID_SHOWN);
        (void)snprintf(out, COLLATERAL_NAME_MAX, "the VCEK of %s chip %s... at TCB %016llx", product, digits,
                       (unsigned long long)snp_tcb_encode(&id->tcb, id->product));
        break;
    case PCS_TCB_INFO:
        hex_encode(digits, id->fmspc, sizeof id->fmspc);
        (void)snprintf(out, COLLATERAL_NAME_MAX, "the TCB info of FMSPC %s (%s)", digits,
                       update_word(id->early));
        break;
    case PCS_QE_IDENTITY:
        (void)snprintf(out, COLLATERAL_NAME_MAX, "the QE identity (%s)", update_word(id->early));
        break;
    case PCS_PCK_CRL:
        (void)snprintf(out, COLLATERAL_NAME_MAX, "the revocation list of the PCK %s CA",
                       id->platform_ca ? "platform" : "processor");
        break;
    default:
        (void)snprintf(out, COLLATERAL_NAME_MAX, "the revocation list of Intel's root");
    }
}

enum collateral_vendor collateral_vendor(enum collateral_kind kind)
{
    return kinds[kind].vendor;
}

bool collateral_base(struct collateral_id *out, const struct collateral_id *id)
{
    switch (id->kind) {
    case KDS_CRL:
    case KDS_VCEK:
        *out = (struct collateral_id){.kind = KDS_CHAIN, .product = id->product};
        return true;
    case PCS_ROOT_CRL: /* whose chain has the root */
        *out = (struct collateral_id){.kind = PCS_PCK_CRL, .platform_ca = true};
        return true;
    default:
        return false;
    }
}

void collateral_item_free(struct collateral_item *item)
{
    bytes_free(&item->body);
    bytes_free(&item->chain);
}

int collateral_check_window(const struct collateral_case *c, struct cofre_err *err)
{
    char text[TIME_TEXT_SIZE];
    if (c->item->issued > c->now) {
        time_format(text, c->item->issued);
        return cofre_fail(err, COFRE_LACKING, "it is from %s, which is yet to come", text);
    }
    if (c->item->until <= c->now) {
        time_format(text, c->item->until);
        return cofre_fail(err, COFRE_LACKING, "it had run out on %s", text);
    }
    return 0;
}

static bool seconds_of(int64_t *out, const ASN1_TIME *time)
{
    struct tm tm;
    if (!time || ASN1_TIME_to_tm(time, &tm) != 1)
        return false;
    *out = timegm(&tm);
    return true;
}

int collateral_crl_dates(struct collateral_case *c, X509_CRL *crl, struct cofre_err *err)
{
    if (!seconds_of(&c->item->issued, X509_CRL_get0_lastUpdate(crl)) ||
        !seconds_of(&c->item->until, X509_CRL_get0_nextUpdate(crl)))
        return cofre_fail(err, COFRE_MALFORMED, "the list does not say from when until when it is good");
    return collateral_check_window(c, err);
}

int collateral_check(const struct collateral_id *id, struct collateral_item *item,
                     const struct collateral_item *base, const struct x509_certs *roots, int64_t now,
                     struct cofre_err *err)
{
    struct collateral_case c = {.id = id, .item = item, .base = base, .roots = roots, .now = now};
    return kinds[id->kind].check(&c, err);
}
