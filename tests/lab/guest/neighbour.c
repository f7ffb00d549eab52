/*
 * Two guests of one host, of which one makes noise and the other is measured:
 *   neighbour serve              on the host: echoes datagrams at MEASURED, prints those that are results, and takes those at NOISE
 *                                without reading them
 *   neighbour burn HOST DISK     in a guest: without end all that it can of processors, memory, disk and network
 *   neighbour measure HOST DISK  in a guest: for each line "NAME COUNT" of standard input that many requests, and the host is
 *                                told "NAME KIND P50 P99 ...", in microseconds
 * A request begins at a time that was set before: to wake for it, a fixed piece of work, a block of the disk past the page cache, and a
 * datagram to the host and back. Each of these is a kind, and so is the whole of it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MEASURED    9100
#define NOISE       9101
#define SAMPLES_MAX 10000
#define APART_NS    4000000u /* a request begins so long after the one before ended */
#define LOST_NS     200000000u /* a datagram that is not there by then is lost, and its request took that long */
#define WORK        20000u     /* steps */
#define BLOCK       4096u
#define PIECE       (64u << 10)  /* of the noise's reads and writes */
#define MEMORY      (128u << 20) /* that the noise goes through */

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "neighbour: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t draw(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static int datagrams(const char *host, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    if (s < 0 || inet_pton(AF_INET, host ? host : "0.0.0.0", &a.sin_addr) != 1)
        die("socket");
    if (host ? connect(s, (void *)&a, sizeof a) : bind(s, (void *)&a, sizeof a))
        die("address");
    return s;
}

struct disk {
    int fd;
    uint64_t size, state;
    uint8_t *data; /* PIECE bytes */
};

static struct disk open_disk(const char *path)
{
    struct disk d = {.fd = open(path, O_RDWR | O_DIRECT), .data = aligned_alloc(BLOCK, PIECE)};
    if (d.fd < 0 || !d.data || ioctl(d.fd, BLKGETSIZE64, &d.size) < 0 || d.size < PIECE)
        die(path);
    memset(d.data, 0x5a, PIECE);
    return d;
}

static off_t place(struct disk *d, uint32_t length)
{
    return (off_t)(draw(&d->state) % (d->size / length) * length);
}

/* The host */

static void serve(void)
{
    char text[2048], last[2048] = "";
    struct sockaddr_in from;
    int s = datagrams(NULL, MEASURED);
    (void)datagrams(NULL, NOISE);
    printf("ready\n");
    for (fflush(stdout);;) {
        socklen_t length = sizeof from;
        ssize_t n = recvfrom(s, text, sizeof text - 1, 0, (void *)&from, &length);
        if (n < 0)
            die("recvfrom");
        (void)sendto(s, text, (size_t)n, 0, (void *)&from, length);
        text[n] = 0;
        if (n > 16 &&
            strcmp(text, last) != 0) { /* a request's is shorter; it is told until the answer comes */
            printf("%s\n", strcpy(last, text));
            fflush(stdout);
        }
    }
}

/* The noise */

static const char *noise_host, *noise_disk;

static void *burn_processor(void *unused)
{
    (void)unused;
    for (volatile uint64_t i = 0;; i = i + 1)
        ;
    return NULL;
}

static void *burn_memory(void *unused)
{
    (void)unused;
    uint8_t *all = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED)
        die("memory");
    for (uint8_t i = 1;; i++)
        memset(all, i, MEMORY);
    return NULL;
}

static void *burn_disk(void *unused)
{
    (void)unused;
    struct disk d = open_disk(noise_disk);
    for (;;)
        if (pwrite(d.fd, d.data, PIECE, place(&d, PIECE)) != PIECE ||
            pread(d.fd, d.data, PIECE, place(&d, PIECE)) != PIECE)
            die(noise_disk);
    return NULL;
}

static void *burn_network(void *unused)
{
    static const uint8_t data[1400];
    (void)unused;
    for (int s = datagrams(noise_host, NOISE);;)
        (void)send(s, data, sizeof data, 0); /* there may be no room */
    return NULL;
}

