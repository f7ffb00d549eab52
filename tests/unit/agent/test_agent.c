#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "attest/channel/binding.h"
#include "vmm/agent/provider.h"
#include "vmm/agent/server.h"

static unsigned char asked_with[64];
static int poweroffs;

static int fake_evidence(const unsigned char report_data[64], struct agent_evidence *out,
                         struct cofre_err *err)
{
    memcpy(asked_with, report_data, 64);
    out->tee = "snp";
    out->provider = "fake";
    int rc = bytes_copy(&out->report, (struct view){(const uint8_t *)"\x01\xab", 2}, err);
    if (rc == 0)
        rc = bytes_copy(&out->event_log, (struct view){(const uint8_t *)"\xcc", 1}, err);
    return rc < 0 ? rc : bytes_alloc(&out->certificates, 0, err);
}

static int no_evidence(const unsigned char report_data[64], struct agent_evidence *out, struct cofre_err *err)
{
    (void)report_data;
    (void)out;
    return cofre_fail(err, COFRE_LACKING, "the firmware is busy");
}

static int fake_poweroff(struct cofre_err *err)
{
    (void)err;
    poweroffs++;
    return 0;
}

static enum agent_service asked_on;

static int fake_services(enum agent_service service, const unsigned char report_data[64],
                         struct agent_evidence *out, struct cofre_err *err)
{
    asked_on = service;
    int rc = fake_evidence(report_data, out, err);
    return rc < 0 ? rc : bytes_copy(&out->manifest, (struct view){(const uint8_t *)"\x0b\x0c", 2}, err);
}

static int no_services(enum agent_service service, const unsigned char report_data[64],
                       struct agent_evidence *out, struct cofre_err *err)
{
    (void)service;
    return no_evidence(report_data, out, err);
}

static const struct agent_actions actions = {fake_evidence, fake_poweroff, fake_services};

#define NONCE_HEX                                                                                            \
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"                                       \
    "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
#define EVIDENCE_LINE "{\"op\": \"evidence\", \"report_data\": \"" NONCE_HEX "\"}"

static json_t *ask(const struct agent_actions *with, const char *line)
{
    char *text = agent_answer(with, line, strlen(line));
    assert_non_null(text);
    assert_int_equal(text[strlen(text) - 1], '\n');
    json_t *answer = json_loads(text, 0, NULL);
    assert_non_null(answer);
    free(text);
    return answer;
}

static void assert_refused(const char *line, const char *because)
{
    json_t *answer = ask(&actions, line);
    assert_true(json_is_false(json_object_get(answer, "ok")));
    assert_non_null(strstr(json_string_value(json_object_get(answer, "error")), because));
    json_decref(answer);
}

static void evidence_is_asked_for_with_the_callers_data(void **state)
{
    (void)state;
    json_t *answer = ask(&actions, EVIDENCE_LINE);
    assert_true(json_is_true(json_object_get(answer, "ok")));
    assert_string_equal(json_string_value(json_object_get(answer, "report")), "01ab");
    assert_string_equal(json_string_value(json_object_get(answer, "certificates")), "");
    assert_string_equal(json_string_value(json_object_get(answer, "event_log")), "cc");
    for (int i = 0; i < 64; i++)
        assert_int_equal(asked_with[i], i);
    json_decref(answer);
}

#define SERVICE_LINE(service)                                                                                \
    "{\"op\": \"evidence\", \"report_data\": \"" NONCE_HEX "\", \"service\": " service "}"

