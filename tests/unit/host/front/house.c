#include "tests/unit/host/front/house.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/host/front/authority.h"
#include "tests/unit/host/front/made_up_decider.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/unix_socket.h"
#include "vmm/base/x509_make.h"
#include "vmm/host/front/gate.h"
#include "vmm/host/front/zygote.h"

#define WAIT_SECONDS 20

/* Certificates */

static void write_pem(const struct house *house, const char *name, X509 *cert, EVP_PKEY *key, char *path,
                      size_t room)
{
    (void)snprintf(path, room, "%s/%s", house->dir, name);
    CLEAN_FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(
        cert ? PEM_write_X509(file, cert) : PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
}

static SSL_CTX *server_tls(struct house *house)
{
    char chain[128], key_file[128], ca[128];
    SSL_CTX *tls = NULL;
    struct cofre_err err;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = authority_certificate("server", key, house->ca, house->ca_key, "serverAuth");
    write_pem(house, "server.pem", cert, NULL, chain, sizeof chain);
    write_pem(house, "server.key", NULL, key, key_file, sizeof key_file);
    write_pem(house, "ca.pem", house->ca, NULL, ca, sizeof ca);
    if (gate_tls_new(&tls, chain, key_file, ca, &err) < 0)
        fail_msg("%s", err.text);
    X509_free(cert);
    EVP_PKEY_free(key);
    (void)unlink(chain);
    (void)unlink(key_file);
    (void)unlink(ca);
    return tls;
}

/* The house */

static int listen_unix(struct house *house)
{
    struct sockaddr_un address;
    (void)snprintf(house->socket, sizeof house->socket, "%s/socket", house->dir);
    assert_true(unix_address(&address, house->socket));
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 64), 0);
    return fd;
}

static int listen_tcp(struct house *house)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    house->port = ntohs(address.sin_port);
    return fd;
}

static void pair_of(int ends[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
}

static ino_t inode_of(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return st.st_ino;
}

/* In a new process: true. It ends with this one. */
static bool in_child(pid_t *pid)
{
    (void)fflush(NULL);
    *pid = fork();
    assert_true(*pid >= 0);
    if (*pid > 0)
        return false;
    const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE}; /* cmocka would go on with them in the child */
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        (void)signal(faults[i], SIG_DFL);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    return true;
}

void house_build(struct house *house, const struct house_limits *l)
{
    int decider[2], zygote[2];
    struct cofre_err err = {""};
    *house = (struct house){.dir = "/tmp/cofre-front-XXXXXX"};
    assert_non_null(mkdtemp(house->dir));
    house->ca_key = EVP_EC_gen("P-256");
    house->ca = authority_certificate("authority", house->ca_key, NULL, NULL, NULL);
    SSL_CTX *tls = server_tls(house);
    struct gate_config config = {.listener = {{listen_unix(house), false}, {listen_tcp(house), true}},
                                 .listeners = 2,
                                 .tls = tls,
                                 .limits = {.connections = l->connections,
                                            .of_one = l->of_one,
                                            .handshake_seconds = l->request_seconds}};
    const struct parser_limits limits = {l->request_seconds, l->idle_seconds, l->beat_seconds};
    pair_of(decider);
    pair_of(zygote);
    house->connections = inode_of(zygote[1]);
    config.decider = decider[0];
    config.zygote = zygote[0];
    if (in_child(&house->zygote)) {
        const int rc = zygote_run(zygote[1], &limits, &err);
        (void)fprintf(stderr, "%s", err.text);
        _exit(-rc);
    }
    if (in_child(&house->decider)) {
        close(decider[0]);
        close(zygote[0]);
        _exit(made_up_decider(decider[1]));
    }
    if (in_child(&house->gate)) {
        close(decider[1]);
        close(zygote[1]);
        const int rc = gate_run(&config, &err);
        (void)fprintf(stderr, "%s", err.text);
        _exit(-rc);
    }
    for (size_t i = 0; i < 2; i++) {
        close(decider[i]);
        close(zygote[i]);
        close(config.listener[i].fd);
    }
    SSL_CTX_free(tls);
}

