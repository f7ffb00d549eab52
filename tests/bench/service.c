#include "tests/bench/service.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/pem.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attest/service/access.h"
#include "attest/store/credential.h"
#include "attest/store/policy.h"
#include "attest/store/schema.h"
#include "tests/bench/bench.h"
#include "vmm/base/file.h"

extern char **environ;

const uint8_t service_root[32] = {0x62};

static void path_in(char out[static 64], const struct service_files *f, const char *name)
{
    (void)snprintf(out, 64, "%s/%s", f->folder, name);
}

static void write_identity(const struct service_files *f)
{
    char path[64];
    struct identity id = identity_new("trust");
    path_in(path, f, "cert.pem");
    FILE *to = fopen(path, "we");
    BENCH_CHECK(to && PEM_write_X509(to, id.cert) == 1 && fclose(to) == 0);
    path_in(path, f, "key.pem");
    to = fopen(path, "we");
    BENCH_CHECK(to && PEM_write_PrivateKey(to, id.key, NULL, NULL, 0, NULL, NULL) == 1 && fclose(to) == 0);
    identity_free(&id);
}

static int add_policy(struct db *db, void *context, struct cofre_err *err)
{
    (void)context;
    int rc = stored_policy_add(db, "bench", "{\"snp\": {}, \"tdx\": {}}", 1, "bench", err);
    return rc < 0 ? rc : stored_policy_activate(db, "bench", 1, 1, "bench", err);
}

static void fill_database(const char *name)
{
    struct db *db = NULL;
    uint8_t digest[32];
    access_token_digest(digest, "bench");
    const struct credential c = {.digest = {digest, sizeof digest},
                                 .name = "bench",
                                 .roles = "submit read values policies audit administer keys",
                                 .scope = "",
                                 .made = 1,
                                 .made_by = "bench",
                                 .expires = INT64_MAX};
    BENCH_CHECK(db_open(&db, name, NULL) == 0 && schema_bring(db, NULL) >= 0);
    BENCH_CHECK(credential_add(db, &c, NULL) == 0 && db_atomically(db, add_policy, NULL, NULL) >= 0);
    db_close(db);
}

void service_files_make(struct service_files *f, const char *database, struct view roots,
                        struct view collateral)
{
    char path[64];
    *f = (struct service_files){.folder = "/tmp/cofre-bench-XXXXXX", .collateral = collateral.len > 0};
    BENCH_CHECK(mkdtemp(f->folder));
    (void)snprintf(f->database, sizeof f->database, "%s%s", database ? database : f->folder,
                   database ? "" : "/db");
    write_identity(f);
    path_in(path, f, "roots.pem");
    BENCH_CHECK(file_write(path, roots, 0600, NULL) == 0);
    path_in(path, f, "collateral.json");
    BENCH_CHECK(!f->collateral || file_write(path, collateral, 0600, NULL) == 0);
    path_in(path, f, "key-root");
    BENCH_CHECK(file_write(path, (struct view){service_root, sizeof service_root}, 0600, NULL) == 0);
    fill_database(f->database);
}

void service_files_remove(struct service_files *f)
{
    char line[64];
    (void)snprintf(line, sizeof line, "rm -r '%s'", f->folder);
    BENCH_CHECK(system(line) == 0);
}

static json_t *path_json(const struct service_files *f, const char *name)
{
    char path[64];
    path_in(path, f, name);
    return json_string(path);
}

static void write_config(const char *path, const struct service_files *f, unsigned workers)
{
    json_t *config = json_pack("{s:s, s:o, s:o, s:o, s:s, s:i, s:[o], s:{s:i, s:i, s:i}}", "name",
                               "https://trust.example", "certificate", path_json(f, "cert.pem"), "key",
                               path_json(f, "key.pem"), "signing_key", path_json(f, "key.pem"), "database",
                               f->database, "workers", (int)workers, "trust_roots", path_json(f, "roots.pem"),
                               "limits", "connections", 12000, "pending", 1024, "seconds", 3600);
    json_object_set_new(config, "root_key", path_json(f, "key-root"));
    if (f->collateral)
        json_object_set_new(config, "collateral", json_pack("[o]", path_json(f, "collateral.json")));
    BENCH_CHECK(config && json_dump_file(config, path, 0) == 0);
    json_decref(config);
}

static int listen_somewhere(uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    BENCH_CHECK(fd >= 0 && bind(fd, (const struct sockaddr *)&at, len) == 0 && listen(fd, SOMAXCONN) == 0 &&
                getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static int bind_notified(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = 60};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    (void)unlink(path);
    BENCH_CHECK(fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof at) == 0 &&
                setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
    return fd;
}

/* In the child, which may take no memory: it was forked from a process that may have threads. */
static void become(const struct service *s, char *const *argv, char **env, char *pid_digits)
{
    pid_t pid = getpid();
    size_t digits = 0;
    for (pid_t rest = pid; rest; rest /= 10)
        digits++;
    pid_digits[digits] = 0;
    for (; digits; pid /= 10)
        pid_digits[--digits] = (char)('0' + pid % 10);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && dup3(s->listening, 3, 0) == 3)
        execve(argv[0], argv, env);
    _exit(126);
}