static void reports_on_services_come_with_what_they_are_on(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum agent_service service;
    } asked[] = {{SERVICE_LINE("\"vtpm\""), SERVICE_VTPM}, {SERVICE_LINE("\"all\""), SERVICE_ALL}};
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        asked_on = (enum agent_service)99;
        json_t *answer = ask(&actions, asked[i].line);
        assert_true(json_is_true(json_object_get(answer, "ok")));
        assert_string_equal(json_string_value(json_object_get(answer, "manifest")), "0b0c");
        assert_string_equal(json_string_value(json_object_get(answer, "report")), "01ab");
        assert_int_equal(asked_on, asked[i].service);
        json_decref(answer);
    }
    json_t *answer = ask(&actions, EVIDENCE_LINE);
    assert_null(json_object_get(answer, "manifest"));
    json_decref(answer);
    assert_refused(SERVICE_LINE("\"tpm\""), "must be vtpm or all");
    assert_refused(SERVICE_LINE("\"\""), "must be vtpm or all");
    assert_refused(SERVICE_LINE("1"), "must be vtpm or all");
    assert_refused(SERVICE_LINE("null"), "must be vtpm or all");
}

static void malformed_requests_are_refused_with_a_sentence(void **state)
{
    (void)state;
    assert_refused("", "one JSON object");
    assert_refused("[]", "one JSON object");
    assert_refused("{\"op\": \"evidence\"", "one JSON object");
    assert_refused("{\"op\": \"evidence\", \"op\": \"ping\"}", "one JSON object");
    assert_refused("{\"op\": \"format\"}", "must be evidence");
    assert_refused("{\"op\": 7}", "must be evidence");
    assert_refused("{\"op\": \"evidence\"}", "128 hexadecimal");
    assert_refused("{\"op\": \"evidence\", \"report_data\": \"00\"}", "128 hexadecimal");
    assert_refused("{\"op\": \"evidence\", \"report_data\": \"" NONCE_HEX "40\"}", "128 hexadecimal");
}

/* A host that ends the channel itself would only have to ask for evidence over what binds that channel. */
static void nobody_outside_gets_evidence_for_a_channel_of_his_own(void **state)
{
    (void)state;
    struct channel_binding b = {.end = CHANNEL_SERVER,
                                .nonce = {(const uint8_t *)"the verifier's", 14},
                                .key = {(const uint8_t *)"the host's", 10}};
    uint8_t report_data[CHANNEL_REPORT_DATA];
    char hex[2 * sizeof report_data + 1], line[256];
    assert_int_equal(channel_report_data(report_data, &b, NULL), 0);
    hex_encode(hex, report_data, sizeof report_data);
    snprintf(line, sizeof line, "{\"op\": \"evidence\", \"report_data\": \"%s\"}", hex);
    memset(asked_with, 0, sizeof asked_with);
    json_t *answer = ask(&actions, line);
    assert_false(json_is_true(json_object_get(answer, "ok")));
    assert_string_equal(json_string_value(json_object_get(answer, "error")),
                        "report data that begins with \"cofre channel\" or \"cofre release\" is for channels "
                        "that end in the guest");
    assert_true(bytes_are_zero(asked_with, sizeof asked_with)); /* the firmware was not asked */
    json_decref(answer);
}

static void a_failing_firmware_is_reported_in_its_own_words(void **state)
{
    (void)state;
    const struct agent_actions failing = {no_evidence, fake_poweroff, no_services};
    json_t *answer = ask(&failing, EVIDENCE_LINE);
    assert_true(json_is_false(json_object_get(answer, "ok")));
    assert_string_equal(json_string_value(json_object_get(answer, "error")), "the firmware is busy");
    json_decref(answer);
}

static int empty_evidence(const unsigned char report_data[64], struct agent_evidence *out,
                          struct cofre_err *err)
{
    (void)report_data;
    (void)err;
    out->tee = "tdx";
    out->provider = "fake";
    return 0;
}

static void a_quote_that_the_host_did_not_give_is_no_evidence(void **state)
{
    (void)state;
    const struct agent_actions empty = {empty_evidence, fake_poweroff, no_services};
    json_t *answer = ask(&empty, EVIDENCE_LINE);
    assert_true(json_is_false(json_object_get(answer, "ok")));
    assert_non_null(strstr(json_string_value(json_object_get(answer, "error")), "quote generation service"));
    json_decref(answer);
}

