#include "vmm/shim/event.h"

const struct event_kind event_kind[EVENT_COUNT] = {
    [EVENT_LAYOUT] = {"layout", 0},
    [EVENT_KERNEL] = {"kernel", 1},
    [EVENT_CMDLINE] = {"cmdline", 2},
    [EVENT_INITRD] = {"initrd", 2},
};

enum { EV_NO_ACTION = 3, EV_IPL = 13, ALGORITHM_SHA384 = 0x0c, SHA1_SIZE = 20 };

static size_t put(uint8_t *log, size_t used, unsigned bytes, uint32_t value)
{
    for (unsigned i = 0; i < bytes; i++)
        log[used + i] = (uint8_t)(value >> (8 * i));
    return used + bytes;
}

static size_t put_bytes(uint8_t *log, size_t used, const void *from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        log[used + i] = ((const uint8_t *)from)[i];
    return used + len;
}

/* TCG_PCClientPCREvent, whose data is a TCG_EfiSpecIDEvent. */
size_t event_log_start(uint8_t *log)
{
    static const char signature[16] = "Spec ID Event03";
    enum { MAJOR = 2, UINTN_IS_64_BITS = 2, ALGORITHMS = 1 };
    enum { DATA_SIZE = sizeof(signature) + 4 + 4 + 4 + 4 + 1 };
    static const uint8_t no_digest[SHA1_SIZE];
    size_t used = put(log, 0, 4, 0);
    used = put(log, used, 4, EV_NO_ACTION);
    used = put_bytes(log, used, no_digest, SHA1_SIZE);
    used = put(log, used, 4, DATA_SIZE);
    used = put_bytes(log, used, signature, sizeof(signature));
    used = put(log, used, 4, 0);                                   /* platform class: client */
    used = put(log, used, 4, MAJOR << 8 | UINTN_IS_64_BITS << 24); /* minor version, major, errata */
    used = put(log, used, 4, ALGORITHMS);
    used = put(log, used, 4, ALGORITHM_SHA384 | EVENT_DIGEST_SIZE << 16);
    return put(log, used, 1, 0); /* vendor's data */
}

size_t event_log_add(uint8_t *log, size_t used, enum event event,
                     const uint8_t digest[static EVENT_DIGEST_SIZE])
{
    const struct event_kind *kind = &event_kind[event];
    uint32_t len = 0;
    while (len < sizeof(kind->name) && kind->name[len])
        len++;
    used = put(log, used, 4, kind->rtmr + 1u);
    used = put(log, used, 4, EV_IPL);
    used = put(log, used, 4, 1); /* digests */
    used = put(log, used, 2, ALGORITHM_SHA384);
    used = put_bytes(log, used, digest, EVENT_DIGEST_SIZE);
    used = put(log, used, 4, len);
    return put_bytes(log, used, kind->name, len);
}
