#include "vmm/devices/entropy.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define REQUEST_MAX 256 /* what getrandom gives in one piece; a request may be answered in part (5.4.6.2) */

static void entropy_queue(void *device, unsigned index)
{
    struct virtio_device *virtio = device;
    struct queue_chain chain;
    while (virtio_next(virtio, index, &chain)) {
        uint8_t random[REQUEST_MAX];
        size_t want = chain.writable_len < sizeof random ? chain.writable_len : sizeof random;
        ssize_t got = getrandom(random, want, 0);
        size_t written = got > 0 ? chain_write(&chain, 0, random, (size_t)got) : 0;
        explicit_bzero(random, sizeof random);
        virtio_done(virtio, index, &chain, written);
    }
}

static const struct virtio_ops entropy_ops = {
    .name = "entropy",
    .id = VIRTIO_ID_ENTROPY,
    .class_code = 0xff0000,
    .queues = 1,
    .queue_size = 64,
    .queue = entropy_queue,
    .free = free,
};

int virtio_entropy_new(struct virtio_device **out, struct cofre_err *err)
{
    struct virtio_device *virtio = malloc(sizeof *virtio);
    if (!virtio)
        return cofre_fail(err, COFRE_FAILED, "entropy device: out of memory");
    int rc = virtio_init(virtio, &entropy_ops, virtio, err);
    if (rc)
        free(virtio);
    else
        *out = virtio;
    return rc;
}
