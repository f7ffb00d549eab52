/* What the gate says of a connection, and who that is. */
#include "tests/unit/host/access/check.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/host/access/made.h"

static struct identity over_unix(uint32_t uid, uint32_t gid)
{
    return (struct identity){.version = IDENTITY_VERSION,
                             .kind = IDENTITY_UNIX,
                             .uid = uid,
                             .gid = gid,
                             .pid = 17,
                             .address = "unix"};
}

static struct identity over_tls(const char *subject, uint8_t key)
{
    struct identity identity = {
        .version = IDENTITY_VERSION, .kind = IDENTITY_CERTIFICATE, .address = "192.0.2.7:40312"};
    (void)snprintf(identity.subject, sizeof identity.subject, "%s", subject);
    memset(identity.key, key, sizeof identity.key);
    return identity;
}

static const struct access_config nothing;

static void a_process_is_its_user_and_in_its_group(void **state)
{
    struct access_caller caller;
    const struct identity identity = over_unix(1000, 100);
    (void)state;
    assert_int_equal(access_identify_connection(&caller, &nothing, &identity, NULL), 0);
    assert_string_equal(access_caller_name(&caller), "uid:1000");
    assert_int_equal(caller.own, 1);
    assert_int_equal(caller.principals, 2);
    assert_string_equal(caller.principal[1].text, "gid:100");
    assert_string_equal(caller.from, "pid 17");
}

static void a_certificate_is_its_subject_and_its_key(void **state)
{
    struct access_caller caller;
    const struct identity identity = over_tls("CN=ann,O=Example", 0xab);
    (void)state;
    assert_int_equal(access_identify_connection(&caller, &nothing, &identity, NULL), 0);
    assert_string_equal(access_caller_name(&caller), "cert:CN=ann,O=Example");
    assert_int_equal(caller.own, 2);
    assert_int_equal(caller.principals, 2);
    assert_true(strncmp(caller.principal[1].text, "key:abab", 8) == 0);
    assert_int_equal(strlen(caller.principal[1].text), 4 + 64);
}

static void a_connection_without_a_certificate_is_nobody(void **state)
{
    struct access_caller caller;
    const struct identity identity = {
        .version = IDENTITY_VERSION, .kind = IDENTITY_ANYBODY, .address = "192.0.2.7:1"};
    (void)state;
    assert_int_equal(access_identify_connection(&caller, &nothing, &identity, NULL), 0);
    assert_int_equal(caller.own, 0);
    assert_int_equal(caller.principals, 0);
    assert_string_equal(access_caller_name(&caller), "nobody");
}

/* Subjects that would be somebody else's if texts were put together without their kinds. */
static void no_subject_is_another_kind_of_who(void **state)
{
    static const char *const subjects[] = {"uid:0", "user:ann",    "oidc:corp:ann-17", "group:corp:ops",
                                           "gid:0", "cert:CN=ann", "key:00",           "nobody"};
    static const char *const others[] = {"uid:0",          "user:ann", "oidc:corp:ann-17",
                                         "group:corp:ops", "gid:0",    "cert:CN=ann"};
    (void)state;
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        struct access_caller caller;
        const struct identity identity = over_tls(subjects[i], 1);
        assert_int_equal(access_identify_connection(&caller, &nothing, &identity, NULL), 0);
        assert_int_equal(caller.principal[0].kind, ACCESS_CERT);
        assert_true(strncmp(access_caller_name(&caller), "cert:", 5) == 0);
        for (size_t j = 0; j < sizeof others / sizeof *others; j++)
            assert_false(access_caller_is(&caller, others[j]));
    }
}

static void subjects_that_are_not_plain_text_are_refused(void **state)
{
    static const char *const subjects[] = {"CN=ann\n", "CN=ann\nuid:0", "CN=\xc3\xa4",
                                           "CN=\x7f",  " CN=ann",       "CN=ann "};
    (void)state;
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        struct access_caller caller;
        const struct identity identity = over_tls(subjects[i], 1);
        assert_int_equal(access_identify_connection(&caller, &nothing, &identity, NULL), -COFRE_MALFORMED);
        assert_int_equal(caller.own, 0);
        assert_int_equal(caller.principals, 0);
    }
    char longest[IDENTITY_SUBJECT_MAX] = "CN=";
    memset(longest + 3, 'a', 253);
    struct access_caller caller;
    struct identity identity = over_tls(longest, 1);
    assert_true(access_identify_connection(&caller, &nothing, &identity, NULL) < 0);
    identity.subject[255] = 0;
    assert_int_equal(access_identify_connection(&caller, &nothing, &identity, NULL), 0);
}

