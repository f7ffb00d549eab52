/*
 * cofre-shim: from a measured 64 KiB to a verified Linux. The story of a measured boot, in order: check the boot page,
 * accept memory, bring kernel, initrd and command line into private memory and compare their hashes, enter.
 */
#include "vmm/shim/linux.h"
#include "vmm/shim/memory.h"
#include "vmm/shim/sha256.h"
#include "vmm/shim/start.h"
#include "vmm/shim/tee.h"

static_assert(START_BOOT_SNP == BOOT_SNP && START_BOOT_TEE == offsetof(struct shim_boot_page, tee),
              "start.h");
static_assert(START_TERM_SET == SHIM_TERM_SET && START_TERM_CPUID == SHIM_TERM_CPUID, "start.h");
static_assert(START_TERM_EXCEPTION == SHIM_TERM_EXCEPTION, "start.h");

uint64_t shim_private_mask;

static const struct shim_boot_page *const boot = (const struct shim_boot_page *)SHIM_BOOT_PAGE;

static const struct shim_tee *tee_of(uint32_t kind)
{
    switch (kind) {
    case BOOT_PLAIN:
        return &shim_tee_plain;
    case BOOT_SNP:
        return &shim_tee_snp;
    default:
        return NULL;
    }
}

_Noreturn void shim_terminate(enum shim_term code)
{
    const struct shim_tee *tee = tee_of(boot->tee);
    (tee ? tee : &shim_tee_plain)->terminate(code);
    shim_halt();
}

/* The compiler may call these for structures. */
void *memset(void *to, int value, size_t len);
void *memcpy(void *restrict to, const void *restrict from, size_t len);

void *memset(void *to, int value, size_t len)
{
    void *at = to;
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(len) : "a"(value) : "memory");
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
    void *at = to;
    size_t words = len / 8, rest = len % 8;
    __asm__ volatile("rep movsq" : "+D"(at), "+S"(from), "+c"(words) : : "memory");
    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(rest) : : "memory");
    return to;
}

/* Whatever happens in the shim is final: every vector ends the guest. */
static void catch_exceptions(void)
{
    static struct gate {
        uint16_t low, selector, type, middle;
        uint32_t high, reserved;
    } idt[32];
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } pointer = {sizeof(idt) - 1, (uintptr_t)idt};
    uintptr_t handler = (uintptr_t)shim_exception;
    for (unsigned i = 0; i < 32; i++)
        idt[i] = (struct gate){(uint16_t)handler, 0x10, 0x8e00, (uint16_t)(handler >> 16), 0, 0};
    __asm__ volatile("lidt %0" : : "m"(pointer));
}

static bool staging_valid(void)
{
    const uint64_t size = STAGING_END - STAGING_BASE;
    const struct shim_item *item[] = {&boot->kernel, &boot->initrd, &boot->cmdline};
    uint64_t used = 0;
    for (unsigned i = 0; i < 3; i++) {
        if (item[i]->size > size - used)
            return false;
        used += SHIM_PAGE_UP(item[i]->size);
    }
    return true;
}

/*
 * Copies an item out of shared memory, each byte once, and hashes the copy: nothing that is used later is read from the
 * window. first is a page of it that has been fetched already, or NULL.
 */
static void bring(uint64_t to, uint64_t *staged, const uint8_t *first, const struct shim_item *item,
                  enum shim_term mismatch)
{
    enum { CHUNK = 1 << 16, PAGE = 4096 }; /* hashed while the cache still holds it */
    struct sha256 state;
    sha256_start(&state);
    uint64_t done = 0;
    while (done < item->size) {
        bool fetched = done == 0 && first;
        uint64_t left = item->size - done, most = fetched ? PAGE : CHUNK, part = left < most ? left : most;
        memcpy((void *)(to + done), fetched ? first : (const uint8_t *)(*staged + done), part);
        sha256_blocks(&state, (const uint8_t *)(to + done), part / 64);
        done += part;
    }
    uint8_t digest[32], differs = 0;
    sha256_end(&state, (const uint8_t *)(to + item->size / 64 * 64), item->size, digest);
    for (unsigned i = 0; i < 32; i++)
        differs |= digest[i] ^ item->digest[i];
    if (item->size && differs)
        shim_terminate(mismatch);
    *staged += SHIM_PAGE_UP(item->size);
}

