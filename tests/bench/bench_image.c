/*
 * Bytes that firmware or module measures at a launch, whatever the size of kernel and initrd, beside the firmware image of
 * an OVMF guest: of that each byte is measured (SNP_LAUNCH_UPDATE of the whole; with TDX, of its boot volume).
 *
 *   bench_image KERNEL SHIM SHIM_OF_TDX
 */
#include <string.h>
#include <sys/stat.h>

#include "tests/bench/row.h"
#include "vmm/base/file.h"
#include "vmm/machine/boot.h"

#define OVMF "/usr/share/ovmf/OVMF.fd"
#define VMSA 4096 /* of each vCPU, measured by SNP */

static double measured(uint32_t tee, const char *shim_path, const struct bytes *kernel)
{
    struct bytes shim;
    struct launch_image image;
    struct cofre_err err;
    size_t sum = tee == BOOT_SNP ? VMSA : 0;
    BENCH_CHECK(file_read(&shim, shim_path, SHIM_MAX_SIZE, &err) == 0);
    const struct boot_config config = {.tee = tee,
                                       .shim = bytes_view(&shim),
                                       .memory = BOOT_MEMORY_DEFAULT,
                                       .cpus = 1,
                                       .kernel = bytes_view(kernel),
                                       .cmdline = {(const uint8_t *)"quiet", 5}};
    BENCH_CHECK(boot_image_build(&config, &image, &err) == 0);
    for (size_t i = 0; i < image.count; i++)
        sum += image.range[i].kind == LAUNCH_UNMEASURED ? 0 : image.range[i].len;
    launch_image_free(&image);
    bytes_free(&shim);
    return (double)sum;
}

int main(int argc, char **argv)
{
    struct bytes kernel;
    struct cofre_err err;
    struct stat ovmf;
    BENCH_CHECK(argc == 4 && file_read(&kernel, argv[1], 1 << 20, &err) == 0);
    const bool beside = stat(OVMF, &ovmf) == 0;
    struct bench_row row = {.figure = "measured at launch, one vCPU",
                            .unit = "bytes",
                            .beside = beside ? "Debian's OVMF.fd" : NULL,
                            .beside_value = beside ? (double)ovmf.st_size : 0};
    row.of = "cofre, snp";
    row.value = measured(BOOT_SNP, argv[2], &kernel);
    bench_row_print(&row);
    row.of = "cofre, tdx";
    row.value = measured(BOOT_TDX, argv[3], &kernel);
    bench_row_print(&row);
    bytes_free(&kernel);
    return 0;
}
