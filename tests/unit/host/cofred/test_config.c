/* cofred's configuration, and the lines of what is wrong with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/host/access/token.h"
#include "vmm/host/cofred/config.h"

static const char good[] =
    "{\n"                                                                                   /* 1 */
    "  \"log_name\": \"operations on test\", \"log_tpm\": \"/dev/tpmrm0\",\n"               /* 2 */
    "  \"users\": {\"decider\": \"611\",\n"                                                 /* 3 */
    "            \"gate\": \"612\"},\n"                                                     /* 4 */
    "  \"listen\": [\n"                                                                     /* 5 */
    "    {\"unix\": \"/run/a\", \"mode\": \"0666\"},\n"                                     /* 6 */
    "    {\"unix\": \"/run/b\"}\n"                                                          /* 7 */
    "  ],\n"                                                                                /* 8 */
    "  \"guests\": {\n"                                                                     /* 9 */
    "    \"cgroup\": \"/sys/fs/cgroup/x\", \"first_user\": 700000\n"                        /* 10 */
    "  },\n"                                                                                /* 11 */
    "  \"access\": {\"administrator\": \"uid:0\",\n"                                        /* 12 */
    "    \"users\": {\"ann\": [\"uid:1000\",\n"                                             /* 13 */
    "                \"cert:CN=ann\"]},\n"                                                  /* 14 */
    "    \"issuers\": [{\"name\": \"a\", \"issuer\": \"https://a\", \"audience\": \"c\",\n" /* 15 */
    "                 \"key_url\": \"https://a/keys\", \"algorithms\": \"RS256\"}],\n"      /* 16 */
    "    \"second_approver\": [\"guest.delete\"]}\n"                                        /* 17 */
    "}\n";

static int parse(struct config *out, const char *text, struct cofre_err *err)
{
    return config_parse(out, (struct view){(const uint8_t *)text, strlen(text)}, err);
}

static void what_is_good_is_taken_and_the_rest_has_defaults(void **state)
{
    struct config c;
    struct cofre_err err = {""};
    (void)state;
    if (parse(&c, good, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(c.decider.uid, 611);
    assert_int_equal(c.gate.gid, 612);
    assert_int_equal(c.listeners, 2);
    assert_int_equal(c.listener[0].mode, 0666);
    assert_int_equal(c.listener[1].mode, 0660);
    assert_string_equal(c.log_tpm, "/dev/tpmrm0");
    assert_string_equal(c.state, "/var/lib/cofred");
    assert_string_equal(c.hands.directory, "/run/cofred/guests");
    assert_int_equal(c.hands.first_user, 700000);
    assert_int_equal(c.access->mappings, 2);
    assert_true(c.fetches);
    assert_int_equal(c.access->issuer[0].algorithms, 1U << TOKEN_RS256);
    assert_string_equal(c.access->issuer[0].key_file, "/var/lib/cofred/issuers/a.json");
    config_free(&c);
}

static void what_is_wrong_is_named_with_its_line(void **state)
{
    static const struct {
        const char *was, *is, *said;
    } cases[] = {
        {"\"log_name\"", "\"log_nam\"", "line 2: log_nam: "},
        {"\"log_name\": \"operations on test\",", "", "line 1: log_name: it must be there"},
        {"\"/dev/tpmrm0\"", "\"\"", "line 2: log_tpm: "},
        {"\"/dev/tpmrm0\"", "\"tpmrm0\"", "line 2: log_tpm: it is no path from the root on"},
        {"\"/dev/tpmrm0\"", "true", "line 2: log_tpm: "},
        {"\"612\"", "\"0\"", "line 4: users.gate: there is no user"},
        {"\"612\"", "\"root\"", "line 4: users.gate: neither"},
        {"\"612\"", "\"nobody-of-this-name\"", "line 4: users.gate: "},
        {"\"612\"", "\"611\"", "line 4: users.gate: it is the decider's"},
        {"\"611\"", "\"700000\"", "line 3: users.decider: "},
        {"\"612\"", "\"700255\"", "line 4: users.gate: "},
        {"700000", "4294967000", "line 10: guests.first_user: "},
        {"700000", "500", "line 3: users.decider: "},
        {"uid:1000", "uid:700003", "line 13: access.users.ann[0]: uid:700003 is a guest's"},
        {"uid:1000", "gid:700003", "line 13: access.users.ann[0]: "},
        {"\"uid:0\"", "\"uid:700000\"", "line 12: access.administrator: "},
        {"\"612\"", "612", "line 4: users.gate: "},
        {"\"0666\"", "\"0668\"", "line 6: listen[0].mode: "},
        {"{\"unix\": \"/run/b\"}", "{}", "line 7: listen[1]: "},
        {"{\"unix\": \"/run/b\"}", "{\"address\": \"127.0.0.1:1\"}", "line 7: listen[1].address: tls "},
        {"700000", "0", "line 10: guests.first_user: "},
        {"\"uid:0\"", "\"root\"", "line 12: access.administrator: "},
        {"cert:CN=ann", "cert", "line 14: access.users.ann[1]: "},
        {"uid:1000", "uid:-1", "line 13: access.users.ann[0]: "},
        {"https://a/keys", "http://a/keys", "line 15: access.issuers[0]: "},
        {"\"RS256\"", "\"HS256\"", "access.issuers[0]: \"HS256\" is no algorithm"},
        {"\"guest.delete\"", "\"guest.explode\"", "line 17: access.second_approver[0]: "},
        {"]}\n}", "]\n}", "line 19, column 0: "},
        {"\"log_name\"", "\"users\": {}, \"log_name\"", "line 3, column 9: not JSON: duplicate"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[4096];
        struct config c;
        struct cofre_err err = {""};
        const char *at = strstr(good, cases[i].was);
        assert_non_null(at);
        (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, cases[i].is,
                       at + strlen(cases[i].was));
        if (parse(&c, text, &err) != -COFRE_USAGE || !strstr(err.text, cases[i].said))
            fail_msg("case %zu: \"%s\", where \"%s\" is due", i, err.text, cases[i].said);
        config_free(&c);
    }
}

static void a_path_leads_to_the_line_of_what_is_there(void **state)
{
    static const char text[] =
        "{\"a\": 1,\n\"ab\":\n [0,\n {\"c\": [[], {\n\"d\": null}]}]\n,\"e\": \"\\n\"}";
    static const struct {
        const char *path;
        unsigned line;
    } cases[] = {
        {"a", 1},     {"ab", 2}, {"ab[0]", 3}, {"ab[1]", 4}, {"ab[1].c[1].d", 5}, {"ab[1].c[1].none", 4},
        {"ab[7]", 2}, {"e", 6},  {"none", 1},  {"", 1}};
    const struct view view = {(const uint8_t *)text, sizeof text - 1};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (config_line(view, cases[i].path) != cases[i].line)
            fail_msg("%s: line %u, and not %u", cases[i].path, config_line(view, cases[i].path),
                     cases[i].line);
    assert_int_equal(config_line((struct view){(const uint8_t *)"", 0}, "a"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_good_is_taken_and_the_rest_has_defaults),
        cmocka_unit_test(what_is_wrong_is_named_with_its_line),
        cmocka_unit_test(a_path_leads_to_the_line_of_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
