/*
 * What a relying party accepts: the policy file (JSON; schema in docs/policy.md). Absent members have the defaults of
 * policy_init; a list that is absent is not compared, an empty one is an error of the file.
 */
#ifndef COFRE_ATTEST_POLICY_H
#define COFRE_ATTEST_POLICY_H

#include "sev/tcb.h"
#include "tdx/tcb_status.h"
#include "vmm/base/bytes.h"

#define POLICY_FILE_MAX (1u << 20)
#define POLICY_LIST_MAX 4096 /* values of one list */

enum policy_bit { POLICY_ANY, POLICY_REQUIRED, POLICY_FORBIDDEN };

/* Accepted values; count 0: not compared. */
struct policy_list {
    struct bytes *item;
    size_t count;
};
bool policy_list_has(const struct policy_list *list, struct view value);

#define POLICY_SNP_GUEST_BITS    9
#define POLICY_SNP_PLATFORM_BITS 8

struct policy_snp {
    struct policy_list measurement, host_data, id_key_digest, author_key_digest, family_id, image_id, chip_id,
        csp_id, report_id, report_id_ma;
    struct policy_list report_data; /* one value or none */
    struct policy_list reference;   /* names of reference values, of which it is to be one */
    struct {
        bool given;
        struct snp_tcb tcb;
    } min_tcb[SNP_PRODUCT_COUNT];
    bool has_min_tcb;
    uint32_t max_vmpl;
    uint32_t min_guest_svn;
    uint16_t min_abi;     /* major << 8 | minor */
    uint64_t mitigations; /* mask of a report's mitigation vectors */
    bool product[SNP_PRODUCT_COUNT];
    bool has_products;
    enum policy_bit guest_policy[POLICY_SNP_GUEST_BITS];     /* in the order of policy_snp_guest_bits */
    enum policy_bit platform_info[POLICY_SNP_PLATFORM_BITS]; /* in the order of policy_snp_platform_bits */
    enum policy_bit provisional_firmware, unknown_bits;
};

#define POLICY_TDX_ATTRIBUTES    6
#define POLICY_TDX_PLATFORM_BITS 3
#define POLICY_EVENTS_MAX        64

struct policy_tdx {
    struct policy_list mrtd, rtmr[4], mrconfigid, mrowner, mrownerconfig, mrseam, mrsignerseam,
        platform_instance;
    struct policy_list reference;                         /* names of reference values */
    struct policy_list mrservicetd;                       /* count 0: it must be zero */
    struct policy_list report_data, min_tee_tcb_svn;      /* one value or none */
    enum policy_bit td_attributes[POLICY_TDX_ATTRIBUTES]; /* in the order of policy_tdx_attributes */
    enum policy_bit platform[POLICY_TDX_PLATFORM_BITS];   /* in the order of policy_tdx_platform */
    struct policy_xfam {
        bool given;
        uint64_t mask, value;
    } xfam;
    bool tcb_status[TDX_TCB_STATUSES];    /* accepted; never TDX_TCB_REVOKED */
    struct policy_list reject_advisories; /* texts */
    int64_t min_tcb_date;                 /* seconds since 1970; 0: none */
    uint32_t min_evaluation_data_number;
    uint32_t max_collateral_age_days; /* since TCB info and QE identity were issued; 0: any */
    uint32_t
        grace_days; /* for which an OutOfDate level, counted from its date, and collateral that ran out still do */
    enum policy_bit event_log, unknown_bits;
    struct policy_event { /* something that must have been measured, by the event log */
        uint32_t rtmr;
        struct policy_list digest; /* one of these */
    } event[POLICY_EVENTS_MAX];
    size_t events;
};

struct policy {
    struct policy_snp snp;
    struct policy_tdx tdx;
};

/* Bits by the names that policies and claims give them. */
struct policy_named_bit {
    const char *name;
    uint64_t mask;
    enum policy_bit initial;
};
extern const struct policy_named_bit policy_snp_guest_bits[POLICY_SNP_GUEST_BITS];
extern const struct policy_named_bit policy_snp_platform_bits[POLICY_SNP_PLATFORM_BITS];
extern const struct policy_named_bit policy_tdx_attributes[POLICY_TDX_ATTRIBUTES];
extern const struct policy_named_bit policy_tdx_platform[POLICY_TDX_PLATFORM_BITS]; /* of a PCK certificate */

void policy_init(struct policy *out); /* the defaults */
void policy_free(struct policy *policy);
#define CLEAN_POLICY __attribute__((cleanup(policy_free))) struct policy

/* True where the file would be taken for a policy, well formed or not. */
bool policy_recognises(struct view file);

/* -COFRE_USAGE names the member. *out holds nothing then. */
int policy_parse(struct policy *out, struct view file, struct cofre_err *err);

#endif
