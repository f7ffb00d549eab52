#include "vmm/machine/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum slot { SLOT_RAM_LOW = 0, SLOT_RAM_HIGH = 1, SLOT_STAGING = 2, SLOT_GHCB = 3, SLOT_BESIDE = 4 };

#define PAGE       0x1000ull
#define BESIDE_MAX (16ull << 20) /* what PC machines have for firmware below 4 GiB, and one slot holds */

static unsigned memfd_pages(uint64_t huge)
{
    return huge == MEMORY_HUGE_1G   ? MFD_HUGETLB | MFD_HUGE_1GB
           : huge == MEMORY_HUGE_2M ? MFD_HUGETLB | MFD_HUGE_2MB
                                    : 0;
}

/* size bytes of memory with a descriptor, none of it taken from the host until it is touched; huge pages are reserved for it. The size
 * is sealed: whoever is handed the descriptor, as a vhost-user back end is, cannot cut the memory off under us. */
static int map_memfd(const char *name, uint64_t size, uint64_t huge, int *fd, uint8_t **host,
                     struct cofre_err *err)
{
    *fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | memfd_pages(huge));
    if (*fd < 0 || ftruncate(*fd, (off_t)size) < 0 ||
        fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return cofre_fail(err, COFRE_FAILED, "%s of %llu bytes: %s", name, (unsigned long long)size,
                          strerror(errno));
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | (huge ? 0 : MAP_NORESERVE), *fd, 0);
    if (p == MAP_FAILED)
        return cofre_fail(err, huge ? COFRE_LACKING : COFRE_FAILED, "mapping %s of %llu bytes: %s", name,
                          (unsigned long long)size, strerror(errno));
    *host = p;
    return 0;
}

/* The window has no private side. */
static int add_window(struct machine_memory *mem, struct cofre_err *err)
{
    const struct kvm_slot slot = {.slot = SLOT_STAGING,
                                  .gpa = STAGING_BASE,
                                  .size = mem->staging_size,
                                  .host = mem->staging,
                                  .memfd = -1};
    return kvm_vm_slot_set(mem->vm, &slot, err);
}

/* Neither has the GHCB page; the mapping keeps its memory. */
static int add_ghcb(struct machine_memory *mem, struct cofre_err *err)
{
    int fd = -1;
    int rc = map_memfd("GHCB page", PAGE, 0, &fd, &mem->ghcb, err);
    if (fd >= 0)
        close(fd);
    const struct kvm_slot slot = {
        .slot = SLOT_GHCB, .gpa = SHIM_GHCB, .size = PAGE, .host = mem->ghcb, .memfd = -1};
    if (rc == 0)
        rc = kvm_vm_slot_set(mem->vm, &slot, err);
    return rc ? rc : guest_memory_add(&mem->view, SHIM_GHCB, PAGE, mem->ghcb, err);
}

/* Where a range of RAM begins in the memfds. */
static uint64_t ram_offset(const struct machine_memory *mem, unsigned i)
{
    return i == 0 ? 0 : mem->ram[0].size;
}

static int add_ram(struct machine_memory *mem, unsigned i, struct cofre_err *err)
{
    const struct shim_ram *ram = &mem->ram[i];
    uint64_t offset = ram_offset(mem, i);
    struct kvm_slot slot = {.slot = i == 0 ? SLOT_RAM_LOW : SLOT_RAM_HIGH,
                            .gpa = ram->gpa,
                            .size = ram->size,
                            .host = mem->host + offset,
                            .memfd = mem->guest,
                            .memfd_offset = offset};
    int rc = kvm_vm_slot_set(mem->vm, &slot, err);
    return rc ? rc
              : guest_memory_add_file(&mem->view, ram->gpa, ram->size, slot.host, mem->shared, offset, err);
}

int machine_memory_init(struct machine_memory *mem, struct kvm_vm *vm, uint64_t size, bool is_private,
                        const struct memory_kind *kind, struct cofre_err *err)
{
    *mem = (struct machine_memory){.vm = vm,
                                   .kind = *kind,
                                   .is_private = is_private,
                                   .shared = -1,
                                   .guest = -1,
                                   .beside.guest = -1,
                                   .size = size};
    pthread_mutex_init(&mem->lock, NULL);
    mem->ram_count = boot_ram(size, mem->ram);
    int rc = map_memfd("guest memory", size, kind->huge, &mem->shared, &mem->host, err);
    if (rc == 0 && !is_private && !kind->huge) /* the shared side of a confidential guest is single pages */
        (void)madvise(mem->host, size, MADV_HUGEPAGE);
    if (rc == 0 && is_private)
        rc = kvm_vm_guest_memfd(vm, size, &mem->guest, err);
    for (unsigned i = 0; i < mem->ram_count && rc == 0; i++)
        rc = add_ram(mem, i, err);
    return rc;
}

