#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/cli/run.h"

/* An agent behind a guest's socket that answers one asker. */
struct agent {
    const char *answer;
    int listener;
    pthread_t thread;
    char heard[512];
};

static void hear_line(struct agent *a, int fd)
{
    char c = 0;
    for (size_t n = strlen(a->heard); n < sizeof a->heard - 1 && c != '\n' && recv(fd, &c, 1, 0) == 1;)
        a->heard[n++] = c;
}

static void *play(void *argument)
{
    struct agent *a = argument;
    int fd = accept(a->listener, NULL, NULL);
    hear_line(a, fd);
    if (send(fd, "OK 1073741824\n", 14, MSG_NOSIGNAL) == 14) {
        hear_line(a, fd);
        send(fd, a->answer, strlen(a->answer), MSG_NOSIGNAL);
    }
    close(fd);
    return NULL;
}

#define ATTEST "attest --socket vsock --nonce 00ff --out evidence.json --json"

/* Runs cofre attest against such an agent; its exit code. */
static int attest_by(struct agent *a, const char *command)
{
    char path[CLI_PATH_SIZE];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cli_path(path, "vsock");
    assert_true(strlen(path) < sizeof address.sun_path);
    strcpy(address.sun_path, path);
    a->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(a->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(a->listener, 1), 0);
    assert_int_equal(pthread_create(&a->thread, NULL, play, a), 0);
    int code = cli_run(command);
    pthread_join(a->thread, NULL);
    close(a->listener);
    unlink(path);
    return code;
}

static int attest(struct agent *a)
{
    return attest_by(a, ATTEST);
}

static json_t *evidence(void)
{
    struct bytes file = {0};
    cli_read(&file, "evidence.json");
    json_t *read = json_loadb((const char *)file.data, file.len, 0, NULL);
    bytes_free(&file);
    assert_non_null(read);
    return read;
}

static void expect_member(const json_t *object, const char *name, const char *value)
{
    const char *text = json_string_value(json_object_get(object, name));
    if (!value)
        assert_null(text);
    else
        assert_string_equal(text, value);
}

static void an_snp_guest_s_report_and_certificates_are_kept(void **state)
{
    (void)state;
    struct agent a = {.answer = "{\"ok\": true, \"tee\": \"snp\", \"provider\": \"configfs-tsm\", "
                                "\"report\": \"010203\", \"certificates\": \"040506\"}\n"};
    assert_int_equal(attest(&a), 0);
    json_t *e = evidence();
    expect_member(e, "tee", "snp");
    expect_member(e, "report", "AQID");
    expect_member(e, "certificates", "BAUG");
    expect_member(e, "event_log", NULL);
    expect_member(e, "nonce", "00ff");
    json_decref(e);
    assert_non_null(strstr(a.heard, "CONNECT 4050\n"));
    assert_non_null(strstr(a.heard, "\"report_data\": \"00ff0000"));
}

static void a_tdx_guest_s_quote_and_event_log_are_kept(void **state)
{
    (void)state;
    struct agent a = {.answer =
                          "{\"ok\": true, \"tee\": \"tdx\", \"provider\": \"configfs-tsm\", "
                          "\"report\": \"010203\", \"certificates\": \"\", \"event_log\": \"040506\"}\n"};
    assert_int_equal(attest(&a), 0);
    assert_non_null(strstr(cli_output, "\"event_log_bytes\":3"));
    json_t *e = evidence();
    expect_member(e, "tee", "tdx");
    expect_member(e, "report", "AQID");
    expect_member(e, "certificates", NULL);
    expect_member(e, "event_log", "BAUG");
    json_decref(e);
}

#define SNP_ANSWER                                                                                           \
    "{\"ok\": true, \"tee\": \"snp\", \"provider\": \"configfs-tsm\", \"report\": \"010203\", "              \
    "\"certificates\": \"040506\", \"event_log\": \"\""