static void burn(void)
{
    static void *(*const loads[])(void *) = {burn_processor, burn_processor, burn_memory, burn_disk,
                                             burn_network};
    pthread_t thread;
    for (size_t i = 0; i < sizeof loads / sizeof *loads; i++)
        if (pthread_create(&thread, NULL, loads[i], NULL))
            die("thread");
    for (;;)
        pause();
}

/* What is measured */

enum kind { WAKE, PROCESSOR, DISK, NETWORK, REQUEST, KINDS };
static const char *const kinds[KINDS] = {"wake", "processor", "disk", "network", "request"};
static uint64_t sample[KINDS][SAMPLES_MAX];

static void work(void)
{
    for (volatile unsigned i = 0; i < WORK; i = i + 1)
        ;
}

/* Answers to those that were given up come late, and are none of this one. */
static void go_and_come(int s, uint32_t number)
{
    const uint64_t since = now();
    struct pollfd poll_for = {.fd = s, .events = POLLIN};
    uint32_t answer = 0;
    if (send(s, &number, sizeof number, 0) != sizeof number)
        die("send");
    while (now() - since < LOST_NS && poll(&poll_for, 1, LOST_NS / 1000000) == 1)
        if (recv(s, &answer, sizeof answer, 0) == sizeof answer && answer == number)
            return;
}

static void request(unsigned i, int s, struct disk *d)
{
    static uint32_t number;
    uint64_t at[KINDS + 1] = {now() + APART_NS};
    const struct timespec begin = {(time_t)(at[0] / 1000000000u), (long)(at[0] % 1000000000u)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &begin, NULL);
    at[1] = now();
    work();
    at[2] = now();
    if (pread(d->fd, d->data, BLOCK, place(d, BLOCK)) != BLOCK)
        die("disk");
    at[3] = now();
    go_and_come(s, ++number);
    at[4] = now();
    for (enum kind k = WAKE; k < REQUEST; k++)
        sample[k][i] = at[k + 1] - at[k];
    sample[REQUEST][i] = at[4] - at[0];
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Of count requests; the one of which a hundredth took longer. */
static void tell(int s, const char *name, unsigned count)
{
    char text[512];
    int used = snprintf(text, sizeof text, "%s", name);
    for (enum kind k = WAKE; k < KINDS; k++) {
        qsort(sample[k], count, sizeof sample[k][0], compare);
        used += snprintf(text + used, sizeof text - (size_t)used, " %s %llu %llu", kinds[k],
                         (unsigned long long)sample[k][count / 2] / 1000,
                         (unsigned long long)sample[k][count - 1 - count / 100] / 1000);
    }
    char answer[sizeof text] = "";
    do { /* until it came back whole: both may be lost */
        struct pollfd poll_for = {.fd = s, .events = POLLIN};
        if (send(s, text, (size_t)used, 0) != used)
            die("send");
        while (poll(&poll_for, 1, 200) == 1 && recv(s, answer, sizeof answer, 0) != used)
            ;
    } while (strncmp(answer, text, (size_t)used) != 0);
}

static void measure(const char *host, const char *disk)
{
    char line[128], name[64];
    unsigned count;
    struct disk d = open_disk(disk);
    int s = datagrams(host, MEASURED);
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%60s %u", name, &count) != 2 || count == 0 || count > SAMPLES_MAX)
            continue;
        for (unsigned i = 0; i < count / 8;
             i++) /* what it was told by, and what went before, have ended then */
            request(i, s, &d);
        for (unsigned i = 0; i < count; i++)
            request(i, s, &d);
        tell(s, name, count);
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "serve") == 0)
        serve();
    if (argc == 4 && strcmp(argv[1], "measure") == 0) {
        measure(argv[2], argv[3]);
        return 0;
    }
    if (argc == 4 && strcmp(argv[1], "burn") == 0) {
        noise_host = argv[2];
        noise_disk = argv[3];
        burn();
    }
    fprintf(stderr, "neighbour serve | burn HOST DISK | measure HOST DISK\n");
    return 2;
}