static void poweroff_starts_the_guests_command_once(void **state)
{
    (void)state;
    poweroffs = 0;
    json_t *answer = ask(&actions, "{\"op\": \"poweroff\"}");
    assert_true(json_is_true(json_object_get(answer, "ok")));
    assert_int_equal(poweroffs, 1);
    json_decref(answer);
}

/* A server on a unix socket in a thread of its own. */
struct running {
    char directory[32];
    struct sockaddr_un address;
    int listener, stop[2];
    pthread_t thread;
};

static void *serve(void *argument)
{
    struct running *r = argument;
    struct cofre_err err;
    assert_int_equal(server_run(r->listener, r->stop[0], &actions, &err), 0);
    return NULL;
}

static void start(struct running *r)
{
    strcpy(r->directory, "/tmp/cofre-agent-XXXXXX");
    assert_non_null(mkdtemp(r->directory));
    r->address.sun_family = AF_UNIX;
    snprintf(r->address.sun_path, sizeof r->address.sun_path, "%s/s", r->directory);
    r->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(r->listener, (struct sockaddr *)&r->address, sizeof r->address), 0);
    assert_int_equal(listen(r->listener, 64), 0);
    assert_int_equal(pipe(r->stop), 0);
    assert_int_equal(pthread_create(&r->thread, NULL, serve, r), 0);
}

static void stop(struct running *r)
{
    close(r->stop[1]);
    pthread_join(r->thread, NULL);
    close(r->stop[0]);
    close(r->listener);
    unlink(r->address.sun_path);
    rmdir(r->directory);
}

static int connect_to(const struct running *r)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&r->address, sizeof r->address), 0);
    return fd;
}

/* Reads until the line's end or the stream's; the number of bytes. */
static size_t read_line(int fd, char *out, size_t size)
{
    size_t n = 0;
    while (n < size - 1 && recv(fd, out + n, 1, 0) == 1)
        if (out[n++] == '\n')
            break;
    out[n] = 0;
    return n;
}

static void one_connection_is_answered_line_by_line(void **state)
{
    (void)state;
    struct running r = {0};
    start(&r);
    int fd = connect_to(&r);
    const char two[] = "{\"op\":\"ping\"}\n" EVIDENCE_LINE "\n";
    assert_int_equal(send(fd, two, strlen(two), 0), strlen(two));
    char line[512];
    assert_true(read_line(fd, line, sizeof line) > 0);
    assert_non_null(strstr(line, "\"agent\""));
    assert_true(read_line(fd, line, sizeof line) > 0);
    assert_non_null(strstr(line, "\"01ab\""));
    close(fd);
    stop(&r);
}

static void a_line_without_end_ends_the_connection(void **state)
{
    (void)state;
    struct running r = {0};
    start(&r);
    int fd = connect_to(&r);
    char flood[AGENT_REQUEST_MAX + 1];
    memset(flood, 'x', sizeof flood);
    assert_int_equal(send(fd, flood, sizeof flood, MSG_NOSIGNAL), sizeof flood);
    char line[8];
    assert_int_equal(read_line(fd, line, sizeof line), 0);
    close(fd);
    stop(&r);
}

static void more_peers_than_places_are_all_answered_in_turn(void **state)
{
    (void)state;
    struct running r = {0};
    start(&r);
    int fds[SERVER_PEERS_MAX + 8];
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        fds[i] = connect_to(&r);
        assert_int_equal(send(fds[i], "{\"op\":\"ping\"}\n", 14, 0), 14);
    }
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        char line[128];
        assert_true(read_line(fds[i], line, sizeof line) > 0);
        close(fds[i]);
    }
    stop(&r);
}

