/* cofre guest and its like, against a host that is a double: what they ask, and what they say of the answer. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/cli/called.h"
#include "tests/unit/cli/fake_host.h"
#include "vmm/base/error.h"
#include "vmm/base/file.h"

#define KERNEL "sha256:1111111111111111111111111111111111111111111111111111111111111111"
#define DISK   "sha256:2222222222222222222222222222222222222222222222222222222222222222"
#define ABC    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static char asked[65536];

static void write_file(const char *name, struct view data)
{
    assert_int_equal(file_write(name, data, 0600, NULL), 0);
}

/* "cofre ARGUMENTS --server unix:..." with a host that answers so; asked has the requests. input: a file, or NULL. */
static int run_with(const char *arguments, const char *input, const struct fake_answer *answers)
{
    char line[4096];
    struct fake_host *host = fake_host_start("api.sock", answers);
    (void)snprintf(line, sizeof line, "%s --server unix:api.sock", arguments);
    int code = called(line, input);
    (void)snprintf(asked, sizeof asked, "%s", fake_host_stop(host));
    return code;
}

static int run(const char *arguments, const struct fake_answer *answers)
{
    return run_with(arguments, NULL, answers);
}

static void expect(const char *output, const char *requests)
{
    assert_string_equal(called_output, output);
    assert_string_equal(asked, requests);
}

/* The table, the pages of a list, JSON. */

static const struct fake_answer two_pages[] = {
    {"GET /v1/tenants/shop/guests", 200, NULL,
     "{\"guests\":[{\"name\":\"web\",\"tenant\":\"shop\",\"state\":\"running\",\"version\":3,\"started\":"
     "\"2026-11-28T12:00:00Z\",\"definition\":{\"tee\":\"snp\",\"cpus\":2,\"memory\":1073741824}}],\"next\":"
     "\"web\"}"},
    {"GET /v1/tenants/shop/guests?after=web", 200, NULL,
     "{\"guests\":[{\"name\":\"a-long-name\",\"tenant\":\"shop\",\"state\":\"failed\",\"version\":12,\"why\":"
     "\"it was \\u001b[31mred\"}]}"},
    {0},
};

static void lists_all_pages_as_one_table(void **state)
{
    (void)state;
    assert_int_equal(run("guest list --tenant shop", two_pages), 0);
    expect("NAME         STATE    TEE  CPUS  MEMORY  VERSION  STARTED               WHY\n"
           "web          running  snp     2      1G        3  2026-11-28T12:00:00Z  -\n"
           "a-long-name  failed   -       -       -       12  -                     it was ?[31mred\n",
           "GET /v1/tenants/shop/guests\nGET /v1/tenants/shop/guests?after=web\n");
}

static void gives_a_list_as_one_json_object(void **state)
{
    (void)state;
    assert_int_equal(run("guest list --tenant shop --json", two_pages), 0);
    json_t *all = json_loads(called_output, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(all, "guests")), 2);
    assert_null(json_object_get(all, "next"));
    json_decref(all);
}

static void asks_for_one_page_where_a_limit_is_given(void **state)
{
    (void)state;
    static const struct fake_answer answers[] = {{"GET /v1/tenants/shop/guests?limit=1&label=role%3Dfront",
                                                  200, NULL, "{\"guests\":[],\"next\":\"web\"}"},
                                                 {0}};
    assert_int_equal(run("guest list --tenant shop --limit 1 --label role=front", answers), 0);
    expect("NAME  STATE  TEE  CPUS  MEMORY  VERSION  STARTED  WHY\n",
           "GET /v1/tenants/shop/guests?limit=1&label=role%3Dfront\n");
}

/* What options make of a request. */

