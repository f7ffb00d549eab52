/* The whole of cofred, by its API alone: each of its processes is killed on the way. cofre-vmm is a stand-in that does what words say. */
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/host/cofred/asker.h"
#include "tests/unit/host/cofred/whole.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/host/interface/schema.h"

static struct whole whole, *const w = &whole;
static const char *missing;
static char kernel[80];

#define STOP_SECONDS 8 /* in which cofred stops, however busy; what waits for others waits for a minute */
#define GUEST        "/tenants/shop/guests/web"

static void must(int status, const char *method, const char *path, const char *body)
{
    json_decref(whole_must(w, status, method, path, body));
}

static void define_to(const char *name, const char *cmdline, const char *restart)
{
    char body[512];
    (void)snprintf(body, sizeof body,
                   "{'name': '%s', 'tee': 'none', 'cpus': 1, 'memory': 67108864, 'kernel': '%s', 'cmdline': "
                   "'%s', 'restart': '%s'}",
                   name, kernel, cmdline, restart);
    must(201, "POST", "/tenants/shop/guests", body);
}

static void define(const char *name, const char *cmdline)
{
    define_to(name, cmdline, "never");
}

static void assert_comes_to(const char *name, const char *state)
{
    char path[160];
    (void)snprintf(path, sizeof path, "/tenants/shop/guests/%s/wait?state=%s&seconds=20", name, state);
    CLEAN_JSON *shown = whole_must(w, 200, "GET", path, NULL);
    assert_string_equal(member_text(shown, "state", ""), state);
}

/* One cofred for all tests. */
static int up(void **state)
{
    (void)state;
    if (missing)
        return 0;
    whole_start(w);
    must(201, "POST", "/tenants",
         "{'name': 'shop', 'quotas': {'guests': 3, 'running': 2, 'memory': 134217728}}");
    whole_image(w, "shop", "kernel of the test", kernel);
    return 0;
}

/* All that a test defined is ended and deleted by the API, and nothing of it is left on the host. */
static int clear(void **state)
{
    (void)state;
    if (missing)
        return 0;
    CLEAN_JSON *list = whole_must(w, 200, "GET", "/tenants/shop/guests", NULL);
    const json_t *guest;
    size_t i;
    json_array_foreach(member_at(list, "guests"), i, guest)
    {
        char path[160];
        const char *name = member_text(guest, "name", "");
        (void)snprintf(path, sizeof path, "/tenants/shop/guests/%s/kill", name);
        if (whole_ask(w, "POST", path, NULL, NULL) == 202)
            assert_comes_to(name, "stopped");
        (void)snprintf(path, sizeof path, "/tenants/shop/guests/%s", name);
        must(204, "DELETE", path, NULL);
    }
    CLEAN_JSON *host = whole_must(w, 200, "GET", "/host", NULL);
    assert_int_equal(member_unsigned(member_at(host, "guests"), "used", 99), 0);
    for (int turn = 0; *world_leftover(&w->world) && turn < 1000; turn++)
        (void)poll(NULL, 0, 10);
    assert_string_equal(world_leftover(&w->world), "");
    return 0;
}

static int down(void **state)
{
    (void)state;
    if (missing)
        return 0;
    char path[160];
    (void)snprintf(path, sizeof path, "/tenants/shop/images/%s", kernel);
    must(204, "DELETE", path, NULL);
    must(204, "DELETE", "/tenants/shop", NULL);
    return whole_stop(w, SIGTERM);
}

static void need(void)
{
    if (!missing)
        return;
    print_message("skipped: %s\n", missing);
    skip();
}

/* Tests */

