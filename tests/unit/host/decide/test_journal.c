/* What journald hears, by a double of its socket: fields by their names, and nothing that a value adds to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/host/decide/journal.h"

#define FIELDS_MAX 16

static char folder[] = "/tmp/cofre-journal-XXXXXX", path[64];
static int journald, journal;
static char text[16384];
static struct {
    const char *name, *value;
} field[FIELDS_MAX];
static unsigned fields;

static int up(void **state)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/socket", folder);
    (void)snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    journald = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(journald, (const struct sockaddr *)&a, sizeof a), 0);
    journal = journal_open(path);
    assert_true(journal >= 0);
    return 0;
}

static int down(void **state)
{
    (void)state;
    close(journal);
    close(journald);
    (void)unlink(path);
    return rmdir(folder);
}

/* As journald reads it: a line without "=" would be the name of a field whose value follows in binary. */
static void hear(void)
{
    const ssize_t n = recv(journald, text, sizeof text - 1, 0);
    assert_true(n > 0 && text[n - 1] == '\n');
    text[n] = 0;
    assert_int_equal(strlen(text), n);
    fields = 0;
    for (char *rest = text, *line; (line = strsep(&rest, "\n")) && *line;) {
        char *equals = strchr(line, '=');
        assert_non_null(equals);
        assert_true(fields < FIELDS_MAX);
        *equals = 0;
        field[fields].name = line;
        field[fields++].value = equals + 1;
    }
}

static const char *value(const char *name)
{
    const char *found = "";
    unsigned count = 0;
    for (unsigned i = 0; i < fields; i++)
        if (strcmp(field[i].name, name) == 0) {
            found = field[i].value;
            count++;
        }
    assert_true(count <= 1);
    return found;
}

static void an_operation_has_its_fields_and_no_other(void **state)
{
    static const struct journal_message message = {.kind = JOURNAL_REFUSED,
                                                   .operation = "guest.start",
                                                   .request = "00112233445566778899aabbccddeeff",
                                                   .tenant = "shop",
                                                   .guest = "web",
                                                   .by = "uid:1000",
                                                   .why = "no grant"};
    (void)state;
    journal_tell(journal, &message);
    hear();
    assert_int_equal(fields, 9);
    assert_string_equal(value("MESSAGE"), "guest.start of guest web of tenant shop: refused: no grant");
    assert_string_equal(value("MESSAGE_ID"), journal_id(JOURNAL_REFUSED));
    assert_string_equal(value("PRIORITY"), "4");
    assert_string_equal(value("SYSLOG_IDENTIFIER"), "cofred");
    assert_string_equal(value("COFRE_OPERATION"), "guest.start");
    assert_string_equal(value("COFRE_REQUEST_ID"), "00112233445566778899aabbccddeeff");
    assert_string_equal(value("COFRE_TENANT"), "shop");
    assert_string_equal(value("COFRE_GUEST"), "web");
    assert_string_equal(value("COFRE_BY"), "uid:1000");
}

static void a_guest_s_state_is_a_field(void **state)
{
    static const struct journal_message message = {.kind = JOURNAL_GUEST_FAILED,
                                                   .request = "ff",
                                                   .tenant = "shop",
                                                   .guest = "web",
                                                   .state = "failed",
                                                   .why = "its kernel is no bzImage"};
    (void)state;
    journal_tell(journal, &message);
    hear();
    assert_int_equal(fields, 8);
    assert_string_equal(value("MESSAGE"), "guest web of tenant shop: failed: its kernel is no bzImage");
    assert_string_equal(value("PRIORITY"), "3");
    assert_string_equal(value("COFRE_STATE"), "failed");
}

static void each_kind_has_an_id_of_its_own(void **state)
{
    (void)state;
    for (enum journal_kind kind = 0; kind < JOURNAL_KINDS; kind++) {
        assert_int_equal(strlen(journal_id(kind)), 32);
        assert_int_equal(strspn(journal_id(kind), "0123456789abcdef"), 32);
        for (enum journal_kind other = 0; other < kind; other++)
            assert_string_not_equal(journal_id(kind), journal_id(other));
        journal_tell(journal, &(struct journal_message){.kind = kind, .operation = "o", .state = "s"});
        hear();
        assert_string_equal(value("MESSAGE_ID"), journal_id(kind));
        assert_true(value("MESSAGE")[0]);
    }
}

/* Whatever a caller chose, in each field that he can reach. */
static void a_value_is_no_other_field(void **state)
{
    static char evil[] = "a\nMESSAGE_ID=1\nPRIORITY=0\nCOFRE_BY\n\1\0\0\0=\x7f\t\"\xff\xc3";
    const struct journal_message messages[] = {
        {.kind = JOURNAL_REFUSED, .operation = "role.define", .object = evil},
        {.kind = JOURNAL_REFUSED, .operation = "role.define", .by = evil},
        {.kind = JOURNAL_REFUSED, .operation = "role.define", .why = evil},
        {.kind = JOURNAL_REFUSED, .operation = "guest.start", .tenant = evil, .guest = evil},
    };
    (void)state;
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        journal_tell(journal, &messages[i]);
        hear();
        assert_string_equal(value("MESSAGE_ID"), journal_id(JOURNAL_REFUSED));
        assert_string_equal(value("PRIORITY"), "4");
        for (unsigned n = 0; n < fields; n++)
            for (const char *c = field[n].value; *c; c++)
                assert_true((unsigned char)*c >= ' ' && *c != 0x7f);
    }
}

static void what_is_too_long_is_cut(void **state)
{
    static char x[6001];
    (void)state;
    memset(x, 'x', sizeof x - 1);
    const struct journal_message message = {.kind = JOURNAL_FAILED,
                                            .operation = x,
                                            .request = x,
                                            .tenant = x,
                                            .guest = x,
                                            .object = x,
                                            .by = x,
                                            .state = x,
                                            .why = x};
    journal_tell(journal, &message);
    hear();
    assert_int_equal(fields, 11);
    assert_int_equal(strlen(value("COFRE_BY")), 1024);
    assert_int_equal(strlen(value("COFRE_STATE")), 1024);
    assert_int_equal(strspn(value("MESSAGE"), "x"), 1024);
    assert_int_equal(strlen(strrchr(value("MESSAGE"), ' ')), 1025);
}

/* The test would not end if it waited. */
static void a_journald_that_does_not_listen_holds_nobody_up(void **state)
{
    static const struct journal_message message = {.kind = JOURNAL_DONE, .operation = "tenant.create"};
    unsigned heard = 0;
    (void)state;
    for (unsigned i = 0; i < 3000; i++)
        journal_tell(journal, &message);
    while (recv(journald, text, sizeof text, 0) > 0)
        heard++;
    assert_in_range(heard, 1, 2999);
    journal_tell(journal, &message);
    hear();
    journal_tell(-1, &message);
}

static void where_nobody_listens_there_is_no_journal(void **state)
{
    char nowhere[80];
    (void)state;
    (void)snprintf(nowhere, sizeof nowhere, "%s/nothing", folder);
    assert_int_equal(journal_open(nowhere), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operation_has_its_fields_and_no_other),
        cmocka_unit_test(a_guest_s_state_is_a_field),
        cmocka_unit_test(each_kind_has_an_id_of_its_own),
        cmocka_unit_test(a_value_is_no_other_field),
        cmocka_unit_test(what_is_too_long_is_cut),
        cmocka_unit_test(a_journald_that_does_not_listen_holds_nobody_up),
        cmocka_unit_test(where_nobody_listens_there_is_no_journal),
    };
    return cmocka_run_group_tests(tests, up, down);
}