static void defines_a_guest_by_options(void **state)
{
    (void)state;
    static const struct fake_answer answers[] = {
        {"GET /v1/tenants/shop/images/debian", 200, NULL, "{\"digest\":\"" KERNEL "\",\"size\":5}"},
        {"GET /v1/tenants/shop/images/web", 200, NULL, "{\"digest\":\"" DISK "\",\"size\":5}"},
        {"POST /v1/tenants/shop/guests", 201, NULL, "{\"name\":\"web\",\"state\":\"stopped\"}"},
        {0},
    };
    assert_int_equal(
        run("guest create web --tenant shop --tee none --cpus 2 --memory 1G --kernel debian --vsock "
            "--disk image=web,mode=copy --disk size=10G,serial=data --network kind=passt "
            "--label role=front --label tier=1 --limit-cpu-weight 50 --limit-disk-read-bytes 1M "
            "--emulated=false",
            answers),
        0);
    expect(
        "  name                   web\n  state                  stopped\n",
        "GET /v1/tenants/shop/images/debian\nGET /v1/tenants/shop/images/web\n"
        "POST /v1/tenants/shop/guests {\"tee\":\"none\",\"cpus\":2,\"memory\":1073741824,\"kernel\":\"" KERNEL
        "\",\"vsock\":true,\"disks\":[{\"image\":\"" DISK
        "\",\"mode\":\"copy\"},{\"size\":10737418240,\"serial\":\"data\"}],\"networks\":[{\"kind\":\"passt\"}"
        "],"
        "\"labels\":{\"role\":\"front\",\"tier\":\"1\"},\"limits\":{\"cpu_weight\":50,\"disk\":{\"read_"
        "bytes\":"
        "1048576}},\"emulated\":false,\"name\":\"web\"}\n");
}

static void reads_a_definition_from_a_file_and_puts_options_into_it(void **state)
{
    (void)state;
    static const struct fake_answer answers[] = {
        {"POST /v1/tenants/shop/guests", 201, NULL, "{\"name\":\"web\"}"}, {0}};
    static const char definition[] =
        "{\"tee\":\"none\",\"cpus\":1,\"memory\":536870912,\"kernel\":\"" KERNEL "\"}";
    write_file("guest.json", (struct view){(const uint8_t *)definition, strlen(definition)});
    assert_int_equal(run("guest create web --tenant shop --in guest.json --cpus 4", answers), 0);
    assert_string_equal(asked,
                        "POST /v1/tenants/shop/guests {\"tee\":\"none\",\"cpus\":4,\"memory\":536870912,"
                        "\"kernel\":\"" KERNEL "\",\"name\":\"web\"}\n");
}

static void an_update_keeps_what_is_not_given(void **state)
{
    (void)state;
    static const struct fake_answer answers[] = {
        {"GET /v1/tenants/shop/guests/web", 200, NULL,
         "{\"name\":\"web\",\"definition\":{\"tee\":\"none\",\"cpus\":1,\"memory\":536870912,\"kernel\":"
         "\"" KERNEL "\",\"disks\":[{\"image\":\"" DISK "\"}],\"labels\":{\"a\":\"1\"}}}"},
        {"PUT /v1/tenants/shop/guests/web", 200, NULL, "{\"name\":\"web\",\"version\":2}"},
        {0},
    };
    assert_int_equal(run("guest update web --tenant shop --memory 2G --label b=2", answers), 0);
    assert_string_equal(asked,
                        "GET /v1/tenants/shop/guests/web\nPUT /v1/tenants/shop/guests/web {\"tee\":\"none\","
                        "\"cpus\":1,\"memory\":2147483648,\"kernel\":\"" KERNEL
                        "\",\"disks\":[{\"image\":\"" DISK "\"}],\"labels\":{\"b\":\"2\"}}\n");
}

static void puts_the_tenant_where_the_operation_has_it(void **state)
{
    (void)state;
    static const struct fake_answer answers[] = {
        {"POST /v1/grants", 201, NULL, "{\"id\":\"7\"}"},
        {"DELETE /v1/grants/7?tenant=shop", 204, NULL, ""},
        {"POST /v1/tenants", 201, NULL, "{\"name\":\"shop\"}"},
        {"PUT /v1/roles/starter", 200, NULL, "{\"name\":\"starter\"}"},
        {"POST /v1/tenants/shop/guests/web/stop", 202, NULL, "{\"state\":\"stopping\"}"},
        {0},
    };
    assert_int_equal(run("grant add --identity unix:1000 --role operator --tenant shop", answers), 0);
    assert_string_equal(
        asked, "POST /v1/grants {\"identity\":\"unix:1000\",\"role\":\"operator\",\"tenant\":\"shop\"}\n");
    assert_int_equal(run("grant remove 7 --tenant shop", answers), 0);
    expect("", "DELETE /v1/grants/7?tenant=shop\n");
    assert_int_equal(run("tenant create shop --quota-storage 1G", answers), 0);
    assert_string_equal(asked, "POST /v1/tenants {\"quotas\":{\"storage\":1073741824},\"name\":\"shop\"}\n");
    assert_int_equal(
        run("role define starter --operation guest.start --operation 'guest.*' --description starts",
            answers),
        0);
    assert_string_equal(
        asked, "PUT /v1/roles/starter {\"operations\":[\"guest.start\",\"guest.*\"],\"help\":\"starts\"}\n");
    assert_int_equal(run("guest stop web --tenant shop", answers), 0); /* accepted, and going on */
    expect("  state                  stopping\n", "POST /v1/tenants/shop/guests/web/stop {}\n");
}

