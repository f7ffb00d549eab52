/* Secrets of a guest: from the service by name, into a folder of its memory, and kept for a start without the service. */
#include "tests/unit/service/bound_guest.h"

#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sev/model/guest.h"
#include "tests/unit/model/fixture.h"
#include "tests/unit/service/sealed_import.h"
#include "vmm/agent/secret_files.h"
#include "vmm/agent/secrets.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"

#define HOUR 3600

static int64_t now(void)
{
    return time(NULL);
}

static void owner(struct fixture *f, int status, const char *method, const char *path, const char *body)
{
    int got = ask(f, method, path, "keys", body);
    if (got != status)
        fail_msg("%s %s: %d in place of %d: %s", method, path, got, status, f->answer);
}

/* A secret of that text, granted to the policy "web" with that body. */
static void make_secret(struct fixture *f, const char *name, struct view value, const char *grant)
{
    char path[128];
    owner(f, 200, "GET", "/v1/import-key", NULL);
    CLEAN_JSON *answer = answer_json(f);
    CLEAN_JSON *body = json_pack("{s:o}", "import", sealed_import(answer, name, value));
    char *text = json_dumps(body, 0);
    snprintf(path, sizeof path, "/v1/keys/%s", name);
    owner(f, 201, "POST", path, text);
    snprintf(path, sizeof path, "/v1/keys/%s/grants/web", name);
    owner(f, 200, "PUT", path, grant);
    free(text);
}

static struct view text_view(const char *text)
{
    return (struct view){(const uint8_t *)text, strlen(text)};
}

static int setup(void **state)
{
    struct fixture *f = fixture_new(now);
    bound_guest_open(f);
    fixture_start(f);
    bound_guest_use_policy(f, "{\"snp\": {}}");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    bound_guest_close();
    fixture_free(*state);
    return 0;
}

/* The guest's firmware: what it answers depends on what was launched. */

struct launched {
    uint8_t content;   /* of the page that is measured */
    uint8_t host_data; /* the first byte */
};

static struct psp_guest *launch(const struct launched *of)
{
    struct psp_guest *guest = NULL;
    struct snp_secrets_page secrets;
    uint8_t page[SNP_PAGE_SIZE], gosvw[16] = {0};
    const struct psp_launch_finish finish = {.host_data = {of->host_data}};
    memset(page, of->content, sizeof page);
    assert_int_equal(psp_guest_create(&guest, bound_guest_platform, NULL), 0);
    assert_int_equal(psp_launch_start(guest, POLICY, gosvw), PSP_SUCCESS);
    assert_int_equal(give_page(guest, SNP_PAGE_NORMAL, 0x1000, page), PSP_SUCCESS);
    assert_int_equal(give_page(guest, SNP_PAGE_SECRETS, 0x2000, &secrets), PSP_SUCCESS);
    assert_int_equal(psp_launch_finish(guest, &finish), PSP_SUCCESS);
    return guest;
}

static int root_of(void *context, struct kept_root *out, struct cofre_err *err)
{
    struct snp_report_rsp response;
    const struct snp_report_req request = {0};
    struct psp_guest *guest = launch(context);
    (void)cofre_fail(err, COFRE_LACKING, "a way that another one stood in for"); /* which is not told */
    assert_int_equal(psp_report(guest, 0, &request, &response), PSP_SUCCESS);
    psp_guest_free(guest);
    *out = (struct kept_root){le64(&response.report.committed_tcb), le32(&response.report.vmpl)};
    return 0;
}

static int derive_of(void *context, uint8_t key[32], const struct kept_root *root, struct cofre_err *err)
{
    struct psp_key_rsp response;
    const struct psp_key_req request = {
        .guest_field_select = 0x29, .vmpl = root->vmpl, .tcb_version = root->tcb};
    struct psp_guest *guest = launch(context);
    enum psp_status status = psp_derive_key(guest, 0, &request, &response);
    psp_guest_free(guest);
    memcpy(key, response.key, 32);
    return status == PSP_SUCCESS ? 0 : cofre_fail(err, COFRE_FAILED, "the firmware derives no key");
}

static int evidence_of(void *context, struct bytes *file, const uint8_t report_data[64],
                       struct cofre_err *err)
{
    (void)context;
    return bound_guest_evidence_file(NULL, file, report_data, err);
}

/* One start of a guest. */

