#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/cli/pccs.h"

static struct pccs pccs;
static struct cofre_err err;

static int read_text(const char *text)
{
    memset(&pccs, 0, sizeof pccs);
    return pccs_read(&pccs, (struct view){(const uint8_t *)text, strlen(text)}, &err);
}

static void expect(const char *url, const char *host, const char *port)
{
    char text[512];
    snprintf(text, sizeof text, "{\"pccs_url\": \"%s\"}", url);
    assert_int_equal(read_text(text), 0);
    assert_string_equal(pccs.host, host);
    assert_string_equal(pccs.port, port);
}

static void an_address_is_taken_apart(void **state)
{
    (void)state;
    expect("https://localhost:8081/sgx/certification/v4/", "localhost", "8081");
    expect("https://pccs.example/sgx/", "pccs.example", "443");
    expect("https://10.0.0.1", "10.0.0.1", "443");
    expect("https://[::1]:8081/", "::1", "8081");
    expect("https://h?x", "h", "443");
}

static void what_is_no_address_is_named(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "localhost",
                                        "http://localhost/",
                                        "https://",
                                        "https:///x",
                                        "https://h:123456/",
                                        "https://h:80x/",
                                        "https://[::1",
                                        "https://:1",
                                        "https://user:word@h/",
                                        "https://[::1]8081/"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"pccs_url\": \"%s\"}", wrong[i]);
        assert_int_equal(read_text(text), -COFRE_MALFORMED);
        assert_non_null(strstr(err.text, "no https address"));
    }
    char *const end = memset((char[400]){0}, 'h', 399);
    char text[500];
    snprintf(text, sizeof text, "{\"pccs_url\": \"https://%s/\"}", end);
    assert_int_equal(read_text(text), -COFRE_MALFORMED);
}

/* As the vendor's package installs it. */
static void comments_are_none_of_its_text(void **state)
{
    (void)state;
    assert_int_equal(read_text("{\n"
                               "  // *** the keys are case sensitive. Don't \"change\" them.\n"
                               "  //PCCS server address\n"
                               "  \"pccs_url\": \"https://pccs.example:8081/sgx/certification/v4/\"\n"
                               "  // To accept an insecure certificate, set this to false\n"
                               "  ,\"use_secure_cert\": true // really\n"
                               "  //,\"collateral_service\": \"https://api.example/\"\n"
                               "}"),
                     0);
    assert_string_equal(pccs.host, "pccs.example");
}

static void what_is_no_configuration_is_malformed(void **state)
{
    (void)state;
    assert_int_equal(read_text(""), -COFRE_MALFORMED);
    assert_int_equal(read_text("PCCS_URL=https://localhost:8081/"), -COFRE_MALFORMED);
    assert_int_equal(read_text("{\"pccs_url\": 8081}"), -COFRE_MALFORMED);
    assert_int_equal(read_text("{}"), -COFRE_MALFORMED);
    assert_int_equal(read_text("{} // \"pccs_url\": \"https://h/\""), -COFRE_MALFORMED);
    assert_int_equal(read_text("{\"pccs_url\": \"\\"), -COFRE_MALFORMED);
}

static void whether_it_is_reachable_is_said(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    struct pccs here = {.host = "127.0.0.1"};
    snprintf(here.port, sizeof here.port, "%u", ntohs(address.sin_port));
    assert_int_equal(pccs_connect(&here, &err), 0);
    close(listener);
    assert_int_equal(pccs_connect(&here, &err), -COFRE_LACKING);
    assert_non_null(strstr(err.text, "127.0.0.1 port"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_taken_apart),
        cmocka_unit_test(what_is_no_address_is_named),
        cmocka_unit_test(comments_are_none_of_its_text),
        cmocka_unit_test(what_is_no_configuration_is_malformed),
        cmocka_unit_test(whether_it_is_reachable_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
