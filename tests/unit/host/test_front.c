#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/host/house.h"
#include "tests/unit/host/made_up_decider.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/host/front/identity.h"
#include "vmm/host/schema.h"

static struct house house;

#define HOST "Host: localhost\r\n"

static json_t *json_of(const struct answer *answer)
{
    json_t *out = answer->body ? json_loads(answer->body, 0, NULL) : NULL;
    assert_non_null(out);
    return out;
}

static void who_asks_by_the_unix_socket_is_who_the_kernel_says(void **state)
{
    (void)state;
    CLEAN_ANSWER answer =
        ask(&house, "GET /v1/session HTTP/1.1\r\n" HOST "Authorization: Bearer abc.def\r\n\r\n");
    assert_int_equal(answer.status, 200);
    CLEAN_JSON *is = json_of(&answer);
    assert_int_equal(member_unsigned(is, "kind", 99), IDENTITY_UNIX);
    assert_int_equal(member_unsigned(is, "uid", 99), getuid());
    assert_string_equal(member_text(is, "token", ""), "abc.def");
}

static int build(void **state)
{
    (void)state;
    house_build(&house, &(struct house_limits){32, 16, 5, 5, 1});
    return 0;
}

static int end(void **state)
{
    (void)state;
    house_end(&house);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_asks_by_the_unix_socket_is_who_the_kernel_says),
    };
    return cmocka_run_group_tests_name("host/front", tests, build, end);
}
