#include <errno.h>
#include <linux/fsverity.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "vmm/host/images/store.h"

#define DIGEST_MAX 64

static bool not_there(int error)
{
    return error == ENOTTY || error == EOPNOTSUPP;
}

static int failed(struct cofre_err *err)
{
    return cofre_fail(err, errno == ENOSPC ? COFRE_LACKING : COFRE_FAILED, "fs-verity: %s", strerror(errno));
}

int verity_measure(int fd, struct bytes *digest, struct cofre_err *err)
{
    union {
        struct fsverity_digest head;
        uint8_t space[sizeof(struct fsverity_digest) + DIGEST_MAX];
    } d = {.head = {.digest_size = DIGEST_MAX}};
    if (ioctl(fd, FS_IOC_MEASURE_VERITY, &d) < 0)
        return failed(err);
    return bytes_copy(digest, (struct view){d.space + sizeof d.head, d.head.digest_size}, err);
}

int verity_enable(int fd, struct bytes *digest, struct cofre_err *err)
{
    const struct fsverity_enable_arg arg = {
        .version = 1, .hash_algorithm = FS_VERITY_HASH_ALG_SHA256, .block_size = BLOCK};
    *digest = (struct bytes){0};
    if (ioctl(fd, FS_IOC_ENABLE_VERITY, &arg) < 0)
        return not_there(errno) ? 0 : failed(err);
    return verity_measure(fd, digest, err);
}