static void a_guest_is_run_limited_paused_and_stopped_by_requests(void **state)
{
    (void)state;
    need();
    define("web", "launch who wait");
    must(202, "POST", GUEST "/start", NULL);
    assert_comes_to("web", "running");
    must(409, "POST", GUEST "/start", NULL);
    must(200, "POST", GUEST "/pause", NULL);
    must(409, "POST", GUEST "/pause", NULL);
    must(200, "POST", GUEST "/resume", NULL);
    CLEAN_FREE char *console = whole_read(w, GUEST "/console");
    unsigned user = 0;
    assert_int_equal(sscanf(strstr(console, "user "), "user %u", &user), 1);
    assert_in_range(user, w->first_user, w->first_user + WORLD_GUESTS - 1);
    CLEAN_FREE char *log = whole_read(w, GUEST "/logs");
    assert_non_null(strstr(log, "stand-in"));
    CLEAN_JSON *host = whole_must(w, 200, "GET", "/host", NULL);
    assert_int_equal(member_unsigned(member_at(host, "guests"), "used", 0), 1);
    must(202, "POST", GUEST "/stop", "{'seconds': 20}");
    assert_comes_to("web", "stopped");
    CLEAN_JSON *shown = whole_must(w, 200, "GET", GUEST, NULL);
    assert_string_equal(member_text(shown, "state", ""), "stopped");
}

/* What comes of a stream until a text, or its end where that is NULL, is in it. */
static void read_until(int fd, char *text, size_t room, const char *wanted)
{
    size_t len = strlen(text);
    ssize_t got;
    while (!(wanted && strstr(text, wanted)) && (got = recv(fd, text + len, room - 1 - len, 0)) > 0)
        text[len += (size_t)got] = 0;
    if (wanted && !strstr(text, wanted))
        fail_msg("\"%s\" does not come: %s", wanted, text);
}

/* Who follows has what is there, what comes while he does, and an end when the guest has one. */
static void a_console_is_followed_until_its_guest_ends(void **state)
{
    (void)state;
    need();
    char text[4096] = "";
    CLEAN_FREE char *request = asker_request("GET", GUEST "/console?follow=true", "", NULL);
    define("web", "launch who echo wait");
    must(202, "POST", GUEST "/start", NULL);
    assert_comes_to("web", "running");
    CLEAN_FD fd = client_unix(w->socket);
    send_text(fd, request, strlen(request));
    read_until(fd, text, sizeof text, "user ");
    assert_memory_equal(text, "HTTP/1.1 200", 12);
    assert_null(strstr(text, "input "));
    must(204, "POST", GUEST "/console", "{'data': 'aGVsbG8K'}");
    read_until(fd, text, sizeof text, "input hello\n");
    assert_null(strstr(text, "\r\n0\r\n"));
    must(202, "POST", GUEST "/stop", "{'seconds': 20}");
    read_until(fd, text, sizeof text, "\r\n0\r\n\r\n");
    assert_comes_to("web", "stopped");
}

static void a_guest_that_never_launches_has_failed(void **state)
{
    (void)state;
    need();
    define("web", "exit=3");
    must(202, "POST", GUEST "/start", NULL);
    assert_comes_to("web", "failed");
    must(409, "POST", GUEST "/pause", NULL);
    must(202, "POST", GUEST "/start", NULL); /* and may be tried again */
    assert_comes_to("web", "failed");
}

static void quotas_refuse_with_numbers_and_without_effect(void **state)
{
    (void)state;
    need();
    static const char *const names[] = {"a", "b", "c"};
    char path[128];
    for (size_t i = 0; i < 3; i++)
        define(names[i], "launch wait");
    char body[256];
    (void)snprintf(body, sizeof body,
                   "{'name': 'd', 'tee': 'none', 'cpus': 1, 'memory': 67108864, 'kernel': '%s'}", kernel);
    CLEAN_JSON *fourth = NULL;
    const int status = whole_ask(w, "POST", "/tenants/shop/guests", body, &fourth);
    assert_in_range(status, 400, 599);
    assert_non_null(strstr(member_text(fourth, "detail", ""), "3"));
    must(404, "GET", "/tenants/shop/guests/d", NULL);
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "/tenants/shop/guests/%s/start", names[i]);
        must(202, "POST", path, NULL);
    }
    CLEAN_JSON *third = NULL;
    assert_in_range(whole_ask(w, "POST", "/tenants/shop/guests/c/start", NULL, &third), 400, 599);
    assert_non_null(strstr(member_text(third, "detail", ""), "2"));
    CLEAN_JSON *shown = whole_must(w, 200, "GET", "/tenants/shop/guests/c", NULL);
    assert_string_equal(member_text(shown, "state", ""), "stopped");
    assert_comes_to("a", "running");
    assert_comes_to("b", "running");
}

