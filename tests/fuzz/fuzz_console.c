/* A guest against the console; the records OTHER are what somebody types. */
#include <fcntl.h>
#include <unistd.h>

#include "tests/fuzz/hostile_guest.h"
#include "vmm/devices/console.h"

static int keyboard[2];

static void type(const uint8_t record[HOSTILE_RECORD])
{
    ssize_t n = write(keyboard[1], record + 2, record[1] % 11u);
    (void)n; /* a full pipe takes no more */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hostile guest = {.other = type};
    static char rest[4096];
    if (!guest.device) {
        FUZZ_CHECK(pipe2(keyboard, O_NONBLOCK | O_CLOEXEC) == 0);
        FUZZ_CHECK(virtio_console_new(&guest.device, keyboard[0], open("/dev/null", O_WRONLY), NULL) == 0);
        hostile_plug(&guest);
    }
    hostile_play(&guest, data, size);
    while (read(keyboard[0], rest, sizeof rest) > 0)
        continue;
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    size_t n = 1;
    const uint8_t rings = index % 2 ? PACKED : 0;
    index /= 2;
    if (index > 1)
        return 0;
    out[0] = (uint8_t)(rings | (index ? WITHOUT_INDIRECT : 0));
    n = hostile_put_request(out, n, 0, 0, "", 0, 16);
    n = hostile_put(out, n, OTHER, 5, 0x6261, 0x6463);
    n = hostile_put(out, n, WORK, 0, 0, 0);
    n = hostile_put_request(out, n, 1, 0, "hello\n", 6, 0);
    n = hostile_put_request(out, n, 1, 1, "with a writable part", 20, 4);
    return hostile_put_housekeeping(out, n);
}
