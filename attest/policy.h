/*
 * What a relying party accepts: the policy file (JSON; schema in docs/policy.md). Absent members have the defaults of
 * policy_init; a list that is absent is not compared, an empty one is an error of the file.
 */
#ifndef COFRE_ATTEST_POLICY_H
#define COFRE_ATTEST_POLICY_H

#include "sev/tcb.h"
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

struct policy {
    struct policy_snp snp;
};

/* Bits by the names that policies and claims give them. */
struct policy_named_bit {
    const char *name;
    uint64_t mask;
    enum policy_bit initial;
};
extern const struct policy_named_bit policy_snp_guest_bits[POLICY_SNP_GUEST_BITS];
extern const struct policy_named_bit policy_snp_platform_bits[POLICY_SNP_PLATFORM_BITS];

void policy_init(struct policy *out); /* the defaults */
void policy_free(struct policy *policy);
#define CLEAN_POLICY __attribute__((cleanup(policy_free))) struct policy

/* True where the file would be taken for a policy, well formed or not. */
bool policy_recognises(struct view file);

/* -COFRE_USAGE names the member. *out holds nothing then. */
int policy_parse(struct policy *out, struct view file, struct cofre_err *err);

#endif