/* The gate's end is the others'. */
void house_end(struct house *house)
{
    const pid_t pids[] = {house->gate, house->zygote, house->decider};
    assert_true(house->gate > 0);
    assert_int_equal(kill(house->gate, SIGTERM), 0);
    for (size_t i = 0; i < sizeof pids / sizeof *pids; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        if (!WIFEXITED(status) || WEXITSTATUS(status))
            fail_msg("process %zu of the house ended with status %#x", i, (unsigned)status);
    }
    X509_free(house->ca);
    EVP_PKEY_free(house->ca_key);
    (void)unlink(house->socket);
    (void)rmdir(house->dir);
}

size_t house_parsers(const struct house *house, pid_t *out, size_t max)
{
    char path[64];
    size_t count = 0;
    int pid;
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", house->zygote, house->zygote);
    CLEAN_FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (count < max && fscanf(file, "%d", &pid) == 1)
        out[count++] = pid;
    return count;
}

bool house_parser_waits(const struct house *house, pid_t parser)
{
    char path[300], link[64], socket[64];
    bool waits = false;
    (void)snprintf(socket, sizeof socket, "socket:[%llu]", (unsigned long long)house->connections);
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)parser);
    DIR *entries = opendir(path);
    if (!entries && errno == EACCES)
        skip(); /* they are root's to look at */
    if (!entries)
        return false; /* it has ended */
    for (const struct dirent *e; (e = readdir(entries));) {
        (void)snprintf(path, sizeof path, "/proc/%d/fd/%s", (int)parser, e->d_name);
        const ssize_t len = readlink(path, link, sizeof link - 1);
        waits |= len > 0 && (size_t)len == strlen(socket) && memcmp(link, socket, (size_t)len) == 0;
    }
    closedir(entries);
    return waits;
}

/* One that has just taken a connection may be the last for a moment, until the next is made. */
size_t house_await_parsers(const struct house *house, size_t serving)
{
    const time_t until = time(NULL) + WAIT_SECONDS;
    for (;;) {
        pid_t pids[64];
        const size_t count = house_parsers(house, pids, 64);
        const bool waits = count && house_parser_waits(house, pids[count - 1]);
        if ((waits && count == serving + 1) || time(NULL) >= until)
            return count - waits;
        (void)poll(NULL, 0, 5);
    }
}

/* Clients */

int house_connect(const struct house *house)
{
    return client_unix(house->socket);
}

int house_connect_tcp(const struct house *house)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)house->port)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    client_patience(fd);
    return fd;
}

SSL *house_connect_faulty(const struct house *house, const char *who, enum house_fault fault)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(tls), house->ca), 1);
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    if (who) {
        EVP_PKEY *key = EVP_EC_gen("P-256");
        X509 *cert = authority_client(house->ca, house->ca_key, who, key, fault);
        assert_int_equal(SSL_CTX_use_certificate(tls, cert), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(tls, key), 1);
        X509_free(cert);
        EVP_PKEY_free(key);
    }
    SSL *ssl = SSL_new(tls);
    SSL_CTX_free(tls);
    assert_int_equal(SSL_set_fd(ssl, house_connect_tcp(house)), 1);
    if (SSL_connect(ssl) == 1)
        return ssl;
    house_tls_free(ssl);
    return NULL;
}

SSL *house_connect_tls(const struct house *house, const char *who, bool stranger)
{
    return house_connect_faulty(house, who, stranger ? FAULT_STRANGER : FAULT_NONE);
}

void house_tls_free(SSL *ssl)
{
    const int fd = SSL_get_fd(ssl);
    (void)SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
}

struct answer ask_len(const struct house *house, const char *text, size_t len)
{
    struct answer out;
    CLEAN_FD fd = house_connect(house);
    send_text(fd, text, len);
    if (!read_answer(fd, &out))
        out.status = 0;
    return out;
}

struct answer ask(const struct house *house, const char *text)
{
    return ask_len(house, text, strlen(text));
}
