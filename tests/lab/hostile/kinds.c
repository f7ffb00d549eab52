/* What each kind of device is asked, and how its answer is compared. */
#include "tests/lab/hostile/kinds.h"
#include "tests/lab/hostile/request.h"

/* A sector is written with random bytes and read back. */
static enum outcome block_right(struct device *d)
{
    const uint32_t sector = below(64);
    uint32_t written;
    memset(shared(PROBE), 0, 16);
    put32(PROBE, 1);
    put32(PROBE + 8, sector);
    fill_random(PROBE + 16, 512);
    byte(REPLY)[0] = 0xff;
    enum outcome outcome = ask(d, 16 + 512, 1, &written);
    if (outcome != WENT_ON)
        return outcome;
    if (written != 1 || byte(REPLY)[0] != 0)
        return wrong(d, "a write fails");
    put32(PROBE, 0);
    memset(shared(REPLY), 0xff, 513);
    outcome = ask(d, 16, 513, &written);
    if (outcome != WENT_ON)
        return outcome;
    if (written != 513 || byte(REPLY)[512] != 0)
        return wrong(d, "a read fails");
    return memcmp(shared(REPLY), shared(PROBE + 16), 512) ? wrong(d, "it reads otherwise than was written")
                                                          : WENT_ON;
}

/* Numbered lines: the host looks whether all came. */
static enum outcome console_right(struct device *d)
{
    char line[] = "\nconsole line 000000\n";
    for (uint32_t n = d->requests + 1, at = sizeof line - 3; n; n /= 10)
        line[at--] = (char)('0' + n % 10);
    memcpy(shared(PROBE), line, sizeof line - 1);
    return ask(d, sizeof line - 1, 0, NULL);
}

/* 64 bytes that are neither what lay there nor what came last. */
static enum outcome entropy_right(struct device *d)
{
    static uint8_t last[64];
    uint32_t written = 0;
    memset(shared(REPLY), 0, 64);
    enum outcome outcome = ask(d, 0, 64, &written);
    if (outcome != WENT_ON)
        return outcome;
    uint8_t *bytes = shared(REPLY);
    uint32_t zeros = 0;
    for (unsigned i = 0; i < 64; i++)
        zeros += bytes[i] == 0;
    if (written != 64 || zeros > 16 || memcmp(bytes, last, 64) == 0)
        return wrong(d, "its bytes are not random");
    memcpy(last, bytes, 64);
    return WENT_ON;
}

enum { NET_HEADER = 12, ETHERNET = 14, IP = 20, ICMP = 8, PING = 400 };

static uint32_t checksum(uint64_t gpa, uint32_t len)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < len; i += 2)
        sum += (uint32_t)byte(gpa)[i] << 8 | byte(gpa)[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

static bool is_echo(struct device *d, uint64_t at, uint32_t written)
{
    const uint64_t icmp = at + NET_HEADER + ETHERNET + IP;
    (void)d;
    return written == NET_HEADER + ETHERNET + IP + ICMP + PING && byte(icmp)[0] == 0 &&
           memcmp(shared(icmp + 4), shared(PROBE + NET_HEADER + ETHERNET + IP + 4), 4 + PING) == 0;
}

/* The host behind the tap interface is pinged with random bytes: 10.N.0.1 from 10.N.0.2, where N is the last byte of the card's address. */
static enum outcome net_right(struct device *d)
{
    const uint64_t frame = PROBE + NET_HEADER, ip = frame + ETHERNET, icmp = ip + IP;
    memset(shared(PROBE), 0, NET_HEADER + ETHERNET + IP + ICMP);
    memset(shared(frame), 0xff, 6);
    for (uint32_t i = 0; i < 6; i++)
        byte(frame)[6 + i] = (uint8_t)(d->config >> (8 * i));
    put_be16(frame + 12, 0x0800);
    byte(ip)[0] = 0x45;
    put_be16(ip + 2, IP + ICMP + PING);
    byte(ip)[8] = 64;
    byte(ip)[9] = 1; /* ICMP */
    for (uint32_t i = 0; i < 2; i++) {
        byte(ip)[12 + 4 * i] = 10;
        byte(ip)[13 + 4 * i] = byte(frame)[11];
        byte(ip)[15 + 4 * i] = (uint8_t)(2 - i);
    }
    put_be16(ip + 10, checksum(ip, IP));
    byte(icmp)[0] = 8; /* echo request */
    fill_random(icmp + 4, 4 + PING);
    put_be16(icmp + 2, checksum(icmp, ICMP + PING));
    return ask_for_answer(d, NET_HEADER + ETHERNET + IP + ICMP + PING, is_echo);
}

enum { VSOCK_HEADER = 44, VSOCK_REQUEST = 1, VSOCK_RST = 3 };

static bool is_reset(struct device *d, uint64_t at, uint32_t written)
{
    (void)d;
    return written == VSOCK_HEADER && byte(at)[30] == VSOCK_RST && get32(at + 16) == get32(PROBE + 20) &&
           get32(at + 20) == get32(PROBE + 16);
}

/* A connection to a port where nobody listens is refused, by its numbers. */
static enum outcome vsock_right(struct device *d)
{
    memset(shared(PROBE), 0, VSOCK_HEADER);
    put32(PROBE, (uint32_t)d->config);
    put32(PROBE + 8, 2);
    put32(PROBE + 16, 1 + below(1 << 24));
    put32(PROBE + 20, 1 + below(1 << 24));
    put16(PROBE + 28, 1);
    put16(PROBE + 30, VSOCK_REQUEST);
    return ask_for_answer(d, VSOCK_HEADER, is_reset);
}

const struct kind kinds[KINDS] = {
    {"block", 2, 1, 0, -1, PROGRAMS, block_right}, {"console", 3, 2, 1, 0, OURS, console_right},
    {"entropy", 4, 1, 0, -1, OURS, entropy_right}, {"net", 1, 2, 1, 0, KERNELS, net_right},
    {"vsock", 19, 2, 1, 0, OURS, vsock_right},     {"fs", 26, 2, 1, -1, PROGRAMS, fs_right},
};