static void a_peer_that_goes_away_in_the_middle_harms_nobody(void **state)
{
    (void)state;
    struct running r = {0};
    start(&r);
    int gone = connect_to(&r);
    assert_int_equal(send(gone, EVIDENCE_LINE, 20, 0), 20);
    close(gone);
    gone = connect_to(&r);
    assert_int_equal(send(gone, EVIDENCE_LINE "\n", strlen(EVIDENCE_LINE) + 1, 0), strlen(EVIDENCE_LINE) + 1);
    close(gone);
    int fd = connect_to(&r);
    assert_int_equal(send(fd, "{\"op\":\"ping\"}\n", 14, 0), 14);
    char line[128];
    assert_true(read_line(fd, line, sizeof line) > 0);
    close(fd);
    stop(&r);
}

static void a_tsm_directory_without_attributes_is_reported_and_removed(void **state)
{
    (void)state;
    char root[] = "/tmp/cofre-tsm-XXXXXX";
    assert_non_null(mkdtemp(root));
    assert_true(tsm_present(root));
    struct agent_evidence evidence = {0};
    struct cofre_err err;
    const uint8_t data[64] = {0};
    assert_int_equal(tsm_get(root, data, &evidence, &err), -COFRE_FAILED);
    assert_non_null(strstr(err.text, "inblob"));
    assert_int_equal(rmdir(root), 0); /* empty again: the request's directory is gone */
    assert_false(tsm_present(root));
}

/* configfs as the kernel makes it: a directory has its attributes from the moment when it is there. This mkdir stands before the C
 * library's. */
enum made { MADE_NOTHING, MADE_WITHOUT_SVSM, MADE_WITH_SVSM, MADE_WITH_EMPTY_MANIFEST };
static enum made made;
static char made_directory[256];

static void put_file(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", made_directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void read_file(char out[128], const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", made_directory, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    out[fread(out, 1, 127, file)] = 0;
    fclose(file);
}

int mkdir(const char *path, mode_t mode)
{
    static const char *const own[][2] = {{"inblob", ""},
                                         {"outblob", "a report"},
                                         {"auxblob", "certificates"},
                                         {"generation", "1\n"},
                                         {"provider", "sev_guest\n"}};
    int rc = mkdirat(AT_FDCWD, path, mode);
    if (rc < 0 || made == MADE_NOTHING)
        return rc;
    snprintf(made_directory, sizeof made_directory, "%s", path);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        put_file(own[i][0], own[i][1]);
    if (made == MADE_WITHOUT_SVSM)
        return 0;
    put_file("privlevel_floor", "2\n");
    put_file("privlevel", "");
    put_file("service_provider", "");
    put_file("service_guid", "");
    put_file("manifestblob", made == MADE_WITH_SVSM ? "a manifest" : "");
    return 0;
}

static char made_root[32];

static void make_root(enum made how)
{
    strcpy(made_root, "/tmp/cofre-tsm-XXXXXX");
    assert_non_null(mkdtemp(made_root));
    made = how;
}

/* Asks such a configfs, whose files are there afterwards, and have what was written to them. */
static int ask_configfs(enum made how, enum agent_service service, struct agent_evidence *out,
                        struct cofre_err *err)
{
    const uint8_t data[64] = "what is asked with";
    *out = (struct agent_evidence){0};
    make_root(how);
    int rc = tsm_get_service(made_root, service, data, out, err);
    made = MADE_NOTHING;
    return rc;
}

static void remove_configfs(void)
{
    char command[300];
    *strrchr(made_directory, '/') = 0;
    snprintf(command, sizeof command, "rm -r %s", made_directory);
    assert_int_equal(system(command), 0);
}

