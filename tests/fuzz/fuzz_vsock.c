/*
 * A guest and hostile programs on the host against the socket device. The records OTHER are the programs': connect, listen,
 * accept, write, read, close. After an input no stream is left.
 */
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/fuzz/hostile_guest.h"
#include "vmm/base/bytes.h"
#include "vmm/devices/vsock.h"
#include "vmm/devices/vsock_stream.h"

#define PROGRAMS 4
#define CID      3
#define PORT     1024 /* somebody listens there */

enum doing { CONNECT, ACCEPT, SAY, GREET, HEAR, CLOSE, END_SENDING, DOINGS };

static char directory[] = "/tmp/cofre-fuzz-XXXXXX", path[64], listening[64];
static int program[PROGRAMS] = {-1, -1, -1, -1}, listener = -1;
static struct hostile guest;

static struct sockaddr_un address_of(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, name, strlen(name));
    return address;
}

static void clean_up(void)
{
    (void)unlink(path);
    (void)unlink(listening);
    (void)rmdir(directory);
}

static void prepare(void)
{
    FUZZ_CHECK(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/vsock", directory);
    snprintf(listening, sizeof listening, "%s_%u", path, PORT);
    struct sockaddr_un address = address_of(listening);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    FUZZ_CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 64) == 0);
    FUZZ_CHECK(virtio_vsock_new(&guest.device, CID, path, (struct vsock_way){vsock_connect, path}, NULL) ==
               0);
    (void)atexit(clean_up);
    hostile_plug(&guest);
}

static void connect_program(int *fd)
{
    struct sockaddr_un address = address_of(path);
    if (*fd >= 0)
        close(*fd);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connect(*fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(*fd);
        *fd = -1;
    }
}

static void accept_program(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static void do_something(const uint8_t record[HOSTILE_RECORD])
{
    int *fd = &program[record[1] % PROGRAMS];
    char line[32], heard[4096];
    ssize_t n = 0;
    if (record[2] % DOINGS == CONNECT)
        connect_program(fd);
    if (record[2] % DOINGS == ACCEPT)
        accept_program(fd);
    if (*fd < 0)
        return;
    switch (record[2] % DOINGS) {
    case SAY:
        n = send(*fd, record + 4, record[3] % 9u, MSG_NOSIGNAL);
        break;
    case GREET:
        n = send(*fd, line, (size_t)snprintf(line, sizeof line, "CONNECT %u\n", le16(record + 4)),
                 MSG_NOSIGNAL);
        break;
    case HEAR:
        n = recv(*fd, heard, sizeof heard, 0);
        break;
    case END_SENDING:
        (void)shutdown(*fd, SHUT_WR);
        break;
    case CLOSE:
        close(*fd);
        *fd = -1;
        break;
    default:
        break;
    }
    (void)n;
}

/* The programs end, and the driver goes: so must every stream. */
static void check_end(void)
{
    const struct vsock *v = guest.device->device;
    for (unsigned i = 0; i < PROGRAMS; i++)
        if (program[i] >= 0) {
            close(program[i]);
            program[i] = -1;
        }
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0;)
        close(fd);
    hostile_play(&guest, NULL, 0);
    /* Connections that wait and streams whose program has gone are two events each at most, in turn. */
    for (unsigned event = 0; event < 4 * VSOCK_STREAMS; event += HOSTILE_WORK_MAX)
        hostile_work(&guest);
    for (unsigned i = 0; i < VSOCK_STREAMS; i++)
        FUZZ_CHECK(!v->stream[i]);
    FUZZ_CHECK(v->resets == 0 && !v->held);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!guest.device)
        prepare();
    guest.other = do_something;
    ((struct vsock *)guest.device->device)->next_port = 0;
    hostile_play(&guest, data, size);
    check_end();
    return 0;
}

static size_t put_packet(uint8_t *out, size_t n, unsigned nth, uint32_t host_port, uint32_t guest_port,
                         enum vsock_op op, const char *data)
{
    uint8_t packet[sizeof(struct vsock_header) + 64] = {0};
    struct vsock_header h = {.src_cid = CID,
                             .dst_cid = VSOCK_HOST,
                             .src_port = guest_port,
                             .dst_port = host_port,
                             .len = (uint32_t)strlen(data),
                             .type = VSOCK_STREAM_TYPE,
                             .op = (uint16_t)op,
                             .flags = op == VSOCK_SHUTDOWN ? VSOCK_NEITHER : 0,
                             .buf_alloc = 4096};
    memcpy(packet, &h, sizeof h);
    memcpy(packet + sizeof h, data, h.len);
    return hostile_put_request(out, n, 1, nth, packet, (uint32_t)sizeof h + h.len, 0);
}

static size_t put_doing(uint8_t *out, size_t n, uint8_t who, enum doing what, uint64_t value)
{
    n = hostile_put(out, n, OTHER, who, (uint16_t)(what | 8 << 8), value);
    return hostile_put(out, n, WORK, 0, 0, 0);
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    const uint32_t begun_by_host = 1u << 30;
    size_t n = 1;
    const uint8_t rings = index % 2 ? PACKED : 0;
    index /= 2;
    out[0] = rings;
    if (index > 2)
        return 0;
    for (unsigned i = 0; i < 6; i++)
        n = hostile_put_request(out, n, 0, i, "", 0, 256);
    switch (index) {
    case 0: /* the guest connects, both talk, the guest ends it */
        n = put_packet(out, n, 0, PORT, 99, VSOCK_REQUEST, "");
        n = put_doing(out, n, 0, ACCEPT, 0);
        n = put_packet(out, n, 1, PORT, 99, VSOCK_RW, "from the guest");
        n = put_doing(out, n, 0, HEAR, 0);
        n = put_doing(out, n, 0, SAY, 0x7374736f68);
        n = put_packet(out, n, 2, PORT, 99, VSOCK_CREDIT_REQUEST, "");
        return put_packet(out, n, 3, PORT, 99, VSOCK_SHUTDOWN, "");
    case 1: /* a program connects, both talk, the program ends it */
        n = put_doing(out, n, 0, CONNECT, 0);
        n = put_doing(out, n, 0, GREET, 4050);
        n = put_packet(out, n, 0, begun_by_host, 4050, VSOCK_RESPONSE, "");
        n = put_doing(out, n, 0, SAY, 0x7374736f68);
        n = put_packet(out, n, 1, begun_by_host, 4050, VSOCK_RW, "an answer");
        n = put_doing(out, n, 0, END_SENDING, 0);
        n = put_packet(out, n, 2, begun_by_host, 4050, VSOCK_CREDIT_UPDATE, "");
        return put_doing(out, n, 0, CLOSE, 0);
    default: /* wrong in each way */
        n = put_doing(out, n, 1, CONNECT, 0);
        n = put_doing(out, n, 1, SAY, 0x0a6f6c6c6568);
        n = put_packet(out, n, 0, 7, 7, VSOCK_REQUEST, "");
        n = put_packet(out, n, 1, PORT, 5, VSOCK_RW, "to nobody");
        n = put_packet(out, n, 2, PORT, 5, VSOCK_RST, "");
        return hostile_put_housekeeping(out, n);
    }
}
