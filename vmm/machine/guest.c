#include "vmm/machine/guest.h"

#include <string.h>

#include "vmm/base/file.h"

#define FILE_MAX (STAGING_END - STAGING_BASE) /* all files go through the staging window */

static int read_file(struct bytes *out, const char *path, const char *option, struct cofre_err *err)
{
    int rc = path ? file_read(out, path, FILE_MAX, err) : 0;
    return rc ? cofre_within(err, rc, "%s", option) : 0;
}

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
        rc = read_file(&out->kernel, spec->kernel, "--kernel", err);
    if (rc == 0)
        rc = read_file(&out->initrd, spec->initrd, "--initrd", err);
    if (rc == 0)
        rc = make_cmdline(&out->cmdline, spec, tee, err);
    if (rc)
        return rc;
    out->config = (struct boot_config){
        .tee = tee,
        .shim = bytes_view(&out->shim),
        .memory = spec->memory,
        .cpus = spec->cpus,
        .kernel = bytes_view(&out->kernel),
        .initrd = bytes_view(&out->initrd),
        .cmdline = bytes_view(&out->cmdline),
    };
    return boot_image_build(&out->config, &out->image, err);
}

void guest_free(struct guest *guest)
{
    launch_image_free(&guest->image);
    bytes_free(&guest->cmdline);
    bytes_free(&guest->initrd);
    bytes_free(&guest->kernel);
    bytes_free(&guest->shim);
}
