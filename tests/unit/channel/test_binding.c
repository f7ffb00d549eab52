/* The bytes that evidence is made over, and addresses. The vectors were computed by Python's hashlib from docs/channel.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/channel/address.h"
#include "attest/channel/binding.h"
#include "attest/channel/identity.h"

static uint8_t nonce[32], key[91];

static struct channel_binding example(void)
{
    struct channel_binding b = {
        .end = CHANNEL_SERVER, .nonce = {nonce, sizeof nonce}, .key = {key, sizeof key}};
    for (size_t i = 0; i < sizeof nonce; i++)
        nonce[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof b.exporter; i++)
        b.exporter[i] = (uint8_t)(64 + i);
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)(128 + i);
    return b;
}

static void is(const struct channel_binding *b, const char *hex)
{
    uint8_t data[CHANNEL_REPORT_DATA];
    char text[2 * sizeof data + 1];
    assert_int_equal(channel_report_data(data, b, NULL), 0);
    hex_encode(text, data, sizeof data);
    assert_string_equal(text, hex);
}

static void report_data_is_what_the_document_says(void **state)
{
    (void)state;
    struct channel_binding b = example();
    is(&b, "4fa91245448d97d3bac586d43d957fb0d5c1ef9cf896afd9a5291e408fc321e39f66d7cb279d32a1cdf1130fddd8db611"
           "c4855b6f"
           "695eefd49297c014774d2f2");
    b.end = CHANNEL_CLIENT;
    is(&b, "46521544ee319d45133433568ef412601d46f64a789bee7052bef42f303c040f823f6fdc556521bfe7df15793e52b586f"
           "a81503d5"
           "0e6599744cf1323e8d1c574");
}

static void bytes_do_not_pass_from_one_part_to_the_next(void **state)
{
    (void)state;
    uint8_t one[64], two[64];
    struct channel_binding b = example();
    assert_int_equal(channel_report_data(one, &b, NULL), 0);
    b.nonce.len--;
    assert_int_equal(channel_report_data(two, &b, NULL), 0);
    assert_memory_not_equal(one, two, 64);
    b = example();
    b.key.len--;
    assert_int_equal(channel_report_data(two, &b, NULL), 0);
    assert_memory_not_equal(one, two, 64);
}

static void nothing_binds_without_a_nonce_or_a_key(void **state)
{
    (void)state;
    uint8_t data[64];
    struct cofre_err err;
    struct channel_binding b = example();
    b.nonce.len = 0;
    assert_int_equal(channel_report_data(data, &b, &err), -COFRE_USAGE);
    assert_string_equal(err.text, "a channel cannot be bound by a nonce of 0 bytes and a key of 91");
    b = example();
    b.key.len = 0;
    assert_int_equal(channel_report_data(data, &b, &err), -COFRE_USAGE);
    b.key.len = CHANNEL_KEY_MAX + 1;
    assert_int_equal(channel_report_data(data, &b, &err), -COFRE_USAGE);
}

static void a_key_is_kept_in_its_file(void **state)
{
    (void)state;
    char folder[] = "/tmp/cofre-key-XXXXXX", path[64];
    struct cofre_err err;
    struct stat file;
    CLEAN_IDENTITY first = {0}, again = {0}, none = {0};
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/key", folder);
    assert_int_equal(channel_identity_keep(&first, path, &err), 0);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    assert_int_equal(channel_identity_keep(&again, path, &err), 0);
    assert_int_equal(EVP_PKEY_eq(first.key, again.key), 1);
    assert_int_equal(truncate(path, 10), 0);
    assert_int_equal(channel_identity_keep(&none, path, &err), -COFRE_MALFORMED);
    unlink(path);
    rmdir(folder);
}

static void what_is_no_address_is_told_so(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",         "4433",    ":4433",      "host:",       "host:99999",
                                        "::1:4433", "vsock:x", "vsock:3:-1", "host:4a",     "/no/port",
                                        "[]:1",     "host: 1", "vsock:",     "vsock:a:4433"};
    struct cofre_err err;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (address_connect(wrong[i], false, 1, &err) != -COFRE_USAGE || !strstr(err.text, "is no address"))
            fail_msg("%s: %s", wrong[i], err.text);
    assert_int_equal(address_listen("/run/vsock:1", &err), -COFRE_USAGE);
    assert_int_equal(address_listen("vsock:3:1", &err), -COFRE_USAGE);
    assert_int_equal(address_connect("localhost:1", false, 1, &err),
                     -COFRE_USAGE); /* a name, and no resolver */
}

static void tcp_connects(void **state)
{
    (void)state;
    struct cofre_err err = {""};
    struct sockaddr_in at;
    socklen_t len = sizeof at;
    char address[32];
    int listener = address_listen("127.0.0.1:0", &err);
    if (listener < 0)
        fail_msg("%s", err.text);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(at.sin_port));
    int fd = address_connect(address, false, 5, &err), other = accept(listener, NULL, NULL);
    assert_true(fd >= 0 && other >= 0);
    close(fd);
    close(other);
    close(listener);
    assert_int_equal(address_connect(address, false, 5, &err), -COFRE_FAILED);
    assert_non_null(strstr(err.text, "no connection: Connection refused"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(report_data_is_what_the_document_says),
        cmocka_unit_test(bytes_do_not_pass_from_one_part_to_the_next),
        cmocka_unit_test(nothing_binds_without_a_nonce_or_a_key),
        cmocka_unit_test(a_key_is_kept_in_its_file),
        cmocka_unit_test(what_is_no_address_is_told_so),
        cmocka_unit_test(tcp_connects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