static void a_guest_under_an_svsm_has_a_report_on_its_services(void **state)
{
    (void)state;
    static const struct {
        enum agent_service service;
        const char *guid;
    } cases[] = {{SERVICE_VTPM, "c476f1eb-0123-45a5-9641-b4e7dde5bfe3"}, {SERVICE_ALL, ""}};
    for (size_t i = 0; i < 2; i++) {
        struct agent_evidence evidence;
        struct cofre_err err = {""};
        char text[128];
        if (ask_configfs(MADE_WITH_SVSM, cases[i].service, &evidence, &err) != 0)
            fail_msg("%s", err.text);
        assert_string_equal(evidence.tee, "snp");
        assert_int_equal(evidence.report.len, 8);
        assert_int_equal(evidence.manifest.len, 10);
        assert_memory_equal(evidence.manifest.data, "a manifest", 10);
        assert_int_equal(evidence.certificates.len, 12);
        read_file(text, "service_provider");
        assert_string_equal(text, "svsm");
        read_file(text, "service_guid");
        assert_string_equal(text, cases[i].guid);
        read_file(text, "inblob");
        assert_string_equal(text, "what is asked with");
        agent_evidence_free(&evidence);
        remove_configfs();
    }
}

static void a_guest_below_vmpl_0_asks_for_reports_of_its_own_level(void **state)
{
    (void)state;
    for (enum made how = MADE_WITHOUT_SVSM; how <= MADE_WITH_SVSM; how++) {
        struct agent_evidence evidence = {0};
        struct cofre_err err = {""};
        char text[128];
        make_root(how);
        if (tsm_get(made_root, (const uint8_t[64]){1}, &evidence, &err) != 0)
            fail_msg("%s", err.text);
        made = MADE_NOTHING;
        if (how == MADE_WITH_SVSM) {
            read_file(text, "privlevel");
            assert_string_equal(text, "2\n");
            read_file(text, "service_provider");
            assert_string_equal(text, "");
        }
        agent_evidence_free(&evidence);
        remove_configfs();
    }
}

static void a_guest_without_an_svsm_says_so(void **state)
{
    (void)state;
    struct agent_evidence evidence;
    struct cofre_err err = {""};
    char text[128];
    assert_int_equal(ask_configfs(MADE_WITHOUT_SVSM, SERVICE_VTPM, &evidence, &err), -COFRE_LACKING);
    assert_non_null(strstr(err.text, "knows of no SVSM beneath it"));
    read_file(text, "inblob"); /* nothing was asked in its place */
    assert_string_equal(text, "");
    agent_evidence_free(&evidence);
    remove_configfs();
    assert_int_equal(ask_configfs(MADE_WITH_EMPTY_MANIFEST, SERVICE_ALL, &evidence, &err), -COFRE_FAILED);
    assert_non_null(strstr(err.text, "without a manifest"));
    agent_evidence_free(&evidence);
    remove_configfs();
    if (!tsm_present(TSM_ROOT)) {
        assert_int_equal(service_evidence_get(SERVICE_VTPM, (const uint8_t[64]){0}, &evidence, &err),
                         -COFRE_LACKING);
        assert_non_null(strstr(err.text, "configfs"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evidence_is_asked_for_with_the_callers_data),
        cmocka_unit_test(reports_on_services_come_with_what_they_are_on),
        cmocka_unit_test(a_guest_under_an_svsm_has_a_report_on_its_services),
        cmocka_unit_test(a_guest_below_vmpl_0_asks_for_reports_of_its_own_level),
        cmocka_unit_test(a_guest_without_an_svsm_says_so),
        cmocka_unit_test(malformed_requests_are_refused_with_a_sentence),
        cmocka_unit_test(nobody_outside_gets_evidence_for_a_channel_of_his_own),
        cmocka_unit_test(a_failing_firmware_is_reported_in_its_own_words),
        cmocka_unit_test(a_quote_that_the_host_did_not_give_is_no_evidence),
        cmocka_unit_test(poweroff_starts_the_guests_command_once),
        cmocka_unit_test(one_connection_is_answered_line_by_line),
        cmocka_unit_test(a_line_without_end_ends_the_connection),
        cmocka_unit_test(more_peers_than_places_are_all_answered_in_turn),
        cmocka_unit_test(a_peer_that_goes_away_in_the_middle_harms_nobody),
        cmocka_unit_test(a_tsm_directory_without_attributes_is_reported_and_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
