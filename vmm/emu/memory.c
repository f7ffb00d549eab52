#define LOG_ROOM "emu"
#include "vmm/emu/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/log.h"
#include "vmm/emu/adopt.h"
#include "vmm/emu/caller.h"
#include "vmm/emu/host.h"

/* The plain KVM's slot numbers of the high views; the callers' end below it. */
#define HIGH_SLOT EMU_SLOTS_MAX

#define LARGE_PAGE (2ull << 20)

void memory_unlock(pthread_mutex_t **lock)
{
    pthread_mutex_unlock(*lock);
}

void memory_init(struct emu_memory *memory, int vm_fd)
{
    *memory = (struct emu_memory){.vm_fd = vm_fd};
    pthread_mutex_init(&memory->lock, NULL);
}

static struct emu_slot *slot_at(struct emu_memory *memory, uint64_t gpa)
{
    for (size_t i = 0; i < memory->count; i++)
        if (gpa >= memory->slot[i].gpa && gpa - memory->slot[i].gpa < memory->slot[i].size)
            return &memory->slot[i];
    return NULL;
}

static int set_plain_region(struct emu_memory *memory, uint32_t id, enum memory_view view, uint64_t gpa,
                            uint64_t size, uint32_t flags, const uint8_t *hva)
{
    struct kvm_userspace_memory_region region = {
        .slot = id | (view == VIEW_HIGH ? HIGH_SLOT : 0),
        .flags = flags,
        .guest_phys_addr = gpa | (view == VIEW_HIGH ? EMU_HIGH_MASK : 0),
        .memory_size = size,
        .userspace_addr = (uintptr_t)hva,
    };
    return host_ioctl(memory->vm_fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static int show_gmem(struct emu_slot *slot, uint8_t *view, uint64_t offset, uint64_t len, int protection)
{
    off_t at = (off_t)(slot->gmem_offset + offset);
    void *p =
        mmap(view + offset, len, protection, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, slot->gmem->fd, at);
    return p == MAP_FAILED ? -errno : 0;
}

/* A second mapping of the caller's shared memory: what mremap does for an old size of 0. */
static int show_caller(struct emu_slot *slot, uint8_t *view, uint64_t offset, uint64_t len)
{
    void *p = mremap(slot->hva + offset, 0, len, MREMAP_MAYMOVE | MREMAP_FIXED, view + offset);
    return p == MAP_FAILED ? -errno : 0;
}

static enum page_kind kind_of(const struct emu_memory *memory, uint64_t gfn)
{
    if (!gfn_set_has(memory->pages.private, gfn))
        return PAGE_SHARED;
    return gfn_set_has(memory->pages.usable, gfn) ? PAGE_USABLE : PAGE_UNUSABLE;
}

static int show(const struct emu_memory *memory, struct emu_slot *slot, enum page_kind kind, uint64_t offset,
                uint64_t len)
{
    int rc = 0;
    for (unsigned i = 0; !rc && i < VIEWS; i++) {
        enum page_shows what = memory->pages.shows[i][kind];
        rc = what == SHOW_CALLER ? show_caller(slot, slot->view[i], offset, len)
                                 : show_gmem(slot, slot->view[i], offset, len,
                                             what == SHOW_GMEM ? PROT_READ | PROT_WRITE : PROT_NONE);
    }
    return rc;
}

/* Makes the views of one slot show [start, end) as the TEE says. */
static int refresh_slot(struct emu_memory *memory, struct emu_slot *slot, uint64_t start, uint64_t end)
{
    uint64_t base = slot->gpa / EMU_PAGE_SIZE;
    while (start < end) {
        uint64_t stop = gfn_set_run_end(memory->pages.private, start, end);
        stop = gfn_set_run_end(memory->pages.usable, start, stop);
        int rc = show(memory, slot, kind_of(memory, start), (start - base) * EMU_PAGE_SIZE,
                      (stop - start) * EMU_PAGE_SIZE);
        if (rc) {
            log_error(
                "guest pages %#llx to %#llx cannot be mapped (%s); if the guest converts pages one by one, "
                "raise the limit vm.max_map_count",
                (unsigned long long)start, (unsigned long long)stop, strerror(-rc));
            return rc;
        }
        start = stop;
    }
    return 0;
}

int memory_refresh_locked(struct emu_memory *memory, uint64_t start, uint64_t end)
{
    for (size_t i = 0; i < memory->count; i++) {
        struct emu_slot *slot = &memory->slot[i];
        uint64_t first = slot->gpa / EMU_PAGE_SIZE;
        uint64_t last = first + slot->size / EMU_PAGE_SIZE;
        uint64_t from = start > first ? start : first;
        uint64_t to = end < last ? end : last;
        int rc = slot->gmem && from < to ? refresh_slot(memory, slot, from, to) : 0;
        if (rc)
            return rc;
    }
    return 0;
}

int memory_zero_locked(struct emu_memory *memory, uint64_t start, uint64_t end)
{
    while (start < end) {
        struct emu_slot *slot = slot_at(memory, start * EMU_PAGE_SIZE);
        if (!slot || !slot->gmem)
            return -EFAULT;
        uint64_t stop = (slot->gpa + slot->size) / EMU_PAGE_SIZE;
        stop = stop < end ? stop : end;
        uint64_t offset = slot->gmem_offset + (start * EMU_PAGE_SIZE - slot->gpa);
        if (fallocate(slot->gmem->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                      (off_t)((stop - start) * EMU_PAGE_SIZE)) != 0)
            return -errno;
        start = stop;
    }
    return 0;
}

static void slot_unmap(struct emu_slot *slot)
{
    for (unsigned i = 0; i < VIEWS; i++)
        if (slot->view[i])
            munmap(slot->view[i], slot->size);
    gmem_put(slot->gmem);
}

/* Address space for a view, at the same offset in a 2 MiB page as the guest's: else neither the host nor KVM could use
 * large pages for it. */
static uint8_t *reserve(uint64_t gpa, uint64_t size)
{
    uint8_t *p = mmap(NULL, size + LARGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    size_t skip = (size_t)((gpa - (uintptr_t)p) % LARGE_PAGE);
    if (skip)
        munmap(p, skip);
    munmap(p + skip + size, LARGE_PAGE - skip);
    return p + skip;
}

static int slot_make_views(struct emu_memory *memory, struct emu_slot *slot)
{
    int rc = adopt_shared(slot->hva, slot->size);
    if (rc)
        return rc;
    for (unsigned i = 0; i < VIEWS; i++)
        if (!(slot->view[i] = reserve(slot->gpa, slot->size)))
            return -ENOMEM;
    uint64_t first = slot->gpa / EMU_PAGE_SIZE;
    rc = refresh_slot(memory, slot, first, first + slot->size / EMU_PAGE_SIZE);
    for (unsigned i = 0; !rc && i < VIEWS; i++)
        rc = set_plain_region(memory, slot->id, i, slot->gpa, slot->size, 0, slot->view[i]);
    return rc;
}

static int remove_slot(struct emu_memory *memory, size_t i)
{
    struct emu_slot *slot = &memory->slot[i];
    for (unsigned view = 0; view < VIEWS; view++) {
        int rc = slot->gmem || view == memory->pages.shared_view
                     ? set_plain_region(memory, slot->id, view, slot->gpa, 0, 0, NULL)
                     : 0;
        if (rc)
            return rc;
    }
    slot_unmap(slot);
    *slot = memory->slot[--memory->count];
    return 0;
}

static bool overlaps(const struct emu_memory *memory, uint32_t id, uint64_t gpa, uint64_t size)
{
    for (size_t i = 0; i < memory->count; i++) {
        const struct emu_slot *s = &memory->slot[i];
        if (s->id != id && gpa < s->gpa + s->size && s->gpa < gpa + size)
            return true;
    }
    return false;
}

static int check_region(const struct emu_memory *memory, const struct uapi_memory_region2 *region,
                        const struct emu_gmem *gmem)
{
    uint64_t known = KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY | KVM_MEM_GUEST_MEMFD;
    uint64_t end = region->guest_phys_addr + region->memory_size;
    if (region->flags & ~known || region->slot >= HIGH_SLOT)
        return -EINVAL;
    if ((region->guest_phys_addr | region->memory_size | region->userspace_addr) % EMU_PAGE_SIZE)
        return -EINVAL;
    if (end < region->guest_phys_addr || end > EMU_HIGH_MASK)
        return -EINVAL;
    if (region->memory_size && overlaps(memory, region->slot, region->guest_phys_addr, region->memory_size))
        return -EEXIST;
    return gmem && region->memory_size ? gmem_check_region(gmem, region) : 0;
}

static int add_slot(struct emu_memory *memory, const struct uapi_memory_region2 *region,
                    struct emu_gmem *gmem)
{
    struct emu_slot *array = realloc(memory->slot, (memory->count + 1) * sizeof(*array));
    if (!array)
        return -ENOMEM;
    memory->slot = array;
    struct emu_slot *slot = &array[memory->count];
    *slot = (struct emu_slot){
        .id = region->slot,
        .flags = region->flags,
        .gpa = region->guest_phys_addr,
        .size = region->memory_size,
        .hva = (uint8_t *)(uintptr_t)region->userspace_addr,
        .gmem = gmem,
        .gmem_offset = region->guest_memfd_offset,
    };
    if (gmem)
        gmem_get(gmem);
    int rc = gmem ? slot_make_views(memory, slot)
                  : set_plain_region(memory, slot->id, memory->pages.shared_view, slot->gpa, slot->size,
                                     slot->flags, slot->hva);
    if (rc)
        slot_unmap(slot);
    else
        memory->count++;
    return rc;
}

int memory_set_region(struct emu_memory *memory, const struct uapi_memory_region2 *region,
                      struct emu_gmem *gmem)
{
    MEMORY_LOCKED(memory);
    int rc = check_region(memory, region, gmem);
    if (rc)
        return rc;
    for (size_t i = 0; i < memory->count; i++) {
        struct emu_slot *slot = &memory->slot[i];
        if (slot->id != region->slot)
            continue;
        if (region->memory_size == 0)
            return remove_slot(memory, i);
        if (slot->gmem || gmem)
            return -EINVAL; /* a slot with guest_memfd can only be deleted */
        rc = set_plain_region(memory, region->slot, memory->pages.shared_view, region->guest_phys_addr,
                              region->memory_size, region->flags,
                              (uint8_t *)(uintptr_t)region->userspace_addr);
        if (!rc) {
            slot->gpa = region->guest_phys_addr;
            slot->flags = region->flags;
        }
        return rc;
    }
    return region->memory_size ? add_slot(memory, region, gmem) : -EINVAL;
}

int memory_set_attributes(struct emu_memory *memory, const struct uapi_memory_attributes *attributes)
{
    MEMORY_LOCKED(memory);
    if (attributes->flags || attributes->attributes & ~KVM_MEMORY_ATTRIBUTE_PRIVATE)
        return -EINVAL;
    if (attributes->size == 0 || attributes->address + attributes->size < attributes->address)
        return -EINVAL;
    if ((attributes->address | attributes->size) % EMU_PAGE_SIZE)
        return -EINVAL;
    uint64_t start = attributes->address / EMU_PAGE_SIZE;
    uint64_t end = start + attributes->size / EMU_PAGE_SIZE;
    bool private = attributes->attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE;
    const struct gfn_set *known = memory->pages.private;
    if (private ? gfn_set_has_all(known, start, end) : gfn_set_has_none(known, start, end))
        return 0; /* as in Linux: nothing changes, nothing is mapped anew */
    int rc = memory->pages.set_private(memory->pages.state, start, end, private);
    return rc ? rc : memory_refresh_locked(memory, start, end);
}

static enum page_shows shown(const struct emu_memory *memory, const struct emu_slot *slot,
                             enum memory_view view, enum page_kind kind)
{
    if (slot->gmem)
        return memory->pages.shows[view][kind];
    return kind == PAGE_SHARED && view == memory->pages.shared_view ? SHOW_CALLER : SHOW_NOTHING;
}

enum memory_access memory_access(struct emu_memory *memory, uint64_t gpa)
{
    MEMORY_LOCKED(memory);
    uint64_t plain = gpa & ~EMU_HIGH_MASK;
    enum memory_view view = gpa & EMU_HIGH_MASK ? VIEW_HIGH : VIEW_LOW;
    const struct emu_slot *slot = slot_at(memory, plain);
    enum page_kind kind = kind_of(memory, plain / EMU_PAGE_SIZE);
    if (!slot || (kind != PAGE_SHARED && !slot->gmem))
        return MEMORY_NO_SLOT;
    if (shown(memory, slot, view, kind) != SHOW_NOTHING)
        return MEMORY_OK;
    if (kind == PAGE_SHARED)
        return MEMORY_SHARED;
    return memory->pages.shows[view][PAGE_USABLE] == SHOW_NOTHING ? MEMORY_PRIVATE : MEMORY_UNUSABLE;
}

/* [gpa, gpa + len) in shared memory of one slot, or NULL. */
static uint8_t *shared_at(struct emu_memory *memory, uint64_t gpa, size_t len)
{
    struct emu_slot *slot = slot_at(memory, gpa);
    if (!slot || len == 0 || len > slot->size - (gpa - slot->gpa))
        return NULL;
    uint64_t end = (gpa + len - 1) / EMU_PAGE_SIZE + 1;
    if (!gfn_set_has_none(memory->pages.private, gpa / EMU_PAGE_SIZE, end))
        return NULL;
    return slot->hva + (gpa - slot->gpa);
}

int memory_read_shared(struct emu_memory *memory, uint64_t gpa, void *out, size_t len)
{
    MEMORY_LOCKED(memory);
    uint8_t *p = shared_at(memory, gpa, len);
    return p ? caller_read(out, p, len) : -EFAULT;
}

int memory_write_shared(struct emu_memory *memory, uint64_t gpa, const void *data, size_t len)
{
    MEMORY_LOCKED(memory);
    uint8_t *p = shared_at(memory, gpa, len);
    return p ? caller_write(p, data, len) : -EFAULT;
}

uint8_t *memory_private_locked(struct emu_memory *memory, uint64_t gpa)
{
    struct emu_slot *slot = slot_at(memory, gpa);
    if (!slot || !slot->gmem || !gfn_set_has(memory->pages.private, gpa / EMU_PAGE_SIZE))
        return NULL;
    return slot->gmem->map + slot->gmem_offset + (gpa - slot->gpa);
}

static int copy_any(struct emu_memory *memory, uint64_t gpa, void *own, size_t len, bool write)
{
    MEMORY_LOCKED(memory);
    uint64_t plain = gpa & ~EMU_HIGH_MASK;
    const struct emu_slot *slot = slot_at(memory, plain);
    if (!slot || len > EMU_PAGE_SIZE - plain % EMU_PAGE_SIZE)
        return -EFAULT;
    switch (shown(memory, slot, gpa & EMU_HIGH_MASK ? VIEW_HIGH : VIEW_LOW,
                  kind_of(memory, plain / EMU_PAGE_SIZE))) {
    case SHOW_GMEM: {
        uint8_t *page = slot->gmem->map + slot->gmem_offset + (plain - slot->gpa);
        memcpy(write ? page : own, write ? own : page, len);
        return 0;
    }
    case SHOW_CALLER: {
        uint8_t *theirs = slot->hva + (plain - slot->gpa);
        return write ? caller_write(theirs, own, len) : caller_read(own, theirs, len);
    }
    default:
        return -EFAULT;
    }
}

int memory_fetch(struct emu_memory *memory, uint64_t gpa, void *out, size_t len)
{
    return copy_any(memory, gpa, out, len, false);
}

int memory_store(struct emu_memory *memory, uint64_t gpa, void *data, size_t len)
{
    return copy_any(memory, gpa, data, len, true);
}

int memory_launch_page(struct emu_memory *memory, uint64_t gpa, const uint8_t *source, memory_fill fill,
                       void *context)
{
    MEMORY_LOCKED(memory);
    uint64_t gfn = gpa / EMU_PAGE_SIZE;
    uint8_t *page = memory_private_locked(memory, gpa);
    if (!page)
        return -EINVAL;
    int rc = memory->pages.may_launch(memory->pages.state, gfn);
    if (rc)
        return rc;
    if (source && caller_read(page, source, EMU_PAGE_SIZE) != 0)
        return -EFAULT;
    rc = fill(context, gpa, page);
    if (!rc)
        rc = memory->pages.launched(memory->pages.state, gfn);
    return rc ? rc : memory_refresh_locked(memory, gfn, gfn + 1);
}

uint64_t memory_gmem_slot_end(struct emu_memory *memory, uint64_t gpa)
{
    MEMORY_LOCKED(memory);
    const struct emu_slot *slot = slot_at(memory, gpa);
    return slot && slot->gmem ? slot->gpa + slot->size : 0;
}

void memory_free(struct emu_memory *memory)
{
    for (size_t i = 0; i < memory->count; i++)
        slot_unmap(&memory->slot[i]);
    free(memory->slot);
    pthread_mutex_destroy(&memory->lock);
}
