#include "vmm/machine/guest.h"

#include <string.h>

#include "vmm/base/file.h"
#include "vmm/base/ovmf_table.h"
#include "vmm/igvm/file.h"
#include "vmm/machine/firmware.h"

/* Plain guests share all their memory, and need no bounce buffers. */
static int make_cmdline(struct bytes *out, const struct guest_spec *spec, const struct tee_ops *tee,
                        struct cofre_err *err)
{
    const char *given = spec->cmdline ? spec->cmdline : "";
    if (tee && !spec->firmware &&
        !spec->igvm) /* firmware's guests are measured as other VMMs' are: by the owner's words alone */
        return bounce_cmdline(out, given, bounce_size(spec->device, spec->devices, spec->cpus, spec->memory),
                              err);
    *out = (struct bytes){(uint8_t *)strdup(given), strlen(given)};
    return out->data ? 0 : cofre_fail(err, COFRE_FAILED, "the command line: out of memory");
}

static int read_first(struct guest *out, const struct guest_spec *spec, uint32_t boot_tee,
                      struct cofre_err *err)
{
    if (spec->igvm)
        return file_read(&out->firmware, spec->igvm, IGVM_SIZE_MAX, err);
    return spec->firmware ? file_read(&out->firmware, spec->firmware, OVMF_SIZE_MAX, err)
                          : boot_shim_load(boot_tee, &out->shim, err);
}

int guest_load(struct guest *out, const struct guest_spec *spec, const struct tee_ops *tee,
               struct cofre_err *err)
{
    const uint32_t boot_tee = tee ? tee->boot_tee : BOOT_PLAIN;
    *out = (struct guest){0};
    int rc = read_first(out, spec, boot_tee, err);
    if (rc == 0)
        rc = make_cmdline(&out->cmdline, spec, tee, err);
    if (rc == 0)
        rc = window_open(&out->window, spec->kernel, spec->initrd, bytes_view(&out->cmdline), err);
    if (rc)
        return rc;
    out->config = (struct boot_config){
        .tee = boot_tee,
        .shim = bytes_view(&out->shim),
        .firmware = bytes_view(&out->firmware),
        .igvm = spec->igvm != NULL,
        .memory = spec->memory,
        .cpus = spec->cpus,
        .kernel = out->window.kernel,
        .initrd = out->window.initrd,
        .cmdline = out->window.cmdline,
        .window = out->window.host,
    };
    if (spec->firmware || spec->igvm)
        return firmware_image_build(&out->config, tee, &out->image, err);
    return boot_image_build(&out->config, &out->image, err);
}

void guest_free(struct guest *guest)
{
    launch_image_free(&guest->image);
    bytes_free(&guest->cmdline);
    window_close(&guest->window);
    bytes_free(&guest->shim);
    bytes_free(&guest->firmware);
}