struct start {
    struct launched launched;
    bool cut_off; /* from the service */
    int64_t later;
    const char *const *name;
    size_t names;
    char keep[160];
    struct agent_secrets got;
    struct cofre_err err;
};

static const char *const both[] = {"db.password", "tls"};

static struct start start_of(struct fixture *f)
{
    struct start s = {.launched = {.content = 0x5a}, .name = both, .names = 2};
    snprintf(s.keep, sizeof s.keep, "%s/kept", f->folder);
    return s;
}

static int start(struct fixture *f, struct start *s)
{
    char url[64];
    const struct channel_identity identity = {bound_guest_key.key, bound_guest_key.cert};
    const struct trust_client_options service = {
        .url = url, .ca = f->certificate, .token = "submit", .identity = &identity, .seconds = 20};
    const struct agent_secrets_request request = {.service = &service,
                                                  .policy = "web",
                                                  .name = s->name,
                                                  .names = s->names,
                                                  .keep = s->keep[0] ? s->keep : NULL,
                                                  .now = now() + s->later,
                                                  .context = &s->launched,
                                                  .evidence = evidence_of,
                                                  .root = root_of,
                                                  .derive = derive_of};
    snprintf(url, sizeof url, "https://127.0.0.1:%u", s->cut_off ? 1 : f->port);
    return agent_secrets_get(&s->got, &request, &s->err);
}

