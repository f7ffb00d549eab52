/*
 * cofre-shim: from a measured 64 KiB to a verified Linux. The story of a measured boot, in order: check the boot page,
 * accept the memory that is needed, bring kernel, initrd and command line into private memory and compare their hashes,
 * enter. Where the TEE has run-time registers, they are extended with each of these things before it is used. What else
 * there is of memory Linux accepts when it needs it, and finds it by EFI's tables.
 */
#include "vmm/shim/efi.h"
#include "vmm/shim/event.h"
#include "vmm/shim/hash.h"
#include "vmm/shim/linux.h"
#include "vmm/shim/memory.h"
#include "vmm/shim/start.h"
#include "vmm/shim/tee.h"

static_assert(START_BOOT_SNP == BOOT_SNP && START_BOOT_TEE == offsetof(struct shim_boot_page, tee),
              "start.h");
static_assert(START_TERM_SET == SHIM_TERM_SET && START_TERM_CPUID == SHIM_TERM_CPUID, "start.h");
static_assert(START_TERM_EXCEPTION == SHIM_TERM_EXCEPTION, "start.h");

static_assert(HASH_SIZE == sizeof(((struct shim_item *)NULL)->digest) && HASH_SIZE == EVENT_DIGEST_SIZE, "");

uint64_t shim_private_mask, shim_shared_mask;

#define BOOT ((const struct shim_boot_page *)SHIM_BOOT_PAGE)
static const struct shim_boot_page *const boot = BOOT;

static const struct shim_tee *tee_of(uint32_t kind)
{
    for (unsigned i = 0; shim_tees[i]; i++)
        if (shim_tees[i]->kind == kind)
            return shim_tees[i];
    return NULL;
}