static int cannot_lock(const struct machine_memory *mem, struct cofre_err *err)
{
    struct rlimit limit;
    const int error = errno;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur < mem->size)
        return cofre_fail(
            err, COFRE_LACKING,
            "locking %llu MiB of memory: the limit of what this process may lock (RLIMIT_MEMLOCK, "
            "ulimit -l) is %llu MiB",
            (unsigned long long)(mem->size >> 20), (unsigned long long)(limit.rlim_cur >> 20));
    return cofre_fail(err, COFRE_LACKING, "locking %llu MiB of memory: %s",
                      (unsigned long long)(mem->size >> 20), strerror(error));
}

/* A guest that finds none left when it touches one would end by a signal: so all of them are there before it begins. */
static int take_huge(struct machine_memory *mem, struct cofre_err *err)
{
    if (madvise(mem->host, mem->size, MADV_POPULATE_WRITE) == 0)
        return 0;
    return cofre_fail(err, COFRE_LACKING, "%llu huge pages of %llu MiB: %s",
                      (unsigned long long)(mem->size / mem->kind.huge),
                      (unsigned long long)(mem->kind.huge >> 20), strerror(errno));
}

int machine_memory_take(struct machine_memory *mem, struct cofre_err *err)
{
    if (mem->kind.huge)
        return take_huge(mem, err);
    if (!mem->kind.locked)
        return 0;
    if (mlock2(mem->host, mem->size, mem->is_private ? MLOCK_ONFAULT : 0) < 0)
        return cannot_lock(mem, err);
    if (mem->is_private && fallocate(mem->guest, FALLOC_FL_KEEP_SIZE, 0, (off_t)mem->size) < 0)
        return cofre_fail(err, COFRE_LACKING, "taking %llu MiB of private memory: %s",
                          (unsigned long long)(mem->size >> 20), strerror(errno));
    return 0;
}

void machine_memory_free(struct machine_memory *mem)
{
    if (!mem->vm)
        return;
    if (mem->guest >= 0)
        mem->vm->kvm->backend->close(mem->guest);
    if (mem->shared >= 0)
        close(mem->shared);
    if (mem->host)
        munmap(mem->host, mem->size);
    if (mem->staging)
        munmap(mem->staging, mem->staging_size);
    if (mem->ghcb)
        munmap(mem->ghcb, PAGE);
    if (mem->beside.guest >= 0)
        mem->vm->kvm->backend->close(mem->beside.guest);
    if (mem->beside.host)
        munmap(mem->beside.host, mem->beside.size);
    pthread_mutex_destroy(&mem->lock);
    mem->vm = NULL;
}

static bool all_ram(const struct machine_memory *mem, uint64_t gpa, uint64_t size)
{
    for (unsigned i = 0; i < mem->ram_count; i++)
        if (gpa >= mem->ram[i].gpa && gpa + size <= mem->ram[i].gpa + mem->ram[i].size)
            return true;
    return false;
}

static int map_beside(struct machine_memory *mem, uint64_t gpa, uint64_t size, struct cofre_err *err)
{
    int fd = -1;
    int rc = map_memfd("memory beside RAM", size, 0, &fd, &mem->beside.host, err);
    if (fd >= 0)
        close(fd);
    if (rc)
        return rc;
    mem->beside.gpa = gpa;
    mem->beside.size = size;
    if (mem->is_private)
        rc = kvm_vm_guest_memfd(mem->vm, size, &mem->beside.guest, err);
    struct kvm_slot slot = {
        .slot = SLOT_BESIDE, .gpa = gpa, .size = size, .host = mem->beside.host, .memfd = mem->beside.guest};
    return rc ? rc : kvm_vm_slot_set(mem->vm, &slot, err);
}

int machine_memory_add_beside(struct machine_memory *mem, const struct launch_image *image,
                              struct cofre_err *err)
{
    uint64_t begin = UINT64_MAX, end = 0;
    for (size_t i = 0; i < image->count; i++) {
        const struct launch_range *range = &image->range[i];
        if (all_ram(mem, range->gpa, range->len))
            continue;
        begin = range->gpa < begin ? range->gpa : begin;
        end = range->gpa + range->len > end ? range->gpa + range->len : end;
    }
    if (end == 0)
        return 0;
    if (end - begin > BESIDE_MAX)
        return cofre_fail(err, COFRE_FAILED,
                          "launch image: its ranges outside RAM, from %#llx to %#llx, are too far apart",
                          (unsigned long long)begin, (unsigned long long)end);
    return map_beside(mem, begin, end - begin, err);
}