/*
 * The kernel's first page comes in first, because it says where the rest must go, so that no byte is moved twice. Until
 * the hash is right nothing follows from it but that place, which is bounded whatever the page says; where it says
 * nonsense, the hash decides whether that is the host's doing or the tenant's.
 */
static void bring_kernel(uint64_t *staged, struct linux_kernel *kernel, struct linux_place *place)
{
    uint64_t size = boot->kernel.size, to = SHIM_END;
    uint8_t *header = (uint8_t *)OWN_HEADER;
    memcpy(header, (const void *)*staged, size < 4096 ? size : 4096);
    bool is_kernel = linux_kernel_parse(kernel, header, size);
    bool fits = is_kernel && linux_place(place, kernel, boot->ram[0].size, boot->initrd.size);
    if (fits)
        to = place->kernel - kernel->setup_size;
    else if (size > boot->ram[0].size - to)
        shim_terminate(SHIM_TERM_NO_ROOM);
    bring(to, staged, header, &boot->kernel, SHIM_TERM_KERNEL_HASH);
    if (!is_kernel)
        shim_terminate(SHIM_TERM_KERNEL_FORMAT);
    if (!fits || boot->cmdline.size > kernel->cmdline_max || boot->cmdline.size >= OWN_CMDLINE_SIZE)
        shim_terminate(SHIM_TERM_NO_ROOM);
}

static void bring_all(struct linux_place *place)
{
    struct linux_kernel kernel;
    uint64_t staged = STAGING_BASE;
    bring_kernel(&staged, &kernel, place);
    bring(place->initrd, &staged, NULL, &boot->initrd, SHIM_TERM_INITRD_HASH);
    bring(OWN_CMDLINE, &staged, NULL, &boot->cmdline, SHIM_TERM_CMDLINE_HASH);
    ((char *)OWN_CMDLINE)[boot->cmdline.size] = 0;
}

_Noreturn static void enter(const struct linux_place *place)
{
    enum { ENTRY_64 = 0x200 };
    uint32_t cc = 0;
    if (boot->tee == BOOT_SNP) {
        cc = OWN_CC;
        linux_cc_fill((uint8_t *)OWN_CC, OWN_CC);
    }
    linux_params_fill((uint8_t *)OWN_PARAMS, &(struct linux_params){.image = (const uint8_t *)OWN_HEADER,
                                                                    .place = place,
                                                                    .boot = boot,
                                                                    .cmdline = OWN_CMDLINE,
                                                                    .setup_data = cc});
    tee_of(boot->tee)->tell(SHIM_PHASE_ENTER);
    __asm__ volatile("xor %%ebp, %%ebp; jmp *%0"
                     :
                     : "r"(place->kernel + ENTRY_64), "S"((uint64_t)OWN_PARAMS)
                     : "memory");
    __builtin_unreachable();
}

_Noreturn void shim_main(void)
{
    const struct shim_tee *tee = tee_of(boot->tee);
    struct shim_features features;
    struct linux_place place;

    catch_exceptions();
    if (boot->magic != SHIM_BOOT_MAGIC || !tee || !shim_ram_valid(boot) || !staging_valid())
        shim_terminate(SHIM_TERM_BOOT_PAGE);
    tee->check();
    memory_map(tee);
    tee->open();
    tee->tell(SHIM_PHASE_START);

    memory_accept(tee, boot);
    /* What Linux looks at below 1 MiB (BIOS data area, option ROMs) is empty, not the host's or chance's. */
    memset((void *)0x400, 0, 0x100);
    memset((void *)0xa0000, 0, SHIM_BASE - 0xa0000);
    tee->tell(SHIM_PHASE_ACCEPTED);

    tee->features(&features);
    sha256_init(&features);
    bring_all(&place);
    tee->tell(SHIM_PHASE_VERIFIED);
    enter(&place);
}
