/* A guest against the entropy device. */
#include "tests/fuzz/hostile_guest.h"
#include "vmm/devices/entropy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hostile guest;
    if (!guest.device) {
        FUZZ_CHECK(virtio_entropy_new(&guest.device, NULL) == 0);
        hostile_plug(&guest);
    }
    hostile_play(&guest, data, size);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    size_t n = 1;
    const uint8_t rings = index % 2 ? PACKED : 0;
    index /= 2;
    if (index > 1)
        return 0;
    out[0] = (uint8_t)(rings | (index ? WITHOUT_EVENT_IDX : 0));
    n = hostile_put_request(out, n, 0, 0, "", 0, 64);
    n = hostile_put_request(out, n, 0, 1, "", 0, 5000);
    n = hostile_put_request(out, n, 0, 2, "readable", 8, 0);
    return hostile_put_housekeeping(out, n);
}
