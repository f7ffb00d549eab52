/*
 * A bzImage's header, and the memory that it is to run in: six words (RAM below 3 GiB in steps of 2 MiB, RAM above, size of
 * the initrd, of the image, TEE, number of ranges), then the image. What is accepted fits, and its parameters stay in their page.
 */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/base/bytes.h"
#include "vmm/shim/linux.h"

#define WORDS 6

static void check_params(const struct linux_kernel *kernel, const struct linux_place *place,
                         const uint8_t *image, const struct shim_boot_page *boot)
{
    uint8_t page[LINUX_PARAMS_SIZE + 16];
    const struct linux_params in = {image, place, boot, 0x100000, 0};
    memset(page, 0xa5, sizeof page);
    linux_params_fill(page, &in);
    for (size_t i = LINUX_PARAMS_SIZE; i < sizeof page; i++)
        FUZZ_CHECK(page[i] == 0xa5);
    uint64_t end = 0;
    for (unsigned i = 0; i < page[0x1e8]; i++) { /* the E820 map: ascending, no range empty or over another */
        const uint8_t *entry = page + 0x2d0 + 20 * i;
        FUZZ_CHECK(le64(entry) >= end && le64(entry + 8) > 0);
        end = le64(entry) + le64(entry + 8);
    }
    FUZZ_CHECK(page[0x1e8] > 0 && le32(page + 0x228) == 0x100000 && kernel->init_size > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t image[LINUX_HEADER_SIZE] = {0};
    struct linux_kernel kernel;
    struct linux_place place;
    if (size < 4 * WORDS)
        return 0;
    const uint64_t initrd = le32(data + 8), image_size = le32(data + 12);
    struct shim_boot_page boot = {
        .tee = le32(data + 16) % 3,
        .ram_count = le32(data + 20),
        .ram = {{0, (uint64_t)le32(data) * RAM_STEP}, {RAM_HIGH, (uint64_t)le32(data + 4) * RAM_STEP}}};
    boot.initrd.size = (uint32_t)initrd;
    data += 4 * WORDS;
    size -= 4 * WORDS;
    memcpy(image, data, size < sizeof image ? size : sizeof image);
    if (!shim_ram_valid(&boot) || !linux_kernel_parse(&kernel, image, image_size))
        return 0;
    FUZZ_CHECK(kernel.setup_size >= 1024 && kernel.setup_size < image_size);
    if (!linux_place(&place, &kernel, boot.ram[0].size, initrd))
        return 0;
    FUZZ_CHECK(place.kernel >= (uint64_t)SHIM_END + kernel.setup_size);
    FUZZ_CHECK(place.kernel + kernel.init_size <= place.initrd && place.initrd % 4096 == 0);
    FUZZ_CHECK(place.initrd + initrd <= boot.ram[0].size);
    FUZZ_CHECK(image_size - kernel.setup_size <= kernel.init_size); /* so the image fits where it is copied */
    FUZZ_CHECK(place.kernel == kernel.preferred || place.kernel % kernel.alignment == 0);
    check_params(&kernel, &place, image, &boot);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    uint8_t *image = out + 4 * WORDS;
    if (index > 2)
        return 0;
    memset(out, 0, 4 * WORDS + 0x290);
    put_le32(out, index == 2 ? 0xc0000000u / RAM_STEP : 256);
    put_le32(out + 4, 512);
    put_le32(out + 8, 8u << 20);
    put_le32(out + 12, 12u << 20);
    put_le32(out + 16, index);
    put_le32(out + 20, index == 2 ? 2 : 1);
    image[0x1f1] = 39;
    put_le16(image + 0x1fe, 0xaa55);
    put_le16(image + 0x200, 0x6aeb);
    put_le32(image + 0x202, 0x53726448);
    put_le16(image + 0x206, 0x020f);
    image[0x211] = 1;
    put_le32(image + 0x22c, 0x7fffffff);
    put_le32(image + 0x230, 0x200000);
    image[0x234] = 1;
    put_le16(image + 0x236, 0x7f);
    put_le32(image + 0x238, 2047);
    put_le64(image + 0x258, index == 1 ? 0x100000 : 0x1000000);
    put_le32(image + 0x260, 50u << 20);
    return 4 * WORDS + 0x290;
}