static void has(const struct start *s, size_t i, struct view value)
{
    assert_string_equal(s->got.secret[i].name, s->name[i]);
    assert_int_equal(s->got.secret[i].value.len, value.len);
    assert_memory_equal(s->got.secret[i].value.data, value.data, value.len);
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static uint8_t big[KEY_VALUE_MAX];
static const struct view password = {(const uint8_t *)"hunter2", 7}, key_file = {big, sizeof big};

/* Both are there, with an hour each, and a guest of today has them and has kept them. */
static void make_both_and_keep(struct fixture *f)
{
    memset(big, 'k', sizeof big);
    make_secret(f, both[0], password, "{\"offline\": 3600}");
    make_secret(f, both[1], key_file, "{\"offline\": 7200}");
    struct start s = start_of(f);
    if (start(f, &s) < 0)
        fail_msg("%s", s.err.text);
    has(&s, 0, password);
    has(&s, 1, key_file);
    assert_false(s.got.from_file);
    assert_int_equal(s.got.kept, 2);
    assert_string_equal(s.got.why.text, "");
    agent_secrets_free(&s.got);
}

static void secrets_that_may_be_kept_are_had_without_the_service(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    CLEAN_BYTES file = {0};
    make_both_and_keep(f);
    struct start s = start_of(f);
    assert_int_equal(stat(s.keep, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(file_read(&file, s.keep, KEPT_FILE_MAX, NULL), 0);
    assert_null(memmem(file.data, file.len, "hunter2", 7));
    assert_null(memmem(file.data, file.len, "kkkk", 4));
    assert_null(memmem(file.data, file.len, "6b6b6b6b", 8));
    s.cut_off = true;
    if (start(f, &s) < 0)
        fail_msg("%s", s.err.text);
    has(&s, 0, password);
    has(&s, 1, key_file);
    assert_true(s.got.from_file);
    assert_non_null(strstr(s.got.why.text, "no answer came in time, or no connection"));
    agent_secrets_free(&s.got);
}

static void another_guest_opens_nothing_that_was_kept(void **state)
{
    struct fixture *f = *state;
    static const struct launched others[] = {{.content = 0x5b}, {.content = 0x5a, .host_data = 1}};
    make_both_and_keep(f);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct start s = start_of(f);
        s.cut_off = true;
        s.launched = others[i];
        assert_int_equal(start(f, &s), -COFRE_NEGATIVE);
        assert_non_null(
            strstr(s.err.text, "what is kept of \"db.password\" does not open: another guest kept it"));
        assert_null(s.got.memory.data);
    }
}

static void what_was_kept_is_good_as_long_as_its_owner_said(void **state)
{
    struct fixture *f = *state;
    make_both_and_keep(f);
    struct start s = start_of(f);
    s.cut_off = true;
    s.later = HOUR + 60;
    assert_int_equal(start(f, &s), -COFRE_NEGATIVE);
    assert_non_null(strstr(s.err.text, "what is kept of \"db.password\" was good until "));
    s = start_of(f);
    s.cut_off = true;
    s.later = HOUR + 60;
    s.name = both + 1;
    s.names = 1;
    assert_int_equal(start(f, &s), 0);
    has(&s, 0, key_file);
    agent_secrets_free(&s.got);
}

/* A change of any member, and of the sealed bytes, one at a time. */
static void what_was_changed_in_the_file_does_not_open(void **state)
{
    struct fixture *f = *state;
    static const char *const changes[][2] = {{"\"version\": 1", "\"version\": 2"},
                                             {"\"vmpl\": 0", "\"vmpl\": 1"},
                                             {"\"until\": \"20", "\"until\": \"21"},
                                             {"\"tcb\": \"db", "\"tcb\": \"da"},
                                             {"\"sealed\": \"", NULL}};
    make_both_and_keep(f);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        CLEAN_BYTES file = {0};
        struct start s = start_of(f);
        assert_int_equal(file_read(&file, s.keep, KEPT_FILE_MAX, NULL), 0);
        const size_t len = strlen(changes[i][0]);
        uint8_t *at = memmem(file.data, file.len, changes[i][0], len);
        assert_non_null(at);
        if (changes[i][1])
            memcpy(at, changes[i][1], len);
        else
            at[len + 40] = at[len + 40] == '0' ? '1' : '0';
        snprintf(s.keep, sizeof s.keep, "%s/changed", f->folder);
        assert_int_equal(file_write(s.keep, bytes_view(&file), 0600, NULL), 0);
        s.cut_off = true;
        assert_int_equal(start(f, &s), -COFRE_NEGATIVE);
        assert_non_null(strstr(s.err.text, "does not open"));
    }
}

static void a_file_that_is_none_is_told_so(void **state)
{
    struct fixture *f = *state;
    static const char *const files[] = {
        "",
        "[]",
        "{}",
        "{\"kept\": 2, \"tcb\": \"0000000000000000\", \"vmpl\": 0, \"secrets\": []}",
        "{\"kept\": 1, \"tcb\": \"00\", \"vmpl\": 0, \"secrets\": []}",
        "{\"kept\": 1, \"tcb\": \"0000000000000000\", \"vmpl\": 4, \"secrets\": []}",
        "{\"kept\": 1, \"tcb\": \"0000000000000000\", \"vmpl\": 0, \"secrets\": [{}]}",
        "{\"kept\": 1, \"tcb\": \"0000000000000000\", \"vmpl\": 0, \"secrets\": [{\"name\": \"tls\", "
        "\"version\": 1, "
        "\"until\": \"2030-01-01T00:00:00Z\", \"sealed\": \"00\"}]}"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct start s = start_of(f);
        s.cut_off = true;
        assert_int_equal(file_write(s.keep, text_view(files[i]), 0600, NULL), 0);
        assert_int_equal(start(f, &s), -COFRE_MALFORMED);
    }
}

static void what_may_not_be_kept_is_not(void **state)
{
    struct fixture *f = *state;
    struct start s = start_of(f);
    make_both_and_keep(f);
    owner(f, 200, "PUT", "/v1/keys/db.password/grants/web", "{}");
    assert_int_equal(start(f, &s), 0);
    agent_secrets_free(&s.got);
    s = start_of(f);
    s.cut_off = true;
    assert_int_equal(start(f, &s), -COFRE_NEGATIVE);
    assert_non_null(strstr(s.err.text, "nothing is kept of \"db.password\""));
    owner(f, 200, "PUT", "/v1/keys/tls/grants/web", "{}");
    s = start_of(f);
    assert_int_equal(start(f, &s), 0);
    assert_int_equal(s.got.kept, 0);
    assert_false(is_there(s.keep));
    agent_secrets_free(&s.got);
    s = start_of(f);
    s.cut_off = true;
    assert_int_equal(start(f, &s), -COFRE_FAILED); /* as if it had never kept any */
    assert_null(strstr(s.err.text, "; and "));
}

static void a_refusal_is_an_answer_and_what_was_kept_goes(void **state)
{
    struct fixture *f = *state;
    struct start s = start_of(f);
    make_both_and_keep(f);
    owner(f, 200, "DELETE", "/v1/keys/tls/grants/web", NULL);
    assert_int_equal(start(f, &s), -COFRE_FAILED);
    assert_non_null(strstr(s.err.text, " answers 422: the key \"tls\" is not granted to the policy \"web\""));
    assert_false(is_there(s.keep));
}

/* How long it may be kept is among the terms: a longer time in the database opens no key. */
static void who_writes_to_the_database_lengthens_nothing(void **state)
{
    struct fixture *f = *state;
    struct start s = start_of(f);
    make_secret(f, "tls", text_view("a secret"), "{\"offline\": 60}");
    s.keep[0] = '\0';
    s.name = both + 1;
    s.names = 1;
    assert_int_equal(start(f, &s), 0);
    assert_true(s.got.secret[0].until <= now() + 60 && s.got.secret[0].until > now());
    agent_secrets_free(&s.got);
    assert_true(db_run(f->db, "UPDATE guest_key_grant SET offline = 600", NULL, 0, NULL, NULL, NULL) >= 0);
    assert_int_equal(start(f, &s), -COFRE_FAILED);
    if (!strstr(s.err.text, " answers 500"))
        fail_msg("%s", s.err.text);
}

static void a_grant_has_its_bounds(void **state)
{
    struct fixture *f = *state;
    make_secret(f, "tls", text_view("a secret"), "{\"offline\": 31622400}");
    owner(f, 422, "PUT", "/v1/keys/tls/grants/web", "{\"offline\": 31622401}");
    owner(f, 422, "PUT", "/v1/keys/tls/grants/web", "{\"offline\": -1}");
    owner(f, 422, "PUT", "/v1/keys/tls/grants/web", "{\"online\": 1}");
    owner(f, 200, "GET", "/v1/keys/tls", NULL);
    assert_non_null(strstr(f->answer, "\"offline\":31622400"));
}

/* Files */

static void secrets_are_files_of_a_folder_in_memory(void **state)
{
    (void)state;
    char folder[] = "/dev/shm/secretsXXXXXX", path[64];
    const struct secret_owner mine = {getuid(), getgid()};
    struct stat st;
    struct cofre_err err;
    CLEAN_BYTES file = {0};
    assert_non_null(mkdtemp(folder));
    int fd = secret_folder_open(folder, &err);
    assert_true(fd >= 0);
    snprintf(path, sizeof path, "%s/tls", folder);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(secret_file_write(fd, "tls", text_view(again ? "new" : "old one"), &mine, &err), 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0400);
    }
    assert_int_equal(file_read(&file, path, 100, NULL), 0);
    assert_int_equal(file.len, 3);
    assert_memory_equal(file.data, "new", 3);
    assert_int_equal(chmod(folder, 0777), 0);
    assert_int_equal(secret_folder_open(folder, &err), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "may be written to by others"));
    close(fd);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void a_folder_of_a_disk_is_refused(void **state)
{
    (void)state;
    struct cofre_err err;
    assert_int_equal(secret_folder_open("/usr", &err), -COFRE_USAGE);
    assert_string_equal(err.text,
                        "--to /usr is on a disk: secrets are put into a folder of a tmpfs, as /run is");
    assert_int_equal(secret_folder_open("/nowhere", &err), -COFRE_USAGE);
}

