#include "sev/launch/firmware.h"

#include <string.h>

#include "sev/layout.h"

static const enum launch_page_kind kinds[] = {
    [SNP_PAGE_NORMAL] = LAUNCH_MEASURED,       [SNP_PAGE_ZERO] = LAUNCH_ZERO,
    [SNP_PAGE_UNMEASURED] = LAUNCH_UNMEASURED, [SNP_PAGE_SECRETS] = LAUNCH_SECRETS,
    [SNP_PAGE_CPUID] = LAUNCH_CPUID,
};

/* Sections are for RAM below 4 GiB; the image brings its own memory. */
static int check_place(const struct snp_layout_range *range, const struct snp_ovmf *ovmf, uint64_t ram_end,
                       struct cofre_err *err)
{
    if (range->gpa == ovmf->table.gpa || (range->gpa < ram_end && range->len <= ram_end - range->gpa))
        return 0;
    return cofre_fail(err, COFRE_MALFORMED,
                      "SEV metadata: the section at 0x%llx lies outside of the guest's memory, which ends at "
                      "0x%llx",
                      (unsigned long long)range->gpa, (unsigned long long)ram_end);
}

static int add_ranges(struct launch_image *image, const struct snp_layout_ranges *ranges,
                      const struct snp_ovmf *ovmf, uint64_t ram_end, struct cofre_err *err)
{
    static_assert(SNP_LAYOUT_RANGES_MAX <= LAUNCH_RANGES_MAX, "an OVMF's ranges fit into a launch image");
    for (size_t i = 0; i < ranges->count; i++) {
        const struct snp_layout_range *from = &ranges->range[i];
        int rc = check_place(from, ovmf, ram_end, err);
        if (rc)
            return rc;
        image->range[image->count++] =
            (struct launch_range){kinds[from->type], from->gpa, from->len,
                                  from->data == ranges->hash_page ? image->storage.data : from->data};
    }
    return 0;
}

int snp_firmware_image(const struct boot_config *config, struct launch_image *image, struct cofre_err *err)
{
    const struct snp_kernel_items items = {config->kernel, config->initrd, config->cmdline};
    const struct snp_layout layout = {
        .vmm = SNP_VMM_QEMU, .cpus = config->cpus, .kernel = config->kernel.len ? &items : NULL};
    struct snp_layout_ranges ranges;
    struct snp_ovmf ovmf;
    struct shim_ram ram[2];
    boot_ram(config->memory, ram);
    int rc = snp_ovmf_parse(&ovmf, config->firmware, err);
    if (rc == 0)
        rc = snp_layout_ranges(&ranges, &ovmf, &layout, err);
    if (rc == 0)
        rc = bytes_alloc_pages(&image->storage, sizeof ranges.hash_page, err);
    if (rc == 0) {
        memcpy(image->storage.data, ranges.hash_page, layout.kernel ? sizeof ranges.hash_page : 0);
        rc = add_ranges(image, &ranges, &ovmf, ram[0].size, err);
    }
    image->entry = ovmf.reset_eip;
    return rc < 0 ? cofre_within(err, rc, "--firmware") : 0;
}
