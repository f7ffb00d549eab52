/* The network. The first byte of a connection says what it is for. */
#include "tests/lab/guest/io_bench.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT   9000        /* the peer's */
#define STREAM (2u << 20)  /* bytes of a connection that carries data */
#define PIECE  (64u << 10) /* of one call, and what a stream's cost is of */

enum purpose { UPLOAD, DOWNLOAD, TRIP, PURPOSES };
static const char *const purpose_names[PURPOSES] = {"upload", "download", "round-trip"};

static struct sockaddr_in address_of(const char *address, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, address, &in.sin_addr) != 1)
        die(address);
    return in;
}

void put(int s, const void *data, size_t len)
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

bool get_all(int s, void *data, size_t len)
{
    return recv(s, data, len, MSG_WAITALL) == (ssize_t)len;
}

static void put_stream(int s)
{
    static const uint8_t piece[PIECE];
    for (size_t done = 0; done < STREAM; done += PIECE)
        put(s, piece, PIECE);
}

int connect_to(const char *address, uint16_t port)
{
    const struct sockaddr_in peer = address_of(address, port);
    const int yes = 1;
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (s < 0 || connect(s, (const struct sockaddr *)&peer, sizeof peer) < 0 ||
        setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) < 0)
        die("connect");
    return s;
}

static struct piece stream(int s, enum purpose purpose)
{
    const uint64_t since = now();
    if (purpose == UPLOAD)
        put_stream(s);
    size_t want = purpose == UPLOAD ? 1 : STREAM; /* one byte: the peer has it all */
    if (get(s, want) != want)
        die(purpose_names[purpose]);
    return (struct piece){STREAM / PIECE, now() - since};
}

static struct piece go_and_come(int s)
{
    const uint8_t byte = 0;
    const uint64_t since = now();
    unsigned done = 0;
    for (; now() - since < ENOUGH; done++) {
        put(s, &byte, 1);
        if (get(s, 1) != 1)
            die("round trip");
    }
    return (struct piece){done, now() - since};
}

const char *net_load(unsigned index)
{
    return index < PURPOSES ? purpose_names[index] : NULL;
}

struct piece net_run(const char *address, unsigned index)
{
    const enum purpose purpose = index;
    const uint8_t byte = (uint8_t)purpose;
    int s = connect_to(address, PORT);
    put(s, &byte, 1);
    struct piece piece = purpose == TRIP ? go_and_come(s) : stream(s, purpose);
    close(s);
    return piece;
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

int listen_at(uint16_t port)
{
    const struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port)};
    const int yes = 1;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0 ||
        bind(listener, (const struct sockaddr *)&here, sizeof here) < 0 || listen(listener, 8) < 0)
        die("listen");
    return listener;
}

int accept_one(int listener)
{
    int s = accept(listener, NULL, NULL);
    if (s < 0)
        die("accept");
    return s;
}

_Noreturn void net_peer(void)
{
    int listener = listen_at(PORT);
    for (;;) {
        int s = accept_one(listener);
        serve(s);
        close(s);
    }
}