/* They may be in one transaction, or not: the sum is right in either case. */
static void of_requests_at_once_no_more_pass_than_there_is_room_for(void **state)
{
    static const char *const paths[] = {"/tenants/shop/guests/a/start", "/tenants/shop/guests/b/start",
                                        "/tenants/shop/guests/c/start"};
    static const char *const names[] = {"a", "b", "c"};
    pid_t pid[6];
    int passed = 0;
    (void)state;
    need();
    for (size_t i = 0; i < 3; i++)
        define(names[i], "launch wait");
    for (size_t i = 0; i < 6; i++)
        if ((pid[i] = fork()) == 0)
            _exit(whole_ask(w, "POST", paths[i % 3], NULL, NULL) == 202);
    for (size_t i = 0; i < 6; i++) {
        int status;
        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_true(WIFEXITED(status));
        passed += WEXITSTATUS(status);
    }
    assert_int_equal(passed, 2);
    CLEAN_JSON *host = whole_must(w, 200, "GET", "/host", NULL);
    assert_int_equal(member_unsigned(member_at(host, "guests"), "used", 0), 2);
}

/* Until the process is another one, and requests are answered by it. */
static void kill_part(const char *name, int number)
{
    const pid_t pid = whole_part(w, name);
    pid_t next;
    assert_true(pid > 0);
    assert_int_equal(kill(pid, number), 0);
    for (int turn = 0; (next = whole_part(w, name)) == pid || next == 0 ||
                       whole_ask(w, "GET", "/session", NULL, NULL) != 200;
         turn++) {
        if (turn > 2000)
            fail_msg("%s does not come back", name);
        (void)poll(NULL, 0, 10);
    }
}

static void guests_run_on_whichever_process_is_killed(void **state)
{
    static const char *const parts[] = {"decider", "hands", "gate", "zygote"};
    (void)state;
    need();
    define("web", "launch wait");
    must(202, "POST", GUEST "/start", NULL);
    assert_comes_to("web", "running");
    const pid_t guest = whole_part(w, "guest");
    assert_true(guest > 0);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        kill_part(parts[i], SIGKILL);
        assert_comes_to("web", "running");
        assert_int_equal(whole_part(w, "guest"), guest);
    }
    (void)whole_stop(w, SIGKILL); /* the supervisor */
    whole_start(w);
    assert_comes_to("web", "running");
    assert_int_equal(whole_part(w, "guest"), guest);
    must(202, "POST", GUEST "/stop", NULL);
    assert_comes_to("web", "stopped");
}

/* It breaks each time, and the time until the next start grows: who is asked to stop it finds it running or waiting, and either is good. */
static void a_start_that_is_to_follow_by_itself_is_called_off(void **state)
{
    (void)state;
    need();
    define_to("web", "exit=3", "always");
    must(202, "POST", GUEST "/start", NULL);
    for (int turn = 0;; turn++) {
        CLEAN_JSON *waiting = whole_must(w, 200, "GET", GUEST "/wait?state=failed&seconds=20", NULL);
        if (member_boolean(waiting, "starts_again", false) &&
            whole_ask(w, "POST", turn % 2 ? GUEST "/stop" : GUEST "/kill", NULL, NULL) == 202)
            break;
    }
    for (int turn = 0;; turn++) { /* also one that was asked to stop when it ran has come to rest */
        CLEAN_JSON *shown = whole_must(w, 200, "GET", GUEST, NULL);
        if (!member_boolean(shown, "starts_again", false) &&
            strcmp(member_text(shown, "state", ""), "stopping") != 0)
            break;
        if (turn > 2000)
            fail_msg("the guest does not come to rest");
        (void)poll(NULL, 0, 20);
    }
    CLEAN_JSON *before = whole_must(w, 200, "GET", GUEST, NULL);
    must(409, "POST", GUEST "/stop", NULL);
    kill_part("decider", SIGKILL); /* the one that follows starts at once what waits */
    CLEAN_JSON *later = whole_must(w, 200, "GET", GUEST, NULL);
    assert_string_equal(member_text(later, "started", "?"), member_text(before, "started", ""));
    must(204, "DELETE", GUEST, NULL);
}

