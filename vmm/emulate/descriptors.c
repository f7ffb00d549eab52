/*
 * The library that `cofre emulate` loads before a program: what it opens as /dev/kvm, and all that comes of that, goes to the
 * emulated backend, in the program itself; every other call goes where it went before. One function here for each of the C
 * library's that takes such a descriptor or gives one.
 */
#undef _FILE_OFFSET_BITS /* the names as programs call them: with it open is open64 */
#undef _FORTIFY_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/emu/offer.h"
#include "vmm/emulate/emulate.h"

/* Fortified programs open by these, which no header declares for others. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int directory, const char *path, int flags);
int __openat64_2(int directory, const char *path, int flags);

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

static const struct kvm_backend *const emulated = &kvm_backend_emulated;

static bool
is_device(const void *volatile path) /* headers promise that it is not NULL; programs promise nothing */
{
    const char *given = path;
    return given && (strcmp(given, "/dev/kvm") == 0 || strcmp(given, "/dev/sev") == 0);
}

static int refuse(int error)
{
    errno = error;
    return -1;
}

/* Opening: a mode is given only where a file may be made, and none of ours is. */
#define OPEN(name, before, next_call)                                                                        \
    HOOK int name before                                                                                     \
    {                                                                                                        \
        mode_t mode = 0;                                                                                     \
        if (flags & (O_CREAT | __O_TMPFILE)) {                                                               \
            va_list rest;                                                                                    \
            va_start(rest, flags);                                                                           \
            mode = va_arg(rest, mode_t);                                                                     \
            va_end(rest);                                                                                    \
        }                                                                                                    \
        return is_device(path) ? emulated->open(path, flags) : next_call;                                    \
    }
OPEN(open, (const char *path, int flags, ...), NEXT(open)(path, flags, mode))
OPEN(open64, (const char *path, int flags, ...), NEXT(open64)(path, flags, mode))
OPEN(openat, (int directory, const char *path, int flags, ...), NEXT(openat)(directory, path, flags, mode))
OPEN(openat64, (int directory, const char *path, int flags, ...),
     NEXT(openat64)(directory, path, flags, mode))

HOOK int __open_2(const char *path, int flags)
{
    return is_device(path) ? emulated->open(path, flags) : NEXT(__open_2)(path, flags);
}

HOOK int __open64_2(const char *path, int flags)
{
    return is_device(path) ? emulated->open(path, flags) : NEXT(__open64_2)(path, flags);
}

HOOK int __openat_2(int directory, const char *path, int flags)
{
    return is_device(path) ? emulated->open(path, flags) : NEXT(__openat_2)(directory, path, flags);
}

HOOK int __openat64_2(int directory, const char *path, int flags)
{
    return is_device(path) ? emulated->open(path, flags) : NEXT(__openat64_2)(directory, path, flags);
}

HOOK int ioctl(int fd, unsigned long request, ...)
{
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return emu_descriptor(fd) == EMU_NOT_OURS ? NEXT(ioctl)(fd, request, argument)
                                              : emulated->ioctl(fd, request, argument);
}

HOOK int close(int fd)
{
    return emu_descriptor(fd) == EMU_NOT_OURS ? NEXT(close)(fd) : emulated->close(fd);
}

/* Duplicates. What to was before is closed by the system call, and by us where it is ours. */
static int duplicated(int from, int to)
{
    const int rc = to < 0 ? 0 : emu_duplicated(from, to);
    if (rc == 0)
        return to;
    NEXT(close)(to);
    return refuse(-rc);
}

HOOK int dup(int fd)
{
    return duplicated(fd, NEXT(dup)(fd));
}

static void displace(int fd, int to)
{
    if (fd != to && fd >= 0 && emu_descriptor(to) != EMU_NOT_OURS && fcntl(fd, F_GETFD) >= 0)
        emulated->close(to);
}

HOOK int dup2(int fd, int to)
{
    displace(fd, to);
    const int rc = NEXT(dup2)(fd, to);
    return fd == to ? rc : duplicated(fd, rc);
}

HOOK int dup3(int fd, int to, int flags)
{
    displace(fd, to);
    return duplicated(fd, NEXT(dup3)(fd, to, flags));
}

static int control(int (*next)(int, int, ...), int fd, int command, void *argument)
{
    const int rc = next(fd, command, argument);
    return command == F_DUPFD || command == F_DUPFD_CLOEXEC ? duplicated(fd, rc) : rc;
}

#define CONTROL(name)                                                                                        \
    HOOK int name(int fd, int command, ...)                                                                  \
    {                                                                                                        \
        va_list rest;                                                                                        \
        va_start(rest, command);                                                                             \
        void *argument = va_arg(rest, void *);                                                               \
        va_end(rest);                                                                                        \
        return control(NEXT(name), fd, command, argument);                                                   \
    }
CONTROL(fcntl)
CONTROL(fcntl64)

/* A guest_memfd is a file without contents for the host: no reading, no writing, no other size, and mapped as the backend says. */
static bool is_guest_memfd(int fd)
{
    return emu_descriptor(fd) == EMU_GUEST_MEMFD;
}