/* What the gate cannot have said. */
static void an_identity_that_is_none_is_nobody(void **state)
{
    struct access_caller caller;
    struct identity identity = over_unix(0, 0);
    (void)state;
    identity.version++;
    assert_true(access_identify_connection(&caller, &nothing, &identity, NULL) < 0);
    identity = over_unix(0, 0);
    identity.kind = IDENTITY_KINDS;
    assert_true(access_identify_connection(&caller, &nothing, &identity, NULL) < 0);
    identity = over_unix(UINT32_MAX, 0); /* (uid_t)-1: the kernel's word for no user */
    assert_true(access_identify_connection(&caller, &nothing, &identity, NULL) < 0);
    assert_int_equal(caller.own, 0);
}

static void a_user_has_what_the_configuration_gives_it(void **state)
{
    static struct access_config config;
    struct access_caller caller;
    struct identity identity = over_unix(1000, 100);
    struct cofre_err err;
    (void)state;
    assert_int_equal(access_config_map(&config, "ann", "uid:1000", &err), 0);
    assert_int_equal(access_config_map(&config, "ann", "cert:CN=ann,O=Example", &err), 0);
    assert_int_equal(access_config_map(&config, "bob", "oidc:corp:1|2", &err), 0);
    assert_int_equal(access_identify_connection(&caller, &config, &identity, &err), 0);
    assert_string_equal(access_caller_name(&caller), "user:ann");
    assert_int_equal(caller.own, 2);
    assert_true(access_caller_is(&caller, "uid:1000"));
    assert_true(access_caller_is(&caller, "gid:100"));
    identity = over_tls("CN=ann,O=Example", 7);
    assert_int_equal(access_identify_connection(&caller, &config, &identity, &err), 0);
    assert_string_equal(access_caller_name(&caller), "user:ann");
    assert_int_equal(caller.own, 3);
    /* what is another user's already, a group, or nobody */
    assert_int_equal(access_config_map(&config, "bob", "uid:1000", &err), -COFRE_USAGE);
    assert_int_equal(access_config_map(&config, "bob", "gid:100", &err), -COFRE_USAGE);
    assert_int_equal(access_config_map(&config, "bob", "group:corp:ops", &err), -COFRE_USAGE);
    assert_int_equal(access_config_map(&config, "bob", "user:ann", &err), -COFRE_USAGE);
    assert_int_equal(access_config_map(&config, "Bob", "uid:1", &err), -COFRE_USAGE);
    assert_int_equal(access_config_map(&config, "bob", "1000", &err), -COFRE_USAGE);
}

/* A subject that is one's and a key that is another's: neither. */
static void a_certificate_that_is_two_users_is_refused(void **state)
{
    static struct access_config config;
    struct access_caller caller;
    const struct identity identity = over_tls("CN=ann", 0x11);
    struct cofre_err err;
    char key[4 + 64 + 1] = "key:";
    (void)state;
    memset(key + 4, '1', 64);
    assert_int_equal(access_config_map(&config, "ann", "cert:CN=ann", &err), 0);
    assert_int_equal(access_config_map(&config, "bob", key, &err), 0);
    assert_int_equal(access_identify_connection(&caller, &config, &identity, &err), -COFRE_NEGATIVE);
    assert_int_equal(caller.own, 0);
}

static void texts_that_are_nobody_are_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "ann",
                                        "user:",
                                        "user:Ann",
                                        "user:a b",
                                        "user:-a",
                                        "uid:",
                                        "uid:-1",
                                        "uid:01",
                                        "uid:0x10",
                                        "uid: 1",
                                        "uid:1 ",
                                        "uid:4294967295",
                                        "uid:4294967296",
                                        "uid:99999999999",
                                        "key:00",
                                        "key:AB",
                                        "oidc:corp",
                                        "oidc::sub",
                                        "oidc:corp:",
                                        "oidc:Corp:a",
                                        "oidc:corp:a b",
                                        "group:x",
                                        "UID:0",
                                        "uid:0\n",
                                        "cert:",
                                        " uid:0",
                                        "nobody:",
                                        "*"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct access_principal p;
        struct cofre_err err = {""};
        assert_int_equal(access_principal_parse(&p, texts[i], &err), -COFRE_USAGE);
        assert_true(*err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_is_its_user_and_in_its_group),
        cmocka_unit_test(a_certificate_is_its_subject_and_its_key),
        cmocka_unit_test(a_connection_without_a_certificate_is_nobody),
        cmocka_unit_test(no_subject_is_another_kind_of_who),
        cmocka_unit_test(subjects_that_are_not_plain_text_are_refused),
        cmocka_unit_test(an_identity_that_is_none_is_nobody),
        cmocka_unit_test(a_user_has_what_the_configuration_gives_it),
        cmocka_unit_test(a_certificate_that_is_two_users_is_refused),
        cmocka_unit_test(texts_that_are_nobody_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