static void an_svsm_s_report_is_kept_with_its_manifest(void **state)
{
    (void)state;
    struct agent a = {.answer = SNP_ANSWER ", \"manifest\": \"0001000b\"}\n"};
    struct bytes manifest = {0};
    assert_int_equal(attest_by(&a, ATTEST " --service vtpm --manifest-out vtpm.bin"), 0);
    assert_non_null(strstr(a.heard, "\"service\": \"vtpm\"}"));
    assert_non_null(strstr(cli_output, "\"manifest_bytes\":4,\"manifest_out\":\"vtpm.bin\""));
    cli_read(&manifest, "vtpm.bin");
    assert_int_equal(manifest.len, 4);
    assert_memory_equal(manifest.data, "\x00\x01\x00\x0b", 4);
    bytes_free(&manifest);
    struct agent b = {.answer = SNP_ANSWER ", \"manifest\": \"ff\"}\n"};
    assert_int_equal(attest_by(&b, "attest --socket vsock --nonce 00ff --service all"), 0);
    assert_non_null(strstr(b.heard, "\"service\": \"all\"}"));
    assert_non_null(strstr(cli_output, "manifest.bin: a manifest of 1 bytes"));
    struct agent c = {.answer = SNP_ANSWER "}\n"}; /* an agent of before takes it for an ordinary question */
    assert_int_equal(attest_by(&c, ATTEST " --service vtpm"), 3);
    assert_non_null(strstr(cli_output, "gave the guest's own report"));
    struct agent d = {.answer = SNP_ANSWER ", \"manifest\": \"0\"}\n"};
    assert_int_equal(attest_by(&d, ATTEST " --service vtpm"), 3);
    assert_non_null(strstr(cli_output, "\"manifest\""));
    struct agent e = {.answer = SNP_ANSWER "}\n"};
    assert_int_equal(attest(&e), 0);
    assert_null(strstr(e.heard, "service"));
    assert_int_equal(cli_run(ATTEST " --service tpm"), 2);
    assert_int_equal(cli_run(ATTEST " --manifest-out vtpm.bin"), 2);
    assert_int_equal(cli_run(ATTEST " --service vtpm --manifest-out -"), 2);
}

static void what_an_agent_may_not_answer_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *because;
        int code;
    } wrong[] = {
        {"{\"ok\": true, \"tee\": \"sgx\", \"report\": \"01\"}\n", "no TEE that is known", 3},
        {"{\"ok\": true, \"report\": \"01\"}\n", "no TEE that is known", 3},
        {"{\"ok\": true, \"tee\": \"tdx\"}\n", "no \"report\"", 3},
        {"{\"ok\": true, \"tee\": \"tdx\", \"report\": \"0\"}\n", "\"report\"", 3},
        {"{\"ok\": true, \"tee\": \"tdx\", \"report\": \"01\", \"event_log\": \"xy\"}\n", "\"event_log\"", 3},
        {"{\"ok\": false, \"error\": \"the firmware is busy\"}\n", "the firmware is busy", 5},
        {"hello\n", "the agent's answer", 3},
        {"{\"ok\": false, \"error\": \"a\\u001b[2Jb\\u009bc\\r\\n\\u00e9\"}\n", "a?[2Jb??c??\u00e9", 5},
        {"{\"ok\": \x1b[2J}\n", "the agent's answer", 3},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct agent a = {.answer = wrong[i].answer};
        assert_int_equal(attest(&a), wrong[i].code);
        assert_non_null(strstr(cli_output, wrong[i].because));
        assert_null(strchr(cli_output, '\x1b')); /* nobody who is quoted gives a terminal commands */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_snp_guest_s_report_and_certificates_are_kept),
        cmocka_unit_test(a_tdx_guest_s_quote_and_event_log_are_kept),
        cmocka_unit_test(an_svsm_s_report_is_kept_with_its_manifest),
        cmocka_unit_test(what_an_agent_may_not_answer_is_named),
    };
    return cmocka_run_group_tests(tests, cli_setup, cli_teardown);
}
