#include "sev/launch/igvm.h"

#include <string.h>

#include "sev/igvm.h"
#include "sev/policy.h"

const struct snp_igvm_own *snp_igvm_own(const struct launch_image *image)
{
    return image->own.len ? (const struct snp_igvm_own *)image->own.data : NULL;
}

static int keep_own(struct launch_image *image, const struct snp_igvm *igvm, struct cofre_err *err)
{
    const struct igvm_guest *g = &igvm->guest;
    int rc =
        bytes_alloc(&image->own, sizeof(struct snp_igvm_own) + g->contexts * sizeof(struct snp_vmsa), err);
    if (rc < 0)
        return rc;
    struct snp_igvm_own *own = (struct snp_igvm_own *)image->own.data;
    own->has_policy = g->has_policy;
    own->policy = g->policy;
    own->has_id_block = igvm->has_id_block;
    own->id_block = igvm->id_block;
    own->id_auth = igvm->id_auth;
    own->vmsas = (unsigned)g->contexts;
    for (unsigned i = 0; i < own->vmsas; i++)
        snp_igvm_vmsa(&own->vmsa[i], igvm, i);
    return 0;
}

static void take_ranges(struct launch_image *image, struct snp_igvm *igvm)
{
    static const enum launch_page_kind kinds[] = {
        [SNP_PAGE_NORMAL] = LAUNCH_MEASURED,
        [SNP_PAGE_UNMEASURED] = LAUNCH_UNMEASURED,
        [SNP_PAGE_SECRETS] = LAUNCH_SECRETS,
        [SNP_PAGE_CPUID] = LAUNCH_CPUID,
    };
    static_assert(IGVM_RANGES_MAX <= LAUNCH_RANGES_MAX, "an IGVM file's ranges fit into a launch image");
    for (size_t i = 0; i < igvm->count; i++) {
        const struct snp_layout_range *r = &igvm->range[i];
        image->range[image->count++] = (struct launch_range){kinds[r->type], r->gpa, r->len, r->data};
    }
    image->storage = igvm->guest.contents;
    igvm->guest.contents = (struct bytes){0};
}

int snp_igvm_image(const struct igvm_file *file, const struct igvm_machine *machine,
                   const struct boot_config *config, struct launch_image *image, struct cofre_err *err)
{
    const struct snp_kernel_items items = {config->kernel, config->initrd, config->cmdline};
    const struct snp_igvm_layout layout = {.cpus = config->cpus,
                                           .guest_features = SNP_FEATURE_ACTIVE,
                                           .kernel = config->kernel.len ? &items : NULL};
    struct snp_igvm igvm;
    int rc = snp_igvm_build(&igvm, file, machine, &layout, err);
    if (rc == 0)
        rc = keep_own(image, &igvm, err);
    if (rc == 0)
        take_ranges(image, &igvm);
    image->entry = SNP_RESET_VECTOR;
    snp_igvm_free(&igvm);
    return rc;
}

int snp_igvm_adopt(struct snp_owner *owner, const struct launch_image *image, struct cofre_err *err)
{
    const struct snp_igvm_own *own = snp_igvm_own(image);
    if (!own)
        return 0;
    if (own->has_policy && owner->policy_given && owner->policy != own->policy)
        return cofre_fail(err, COFRE_USAGE, "--policy 0x%llx is not the policy of the IGVM file, 0x%llx",
                          (unsigned long long)owner->policy, (unsigned long long)own->policy);
    if (own->has_policy && snp_policy_check(own->policy, err) < 0)
        return cofre_within(err, -COFRE_MALFORMED, "--igvm");
    if (own->has_policy) {
        owner->policy = own->policy;
        owner->policy_given = true;
    }
    if (own->has_id_block && !owner->has_id_block && !owner->has_id_auth) {
        owner->id_block = own->id_block;
        owner->id_auth = own->id_auth;
        owner->has_id_block = owner->has_id_auth = true;
    }
    return 0;
}

int snp_igvm_check_digest(const struct launch_image *image, const struct snp_digest *digest,
                          struct cofre_err *err)
{
    const struct snp_igvm_own *own = snp_igvm_own(image);
    char is[2 * SNP_DIGEST_SIZE + 1], wanted[2 * SNP_DIGEST_SIZE + 1];
    if (!own || !own->has_id_block ||
        memcmp(own->id_block.launch_digest, digest->value, sizeof digest->value) == 0)
        return 0;
    hex_encode(is, digest->value, sizeof digest->value);
    hex_encode(wanted, own->id_block.launch_digest, sizeof digest->value);
    return cofre_fail(err, COFRE_NEGATIVE,
                      "--igvm: this guest would have the launch digest %s, and the file's ID block is for %s",
                      is, wanted);
}
