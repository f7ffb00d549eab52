#include "tests/unit/service/process.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"

extern char **environ;

static json_t *list_of(const struct trust_files *files)
{
    json_t *list = json_array();
    for (size_t i = 0; i < TRUST_FILES_MAX && files->path[i]; i++)
        json_array_append_new(list, json_string(files->path[i]));
    return list;
}

static void write_config(const struct process *p, const struct trust_config *c)
{
    CLEAN_JSON *limits =
        json_pack("{s:i, s:i, s:i, s:I, s:i}", "connections", (int)c->limits.connections, "pending",
                  (int)c->limits.pending, "header_bytes", (int)c->limits.headers, "body_bytes",
                  (json_int_t)c->limits.body, "seconds", (int)c->limits.seconds);
    CLEAN_JSON *config =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:o, s:o, s:O}", "name", c->name,
                  "certificate", c->certificate, "key", c->key, "client_ca", c->client_ca, "database",
                  c->database, "signing_key", c->signing_key, "token_seconds", (int)c->token_seconds,
                  "challenge_seconds", (int)c->challenge_seconds, "workers", (int)c->workers, "trust_roots",
                  list_of(&c->trust_roots), "crls", list_of(&c->crls), "limits", limits);
    assert_non_null(config);
    if (c->root_key)
        json_object_set_new(config, "root_key", json_string(c->root_key));
    assert_int_equal(json_dump_file(config, p->config, 0), 0);
}

static int bind_notify(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = 60};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && strlen(path) < sizeof at.sun_path);
    strcpy(at.sun_path, path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    return fd;
}

void process_new(struct process *p, const struct fixture *f, const char *name)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;
    *p = (struct process){.pid = 0};
    snprintf(p->config, sizeof p->config, "%s/%s.json", f->folder, name);
    snprintf(p->notify, sizeof p->notify, "%s/%s.notify", f->folder, name);
    snprintf(p->log, sizeof p->log, "%s/%s.log", f->folder, name);
    write_config(p, &f->config);
    p->notified = bind_notify(p->notify);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    p->listening = fcntl(fd, F_DUPFD_CLOEXEC, 10); /* away from where the process gets it */
    close(fd);
    assert_int_equal(bind(p->listening, (const struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(p->listening, SOMAXCONN), 0);
    assert_int_equal(getsockname(p->listening, (struct sockaddr *)&at, &len), 0);
    p->port = ntohs(at.sin_port);
}

/* Between fork and exec, with other threads about: no memory is taken. */
static void write_number(char *out, pid_t number)
{
    char digits[16];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + number % 10);
    while (number /= 10);
    while (n)
        *out++ = digits[--n];
    *out = 0;
}

static void become(const struct process *p, char *const *argv, char **env, char *listen_pid)
{
    int log = open(p->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    write_number(listen_pid, getpid());
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && log >= 0 && dup2(log, 2) == 2 && dup2(p->listening, 3) == 3)
        execve(argv[0], argv, env);
    _exit(126);
}

void process_begin(struct process *p)
{
    static char pid[32] = "LISTEN_PID=", fds[] = "LISTEN_FDS=1", option[] = "--config";
    char notify[128];
    char *env[256] = {pid, fds, notify};
    char *const argv[] = {getenv("COFRE_TRUST"), option, p->config, NULL};
    assert_non_null(argv[0]);
    snprintf(notify, sizeof notify, "NOTIFY_SOCKET=%s", p->notify);
    for (size_t i = 0; environ[i] && i < 250; i++)
        env[i + 3] = environ[i];
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        become(p, argv, env, pid + strlen("LISTEN_PID="));
    p->pid = child;
}

void process_start(struct process *p)
{
    char told[64];
    process_begin(p);
    ssize_t n;
    while ((n = recv(p->notified, told, sizeof told - 1, 0)) < 0 && errno == EINTR)
        continue; /* it was stopped, and goes on */
    told[n > 0 ? n : 0] = 0;
    if (strcmp(told, "READY=1") != 0)
        fail_msg("cofre-trust did not become ready (\"%s\"): %s", told, p->log);
}

static void show_log(const struct process *p)
{
    CLEAN_FILE *log = fopen(p->log, "re");
    char line[1024];
    while (log && fgets(line, sizeof line, log))
        fprintf(stderr, "# %s", line);
}

static int end_by(struct process *p, int signal)
{
    int status;
    assert_int_equal(kill(p->pid, signal), 0);
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    p->pid = 0;
    return status;
}

void process_kill(struct process *p)
{
    int status = end_by(p, SIGKILL);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return;
    show_log(p);
    fail_msg("cofre-trust had ended by itself: status %d", status);
}

void process_end(struct process *p)
{
    char told[64];
    int status = end_by(p, SIGTERM);
    while (recv(p->notified, told, sizeof told, MSG_DONTWAIT) > 0) /* "STOPPING=1" */
        continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    show_log(p);
    fail_msg("cofre-trust ended with status %d", status);
}

void process_free(struct process *p)
{
    if (p->pid)
        process_kill(p);
    close(p->listening);
    close(p->notified);
}

bool process_size(struct process_size *out, const struct process *p)
{
    char path[64];
    unsigned long pages = 0;
    struct dirent *entry;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)p->pid);
    CLEAN_FILE *statm = fopen(path, "re");
    if (!statm || fscanf(statm, "%*u %lu", &pages) != 1 || pages == 0)
        return false;
    *out = (struct process_size){.resident = pages * (size_t)sysconf(_SC_PAGESIZE) / 1024};
    snprintf(path, sizeof path, "/proc/%d/fd", (int)p->pid);
    DIR *folder = opendir(path);
    while (folder && (entry = readdir(folder)))
        out->descriptors += entry->d_name[0] != '.';
    if (folder)
        closedir(folder);
    return out->descriptors > 0;
}

void process_populate(struct fixture *f, const struct process *p)
{
    struct cofre_err err = {""};
    if (db_open(&f->db, f->config.database, &err) < 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < ROLE_WORDS; i++)
        fixture_add_credential(f, role_words[i], role_words[i], "", f->clock() + 86400);
    f->port = p->port;
    f->connection = client_new(f->port);
    assert_int_equal(ask(f, "POST", "/v1/policies/web", "policies", "{\"snp\": {}}"), 201);
    assert_int_equal(ask(f, "PUT", "/v1/policies/web/active", "policies", "{\"version\": 1}"), 200);
}

void process_leave(struct fixture *f)
{
    client_close(&f->connection);
    db_close(f->db);
}
