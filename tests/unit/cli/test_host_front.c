/* cofre host and its like against cofred's own front: gate, zygote and parsers, before a decider that is made up (tests/unit/host). */
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/cli/called.h"
#include "tests/unit/host/front/house.h"
#include "tests/unit/host/front/made_up_decider.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/base/x509_make.h"
#include "vmm/host/front/identity.h"
#include "vmm/host/interface/schema.h"

static struct house house;

static bool sign(EVP_MD_CTX *md, EVP_PKEY *key)
{
    return EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) == 1;
}

/* A caller's certificate and key, in one file. */
static void write_identity(const char *path, const char *who)
{
    static const struct x509_make_name names[] = {{"CN", NULL}, {NULL, NULL}};
    EVP_PKEY *key = EVP_EC_gen("P-256");
    const struct x509_draft draft = {.common = who,
                                     .name = names,
                                     .serial = 99,
                                     .years = 1,
                                     .key = key,
                                     .issuer = house.ca,
                                     .issuer_key = house.ca_key};
    X509 *cert = x509_make_begin(&draft);
    assert_true(cert && x509_make_extension(cert, house.ca, NID_ext_key_usage, "clientAuth") &&
                x509_make_sign(cert, house.ca_key, sign));
    CLEAN_FILE *file = fopen(path, "w");
    assert_true(file && PEM_write_X509(file, cert) == 1 &&
                PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static int set_up(void **state)
{
    static const struct house_limits limits = {64, 32, 20, 20, 1};
    int rc = called_set_up(state);
    house_build(&house, &limits);
    CLEAN_FILE *ca = fopen("ca.pem", "w");
    assert_true(ca && PEM_write_X509(ca, house.ca) == 1);
    write_identity("ann.pem", "ann");
    return rc;
}

static int tear_down(void **state)
{
    house_end(&house);
    return called_tear_down(state);
}

static int ask_by_socket(const char *arguments)
{
    char line[1024];
    (void)snprintf(line, sizeof line, "%s --server unix:%s", arguments, house.socket);
    return called(line, NULL);
}

static int ask_by_tls(const char *arguments)
{
    char line[1024];
    (void)snprintf(line, sizeof line, "%s --server https://localhost:%d --ca ca.pem", arguments, house.port);
    return called(line, NULL);
}

static json_t *answered(void)
{
    json_t *out = json_loads(called_output, 0, NULL);
    if (!out)
        fail_msg("%s", called_output);
    return out;
}

static void is_known_by_the_sockets_user(void **state)
{
    (void)state;
    assert_int_equal(ask_by_socket("host whoami --json"), 0);
    CLEAN_JSON *is = answered();
    assert_int_equal(member_unsigned(is, "kind", 99), IDENTITY_UNIX);
    assert_int_equal(member_unsigned(is, "uid", 99), getuid());
}

static void is_known_by_a_certificate_or_a_token_over_tls(void **state)
{
    (void)state;
    assert_int_equal(ask_by_tls("host whoami --json --cert ann.pem"), 0);
    CLEAN_JSON *by_cert = answered();
    assert_non_null(strstr(member_text(by_cert, "subject", ""), "ann"));
    FILE *token = fopen("token", "w");
    fputs("abc.def\n", token);
    (void)fclose(token);
    assert_int_equal(ask_by_tls("host whoami --json --token-file token"), 0);
    CLEAN_JSON *by_token = answered();
    assert_string_equal(member_text(by_token, "token", ""), "abc.def");
    assert_int_equal(ask_by_tls("host whoami --ca ann.pem"), COFRE_USAGE); /* twice */
    char line[256];
    (void)snprintf(line, sizeof line, "host whoami --server https://localhost:%d --ca ann.pem", house.port);
    assert_int_equal(called(line, NULL), COFRE_FAILED); /* nobody that ann.pem is vouches for the server */
    assert_non_null(strstr(called_output, "certificate"));
}

static void brings_a_list_of_more_than_one_message(void **state)
{
    (void)state;
    assert_int_equal(ask_by_socket("tenant list --json"), 0);
    CLEAN_JSON *all = answered();
    assert_int_equal(json_array_size(json_object_get(all, "tenants")), MANY_TENANTS);
}

static void sends_a_body_and_shows_a_problem(void **state)
{
    (void)state;
    assert_int_equal(ask_by_socket("tenant create shop --quota-storage 1G --label a=1 --json"), 0);
    CLEAN_JSON *made = answered();
    CLEAN_JSON *wanted = json_pack("{s:s, s:{s:i}, s:{s:s}}", "name", "shop", "quotas", "storage", 1 << 30,
                                   "labels", "a", "1");
    assert_true(json_equal(made, wanted));
    assert_int_equal(ask_by_socket("tenant delete shop"), COFRE_NEGATIVE);
    assert_string_equal(called_output, "cofre tenant delete: tenant shop has 3 guests\n");
    assert_int_equal(ask_by_socket("guest start web --tenant shop"), COFRE_NEGATIVE); /* without a body */
    assert_string_equal(called_output, "cofre guest start: guest.start is not done here\n");
    assert_int_equal(ask_by_socket("guest stop web --tenant shop"), COFRE_NEGATIVE);
    assert_string_equal(called_output, "cofre guest stop: guest.stop is not done here\n");
    assert_int_equal(ask_by_socket("guest limit web --tenant shop --cpu-weight 50"), COFRE_NEGATIVE);
    assert_string_equal(called_output, "cofre guest limit: guest.limit is not done here\n");
    assert_int_equal(ask_by_socket("grant remove 7 --tenant shop"), COFRE_NEGATIVE);
    assert_string_equal(called_output, "cofre grant remove: grant.remove is not done here\n");
    FILE *typed = fopen("typed", "w");
    for (int i = 0; i < 5000; i++)
        fputc('a', typed);
    (void)fclose(typed);
    char line[256];
    (void)snprintf(line, sizeof line, "guest input web --tenant shop --server unix:%s", house.socket);
    assert_int_equal(called(line, "typed"), 0);
}

static void make_file(size_t len)
{
    FILE *file = fopen("file", "w");
    for (size_t i = 0; i < len; i++)
        fputc((int)(i * i >> 4) & 0xff, file);
    assert_int_equal(fclose(file), 0);
}

/* The decider that is made up answers with the digest of what came; 13 bytes it refuses at once, 14 when they have begun. */
static void uploads_an_image_over_socket_and_tls(void **state)
{
    (void)state;
    make_file(3000000);
    for (int tls = 0; tls < 2; tls++) {
        assert_int_equal((tls ? ask_by_tls : ask_by_socket)("image add file --tenant shop --json"), 0);
        CLEAN_JSON *added = answered();
        assert_int_equal(member_unsigned(added, "size", 0), 3000000);
    }
    make_file(13);
    assert_int_equal(ask_by_socket("image add file --tenant shop"), COFRE_LACKING);
    assert_string_equal(called_output, "cofre image add: 13 bytes are too many\n");
    make_file(14);
    assert_int_equal(ask_by_socket("image add file --tenant shop"), COFRE_NEGATIVE);
    assert_string_equal(called_output, "cofre image add: 14 bytes are too many, after all\n");
}

static void reads_streams(void **state)
{
    (void)state;
    assert_int_equal(ask_by_socket("guest events --tenant shop"), 0);
    assert_string_equal(called_output,
                        "guest.state {\"n\":1}\nguest.state {\"n\":2}\nguest.state {\"n\":3}\n");
    char line[256];
    (void)snprintf(line, sizeof line, "tenant list --json --watch --server unix:%s", house.socket);
    assert_int_equal(called(line, NULL), COFRE_FAILED);
    assert_non_null(strstr(called_output, "cofre tenant list: the service ended the stream of events\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_known_by_the_sockets_user),
        cmocka_unit_test(is_known_by_a_certificate_or_a_token_over_tls),
        cmocka_unit_test(brings_a_list_of_more_than_one_message),
        cmocka_unit_test(sends_a_body_and_shows_a_problem),
        cmocka_unit_test(uploads_an_image_over_socket_and_tls),
        cmocka_unit_test(reads_streams),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