static void await_ready(const struct service *s)
{
    char told[32] = "";
    ssize_t n = recv(s->notified, told, sizeof told - 1, 0);
    if (n <= 0 || strncmp(told, "READY=1", 7) != 0) {
        fprintf(stderr, "cofre-trust did not become ready\n");
        exit(1);
    }
}

static char pid_variable[32] = "LISTEN_PID=";

/* With a listening socket as descriptor 3, as systemd has it. */
static void launch(struct service *s, char *const *argv, char **env, int cpu)
{
    const int fd = listen_somewhere(&s->port);
    s->listening = fcntl(fd, F_DUPFD_CLOEXEC, 10); /* away from 3, where the process gets it */
    close(fd);
    run_on(cpu);
    s->pid = fork();
    BENCH_CHECK(s->pid >= 0 && s->listening >= 0);
    if (s->pid == 0)
        become(s, argv, env, pid_variable + strlen("LISTEN_PID="));
    run_on(-1);
    BENCH_CHECK(clock_getcpuclockid(s->pid, &s->clock) == 0);
}

void service_start(struct service *s, const char *program, const struct service_files *f, unsigned workers,
                   int cpu)
{
    static unsigned number; /* of the processes on the same files */
    static char fds[] = "LISTEN_FDS=1";
    char name[32], config[64], socket[64], notify[96];
    char *env[256] = {pid_variable, fds, notify}, *argv[] = {(char *)program, "--config", config, NULL};
    (void)snprintf(name, sizeof name, "%u", number++);
    path_in(socket, f, name);
    (void)snprintf(notify, sizeof notify, "NOTIFY_SOCKET=%s", socket);
    (void)snprintf(config, sizeof config, "%s.json", socket);
    for (size_t i = 0; environ[i] && i < 250; i++)
        env[i + 3] = environ[i];
    *s = (struct service){.notified = bind_notified(socket)};
    write_config(config, f, workers);
    launch(s, argv, env, cpu);
    await_ready(s);
}

void service_start_other(struct service *s, const char *program, const struct service_files *f, int cpu)
{
    char *argv[] = {(char *)program, "-serve", (char *)f->folder, NULL};
    *s = (struct service){.notified = -1};
    launch(s, argv, environ, cpu);
}

void service_stop_other(struct service *s)
{
    int status;
    BENCH_CHECK(kill(s->pid, SIGKILL) == 0 && waitpid(s->pid, &status, 0) == s->pid);
    close(s->listening);
}

void service_stop(struct service *s)
{
    int status;
    BENCH_CHECK(kill(s->pid, SIGTERM) == 0 && waitpid(s->pid, &status, 0) == s->pid && WIFEXITED(status) &&
                WEXITSTATUS(status) == 0);
    close(s->listening);
    close(s->notified);
}

double service_resident_mib(const struct service *s)
{
    char path[64];
    unsigned long pages = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/statm", (int)s->pid);
    FILE *statm = fopen(path, "re");
    BENCH_CHECK(statm && fscanf(statm, "%*u %lu", &pages) == 1);
    fclose(statm);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

static cpu_set_t every; /* that this process had at its start */

__attribute__((constructor)) static void look_at_cpus(void)
{
    BENCH_CHECK(sched_getaffinity(0, sizeof every, &every) == 0);
}

int last_cpu(void)
{
    int last = 0;
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &every))
            last = i;
    return last;
}

void run_on(int cpu)
{
    cpu_set_t set = every;
    if (cpu >= 0) {
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
    }
    BENCH_CHECK(sched_setaffinity(0, sizeof set, &set) == 0);
}

void run_beside(int cpu)
{
    cpu_set_t set = every;
    if (CPU_COUNT(&set) > 1)
        CPU_CLR(cpu, &set);
    BENCH_CHECK(sched_setaffinity(0, sizeof set, &set) == 0);
}

char *service_request(const char *path, const char *body)
{
    char *out = NULL;
    BENCH_CHECK(asprintf(&out,
                         "POST %s HTTP/1.1\r\nHost: trust.example\r\nAuthorization: Bearer bench\r\n"
                         "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                         path, strlen(body), body) > 0);
    return out;
}

void service_ask_all(struct client *client, size_t clients, char *const *request, int status)
{
    static char answer[1 << 18];
    for (size_t i = 0; i < clients; i++)
        BENCH_CHECK(client_send(&client[i], request[i]));
    for (size_t i = 0; i < clients; i++) {
        int given = client_answer(&client[i], answer, sizeof answer);
        if (given != status) {
            fprintf(stderr, "cofre-trust answers %d: %s\n", given, answer);
            exit(1);
        }
    }
}