static void shows_a_token_and_no_other(void **state)
{
    (void)state;
    static const struct fake_answer answers[] = {
        {"GET /v1/session", 200, NULL, "{\"identity\":\"oidc:a|b\"}"}, {0}};
    write_file("token", (struct view){(const uint8_t *)"eyJh.x.y\n", 9});
    assert_int_equal(run("host whoami --token-file token", answers), 0);
    assert_string_equal(asked, "GET /v1/session Bearer eyJh.x.y\n");
    write_file("token", (struct view){(const uint8_t *)"a\nX-Forged: b", 13});
    assert_int_equal(run("host whoami --token-file token", answers), COFRE_USAGE);
    expect("cofre host whoami: token: there is no token in it\n", "");
}

/* What is refused before anybody is asked. */

static void wrong_use_asks_nobody(void **state)
{
    (void)state;
    static const struct {
        const char *arguments, *why;
    } cases[] = {
        {"guest list", "cofre guest list: --tenant is missing: whose is it?\n"},
        {"guest show --tenant shop", "cofre guest show: which guest? It is to stand after \"show\"\n"},
        {"guest show web more --tenant shop", "cofre guest show: \"more\" is one word too many\n"},
        {"guest show ../x --tenant shop", "cofre guest show: guest: "},
        {"guest show web --tenant ../..", "cofre guest show: tenant: "},
        {"guest show web --tenant 'a?b'", "cofre guest show: tenant: "},
        {"guest start web --tenant shop --tenant mail", "cofre guest start: --tenant is given twice\n"},
        {"guest create web --tenant shop --tee none", "cofre guest create: cpus: "},
        {"guest create web --tenant shop --cpus no", "cofre guest create: --cpus: "},
        {"guest create web --tenant shop --disk image",
         "cofre guest create: --disk: \"image\" is not NAME=VALUE\n"},
        {"guest create web --tenant shop --disk path=/etc",
         "cofre guest create: --disk: there is no \"path\" in it\n"},
        {"guest create web --tenant shop --tee vax", "cofre guest create: --tee: "},
        {"image delete /etc/x --tenant shop", "cofre image delete: image: "},
        {"image add none --tenant shop",
         "cofre image add: none: cannot be opened: No such file or directory\n"},
        {"image add . --tenant shop", "cofre image add: .: is no file: its digest is sent before it\n"},
        {"host show --ca x",
         "cofre host show: --server: over a socket the service sees which user you are; --ca, --cert "
         "and --key go with https\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[512];
        (void)snprintf(line, sizeof line, "%s --server unix:nobody.sock", cases[i].arguments);
        assert_int_equal(called(line, NULL), COFRE_USAGE);
        if (strncmp(called_output, cases[i].why, strlen(cases[i].why)) != 0)
            fail_msg("%s: %s", cases[i].arguments, called_output);
    }
    assert_int_equal(called("host show --server http://here", NULL), COFRE_USAGE);
    assert_string_equal(called_output, "cofre host show: --server: \"http://here\" is neither unix:PATH nor "
                                       "https://HOST[:PORT]\n");
    assert_int_equal(called("host show --server https://here", NULL), COFRE_USAGE);
    assert_string_equal(called_output, "cofre host show: --ca is missing: who vouches for https://here\n");
    assert_int_equal(called("host show --server unix:nobody.sock", NULL), COFRE_FAILED);
    assert_int_equal(called("guest frobnicate", NULL), COFRE_USAGE);
}

/* What the service refuses: its sentence, and the code that belongs to it. */

static void tells_the_services_own_sentence(void **state)
{
    (void)state;
    static const struct {
        int status, code;
    } cases[] = {{403, COFRE_NEGATIVE},
                 {404, COFRE_NEGATIVE},
                 {422, COFRE_USAGE},
                 {500, COFRE_FAILED},
                 {503, COFRE_LACKING}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct fake_answer answers[] = {
            {"POST /v1/tenants/shop/guests/web/start", cases[i].status, "application/problem+json",
             "{\"type\":\"about:blank\",\"title\":\"No\",\"status\":400,\"code\":\"no\",\"detail\":"
             "\"guest web is running: stop it first\"}"},
            {0}};
        assert_int_equal(run("guest start web --tenant shop", answers), cases[i].code);
        assert_string_equal(called_output, "cofre guest start: guest web is running: stop it first\n");
    }
    const struct fake_answer silent[] = {{"POST /v1/tenants/shop/guests/web/start", 500, NULL, ""}, {0}};
    assert_int_equal(run("guest start web --tenant shop", silent), COFRE_FAILED);
    assert_string_equal(called_output, "cofre guest start: unix:api.sock answers 500, without a reason\n");
    const struct fake_answer garbage[] = {{"POST /v1/tenants/shop/guests/web/start", 202, NULL, "[1"}, {0}};
    assert_int_equal(run("guest start web --tenant shop", garbage), COFRE_MALFORMED);
}

static void what_waits_for_a_second_approver_is_not_done(void **state)
{
    (void)state;
    static const struct fake_answer answers[] = {
        {"DELETE /v1/tenants/shop/guests/web", 202, NULL,
         "{\"id\":\"12\",\"state\":\"waiting\",\"operation\":\"guest.delete\",\"by\":\"unix:1000\"}"},
        {0},
    };
    assert_int_equal(run("guest delete web --tenant shop", answers), COFRE_NEGATIVE);
    assert_string_equal(called_output,
                        "cofre guest delete: it waits for a second approver, and is not done yet: cofre "
                        "approval give 12\n");
}

/* Images. */

static void adds_a_file_under_its_digest_and_tags_it(void **state)
{
    (void)state;
    static const struct fake_answer answers[] = {
        {"PUT /v1/tenants/shop/images/" ABC, 201, NULL, "{\"digest\":\"" ABC "\",\"size\":3,\"tags\":[]}"},
        {"PUT /v1/tenants/shop/tags/web", 200, NULL, "{\"tag\":\"web\",\"image\":\"" ABC "\"}"},
        {0},
    };
    write_file("file", (struct view){(const uint8_t *)"abc", 3});
    assert_int_equal(run("image add file --tenant shop --tag web --json", answers), 0);
    assert_string_equal(asked, "PUT /v1/tenants/shop/images/" ABC " abc\n"
                               "PUT /v1/tenants/shop/tags/web {\"image\":\"" ABC "\"}\n");
    json_t *all = json_loads(called_output, 0, NULL);
    assert_string_equal(json_string_value(json_array_get(json_object_get(all, "tags"), 0)), "web");
    json_decref(all);
}

static void a_large_file_comes_whole(void **state)
{
    (void)state;
    static const struct fake_answer answers[] = {
        {"PUT /v1/tenants/shop/images/sha256:"
         "5c44371dd8dac45598a48338882d671a2d5c302504f461d722008696a7a61ebc",
         201, NULL, "{\"size\":5000000}"},
        {0},
    };
    CLEAN_BYTES bytes = {0};
    assert_int_equal(bytes_alloc(&bytes, 5000000, NULL), 0);
    memset(bytes.data, 'c', bytes.len);
    write_file("large", bytes_view(&bytes));
    assert_int_equal(run("image add large --tenant shop", answers), 0);
    assert_non_null(strstr(asked, " 5000000 bytes\n"));
}

static void a_quota_that_is_full_is_told_as_the_service_says_it(void **state)
{
    (void)state;
    static const struct fake_answer answers[] = {
        {"PUT /v1/tenants/shop/images/" ABC, 507, NULL,
         "{\"detail\":\"the tenant's storage has room for 0 bytes\"}"},
        {0}};
    write_file("file", (struct view){(const uint8_t *)"abc", 3});
    assert_int_equal(run("image add file --tenant shop", answers), COFRE_LACKING);
    assert_string_equal(called_output, "cofre image add: the tenant's storage has room for 0 bytes\n");
}

/* Streams. */

static void watches_by_events(void **state)
{
    (void)state;
    static const struct fake_answer answers[] = {
        {"GET /v1/events?tenant=shop", 200, "text/event-stream",
         ": hello\n\nevent: guest\nid: 1\ndata: {\"guest\":\"web\",\ndata: \"state\":\"running\"}\n\n"},
        {"GET /v1/tenants/shop/guests/web", 200, NULL, "{\"name\":\"web\",\"state\":\"starting\"}"},
        {"GET /v1/tenants/shop/guests/web", 200, NULL, "{\"name\":\"web\",\"state\":\"running\"}"},
        {0},
    };
    assert_int_equal(run("guest show web --tenant shop --watch --json", answers), COFRE_FAILED);
    expect("{\"name\":\"web\",\"state\":\"starting\"}\n{\"name\":\"web\",\"state\":\"running\"}\n"
           "cofre guest show: the service ended the stream of events\n",
           "GET /v1/events?tenant=shop\nGET /v1/tenants/shop/guests/web\nGET /v1/tenants/shop/guests/web\n");
}

static void prints_events_as_they_come(void **state)
{
    (void)state;
    static const struct fake_answer answers[] = {
        {"GET /v1/events?after=7&tenant=shop", 200, "text/event-stream",
         "event: guest.started\r\nid: 8\r\ndata: {\"guest\":\"web\"}\r\n\r\n\n\nevent: guest.ended\ndata: "
         "{}\n\n"},
        {0},
    };
    assert_int_equal(run("guest events --tenant shop --after 7", answers), 0);
    assert_string_equal(called_output, "guest.started {\"guest\":\"web\"}\nguest.ended {}\n");
}

static void a_console_is_passed_on_byte_by_byte(void **state)
{
    (void)state;
    static const struct fake_answer answers[] = {
        {"GET /v1/tenants/shop/guests/web/console?from=5&follow=true", 200, "application/octet-stream",
         "\033[31mlogin\r\n\377"},
        {"POST /v1/tenants/shop/guests/web/console", 204, NULL, ""},
        {"GET /v1/tenants/shop/guests/web/console", 409, NULL, "{\"detail\":\"guest web never ran\"}"},
        {0},
    };
    assert_int_equal(run("guest console web --tenant shop --from 5 --follow", answers), 0);
    assert_string_equal(called_output, "\033[31mlogin\r\n\377");
    assert_int_equal(run("guest console web --tenant shop", answers), COFRE_NEGATIVE);
    assert_string_equal(called_output, "cofre guest console: guest web never ran\n");
    write_file("typed", (struct view){(const uint8_t *)"root\n", 5});
    assert_int_equal(run_with("guest input web --tenant shop", "typed", answers), 0);
    assert_string_equal(asked, "POST /v1/tenants/shop/guests/web/console {\"data\":\"cm9vdAo=\"}\n");
}

static void evidence_is_written_as_verify_takes_it(void **state)
{
    (void)state;
    static const struct fake_answer answers[] = {
        {"POST /v1/tenants/shop/guests/web/evidence", 200, NULL, "{\"evidence\":{\"tee\":\"snp\"}}"}, {0}};
    assert_int_equal(
        run("guest evidence web --tenant shop --nonce 00112233445566778899aabbccddeeff --out web.evidence",
            answers),
        0);
    CLEAN_BYTES file = {0};
    assert_int_equal(file_read(&file, "web.evidence", 65536, NULL), 0);
    json_t *evidence = json_loadb((const char *)file.data, file.len, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(evidence, "tee")), "snp");
    json_decref(evidence);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_all_pages_as_one_table),
        cmocka_unit_test(gives_a_list_as_one_json_object),
        cmocka_unit_test(asks_for_one_page_where_a_limit_is_given),
        cmocka_unit_test(defines_a_guest_by_options),
        cmocka_unit_test(reads_a_definition_from_a_file_and_puts_options_into_it),
        cmocka_unit_test(an_update_keeps_what_is_not_given),
        cmocka_unit_test(puts_the_tenant_where_the_operation_has_it),
        cmocka_unit_test(shows_a_token_and_no_other),
        cmocka_unit_test(wrong_use_asks_nobody),
        cmocka_unit_test(tells_the_services_own_sentence),
        cmocka_unit_test(what_waits_for_a_second_approver_is_not_done),
        cmocka_unit_test(adds_a_file_under_its_digest_and_tags_it),
        cmocka_unit_test(a_large_file_comes_whole),
        cmocka_unit_test(a_quota_that_is_full_is_told_as_the_service_says_it),
        cmocka_unit_test(watches_by_events),
        cmocka_unit_test(prints_events_as_they_come),
        cmocka_unit_test(a_console_is_passed_on_byte_by_byte),
        cmocka_unit_test(evidence_is_written_as_verify_takes_it),
    };
    return cmocka_run_group_tests(tests, called_set_up, called_tear_down);
}
