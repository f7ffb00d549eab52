/*
 * Disk and network as a guest sees them, measured from within it:
 *   io-bench disk DEVICE        reads and overwrites it, past the guest's page cache
 *   io-bench net ADDRESS PORT   against a peer, which is
 *   io-bench peer ADDRESS PORT  this program on the other side; serves one connection after the other
 * Each load is one line, "io NAME COUNT NANOSECONDS": operations, round trips or bytes, and the time of all of them by the
 * guest's clock. What one costs is the quotient; a load that fails ends the program with a sentence.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define DEPTH_MAX 16
#define LEN_MAX   (1u << 20)
#define FLUSHES   200
#define STREAM    (8u << 20)  /* bytes of a connection that carries data */
#define PIECE     (64u << 10) /* of one call */
#define TRIPS     400

_Noreturn static void die(const char *what)
{
    fprintf(stderr, "io-bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void tell(const char *name, uint64_t count, uint64_t since)
{
    printf("io %s %llu %llu\n", name, (unsigned long long)count, (unsigned long long)(now() - since));
    fflush(stdout);
}

/* The disk */

struct load {
    const char *name;
    uint16_t opcode; /* of aio */
    bool random;
    uint32_t len;
    unsigned depth, count;
};

static const struct load loads[] = {
    {"read-4k", IOCB_CMD_PREAD, true, 4096, 1, 400},
    {"write-4k", IOCB_CMD_PWRITE, true, 4096, 1, 400},
    {"read-4k-16", IOCB_CMD_PREAD, true, 4096, 16, 800},
    {"write-4k-16", IOCB_CMD_PWRITE, true, 4096, 16, 800},
    {"read-1m", IOCB_CMD_PREAD, false, 1u << 20, 2, 32},
    {"write-1m", IOCB_CMD_PWRITE, false, 1u << 20, 2, 32},
};

struct disk {
    int fd;
    uint64_t size, state; /* state: of the random numbers */
    uint8_t *data;        /* LEN_MAX a request */
    aio_context_t aio;
    struct iocb cb[DEPTH_MAX];
};

static uint64_t place(struct disk *d, const struct load *load, unsigned i)
{
    if (!load->random)
        return (uint64_t)i * load->len % (d->size - d->size % load->len);
    d->state = d->state * 6364136223846793005u + 1442695040888963407u;
    return (d->state >> 33) % (d->size / load->len) * load->len;
}

static void ask(struct disk *d, const struct load *load, unsigned slot, unsigned i)
{
    struct iocb *cb = &d->cb[slot];
    *cb = (struct iocb){.aio_data = slot,
                        .aio_lio_opcode = load->opcode,
                        .aio_fildes = (uint32_t)d->fd,
                        .aio_buf = (uintptr_t)d->data + (uint64_t)slot * LEN_MAX,
                        .aio_nbytes = load->len,
                        .aio_offset = (int64_t)place(d, load, i)};
    if (syscall(SYS_io_submit, d->aio, 1, &cb) != 1)
        die("io_submit");
}

static void run(struct disk *d, const struct load *load)
{
    struct io_event event[DEPTH_MAX];
    unsigned asked = 0, done = 0;
    uint64_t since = now();
    while (asked < load->depth) {
        ask(d, load, asked, asked);
        asked++;
    }
    while (done < load->count) {
        long n = syscall(SYS_io_getevents, d->aio, 1, DEPTH_MAX, event, NULL);
        if (n < 1)
            die("io_getevents");
        for (long i = 0; i < n; i++, done++) {
            errno = event[i].res < 0 ? (int)-event[i].res : EIO;
            if (event[i].res != (int64_t)load->len)
                die(load->name);
            if (asked < load->count)
                ask(d, load, (unsigned)event[i].data, asked++);
        }
    }
    tell(load->name, load->count, since);
}

/* What a journal does: a block, and then it must be stable. */
static void run_flushes(struct disk *d)
{
    uint64_t since = now();
    for (unsigned i = 0; i < FLUSHES; i++)
        if (pwrite(d->fd, d->data, 4096, (off_t)i * 4096) != 4096 || fdatasync(d->fd) < 0)
            die("flush");
    tell("flush", FLUSHES, since);
}

static int run_disk(const char *path)
{
    struct disk d = {.fd = open(path, O_RDWR | O_DIRECT), .data = aligned_alloc(4096, DEPTH_MAX * LEN_MAX)};
    if (d.fd < 0 || !d.data || ioctl(d.fd, BLKGETSIZE64, &d.size) < 0 || d.size < LEN_MAX)
        die(path);
    if (syscall(SYS_io_setup, DEPTH_MAX, &d.aio) < 0)
        die("io_setup");
    memset(d.data, 0x5a, DEPTH_MAX * LEN_MAX);
    for (size_t i = 0; i < sizeof loads / sizeof *loads; i++)
        run(&d, &loads[i]);
    run_flushes(&d);
    return 0;
}

/* The network. The first byte of a connection says what it is for. */

enum purpose { UPLOAD = 'u', DOWNLOAD = 'd', TRIP = 't' };

static struct sockaddr_in address_of(const char *address, const char *port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (inet_pton(AF_INET, address, &in.sin_addr) != 1)
        die(address);
    return in;
}

static void put(int s, const void *data, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = send(s, (const uint8_t *)data + done, len - done, MSG_NOSIGNAL);
        if (n < 0)
            die("send");
        done += (size_t)n;
    }
}

/* What comes until len bytes are there or the other end is silent; how many they were. */
static size_t get(int s, size_t len)
{
    static uint8_t piece[PIECE];
    size_t done = 0;
    ssize_t n = 1;
    while (done < len && (n = recv(s, piece, len - done < PIECE ? len - done : PIECE, 0)) > 0)
        done += (size_t)n;
    if (n < 0)
        die("recv");
    return done;
}

static void put_stream(int s)
{
    static const uint8_t piece[PIECE];
    for (size_t done = 0; done < STREAM; done += PIECE)
        put(s, piece, PIECE);
}

static int connection(const struct sockaddr_in *peer, enum purpose purpose)
{
    const int yes = 1;
    const uint8_t byte = (uint8_t)purpose;
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (s < 0 || connect(s, (const struct sockaddr *)peer, sizeof *peer) < 0 ||
        setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) < 0)
        die("connect");
    put(s, &byte, 1);
    return s;
}

