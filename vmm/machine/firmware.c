#include "vmm/machine/firmware.h"

#include "vmm/base/ovmf_table.h"
#include "vmm/machine/igvm.h"

/* An IGVM file may ask for a command line without any kernel. */
static int check_items(const struct boot_config *config, struct cofre_err *err)
{
    if (config->kernel.len == 0 && (config->initrd.len || (config->cmdline.len && !config->igvm)))
        return cofre_fail(err, COFRE_USAGE, "--initrd and --cmdline go with a --kernel");
    return 0;
}

/* All of a plain guest's memory is open: there is nothing for metadata to say. */
static int plain_image(const struct boot_config *config, struct launch_image *image)
{
    const uint64_t gpa = OVMF_END - config->firmware.len;
    image->range[image->count++] =
        (struct launch_range){LAUNCH_MEASURED, gpa, config->firmware.len, config->firmware.data};
    return 0;
}

int firmware_image_build(const struct boot_config *config, const struct tee_ops *tee,
                         struct launch_image *image, struct cofre_err *err)
{
    struct ovmf_table table;
    *image = (struct launch_image){.at_reset = true, .cpus = config->cpus};
    int rc = boot_check_numbers(config, err);
    if (rc == 0)
        rc = check_items(config, err);
    if (rc)
        return rc;
    if (config->igvm)
        return igvm_image_build(config, tee, image, err);
    rc = ovmf_table_parse(&table, config->firmware, err);
    if (rc < 0)
        return cofre_within(err, rc, "--firmware");
    if (!tee)
        return plain_image(config, image);
    return tee->firmware_image(config, image, err);
}
