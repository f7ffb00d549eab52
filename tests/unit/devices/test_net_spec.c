#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "vmm/devices/net_spec.h"

static struct net_spec parsed(const char *text)
{
    struct net_spec spec;
    struct cofre_err err;
    if (net_spec_parse(&spec, text, &err))
        fail_msg("%s: %s", text, err.text);
    return spec;
}

static void each_backend_has_its_name(void **state)
{
    (void)state;
    struct net_spec s = parsed("tap=vm0");
    assert_int_equal(s.kind, NET_KIND_TAP);
    assert_string_equal(s.name, "vm0");
    assert_int_equal(s.pairs, 1);
    assert_int_equal(s.vhost, NET_WHERE_POSSIBLE);
    assert_false(s.has_mac);
    s = parsed("tap-fd=7");
    assert_int_equal(s.kind, NET_KIND_TAP_FD);
    assert_int_equal(s.fd[0], 7);
    s = parsed("passt");
    assert_int_equal(s.kind, NET_KIND_PASST);
    assert_string_equal(s.name, "");
    s = parsed("passt=/run/passt.socket");
    assert_string_equal(s.name, "/run/passt.socket");
}

static void parts_come_in_any_order(void **state)
{
    static const uint8_t mac[] = {0x02, 0xab, 0xcd, 0xef, 0x00, 0x1f};
    (void)state;
    struct net_spec s = parsed("vhost=off,queues=4,tap=vm0,mac=02:ab:CD:ef:00:1f");
    assert_int_equal(s.pairs, 4);
    assert_int_equal(s.vhost, NET_NEVER);
    assert_true(s.has_mac);
    assert_memory_equal(s.mac, mac, sizeof mac);
}

static void several_descriptors_are_several_queues(void **state)
{
    (void)state;
    struct net_spec s = parsed("tap-fd=5:9:7,queues=3");
    assert_int_equal(s.pairs, 3);
    assert_int_equal(s.fd[1], 9);
    assert_int_equal(s.fd[2], 7);
}

static void refuses_what_is_not_one_and_says_why(void **state)
{
    static const struct {
        const char *spec, *sentence;
    } wrong[] = {
        {"", "no such part"},
        {"mac=02:00:00:00:00:01", "is needed"},
        {"tap=a,passt", "is enough"},
        {"tap", "name of a network interface"},
        {"tap=", "name of a network interface"},
        {"tap=aninterfacename0", "name of a network interface"},
        {"tap=../x", "name of a network interface"},
        {"tap=a,", "no such part"},
        {"tap=a,colour=red", "colour: there is no such part"},
        {"tap-fd=", "tap-fd"},
        {"tap-fd=x", "tap-fd"},
        {"tap-fd=2", "tap-fd"},
        {"tap-fd=3:", "tap-fd"},
        {"tap-fd=3:3", "named twice"},
        {"tap-fd=3:4:5:6:7:8:9:10:11", "at most 8"},
        {"tap-fd=3:4,queues=3", "2 descriptors"},
        {"queues=3,tap-fd=3:4", "2 descriptors for 3"},
        {"tap=a,queues=0", "queues"},
        {"tap=a,queues=9", "queues"},
        {"tap=a,queues", "queues"},
        {"tap=a,vhost=maybe", "on or off"},
        {"tap=a,vhost", "on or off"},
        {"tap=a,mac", "mac"},
        {"tap=a,mac=02:00:00:00:00", "mac"},
        {"tap=a,mac=02:00:00:00:00:011", "mac"},
        {"tap=a,mac=02-00-00-00-00-01", "mac"},
        {"tap=a,mac=2:0:0:0:0:1", "mac"},
        {"tap=a,mac=02:00:00:00::001", "mac"},
        {"tap=a,mac=01:00:00:00:00:01", "no address of one machine"},
        {"tap=a,mac=00:00:00:00:00:00", "no address of one machine"},
        {"passt,queues=2", "one pair"},
        {"passt,vhost=on", "no vhost"},
        {"passt=", "socket's path"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct net_spec spec;
        struct cofre_err err = {""};
        assert_int_equal(net_spec_parse(&spec, wrong[i].spec, &err), -COFRE_USAGE);
        if (!strstr(err.text, wrong[i].sentence))
            fail_msg("%s: %s", wrong[i].spec, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_backend_has_its_name),
        cmocka_unit_test(parts_come_in_any_order),
        cmocka_unit_test(several_descriptors_are_several_queues),
        cmocka_unit_test(refuses_what_is_not_one_and_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