_Noreturn void shim_terminate(enum shim_term code)
{
    const struct shim_tee *tee = tee_of(boot->tee);
    (tee ? tee : shim_tees[0])->terminate(code);
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

/* Where the items lie in the window; false where they do not fit. */
struct staging {
    uint64_t kernel, initrd, cmdline;
};
static bool staging_find(struct staging *out)
{
    const uint64_t size = STAGING_END - STAGING_BASE;
    const struct shim_item *item[] = {&boot->kernel, &boot->initrd, &boot->cmdline};
    uint64_t used = 0, *at[] = {&out->kernel, &out->initrd, &out->cmdline};
    for (unsigned i = 0; i < 3; i++) {
        if (item[i]->size > size - used)
            return false;
        *at[i] = STAGING_BASE + used;
        used += SHIM_PAGE_UP(item[i]->size);
    }
    return true;
}

/* Into the TEE's registers, where it has any, and into the log that Linux gets. */
static void measure(const struct shim_tee *tee, enum event event, const uint8_t digest[static HASH_SIZE])
{
    static size_t used;
    if (!tee->extend)
        return;
    if (used == 0)
        used = event_log_start((uint8_t *)SHIM_LOG);
    tee->extend(event_kind[event].rtmr, digest);
    used = event_log_add((uint8_t *)SHIM_LOG, used, event, digest);
}

static void measure_layout(const struct shim_tee *tee)
{
    enum { SIZE = offsetof(struct shim_boot_page, kernel) };
    static_assert(SIZE < 64, "less than a block of either hash");
    struct hash state;
    uint8_t digest[HASH_SIZE];
    hash_start(&state);
    hash_end(&state, (const uint8_t *)boot, SIZE, digest);
    measure(tee, EVENT_LAYOUT, digest);
}

/* What is brought, by its event. */
static const struct {
    const struct shim_item *item;
    enum shim_term mismatch;
} brought[EVENT_COUNT] = {
    [EVENT_KERNEL] = {&BOOT->kernel, SHIM_TERM_KERNEL_HASH},
    [EVENT_CMDLINE] = {&BOOT->cmdline, SHIM_TERM_CMDLINE_HASH},
    [EVENT_INITRD] = {&BOOT->initrd, SHIM_TERM_INITRD_HASH},
};

/* A plain guest is measured by nobody, so nothing rests on its digests: its boot page may leave them out. */
static bool is_checked(const struct shim_tee *tee, const struct shim_item *item)
{
    uint8_t any = tee->kind != BOOT_PLAIN;
    for (unsigned i = 0; i < HASH_SIZE; i++)
        any |= item->digest[i];
    return any;
}

/*
 * Copies an item out of shared memory, each byte once, and hashes the copy: nothing that is used later is read from the
 * window. first is a page of it that has been fetched already, or NULL.
 */
static void bring(const struct shim_tee *tee, enum event event, uint64_t to, uint64_t staged,
                  const uint8_t *first)
{
    enum { CHUNK = 1 << 16, PAGE = 4096 }; /* hashed while the cache still holds it */
    const uint64_t size = brought[event].item->size;
    const bool checked = is_checked(tee, brought[event].item);
    struct hash state;
    hash_start(&state);
    uint64_t done = 0;
    while (done < size) {
        bool fetched = done == 0 && first;
        uint64_t left = size - done, most = fetched ? PAGE : CHUNK, part = left < most ? left : most;
        memcpy((void *)(to + done), fetched ? first : (const uint8_t *)(staged + done), part);
        if (checked)
            hash_blocks(&state, (const uint8_t *)(to + done), part / hash_block);
        done += part;
    }
    if (size == 0 || !checked)
        return;
    uint8_t digest[HASH_SIZE], differs = 0;
    hash_end(&state, (const uint8_t *)(to + size / hash_block * hash_block), size, digest);
    for (unsigned i = 0; i < HASH_SIZE; i++)
        differs |= digest[i] ^ brought[event].item->digest[i];
    if (differs)
        shim_terminate(brought[event].mismatch);
    measure(tee, event, digest);
}

/*
 * The kernel's first page comes in first, because it says where the rest must go, so that no byte is moved twice. Until
 * the hash is right nothing follows from it but that place and what is accepted for it, which is bounded whatever the
 * page says; where it says nonsense, the hash decides whether that is the host's doing or the tenant's.
 */
struct plan {
    struct linux_kernel kernel;
    struct linux_place place;
    bool is_kernel, fits;
    uint64_t image; /* where the bzImage's first byte goes */
};

static void make_plan(struct plan *plan, uint64_t staged)
{
    const uint64_t size = boot->kernel.size, ram = boot->ram[0].size;
    uint8_t *header = (uint8_t *)OWN_HEADER;
    memcpy(header, (const void *)staged, size < 4096 ? size : 4096);
    plan->is_kernel = linux_kernel_parse(&plan->kernel, header, size);
    plan->fits = plan->is_kernel && linux_place(&plan->place, &plan->kernel, ram, boot->initrd.size);
    plan->image = SHIM_END;
    if (plan->fits)
        plan->image = plan->place.kernel - plan->kernel.setup_size;
    else if (size > ram - SHIM_END)
        shim_terminate(SHIM_TERM_NO_ROOM);
    else /* only to hash it */
        plan->place = (struct linux_place){.accepted = {{SHIM_END, ram}}};
}

static void accept_planned(const struct shim_tee *tee, const struct linux_place *place)
{
    memory_accept_first(tee);
    for (unsigned i = 0; i < 2; i++)
        memory_accept(tee, place->accepted[i].start, place->accepted[i].end);
    /* What Linux looks at below 1 MiB (BIOS data area, option ROMs) is empty, not the host's or chance's. */
    memset((void *)0x400, 0, 0x100);
    memset((void *)0xa0000, 0, SHIM_BASE - 0xa0000);
}

/* All that Linux would accept. */
static void accept_rest(const struct shim_tee *tee, const struct linux_place *place)
{
    memory_accept(tee, place->accepted[0].end, place->accepted[1].start);
    memory_accept(tee, place->accepted[1].end, boot->ram[0].size);
    if (boot->ram_count > 1)
        memory_accept(tee, RAM_HIGH, RAM_HIGH + boot->ram[1].size);
}

/* A TEE's command line has EFI_NO_RUNTIME in front. */
#define CMDLINE (OWN_CMDLINE + EFI_NO_RUNTIME_SIZE)

static void bring_all(const struct shim_tee *tee, const struct staging *staged, const struct plan *plan)
{
    const uint64_t size = boot->cmdline.size;
    bring(tee, EVENT_KERNEL, plan->image, staged->kernel, (const uint8_t *)OWN_HEADER);
    if (!plan->is_kernel)
        shim_terminate(SHIM_TERM_KERNEL_FORMAT);
    if (!plan->fits || !linux_cmdline_fits(&plan->kernel, boot->tee, size) ||
        size >= OWN_CMDLINE_SIZE - EFI_NO_RUNTIME_SIZE)
        shim_terminate(SHIM_TERM_NO_ROOM);
    bring(tee, EVENT_CMDLINE, CMDLINE, staged->cmdline, NULL);
    ((char *)CMDLINE)[size] = 0;
    bring(tee, EVENT_INITRD, plan->place.initrd, staged->initrd, NULL);
}

/* Linux accepts the rest itself, unless its command line says that it wants all at once: that the shim does, and so for a
 * Linux, too, that could not. */
static bool leaves_memory(const struct shim_tee *tee)
{
    return tee->accept && !linux_cmdline_eager((const char *)CMDLINE);
}

static void tell_of_memory(const struct linux_place *place)
{
    memcpy((void *)OWN_CMDLINE, EFI_NO_RUNTIME, EFI_NO_RUNTIME_SIZE);
    memset((void *)SHIM_EFI, 0, EFI_SIZE);
    efi_unaccepted_fill((uint8_t *)SHIM_ACCEPT, boot, place);
    efi_fill((uint8_t *)SHIM_EFI, SHIM_EFI, SHIM_ACCEPT, (uint8_t *)OWN_PARAMS, place);
}

_Noreturn static void enter(const struct shim_tee *tee, const struct linux_place *place)
{
    enum { ENTRY_64 = 0x200 };
    const bool lazy = leaves_memory(tee);
    uint32_t cc = 0;
    if (boot->tee == BOOT_SNP) {
        cc = OWN_CC;
        linux_cc_fill((uint8_t *)OWN_CC, OWN_CC);
    }
    linux_params_fill((uint8_t *)OWN_PARAMS, &(struct linux_params){.image = (const uint8_t *)OWN_HEADER,
                                                                    .place = place,
                                                                    .boot = boot,
                                                                    .cmdline = lazy ? OWN_CMDLINE : CMDLINE,
                                                                    .setup_data = cc});
    if (lazy)
        tell_of_memory(place);
    else
        accept_rest(tee, place);
    tee->tell(SHIM_PHASE_ENTER);
    __asm__ volatile("xor %%ebp, %%ebp; jmp *%0"
                     :
                     : "r"(place->kernel + ENTRY_64), "S"((uint64_t)OWN_PARAMS)
                     : "memory");
    __builtin_unreachable();
}

_Noreturn void shim_main(void)
{
    const struct shim_tee *tee = tee_of(boot->tee);
    struct shim_features features = {0};
    struct staging staged;
    struct plan plan;

    catch_exceptions();
    if (boot->magic != SHIM_BOOT_MAGIC || !tee || !shim_ram_valid(boot) || !staging_find(&staged))
        shim_terminate(SHIM_TERM_BOOT_PAGE);
    tee->check();
    memory_map(tee);
    tee->open();
    tee->tell(SHIM_PHASE_START);

    if (tee->features)
        tee->features(&features);
    hash_init(&features);
    measure_layout(tee);
    make_plan(&plan, staged.kernel);
    accept_planned(tee, &plan.place);
    tee->tell(SHIM_PHASE_ACCEPTED);

    bring_all(tee, &staged, &plan);
    tee->tell(SHIM_PHASE_VERIFIED);
    enter(tee, &plan.place);
}
