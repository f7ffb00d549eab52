/* A whole cofred whose log a TPM vouches for (swtpm): at its start and its end, and when the TPM fails or says nothing. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/host/cofred/whole.h"
#include "tests/unit/keys/swtpm.h"
#include "vmm/base/cleanup.h"

#define FIRST_USER 886000
#define OF_TPM     886900 /* the group that may open it */

static struct whole whole, *const w = &whole;
static struct swtpm tpm;
static const char *missing, *cofre;

static void need(void)
{
    if (!missing)
        return;
    print_message("skipped: %s\n", missing);
    skip();
}

static time_t now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

static unsigned long metric(const char *name)
{
    CLEAN_FREE char *text = whole_read(w, "/metrics");
    char line[80];
    (void)snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(text, line);
    if (!at)
        fail_msg("no %s in %s", name, text);
    return strtoul(at + strlen(line), NULL, 10);
}

static void until(const char *name, unsigned long least)
{
    const time_t end = now() + 30;
    while (metric(name) < least)
        if (now() > end)
            fail_msg("%s stays below %lu", name, least);
}

static void make_tenant(const char *name)
{
    char body[64];
    (void)snprintf(body, sizeof body, "{'name': '%s'}", name);
    json_decref(whole_must(w, 201, "POST", "/tenants", body));
}

/* What an auditor sees, of a copy and the two public keys; the caller frees it. */
static json_t *verify(void)
{
    char command[1024], text[4096];
    (void)snprintf(command, sizeof command,
                   "rm -f %s/copy && %s --config %s --copy-log %s/copy && "
                   "%s log verify --log %s/copy --keys %s/log-key.pem.pub --tpm-keys %s/log-tpm.pub --json",
                   w->run, w->program, w->config, w->run, cofre, w->run, w->state, w->state);
    FILE *from = popen(command, "re");
    assert_non_null(from);
    const size_t len = fread(text, 1, sizeof text - 1, from);
    text[len] = 0;
    if (pclose(from) != 0)
        fail_msg("%s", text);
    json_t *result = json_loads(text, 0, NULL);
    assert_non_null(result);
    return result;
}

static json_int_t count(const json_t *result, const char *member)
{
    return json_integer_value(json_object_get(result, member));
}

static void a_tpm_vouches_for_the_log_from_start_to_end(void **state)
{
    (void)state;
    need();
    whole_start(w);
    until("cofred_log_tpm_vouches_for", 1);
    make_tenant("shop");
    assert_int_equal(whole_stop(w, SIGTERM), 0);
    json_t *r = verify();
    assert_int_equal(count(r, "tpm_vouches_for"), count(r, "size") - 1); /* all but the word itself */
    assert_int_equal(count(r, "tpm_words"), 2);
    json_decref(r);
    swtpm_restart(&tpm);
    whole_start(w);
    until("cofred_log_tpm_vouches_for", 1);
    assert_int_equal(whole_stop(w, SIGTERM), 0);
    r = verify();
    assert_int_equal(count(r, "tpm_words"), 3); /* nothing came to pass that another one would be of */
    assert_int_equal(count(r, "tpm_resets_seen"), 1);
    json_decref(r);
}

static void a_tpm_that_failed_is_on_record_and_asked_again(void **state)
{
    (void)state;
    need();
    swtpm_fault(&tpm, BUS_CUT, 1);
    whole_start(w);
    until("cofred_log_tpm_failures_total", 1);
    assert_int_equal(metric("cofred_log_tpm_fails"), 1);
    json_t *shown = whole_must(w, 200, "GET", "/audit/entries?who=cofred", NULL);
    const json_t *entry = json_object_get(json_array_get(json_object_get(shown, "entries"), 0), "entry");
    assert_string_equal(json_string_value(json_object_get(entry, "outcome")), "failed");
    assert_non_null(strstr(json_string_value(json_object_get(entry, "detail")), "ended without an answer"));
    json_decref(shown);
    assert_int_equal(whole_stop(w, SIGTERM), 0);
    json_t *r = verify();
    assert_int_equal(count(r, "tpm_vouches_for"), count(r, "size") - 1);
    json_decref(r);
}

static void a_tpm_that_says_nothing_holds_up_nothing(void **state)
{
    (void)state;
    need();
    swtpm_fault(&tpm, BUS_SILENT, 1);
    whole_start(w);
    make_tenant("other");
    const time_t before = now();
    assert_int_equal(whole_stop(w, SIGTERM), 0);
    assert_true(now() - before < 10); /* it has 10 seconds for an answer; the end does not wait so long */
    swtpm_fault(&tpm, BUS_WHOLE, 0);
    whole_start(w);
    until("cofred_log_tpm_vouches_for", 1);
    assert_int_equal(whole_stop(w, SIGTERM), 0);
    json_t *r = verify();
    assert_int_equal(count(r, "tpm_vouches_for"), count(r, "size") - 1);
    json_decref(r);
}

static void without_a_tpm_all_else_is_there(void **state)
{
    char elsewhere[128];
    (void)state;
    need();
    (void)snprintf(elsewhere, sizeof elsewhere, "%s.away", tpm.device);
    assert_int_equal(rename(tpm.device, elsewhere), 0);
    whole_start(w);
    until("cofred_log_tpm_fails", 1);
    make_tenant("third");
    assert_int_equal(whole_stop(w, SIGTERM), 0);
    assert_int_equal(rename(elsewhere, tpm.device), 0);
}

/* As a kernel's device is: root's, and a group's that neither of cofred's users is in. */
static const char *make(char **argv)
{
    static char member[160];
    if (!swtpm_is_there())
        return "there is no swtpm";
    swtpm_new(&tpm);
    (void)snprintf(member, sizeof member, ", \"log_tpm\": \"%s\"", tpm.device);
    const struct whole_wish wish = {FIRST_USER, "", member, ""};
    const char *why = whole_make_as(w, argv[1], argv[2], &wish);
    if (!why && (chmod(tpm.dir, 0711) < 0 || chown(tpm.device, 0, OF_TPM) < 0 || chmod(tpm.device, 0660) < 0))
        why = "the TPM cannot be given to a group";
    return why;
}

int main(int argc, char **argv)
{
    missing = argc == 4 ? make(argv) : "neither cofred nor a stand-in nor cofre was named";
    cofre = argv[3];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tpm_vouches_for_the_log_from_start_to_end),
        cmocka_unit_test(a_tpm_that_failed_is_on_record_and_asked_again),
        cmocka_unit_test(a_tpm_that_says_nothing_holds_up_nothing),
        cmocka_unit_test(without_a_tpm_all_else_is_there),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    whole_free(w);
    if (tpm.pid)
        swtpm_free(&tpm);
    return rc;
}