static void an_end_while_cofred_is_away_is_seen_when_it_is_back(void **state)
{
    (void)state;
    need();
    define("web", "launch wait");
    must(202, "POST", GUEST "/start", NULL);
    assert_comes_to("web", "running");
    const pid_t guest = whole_part(w, "guest");
    assert_int_equal(whole_stop(w, SIGTERM), 0);
    assert_int_equal(kill(guest, SIGTERM), 0);
    while (whole_part(w, "guest") == guest)
        (void)poll(NULL, 0, 10);
    whole_start(w);
    assert_comes_to("web", "stopped");
}

/* What a host that went down and came up again has of guests: nothing. */
static void lose_all_guests(void)
{
    char command[512];
    for (pid_t guest; (guest = whole_part(w, "guest"));)
        (void)kill(guest, SIGKILL);
    (void)snprintf(
        command, sizeof command,
        "rm -rf '%s'/guests/* && find '%s' -mindepth 1 -depth -type d -name 'guest-*' -exec rmdir {} +",
        w->run, w->world.cgroup);
    assert_int_equal(system(command), 0);
}

static void after_the_host_s_start_guests_start_that_are_to_and_no_others(void **state)
{
    (void)state;
    need();
    define_to("web", "launch wait", "always");
    define_to("batch", "launch wait", "never");
    must(202, "POST", GUEST "/start", NULL);
    must(202, "POST", "/tenants/shop/guests/batch/start", NULL);
    assert_comes_to("web", "running");
    assert_comes_to("batch", "running");
    assert_int_equal(whole_stop(w, SIGTERM), 0);
    lose_all_guests();
    whole_start(w);
    assert_comes_to("batch", "failed");
    assert_comes_to("web", "running");
    assert_true(whole_part(w, "guest") > 0);
}

static void parts_are_nobody_who_could_do_harm(void **state)
{
    static const struct {
        const char *name;
        bool decides; /* the others are the gate's user */
    } parts[] = {{"decider", true}, {"gate", false}, {"zygote", false}};
    static const char *const lines[] = {"CapEff:\t0000000000000000",
                                        "CapPrm:\t0000000000000000",
                                        "CapBnd:\t0000000000000000",
                                        "NoNewPrivs:\t1",
                                        "Seccomp:\t2",
                                        "Groups:\t \n"};
    (void)state;
    need();
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char path[64], user[64], text[4096] = "";
        (void)snprintf(path, sizeof path, "/proc/%d/status", whole_part(w, parts[i].name));
        CLEAN_FILE *status = fopen(path, "r");
        assert_non_null(status);
        assert_true(fread(text, 1, sizeof text - 1, status) > 0);
        const unsigned uid = parts[i].decides ? w->decider : w->decider + 1;
        (void)snprintf(user, sizeof user, "Uid:\t%u\t%u\t%u", uid, uid, uid);
        assert_non_null(strstr(text, user));
        for (size_t line = 0; line < sizeof lines / sizeof *lines; line++)
            if (!strstr(text, lines[line]))
                fail_msg("%s has not %s in\n%s", parts[i].name, lines[line], text);
    }
    char own[64] = "", other[64] = "", path[64];
    assert_true(readlink("/proc/self/ns/net", own, sizeof own - 1) > 0);
    (void)snprintf(path, sizeof path, "/proc/%d/ns/net", whole_part(w, "decider"));
    assert_true(readlink(path, other, sizeof other - 1) > 0);
    assert_string_not_equal(own, other);
}