int machine_memory_stage(struct machine_memory *mem, const struct boot_config *config, struct cofre_err *err)
{
    struct boot_staging layout;
    int rc = boot_staging_layout(config, &layout, err);
    mem->staging = config->window;
    mem->staging_size = layout.size;
    if (rc == 0 && mem->staging)
        rc = add_window(mem, err);
    return rc || !mem->is_private ? rc : add_ghcb(mem, err);
}

int machine_memory_unstage(struct machine_memory *mem, struct cofre_err *err)
{
    pthread_mutex_lock(&mem->lock);
    int rc = 0;
    if (mem->staging) {
        struct kvm_slot gone = {.slot = SLOT_STAGING, .gpa = STAGING_BASE, .host = mem->staging, .memfd = -1};
        rc = kvm_vm_slot_set(mem->vm, &gone, err);
        munmap(mem->staging, mem->staging_size);
        mem->staging = NULL;
    }
    pthread_mutex_unlock(&mem->lock);
    return rc;
}

int machine_memory_load(struct machine_memory *mem, const struct launch_image *image, struct cofre_err *err)
{
    for (size_t i = 0; i < image->count; i++) {
        const struct launch_range *range = &image->range[i];
        const uint64_t at = range->gpa - mem->beside.gpa;
        if (range->data && at < mem->beside.size && range->len <= mem->beside.size - at)
            memcpy(mem->beside.host + at, range->data, range->len);
        else if (range->data && !guest_memory_write(&mem->view, range->gpa, range->data, range->len))
            return cofre_fail(err, COFRE_FAILED, "launch image: %zu bytes at %#llx are no RAM of this guest",
                              range->len, (unsigned long long)range->gpa);
    }
    return 0;
}

int machine_memory_all_private(struct machine_memory *mem, struct cofre_err *err)
{
    int rc = 0;
    for (unsigned i = 0; i < mem->ram_count && rc == 0; i++)
        rc = kvm_vm_set_private(mem->vm, mem->ram[i].gpa, mem->ram[i].size, true, err);
    if (rc == 0 && mem->beside.size)
        rc = kvm_vm_set_private(mem->vm, mem->beside.gpa, mem->beside.size, true, err);
    return rc;
}

static uint64_t lower(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t upper(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The end of all that a guest can convert: RAM, and the devices below 4 GiB. */
static uint64_t convertible_end(const struct machine_memory *mem)
{
    const struct shim_ram *last = &mem->ram[mem->ram_count - 1];
    return upper(RAM_HIGH, last->gpa + last->size);
}

/* Gives the copy back that the pages no longer show; without it the guest's memory would be held twice. */
static int discard(struct machine_memory *mem, uint64_t gpa, uint64_t size, bool shared_copy,
                   struct cofre_err *err)
{
    int fd = shared_copy ? mem->shared : mem->guest;
    for (unsigned i = 0; i < mem->ram_count; i++) {
        uint64_t from = upper(gpa, mem->ram[i].gpa);
        uint64_t to = lower(gpa + size, mem->ram[i].gpa + mem->ram[i].size);
        off_t offset = (off_t)(ram_offset(mem, i) + (from - mem->ram[i].gpa));
        if (from < to &&
            fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, (off_t)(to - from)) < 0)
            return cofre_fail(err, COFRE_FAILED, "giving back the %s copy of %#llx: %s",
                              shared_copy ? "shared" : "private", (unsigned long long)from, strerror(errno));
    }
    return 0;
}

int machine_memory_convert(struct machine_memory *mem, uint64_t gpa, uint64_t size, bool to_private,
                           struct cofre_err *err)
{
    uint64_t end = convertible_end(mem);
    if ((gpa | size) & (PAGE - 1) || size == 0 || gpa >= end || size > end - gpa)
        return cofre_fail(err, COFRE_MALFORMED,
                          "the guest asked to convert %#llx bytes at %#llx, which it does not have",
                          (unsigned long long)size, (unsigned long long)gpa);
    if (!mem->is_private || (to_private && !all_ram(mem, gpa, size)))
        return cofre_fail(err, COFRE_MALFORMED,
                          "the guest asked to make %#llx bytes at %#llx private, which have no private side",
                          (unsigned long long)size, (unsigned long long)gpa);
    pthread_mutex_lock(&mem->lock);
    int rc = kvm_vm_set_private(mem->vm, gpa, size, to_private, err);
    if (rc == 0)
        rc = discard(mem, gpa, size, to_private, err);
    pthread_mutex_unlock(&mem->lock);
    return rc;
}
