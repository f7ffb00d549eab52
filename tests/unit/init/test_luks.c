/* What a guest asks for the key of its root, and how long it waits in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/init/luks.h"

static int parse(struct luks_source *out, const char *text, struct cofre_err *err)
{
    return luks_source_read(out, (struct view){(const uint8_t *)text, strlen(text)}, err);
}

static void reads_what_is_asked(void **state)
{
    (void)state;
    struct luks_source s;
    assert_int_equal(
        parse(&s, "quiet cofre.key=root cofre.policy=web cofre.trust=https://t:1 cofre.root=luks", NULL), 0);
    assert_string_equal(s.trust, "https://t:1");
    assert_string_equal(s.relay, "");
    assert_string_equal(s.policy, "web");
    assert_string_equal(s.key, "root");
    assert_int_equal(
        parse(&s, "cofre.key=root cofre.policy=web cofre.trust=https://t:1 cofre.relay=vsock:2:8", NULL), 0);
    assert_string_equal(s.relay, "vsock:2:8");
}

static void names_the_word_that_is_missing(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
    } bad[] = {
        {"cofre.policy=web cofre.key=root", "cofre.trust="},
        {"cofre.trust=https://t cofre.key=root", "cofre.policy="},
        {"cofre.trust=https://t cofre.policy=web", "cofre.key="},
        {"cofre.trust=https://t cofre.policy=web cofre.key=", "cofre.key="},
        {"cofre.trust=https://t cofre.policy=web cofre.key=a cofre.relay=", "cofre.relay="},
        {"cofre.trust=https://t cofre.policy=web "
         "cofre.key="
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "cofre.key="},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct luks_source s;
        struct cofre_err err;
        assert_int_equal(parse(&s, bad[i].text, &err), -COFRE_MALFORMED);
        assert_non_null(strstr(err.text, bad[i].word));
    }
}

static void waits_longer_and_not_as_others_do(void **state)
{
    (void)state;
    for (unsigned attempt = 0, whole = 1000; attempt < 1000; attempt++) {
        assert_int_equal(luks_pause(attempt, 0), whole / 2);
        assert_int_equal(luks_pause(attempt, whole), whole + whole / 2);
        assert_in_range(luks_pause(attempt, UINT32_MAX), whole / 2, whole + whole / 2);
        whole = whole * 2 > 60000 ? 60000 : whole * 2;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_is_asked),
        cmocka_unit_test(names_the_word_that_is_missing),
        cmocka_unit_test(waits_longer_and_not_as_others_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
