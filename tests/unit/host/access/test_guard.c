/* Tokens that are not good, and from where: who is slowed down, and who is not. */
#include "tests/unit/host/access/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/host/access/made.h"
#include "vmm/host/access/guard.h"

static struct identity at(const char *address)
{
    struct identity identity = {.version = IDENTITY_VERSION, .kind = IDENTITY_ANYBODY};
    (void)snprintf(identity.address, sizeof identity.address, "%s", address);
    return identity;
}

static struct guard *begin(void)
{
    struct guard *guard = malloc(sizeof *guard);
    assert_non_null(guard);
    assert_true(guard_begin(guard));
    return guard;
}

static void exhaust(struct guard *guard, const struct identity *from, int64_t now)
{
    for (int i = 0; i < GUARD_BURST; i++) {
        assert_true(guard_lets(guard, from, now));
        guard_failed(guard, from, now);
    }
    assert_false(guard_lets(guard, from, now));
}

static void a_place_gets_its_tries_back_one_by_one(void **state)
{
    struct guard *guard = begin();
    const struct identity here = at("192.0.2.7:1");
    (void)state;
    exhaust(guard, &here, NOW);
    assert_false(guard_lets(guard, &here, NOW + GUARD_INTERVAL - 1));
    assert_true(guard_lets(guard, &here, NOW + GUARD_INTERVAL));
    guard_failed(guard, &here, NOW + GUARD_INTERVAL);
    assert_false(guard_lets(guard, &here, NOW + 2 * GUARD_INTERVAL - 1));
    assert_true(guard_lets(guard, &here, NOW + 2 * GUARD_INTERVAL));
    assert_false(guard_lets(guard, &here, NOW - 1000000)); /* a clock that was set back */
    exhaust(guard, &here, NOW + 1000000);
    free(guard);
}

static void ports_of_one_address_are_one_place_and_other_addresses_are_not(void **state)
{
    struct guard *guard = begin();
    const struct identity here = at("192.0.2.7:1"), port = at("192.0.2.7:65535"),
                          mapped = at("[::ffff:192.0.2.7]:5"), next = at("192.0.2.8:1"),
                          six = at("[2001:db8::1]:1"), same = at("[2001:db8::ffff:2]:9"),
                          far = at("[2001:db8:0:1::1]:1");
    struct identity uid = {.kind = IDENTITY_UNIX, .uid = 1000, .address = "unix"}, other = uid;
    other.uid = 1001;
    (void)state;
    exhaust(guard, &here, NOW);
    assert_false(guard_lets(guard, &port, NOW));
    assert_false(guard_lets(guard, &mapped, NOW));
    assert_true(guard_lets(guard, &next, NOW));
    exhaust(guard, &six, NOW);
    assert_false(guard_lets(guard, &same, NOW));
    assert_true(guard_lets(guard, &far, NOW));
    exhaust(guard, &uid, NOW);
    assert_true(guard_lets(guard, &other, NOW));
    free(guard);
}

/* More places than the table holds: nothing grows, nothing is let through for ever, and who did nothing is let in. */
static void a_flood_of_places_pushes_out_no_place_that_failed_often_while_another_has(void **state)
{
    struct guard *guard = begin();
    const struct identity worst = at("192.0.2.7:1");
    unsigned kept = 0;
    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        char address[32];
        (void)snprintf(address, sizeof address, "10.%u.%u.%u:1", i >> 16, i >> 8 & 255, i & 255);
        const struct identity one = at(address);
        assert_true(guard_lets(guard, &one, NOW));
        if (i % 100 == 0)
            while (guard_lets(guard, &worst, NOW))
                guard_failed(guard, &worst, NOW);
        guard_failed(guard, &one, NOW);
        kept += !guard_lets(guard, &worst, NOW);
    }
    assert_true(kept == 20000);
    free(guard);
}

static void bad_tokens_are_counted_and_then_not_looked_at(void **state)
{
    struct made made;
    struct access_caller caller;
    struct access_counts counts;
    struct cofre_err err;
    const struct identity here = at("192.0.2.7:1"), there = at("192.0.2.8:1");
    struct identity uid = {.version = IDENTITY_VERSION, .kind = IDENTITY_UNIX, .uid = 0, .address = "unix"};
    (void)state;
    made_start(&made);
    for (int i = 0; i < GUARD_BURST; i++)
        assert_int_equal(access_identify(&caller, made.access, &here, "eyJ.bad.one", NOW, &err),
                         -COFRE_NEGATIVE);
    assert_int_equal(access_identify(&caller, made.access, &here, "eyJ.bad.one", NOW, &err), -COFRE_LACKING);
    assert_int_equal(access_identify(&caller, made.access, &there, "eyJ.bad.one", NOW, &err),
                     -COFRE_NEGATIVE);
    /* a bad token is not replaced by the connection's user, who without one is himself */
    assert_int_equal(access_identify(&caller, made.access, &uid, "", NOW, &err), -COFRE_NEGATIVE);
    assert_int_equal(caller.own, 0);
    assert_int_equal(caller.principals, 0);
    assert_int_equal(access_identify(&caller, made.access, &uid, NULL, NOW, &err), 0);
    assert_string_equal(access_caller_name(&caller), "uid:0");
    access_counts(&counts, made.access);
    assert_int_equal(counts.failed, GUARD_BURST + 2);
    assert_int_equal(counts.slowed, 1);
    assert_int_equal(counts.identified, 1);
    made_end(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_gets_its_tries_back_one_by_one),
        cmocka_unit_test(ports_of_one_address_are_one_place_and_other_addresses_are_not),
        cmocka_unit_test(a_flood_of_places_pushes_out_no_place_that_failed_often_while_another_has),
        cmocka_unit_test(bad_tokens_are_counted_and_then_not_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
