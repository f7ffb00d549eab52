/* cofre-guest.1 says what each action's --help says: test_cli_host_manual PAGE. In one process, where a start of cofre for each of them takes
 * a fifth of a second under sanitizers. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/cli/called.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/cli/host.h"

static struct bytes page;

/* The options that text has, each once, by what stands before them in a line; a set as an object. */
static json_t *options_of(const char *text, const char *end, const char *before)
{
    json_t *out = json_object();
    for (const char *at = text; at && at < end; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
        char name[64];
        if (strncmp(at, before, strlen(before)) != 0)
            continue;
        at += strlen(before);
        (void)snprintf(name, sizeof name, "%.*s", (int)strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789-"),
                       at);
        if (json_object_get(out, name))
            fail_msg("--%s is there twice", name);
        json_object_set_new(out, name, json_true());
    }
    return out;
}

/* A subsection or section of the page, to where the next begins. */
static json_t *described(const char *title)
{
    char line[128];
    (void)snprintf(line, sizeof line, "\n%s\n", title);
    const char *at = strstr((const char *)page.data, line);
    if (!at)
        fail_msg("the page has no \"%s\"", title);
    at += strlen(line);
    const char *section = strstr(at, "\n.S");
    return options_of(at, section ? section : at + strlen(at), ".It Fl -");
}

static void each_action_is_described_with_its_options(void **state)
{
    (void)state;
    CLEAN_JSON *shared = described(".Sh OPTIONS"), *used = json_object();
    json_object_set_new(shared, "help", json_true());
    json_object_set_new(used, "help", json_true());
    for (size_t i = 0; i < host_actions_count; i++) {
        char line[128], title[128];
        const char *name;
        json_t *value;
        (void)snprintf(line, sizeof line, "%s %s --help", host_actions[i].noun, host_actions[i].word);
        (void)snprintf(title, sizeof title, ".Ss cofre %s %s", host_actions[i].noun, host_actions[i].word);
        assert_int_equal(called(line, NULL), 0);
        CLEAN_JSON *real = options_of(called_output, called_output + strlen(called_output), "  --");
        CLEAN_JSON *items = described(title);
        json_object_foreach(real, name, value) if (json_object_get(shared, name))
            json_object_set(used, name, value);
        else if (!json_object_get(items, name)) fail_msg("%s: --%s is not in the page", line, name);
        json_object_foreach(items, name, value) if (!json_object_get(real, name))
            fail_msg("%s: the page has --%s, which is not there", line, name);
    }
    assert_true(json_equal(shared, used));
}

static void the_page_has_no_action_that_is_not_there(void **state)
{
    (void)state;
    char noun[32], word[32];
    size_t count = 0;
    for (const char *at = (const char *)page.data; (at = strstr(at, "\n.Ss cofre ")); at++) {
        assert_int_equal(sscanf(at, "\n.Ss cofre %31s %31s", noun, word), 2);
        assert_true(host_has_action(noun, word));
        count++;
    }
    assert_int_equal(count, host_actions_count);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_action_is_described_with_its_options),
        cmocka_unit_test(the_page_has_no_action_that_is_not_there),
    };
    struct cofre_err err;
    CLEAN_BYTES file = {0};
    if (argc != 2 || file_read(&file, argv[1], 1 << 20, &err) < 0 ||
        bytes_alloc(&page, file.len + 1, &err) < 0)
        return 1;
    memcpy(page.data, file.data, file.len);
    int failed = cmocka_run_group_tests(tests, called_set_up, called_tear_down);
    bytes_free(&page);
    return failed;
}