HOOK void *mmap(void *address, size_t len, int protection, int flags, int fd, off_t offset)
{
    return is_guest_memfd(fd) ? emulated->mmap(address, len, protection, flags, fd, offset)
                              : NEXT(mmap)(address, len, protection, flags, fd, offset);
}

HOOK void *mmap64(void *address, size_t len, int protection, int flags, int fd, off64_t offset)
{
    return is_guest_memfd(fd) ? emulated->mmap(address, len, protection, flags, fd, offset)
                              : NEXT(mmap64)(address, len, protection, flags, fd, offset);
}

HOOK ssize_t read(int fd, void *out, size_t len)
{
    return is_guest_memfd(fd) ? refuse(EINVAL) : NEXT(read)(fd, out, len);
}

HOOK ssize_t write(int fd, const void *data, size_t len)
{
    return is_guest_memfd(fd) ? refuse(EINVAL) : NEXT(write)(fd, data, len);
}

HOOK ssize_t pread(int fd, void *out, size_t len, off_t at)
{
    return is_guest_memfd(fd) ? refuse(EINVAL) : NEXT(pread)(fd, out, len, at);
}

HOOK ssize_t pread64(int fd, void *out, size_t len, off64_t at)
{
    return is_guest_memfd(fd) ? refuse(EINVAL) : NEXT(pread64)(fd, out, len, at);
}

HOOK ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    return is_guest_memfd(fd) ? refuse(EINVAL) : NEXT(pwrite)(fd, data, len, at);
}

HOOK ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    return is_guest_memfd(fd) ? refuse(EINVAL) : NEXT(pwrite64)(fd, data, len, at);
}

HOOK int ftruncate(int fd, off_t len)
{
    return is_guest_memfd(fd) ? refuse(EINVAL) : NEXT(ftruncate)(fd, len);
}

HOOK int ftruncate64(int fd, off64_t len)
{
    return is_guest_memfd(fd) ? refuse(EINVAL) : NEXT(ftruncate64)(fd, len);
}

/* Its pages are 4 KiB, whatever the memfd below has. */
HOOK int fstat(int fd, struct stat *out)
{
    const int rc = NEXT(fstat)(fd, out);
    if (rc == 0 && is_guest_memfd(fd))
        out->st_blksize = 4096;
    return rc;
}

HOOK int fstat64(int fd, struct stat64 *out)
{
    const int rc = NEXT(fstat64)(fd, out);
    if (rc == 0 && is_guest_memfd(fd))
        out->st_blksize = 4096;
    return rc;
}

/* kvm_gmem_fallocate */
static int why_not_allocate(int fd, int mode, off64_t offset, off64_t len)
{
    struct stat file;
    if (!(mode & FALLOC_FL_KEEP_SIZE) || mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE))
        return EOPNOTSUPP;
    if (offset % 4096 || len % 4096)
        return EINVAL;
    if (mode & FALLOC_FL_PUNCH_HOLE || fstat(fd, &file) != 0)
        return 0;
    return offset > file.st_size || len > file.st_size - offset ? EINVAL : 0;
}

HOOK int fallocate(int fd, int mode, off_t offset, off_t len)
{
    const int error = is_guest_memfd(fd) ? why_not_allocate(fd, mode, offset, len) : 0;
    return error ? refuse(error) : NEXT(fallocate)(fd, mode, offset, len);
}

HOOK int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
    const int error = is_guest_memfd(fd) ? why_not_allocate(fd, mode, offset, len) : 0;
    return error ? refuse(error) : NEXT(fallocate64)(fd, mode, offset, len);
}

/* It has no huge pages, and nothing of it is collapsed into one. Of other memory that was advice. */
HOOK int madvise(void *address, size_t len, int advice)
{
    return advice == MADV_COLLAPSE ? refuse(EINVAL) : NEXT(madvise)(address, len, advice);
}

/* A TDX host's quote generation service: who connects to where it usually listens gets the emulated host's. */
static bool is_quote_service(const struct sockaddr *address, socklen_t len)
{
    static const char path[] = KVM_QUOTE_SERVICE;
    const char *const usual = path + strlen("unix:");
    const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)address;
    const size_t before = offsetof(struct sockaddr_un, sun_path);
    return emulate_is_tdx && address && len > before && un->sun_family == AF_UNIX &&
           strnlen(un->sun_path, len - before) == strlen(usual) &&
           memcmp(un->sun_path, usual, strlen(usual)) == 0;
}

/* The program's descriptor stays, with its flags; behind it is another socket. */
static int connect_quote_service(int fd)
{
    const int descriptor = NEXT(fcntl)(fd, F_GETFD), file = NEXT(fcntl)(fd, F_GETFL);
    if (descriptor < 0 || file < 0)
        return -1;
    const int service = emulated->quote_service(NULL);
    if (service < 0)
        return -1;
    const int rc = NEXT(dup3)(service, fd, descriptor & FD_CLOEXEC ? O_CLOEXEC : 0);
    NEXT(close)(service);
    return rc < 0 || NEXT(fcntl)(fd, F_SETFL, file) < 0 ? -1 : 0;
}

HOOK int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    return is_quote_service(address, len) ? connect_quote_service(fd) : NEXT(connect)(fd, address, len);
}