static void a_second_cofred_is_refused_the_first_one_s_directory(void **state)
{
    (void)state;
    need();
    int status;
    const pid_t first = w->cofred, pid = fork();
    if (pid == 0) {
        (void)fclose(stderr);
        (void)execl(w->program, "cofred", "--config", w->config, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), COFRE_LACKING);
    assert_int_equal(w->cofred, first);
    must(200, "GET", "/session", NULL);
}

/* Its exit code, and in said what it wrote to its standard error. */
static int run(const char *path, char *const *words, char said[static 512])
{
    int status, out[2];
    size_t len = 0;
    assert_int_equal(pipe(out), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(out[1], 2);
        (void)execv(path, words);
        _exit(127);
    }
    (void)close(out[1]);
    for (ssize_t got; len < 511 && (got = read(out[0], said + len, 511 - len)) > 0;)
        len += (size_t)got;
    said[len] = 0;
    (void)close(out[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* As where a package was not unpacked whole. */
static void a_cofred_without_its_parts_says_which_it_lacks(void **state)
{
    char *const verbs[][6] = {{"cofred", "--config", w->config},
                              {"cofred", "--config", w->config, "--copy-log", "/dev/null"},
                              {"cofred", "--config", w->config, "--backup", "/dev/null"},
                              {"cofred", "--config", w->config, "--restore", "/dev/null"}};
    static const char *const lacked[] = {"hands", "decider", "decider", "decider"};
    char folder[] = "/tmp/cofre-alone-XXXXXX", path[64], said[512], wanted[96];
    struct bytes program = {0};
    (void)state;
    need();
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/cofred", folder);
    assert_int_equal(file_read(&program, w->program, 256 << 20, NULL), 0);
    assert_int_equal(file_write(path, bytes_view(&program), 0700, NULL), 0);
    bytes_free(&program);
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        assert_int_equal(run(path, verbs[i], said), COFRE_LACKING);
        (void)snprintf(wanted, sizeof wanted, "cofred: %s/cofred-%s, a part of it: ", folder, lacked[i]);
        assert_memory_equal(said, wanted, strlen(wanted));
    }
    (void)unlink(path);
    (void)rmdir(folder);
    must(200, "GET", "/session", NULL);
}

static const struct {
    const char *part, *program;
} programs[] = {{"hands", "cofred-hands"}, {"zygote", "cofred-parser"}, {"decider", "cofred-decider"},
                {"gate", "cofred-gate"},   {"keys", "cofred-keys"},     {"tpm", "cofred-tpm"}};

static void a_part_that_a_hand_starts_says_so(void **state)
{
    char path[PATH_MAX], said[512];
    (void)state;
    need();
    const char *end = strrchr(w->program, '/');
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        char *const bare[] = {"cofred", NULL}, *const config[] = {"cofred", "--config", w->config, NULL};
        char *const other[] = {"cofred", "--part", "supervisor", NULL};
        (void)snprintf(path, sizeof path, "%.*s/%s", (int)(end - w->program), w->program,
                       programs[i].program);
        assert_int_equal(run(path, bare, said), COFRE_USAGE);
        assert_int_equal(run(path, config, said), COFRE_USAGE);
        assert_string_equal(said, "cofred: this is a part of cofred, which starts it\n");
        assert_int_equal(run(path, other, said), COFRE_USAGE);
        assert_non_null(strstr(said, "there is no such part"));
    }
}

static bool maps(pid_t pid, const char *library)
{
    char path[64], line[PATH_MAX + 128];
    bool found = false;
    (void)snprintf(path, sizeof path, "/proc/%d/maps", pid);
    CLEAN_FILE *of = fopen(path, "r");
    assert_non_null(of);
    while (!found && fgets(line, sizeof line, of))
        found = strstr(line, library);
    return found;
}

/* Pages of a library that the dynamic linker wrote to are a process's own, whether it calls the library or not. */
static void a_part_has_the_libraries_that_it_calls_and_no_others(void **state)
{
    static const struct {
        const char *library, *part[6];
    } wanted[] = {{"/libjansson.so", {"supervisor", "hands", "gate", "decider", "zygote", "keys"}},
                  {"/libsystemd.so", {NULL}},
                  {"/libcrypto.so", {"gate", "zygote", "decider", "keys"}},
                  {"/libssl.so", {"gate", "keys"}},
                  {"/libmicrohttpd.so", {"zygote"}},
                  {"/libmnl.so", {"hands"}},
                  {"/libevent_core-2.1.so", {"gate", "decider"}},
                  {"/libevent-2.1.so", {NULL}},
                  {"/libsqlite3.so", {"decider"}},
                  {"/libpq.so", {NULL}},
                  {"/libcurl.so", {"keys"}},
                  {"/libtss2-esys.so", {NULL}}};
    static const char *const parts[] = {"supervisor", "hands", "gate", "decider", "zygote", "keys"};
    (void)state;
    need();
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const pid_t pid = i ? whole_part(w, parts[i]) : w->cofred;
        assert_true(pid > 0);
        for (size_t k = 0; k < sizeof wanted / sizeof *wanted; k++) {
            bool due = false;
            for (size_t p = 0; p < 6 && wanted[k].part[p]; p++)
                due |= strcmp(wanted[k].part[p], parts[i]) == 0;
            if (maps(pid, wanted[k].library) != due)
                fail_msg("%s %s %s", parts[i], due ? "lacks" : "has", wanted[k].library);
        }
    }
}

