#include "tdx/launch/igvm.h"

#define RESET_PAGE 0xfffff000u

/* launch_image's own bytes: the TD's attributes as the file's policy has them. */
struct tdx_igvm_own {
    uint64_t attributes;
};

static int take_policy(struct launch_image *image, uint64_t policy, struct cofre_err *err)
{
    static const uint64_t attributes[] = {TDX_ATTR_DEBUG, TDX_ATTR_SEPT_VE_DISABLE, TDX_ATTR_MIGRATABLE};
    const size_t bits = sizeof attributes / sizeof attributes[0];
    if (policy >> bits)
        return cofre_fail(err, COFRE_MALFORMED,
                          "the IGVM file's guest policy 0x%llx has bits that are not known",
                          (unsigned long long)policy);
    int rc = bytes_alloc(&image->own, sizeof(struct tdx_igvm_own), err);
    if (rc < 0)
        return rc;
    struct tdx_igvm_own *own = (struct tdx_igvm_own *)image->own.data;
    for (size_t i = 0; i < bits; i++)
        own->attributes |= policy >> i & 1 ? attributes[i] : 0;
    return 0;
}

static int take_ranges(struct launch_image *image, struct igvm_guest *guest, struct cofre_err *err)
{
    static const struct {
        bool there;
        enum launch_page_kind kind;
    } kinds[] = {
        [IGVM_RANGE_DATA] = {true, LAUNCH_MEASURED},         [IGVM_RANGE_ZERO] = {true, LAUNCH_MEASURED},
        [IGVM_RANGE_UNMEASURED] = {true, LAUNCH_UNMEASURED}, [IGVM_RANGE_SECRETS] = {false, LAUNCH_SECRETS},
        [IGVM_RANGE_CPUID] = {false, LAUNCH_CPUID},
    };
    static_assert(IGVM_RANGES_MAX <= LAUNCH_RANGES_MAX, "an IGVM file's ranges fit into a launch image");
    bool starts = false;
    for (size_t i = 0; i < guest->count; i++) {
        const struct igvm_range *r = &guest->range[i];
        if (!kinds[r->kind].there)
            return cofre_fail(err, COFRE_MALFORMED,
                              "the IGVM file has a page at 0x%llx of a kind that TDX does not have",
                              (unsigned long long)r->gpa);
        image->range[image->count++] = (struct launch_range){kinds[r->kind].kind, r->gpa, r->len, r->data};
        starts |= r->gpa <= RESET_PAGE && r->gpa + r->len > RESET_PAGE;
    }
    if (!starts)
        return cofre_fail(err, COFRE_MALFORMED,
                          "the IGVM file fills no memory at 0xfffffff0, where every TD starts");
    image->storage = guest->contents;
    guest->contents = (struct bytes){0};
    return 0;
}

int tdx_igvm_image(const struct igvm_file *file, const struct igvm_machine *machine,
                   const struct boot_config *config, struct launch_image *image, struct cofre_err *err)
{
    struct igvm_guest guest;
    (void)config; /* what a TD is handed beside the file, its firmware measures into run-time registers */
    int rc = igvm_guest_build(&guest, file, IGVM_TDX, machine, err);
    if (rc == 0 && guest.has_policy)
        rc = take_policy(image, guest.policy, err);
    if (rc == 0)
        rc = take_ranges(image, &guest, err);
    igvm_guest_free(&guest);
    return rc;
}

int tdx_igvm_adopt(struct tdx_owner *owner, const struct launch_image *image, struct cofre_err *err)
{
    if (!image->own.len)
        return 0;
    const struct tdx_igvm_own *own = (const struct tdx_igvm_own *)image->own.data;
    if (owner->attributes_given && owner->attributes != own->attributes)
        return cofre_fail(err, COFRE_USAGE, "--attributes 0x%llx are not those of the IGVM file, 0x%llx",
                          (unsigned long long)owner->attributes, (unsigned long long)own->attributes);
    owner->attributes = own->attributes;
    return 0;
}
