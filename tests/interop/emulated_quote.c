/* Writes one quote of an emulated platform and what judges it into a directory, for verifiers that we did not write:
 * emulated_quote VERSION KEYS OUT writes OUT/{quote.bin,root.pem,collateral.json}. KEYS is the platform's directory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tdx/model/platform.h"
#include "vmm/base/file.h"

static int write_in(const char *dir, const char *name, const struct bytes *data, struct cofre_err *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return file_write(path, bytes_view(data), 0644, err);
}

/* A TD as `cofre run --tee tdx` starts them, with something of its own in each field. */
static int make_quote(const struct tdx_platform *platform, struct bytes *out, struct cofre_err *err)
{
    struct tdx_report report = {0};
    struct tdx_td_info *td = &report.td;
    put_le64(td->attributes, TDX_ATTR_SEPT_VE_DISABLE);
    put_le64(td->xfam, 0xe7);
    memset(td->mrtd, 0x11, sizeof td->mrtd);
    memset(td->mrconfigid, 0x22, sizeof td->mrconfigid);
    memset(td->mrowner, 0x33, sizeof td->mrowner);
    memset(td->mrownerconfig, 0x44, sizeof td->mrownerconfig);
    for (unsigned i = 0; i < TDX_RTMRS; i++)
        memset(td->rtmr[i], (int)(0x50 + i), sizeof td->rtmr[i]);
    memset(report.mac.report_data, 0x66, sizeof report.mac.report_data);
    tdx_platform_seal_report(platform, &report);
    return tdx_platform_quote(platform, &report, out, err);
}

int main(int argc, char **argv)
{
    struct cofre_err err;
    struct tdx_platform *platform = NULL;
    CLEAN_BYTES quote = {0}, root = {0}, collateral = {0};
    if (argc != 4) {
        fprintf(stderr, "usage: emulated_quote VERSION KEYS OUT\n");
        return COFRE_USAGE;
    }
    const struct tdx_platform_options options = {.quote_version = (unsigned)atoi(argv[1])};
    int rc = tdx_platform_open(&platform, argv[2], &options, &err);
    if (rc == 0)
        rc = make_quote(platform, &quote, &err);
    if (rc == 0)
        rc = tdx_platform_root(platform, &root, &err);
    if (rc == 0)
        rc = tdx_platform_collateral(platform, time(NULL), &collateral, &err);
    if (rc == 0)
        rc = write_in(argv[3], "quote.bin", &quote, &err);
    if (rc == 0)
        rc = write_in(argv[3], "root.pem", &root, &err);
    if (rc == 0)
        rc = write_in(argv[3], "collateral.json", &collateral, &err);
    tdx_platform_close(platform);
    if (rc < 0)
        fprintf(stderr, "emulated_quote: %s\n", err.text);
    return -rc;
}