static void a_signal_has_the_configuration_read_again_where_it_is_good(void **state)
{
    (void)state;
    need();
    const pid_t before = whole_part(w, "decider");
    pid_t next;
    assert_int_equal(kill(w->cofred, SIGHUP), 0);
    for (int turn = 0; (next = whole_part(w, "decider")) == before || next == 0; turn++) {
        assert_true(turn < 2000);
        (void)poll(NULL, 0, 10);
    }
    must(200, "GET", "/tenants/shop", NULL);
}

/* What systemd gets, one message after the other: until it is this one. */
static bool is_told(int notify, const char *what)
{
    char text[256];
    for (ssize_t len; (len = recv(notify, text, sizeof text - 1, 0)) > 0;) {
        text[len] = 0;
        if (strcmp(text, what) == 0)
            return true;
    }
    return false;
}

static void systemd_hears_of_the_deciding_loop_while_it_turns(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = 20}, little = {.tv_usec = 300000};
    (void)state;
    need();
    CLEAN_FD notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", w->world.directory);
    assert_int_equal(bind(notify, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(setsockopt(notify, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(whole_stop(w, SIGTERM), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    setenv("WATCHDOG_USEC", "100000", 1);
    whole_start(w);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    assert_true(is_told(notify, "READY=1"));
    assert_true(is_told(notify, "WATCHDOG=1"));
    assert_true(is_told(notify, "WATCHDOG=1"));
    const pid_t decider = whole_part(w, "decider");
    assert_int_equal(kill(decider, SIGSTOP), 0);
    assert_int_equal(setsockopt(notify, SOL_SOCKET, SO_RCVTIMEO, &little, sizeof little), 0);
    while (is_told(notify,
                   "WATCHDOG=1")) /* what was on its way; then there is none for three times the interval */
        ;
    assert_int_equal(setsockopt(notify, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(kill(decider, SIGCONT), 0);
    assert_true(is_told(notify, "WATCHDOG=1"));
    assert_int_equal(whole_stop(w, SIGTERM), 0);
    assert_true(is_told(notify, "STOPPING=1"));
    (void)unlink(address.sun_path);
    whole_start(w);
}

/* A connection whose upload has begun, and of which no byte will come. */
static int begin_upload(void)
{
    static const char head[] = "PUT /v1/tenants/shop/images/sha256:"
                               "0000000000000000000000000000000000000000000000000000000000000000 HTTP/1.1\r\n"
                               "Host: cofred\r\nContent-Length: 1000000\r\n"
                               "Content-Type: application/octet-stream\r\nExpect: 100-continue\r\n\r\n";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char said[64] = "";
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", w->socket);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(write(fd, head, sizeof head - 1), sizeof head - 1);
    assert_true(read(fd, said, sizeof said - 1) > 0);
    assert_non_null(strstr(said, " 100 "));
    return fd;
}

/* Nor does one whose parser holds the socket and does nothing more. */
static void a_silent_upload_keeps_nobody_from_stopping(void **state)
{
    struct timespec before, after;
    (void)state;
    need();
    CLEAN_FD upload = begin_upload();
    const pid_t parser = whole_part(w, "parser");
    assert_true(parser > 0);
    assert_int_equal(kill(parser, SIGSTOP), 0);
    (void)clock_gettime(CLOCK_MONOTONIC, &before);
    assert_int_equal(whole_stop(w, SIGTERM), 0);
    (void)clock_gettime(CLOCK_MONOTONIC, &after);
    assert_int_equal(kill(parser, SIGKILL), 0);
    assert_true(after.tv_sec - before.tv_sec < STOP_SECONDS);
    whole_start(w);
}

static void a_tenant_that_has_something_is_not_deleted(void **state)
{
    (void)state;
    need();
    must(409, "DELETE", "/tenants/shop", NULL); /* an image */
    define("web", "launch wait");
    must(409, "DELETE", "/tenants/shop", NULL);
    must(200, "GET", "/tenants/shop", NULL);
}

static void what_was_done_and_refused_is_in_the_log(void **state)
{
    (void)state;
    need();
    define("web", "launch wait");
    must(202, "POST", GUEST "/start", NULL);
    assert_comes_to("web", "running");
    CLEAN_JSON *head = whole_must(w, 200, "GET", "/audit/head", NULL);
    CLEAN_JSON *entries = whole_must(w, 200, "GET", "/audit/entries", NULL);
    CLEAN_FREE char *text = json_dumps(entries, JSON_COMPACT);
    static const char *const names[] = {"tenant.create", "image.add", "guest.create", "guest.start",
                                        kernel + 7};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strstr(text, names[i]))
            fail_msg("the log has no %s: %s", names[i], text);
    assert_non_null(head);
}

#define AUDITOR 880555
#define NOBODY  880556

static json_t *entries_of(const char *operation)
{
    char path[160];
    (void)snprintf(path, sizeof path, "/audit/entries?operation=%s&newest=true&limit=1", operation);
    return whole_must(w, 200, "GET", path, NULL);
}

/* The page says what the auditor's role lets, and of another tenant that it is not there; who is refused is on record. */
static void a_tenant_s_auditor_sees_no_other_tenant_on_the_page(void **state)
{
    static const char *const others[] = {"/guests?tenant=rival", "/launches?tenant=rival",
                                         "/operations?tenant=rival", "/entries/1?tenant=rival"};
    char identity[128], *page;
    (void)state;
    need();
    must(201, "POST", "/tenants", "{'name': 'rival'}");
    (void)snprintf(identity, sizeof identity, "{'identity': 'uid:%d', 'role': 'auditor', 'tenant': 'shop'}",
                   AUDITOR);
    must(201, "POST", "/grants", identity);
    define("web", "launch wait");
    static const char *const own[] = {"", "/guests", "/launches", "/operations", "/log"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        assert_int_equal(whole_page(w, AUDITOR, own[i], &page), 200);
        assert_null(strstr(page, "rival"));
        if (i == 1)
            assert_non_null(strstr(page, ">web<"));
        if (i == 3)
            assert_non_null(strstr(page, "guest.create"));
        free(page);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(whole_page(w, AUDITOR, others[i], &page), 404);
        assert_null(strstr(page, "uid:0"));
        free(page);
    }
    CLEAN_JSON *refusals = entries_of("audit.entries");
    const json_t *refusal = member_at(json_array_get(member_at(refusals, "entries"), 0), "entry");
    assert_string_equal(member_text(refusal, "outcome", ""), "refused");
    assert_string_equal(member_text(refusal, "who", ""), "uid:880555");
    assert_int_equal(whole_page(w, NOBODY, "/guests", &page), 200);
    assert_null(strstr(page, "shop"));
    assert_non_null(strstr(page, "no tenant that you may see"));
    free(page);
    must(204, "DELETE", "/tenants/rival", NULL);
}

static void removed_entries_leave_their_hashes_and_an_entry(void **state)
{
    (void)state;
    need();
    CLEAN_JSON *before = whole_must(w, 200, "GET", "/audit/entries?limit=1&after=1", NULL);
    must(400, "POST", "/audit/retain", "{'before': 1}");
    must(409, "POST", "/audit/retain", "{'before': 1000000}");
    CLEAN_JSON *retained = whole_must(w, 200, "POST", "/audit/retain", "{'before': 3}");
    assert_int_equal(member_unsigned(retained, "removed", 0), 2);
    CLEAN_JSON *after = whole_must(w, 200, "GET", "/audit/entries?limit=1&after=1", NULL);
    const json_t *row = json_array_get(member_at(after, "entries"), 0);
    assert_non_null(member_at(json_array_get(member_at(before, "entries"), 0), "entry"));
    assert_null(member_at(row, "entry"));
    assert_int_equal(member_unsigned(row, "index", 0), 2);
    assert_int_equal(strlen(member_text(row, "leaf", "")), 64);
    must(200, "GET", "/audit/proofs/2", NULL);
    CLEAN_JSON *head = whole_must(w, 200, "GET", "/audit/head", NULL);
    assert_int_equal(member_unsigned(head, "first", 0), 3);
    CLEAN_JSON *said = entries_of("audit.retain");
    const json_t *entry = member_at(json_array_get(member_at(said, "entries"), 0), "entry");
    assert_string_equal(member_text(entry, "object", ""), "entries 1 to 2");
    assert_string_equal(member_text(entry, "outcome", ""), "done");
}

#define TEST(name) cmocka_unit_test_teardown(name, clear)
int main(int argc, char **argv)
{
    missing = argc == 3 ? whole_make(w, argv[1], argv[2]) : "neither cofred nor a stand-in was named";
    const struct CMUnitTest tests[] = {
        TEST(a_guest_is_run_limited_paused_and_stopped_by_requests),
        TEST(a_console_is_followed_until_its_guest_ends),
        TEST(a_guest_that_never_launches_has_failed),
        TEST(a_start_that_is_to_follow_by_itself_is_called_off),
        TEST(quotas_refuse_with_numbers_and_without_effect),
        TEST(of_requests_at_once_no_more_pass_than_there_is_room_for),
        TEST(guests_run_on_whichever_process_is_killed),
        TEST(an_end_while_cofred_is_away_is_seen_when_it_is_back),
        TEST(after_the_host_s_start_guests_start_that_are_to_and_no_others),
        TEST(parts_are_nobody_who_could_do_harm),
        TEST(a_second_cofred_is_refused_the_first_one_s_directory),
        TEST(a_cofred_without_its_parts_says_which_it_lacks),
        TEST(a_part_that_a_hand_starts_says_so),
        TEST(a_part_has_the_libraries_that_it_calls_and_no_others),
        TEST(a_signal_has_the_configuration_read_again_where_it_is_good),
        TEST(systemd_hears_of_the_deciding_loop_while_it_turns),
        TEST(a_silent_upload_keeps_nobody_from_stopping),
        TEST(a_tenant_that_has_something_is_not_deleted),
        TEST(what_was_done_and_refused_is_in_the_log),
        TEST(a_tenant_s_auditor_sees_no_other_tenant_on_the_page),
        TEST(removed_entries_leave_their_hashes_and_an_entry),
    };
    int rc = cmocka_run_group_tests(tests, up, down);
    whole_free(w);
    return rc;
}
