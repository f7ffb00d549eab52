#include "vmm/machine/guest.h"

#include <string.h>

/* Plain guests share all their memory, and need no bounce buffers. */
static int make_cmdline(struct bytes *out, const struct guest_spec *spec, uint32_t tee, struct cofre_err *err)
{
    const char *given = spec->cmdline ? spec->cmdline : "";
    if (tee != BOOT_PLAIN)
        return bounce_cmdline(out, given, bounce_size(spec->device, spec->devices, spec->cpus, spec->memory),
                              err);
    *out = (struct bytes){(uint8_t *)strdup(given), strlen(given)};
    return out->data ? 0 : cofre_fail(err, COFRE_FAILED, "the command line: out of memory");
}

int guest_load(struct guest *out, const struct guest_spec *spec, uint32_t tee, struct cofre_err *err)
{
    *out = (struct guest){0};
    int rc = boot_shim_load(tee, &out->shim, err);
    if (rc == 0)
        rc = make_cmdline(&out->cmdline, spec, tee, err);
    if (rc == 0)
        rc = window_open(&out->window, spec->kernel, spec->initrd, bytes_view(&out->cmdline), err);
    if (rc)
        return rc;
    out->config = (struct boot_config){
        .tee = tee,
        .shim = bytes_view(&out->shim),
        .memory = spec->memory,
        .cpus = spec->cpus,
        .kernel = out->window.kernel,
        .initrd = out->window.initrd,
        .cmdline = out->window.cmdline,
        .window = out->window.host,
    };
    return boot_image_build(&out->config, &out->image, err);
}

void guest_free(struct guest *guest)
{
    launch_image_free(&guest->image);
    bytes_free(&guest->cmdline);
    window_close(&guest->window);
    bytes_free(&guest->shim);
}