static void an_owner_is_one_number_or_two(void **state)
{
    (void)state;
    struct secret_owner o;
    struct cofre_err err;
    assert_int_equal(secret_owner_parse(&o, "33", &err), 0);
    assert_true(o.uid == 33 && o.gid == 33);
    assert_int_equal(secret_owner_parse(&o, "33:44", &err), 0);
    assert_true(o.uid == 33 && o.gid == 44);
    static const char *const wrong[] = {"", ":", "33:", "www-data", "33:44:55", "-1", "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(secret_owner_parse(&o, wrong[i], &err), -COFRE_USAGE);
}

#define T(NAME) cmocka_unit_test_setup_teardown(NAME, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(secrets_that_may_be_kept_are_had_without_the_service),
        T(another_guest_opens_nothing_that_was_kept),
        T(what_was_kept_is_good_as_long_as_its_owner_said),
        T(what_was_changed_in_the_file_does_not_open),
        T(a_file_that_is_none_is_told_so),
        T(what_may_not_be_kept_is_not),
        T(a_refusal_is_an_answer_and_what_was_kept_goes),
        T(who_writes_to_the_database_lengthens_nothing),
        T(a_grant_has_its_bounds),
        cmocka_unit_test(secrets_are_files_of_a_folder_in_memory),
        cmocka_unit_test(a_folder_of_a_disk_is_refused),
        cmocka_unit_test(an_owner_is_one_number_or_two),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
