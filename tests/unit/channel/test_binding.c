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
    is(&b, "636f667265206368616e6e656c203100940ee08af3cab96157d065f2b6ddcaec2897a7b0f13e65c2ba629fec933b206c6"
           "1e699efb1deeb3a1388194190e24901");
    b.end = CHANNEL_CLIENT;
    is(&b, "636f667265206368616e6e656c203100b640ca7908875c9b39d2c7164a60edfad7b8d76ee32d427e4bb61c418284f7f1e"
           "7184a74c7c056b3c4621d0893624765");
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

/* Computed beside, from docs/keys.md. */
static void a_release_is_bound_to_recipient_and_name_too(void **state)
{
    (void)state;
    struct channel_binding b = example();
    const struct view recipient = {(const uint8_t *)"recipient", 9}, name = {(const uint8_t *)"disk", 4};
    uint8_t one[64], other[64];
    char text[129];
    b.end = CHANNEL_CLIENT;
    assert_int_equal(channel_release_report_data(one, &b, recipient, name, NULL), 0);
    hex_encode(text, one, sizeof one);
    assert_string_equal(text, "636f6672652072656c656173652031000f258134cd740b34ab5eb46c89a4fb37"
                              "7d260e60805c9d5fa7720b3208360c0ced8bc085a35ff6137894bd3f4b782ef6");
    assert_int_equal(channel_release_report_data(other, &b, recipient, (struct view){name.data, 3}, NULL), 0);
    assert_memory_not_equal(one, other, 64);
    assert_int_equal(channel_release_report_data(other, &b, (struct view){recipient.data, 8}, name, NULL), 0);
    assert_memory_not_equal(one, other, 64);
    assert_true(channel_label_is_in(one)); /* nobody is given such evidence for the asking */
    assert_int_equal(channel_release_report_data(other, &b, (struct view){0}, name, NULL), -COFRE_USAGE);
    assert_int_equal(channel_release_report_data(other, &b, recipient, (struct view){0}, NULL), -COFRE_USAGE);
}

static void its_label_is_seen(void **state)
{
    (void)state;
    uint8_t data[64];
    struct channel_binding b = example();
    assert_int_equal(channel_report_data(data, &b, NULL), 0);
    assert_true(channel_label_is_in(data));
    data[14] = '2'; /* a version to come */
    assert_true(channel_label_is_in(data));
    data[0] ^= 1;
    assert_false(channel_label_is_in(data));
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
        cmocka_unit_test(a_release_is_bound_to_recipient_and_name_too),
        cmocka_unit_test(its_label_is_seen),
        cmocka_unit_test(nothing_binds_without_a_nonce_or_a_key),
        cmocka_unit_test(a_key_is_kept_in_its_file),
        cmocka_unit_test(what_is_no_address_is_told_so),
        cmocka_unit_test(tcp_connects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