static void upload(const struct sockaddr_in *peer)
{
    int s = connection(peer, UPLOAD);
    uint64_t since = now();
    put_stream(s);
    if (get(s, 1) != 1) /* the peer has it all */
        die("upload");
    tell("upload", STREAM, since);
    close(s);
}

static void download(const struct sockaddr_in *peer)
{
    int s = connection(peer, DOWNLOAD);
    uint64_t since = now();
    if (get(s, STREAM) != STREAM)
        die("download");
    tell("download", STREAM, since);
    close(s);
}

static void go_and_come(const struct sockaddr_in *peer)
{
    const uint8_t byte = 0;
    int s = connection(peer, TRIP);
    uint64_t since = now();
    for (unsigned i = 0; i < TRIPS; i++) {
        put(s, &byte, 1);
        if (get(s, 1) != 1)
            die("round trip");
    }
    tell("round-trip", TRIPS, since);
    close(s);
}

static int run_net(const char *address, const char *port)
{
    const struct sockaddr_in peer = address_of(address, port);
    upload(&peer);
    download(&peer);
    go_and_come(&peer);
    return 0;
}

static void serve(int s)
{
    const int yes = 1;
    uint8_t byte;
    if (setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) < 0 || recv(s, &byte, 1, 0) != 1)
        die("a connection without a purpose");
    if (byte == DOWNLOAD)
        put_stream(s);
    else if (byte == UPLOAD && get(s, STREAM) == STREAM)
        put(s, &byte, 1);
    else if (byte == TRIP)
        while (get(s, 1) == 1)
            put(s, &byte, 1);
}

static int run_peer(const char *address, const char *port)
{
    const struct sockaddr_in here = address_of(address, port);
    const int yes = 1;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0 ||
        bind(listener, (const struct sockaddr *)&here, sizeof here) < 0 || listen(listener, 4) < 0)
        die("listen");
    for (;;) {
        int s = accept(listener, NULL, NULL);
        if (s < 0)
            die("accept");
        serve(s);
        close(s);
    }
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "disk") == 0)
        return run_disk(argv[2]);
    if (argc == 4 && strcmp(argv[1], "net") == 0)
        return run_net(argv[2], argv[3]);
    if (argc == 4 && strcmp(argv[1], "peer") == 0)
        return run_peer(argv[2], argv[3]);
    fprintf(stderr, "io-bench disk DEVICE | net ADDRESS PORT | peer ADDRESS PORT\n");
    return 2;
}
