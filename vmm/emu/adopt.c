#include "vmm/emu/adopt.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "vmm/base/cleanup.h"

#define PAGE 4096u

static bool is_shared(uint8_t *hva)
{
    void *twin = mremap(hva, 0, PAGE, MREMAP_MAYMOVE);
    if (twin == MAP_FAILED)
        return false;
    munmap(twin, PAGE);
    return true;
}

/* True where nothing but anonymous memory lies in the range: what was never touched there is zero. */
static bool is_anonymous(const uint8_t *hva, size_t size)
{
    CLEAN_FILE *maps = fopen("/proc/self/maps", "re");
    uintptr_t from = (uintptr_t)hva;
    char line[512];
    while (maps && fgets(line, sizeof(line), maps)) {
        uintptr_t start, end;
        uint64_t inode;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %" SCNu64, &start, &end, &inode) != 3)
            continue;
        if (start < from + size && end > from && inode != 0)
            return false;
    }
    return maps != NULL;
}

/* Writes the pages [first, first + n) that were ever touched, or all. */
static int copy_pages(int file, const uint8_t *hva, size_t first, size_t n, const uint64_t *pagemap)
{
    const uint64_t present_or_swapped = 3ull << 62; /* Documentation/admin-guide/mm/pagemap.rst */
    for (size_t i = 0; i < n; i++) {
        if (pagemap && !(pagemap[i] & present_or_swapped))
            continue;
        size_t at = (first + i) * PAGE;
        if (pwrite(file, hva + at, PAGE, (off_t)at) != PAGE)
            return -errno;
    }
    return 0;
}

static int copy_contents(int file, const uint8_t *hva, size_t size)
{
    CLEAN_FD pagemap = is_anonymous(hva, size) ? open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC) : -1;
    uint64_t entry[512];
    size_t total = size / PAGE;
    for (size_t first = 0; first < total; first += 512) {
        size_t n = total - first < 512 ? total - first : 512;
        off_t at = (off_t)(((uintptr_t)hva / PAGE + first) * sizeof(entry[0]));
        bool known = pagemap >= 0 &&
                     pread(pagemap, entry, n * sizeof(entry[0]), at) == (ssize_t)(n * sizeof(entry[0]));
        int rc = copy_pages(file, hva, first, n, known ? entry : NULL);
        if (rc)
            return rc;
    }
    return 0;
}

int adopt_shared(uint8_t *hva, size_t size)
{
    if (is_shared(hva))
        return 0;
    CLEAN_FD file = memfd_create("cofre-shared", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, (off_t)size) != 0)
        return -errno;
    int rc = copy_contents(file, hva, size);
    if (rc)
        return rc;
    void *p = mmap(hva, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, file, 0);
    return p == MAP_FAILED ? -errno : 0;
}
