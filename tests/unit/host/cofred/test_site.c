/* A small site by what docs/cofred.md says: its certificates, made as the page has it, let an auditor bring a cofred's log home by HTTPS. */
#include <net/if.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/host/access/signed.h"
#include "tests/unit/host/cofred/whole.h"
#include "vmm/base/bytes.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/number.h"

#define FIRST_USER 886000
#define ISSUER     "https://login.example/realm"
#define SERVER     "--server https://localhost:8443 --ca ca.pem " /* in a network of this test's own */
#define ANN        "--cert ann.pem --key ann.key"
#define COPY       "audit complete --json --keys log.pub --log "

static struct whole whole, *const w = &whole;
static const char *missing, *cofre;
static char folder[] = "/tmp/cofre-site-XXXXXX", output[65536];

static void need(void)
{
    if (!missing)
        return;
    print_message("skipped: %s\n", missing);
    skip();
}

/* In the folder; its exit code, and in output what it said. */
static int shell(const char *commands)
{
    CLEAN_BYTES said = {0};
    char *line = NULL;
    assert_true(asprintf(&line, "cd %s && { %s\n} >output 2>&1", folder, commands) > 0);
    const int status = system(line);
    free(line);
    char path[64];
    (void)snprintf(path, sizeof path, "%s/output", folder);
    assert_int_equal(file_read(&said, path, sizeof output - 1, NULL), 0);
    memcpy(output, said.data, said.len);
    output[said.len] = 0;
    return WEXITSTATUS(status);
}

static int run(const char *arguments)
{
    char line[1024];
    (void)snprintf(line, sizeof line, "%s %s", cofre, arguments);
    return shell(line);
}

static void expect(int code, const char *arguments, const char *word)
{
    const int is = run(arguments);
    if (is != code || !strstr(output, word))
        fail_msg("%s: %d, where %d and \"%s\" are due: %s", arguments, is, code, word, output);
}

static void grant(const char *identity, const char *more)
{
    char body[256];
    (void)snprintf(body, sizeof body, "{'identity': '%s', %s}", identity, more);
    json_decref(whole_must(w, 201, "POST", "/grants", body));
}

static unsigned entries(void)
{
    CLEAN_JSON *is = json_loads(output, 0, NULL);
    return (unsigned)json_integer_value(json_object_get(is, "entries"));
}

static void by_her_certificate_an_auditor_has_a_copy_that_grows(void **state)
{
    (void)state;
    need();
    expect(COFRE_NEGATIVE, COPY "ann " SERVER ANN, "audit.head"); /* known, and without a role */
    grant("cert:CN=ann", "'role': 'auditor'");
    expect(0, "host whoami --json " SERVER ANN, "cert:CN=ann");
    expect(0, COPY "ann " SERVER ANN, "\"entries\"");
    const unsigned first = entries();
    json_decref(whole_must(w, 201, "POST", "/tenants", "{'name': 'shop'}"));
    expect(0, COPY "ann " SERVER ANN, "\"entries\"");
    assert_true(first > 0 && entries() > first);
}

static void by_a_token_likewise(void **state)
{
    char claims[256], path[64];
    (void)state;
    need();
    CLEAN_JSON *key = signed_generate("{'kty': 'EC', 'crv': 'P-256', 'kid': 'first'}");
    CLEAN_JSON *set = json_pack("{s:[o]}", "keys", signed_public(key));
    (void)snprintf(path, sizeof path, "%s/keys.json", folder);
    assert_int_equal(json_dump_file(set, path, 0), 0);
    (void)snprintf(claims, sizeof claims, "{'iss': '" ISSUER "', 'aud': 'cofred', 'sub': 'bob', 'exp': %lld}",
                   (long long)time(NULL) + 600);
    CLEAN_FREE char *token = signed_sign("{'alg': 'ES256', 'kid': 'first'}", claims, key);
    (void)snprintf(path, sizeof path, "%s/token", folder);
    assert_int_equal(file_write(path, (struct view){(const uint8_t *)token, strlen(token)}, 0600, NULL), 0);
    grant("oidc:corp:bob", "'role': 'auditor'");
    expect(0, COPY "bob " SERVER "--token-file token", "\"entries\"");
    assert_int_equal(shell("printf x >>token"), 0);
    expect(COFRE_USAGE, COPY "bob " SERVER "--token-file token", "who you are could not be seen");
}

static void who_shows_nothing_or_another_s_gets_nothing(void **state)
{
    static const struct {
        const char *who, *word;
        int code;
    } cases[] = {
        {SERVER, "say who you are first", COFRE_USAGE},
        {SERVER "--cert server.pem --key server.key", "", COFRE_FAILED}, /* for servers */
        {SERVER "--cert self.pem --key self.key", "", COFRE_FAILED},     /* the same name, by nobody */
        {"--server https://localhost:8443 --ca self.pem " ANN, "certificate", COFRE_FAILED},
        {"--server https://127.0.0.1:8443 --ca ca.pem " ANN, "127.0.0.1", COFRE_FAILED}, /* not its name */
    };
    (void)state;
    need();
    assert_int_equal(shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout "
                           "self.key -out self.pem -subj /CN=ann -addext extendedKeyUsage=clientAuth"),
                     0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[512];
        (void)snprintf(line, sizeof line, COPY "none %s", cases[i].who);
        expect(cases[i].code, line, cases[i].word);
        assert_true(shell("[ -e none ]") != 0);
    }
}

/* As the page says, by the key and not the name. */
static void a_lost_key_is_denied_by_itself(void **state)
{
    char *end, identity[128];
    (void)state;
    need();
    assert_int_equal(shell("openssl x509 -in ann.pem -noout -pubkey | openssl pkey -pubin -outform DER | "
                           "openssl sha256 | sed 's/.* //'"),
                     0);
    end = strchr(output, '\n');
    assert_non_null(end);
    *end = 0;
    (void)snprintf(identity, sizeof identity, "key:%s", output);
    grant(identity, "'role': 'administrator', 'deny': true");
    expect(COFRE_NEGATIVE, COPY "ann " SERVER ANN, "audit.head");
}

/* The page's blocks for a shell between that heading and the next, for this machine's name. */
static char *commands_of(const char *page)
{
    CLEAN_BYTES text = {0};
    char *out = NULL;
    size_t size;
    assert_int_equal(file_read(&text, page, 1 << 20, NULL), 0);
    CLEAN_FREE char *all = strndup((const char *)text.data, text.len);
    const char *from = strstr(all, "### Certificates for a small site\n");
    from = from ? strstr(from, "```sh\n") : NULL;
    const char *end = from ? strstr(from + 6, "```\n") : NULL;
    assert_non_null(end);
    FILE *to = open_memstream(&out, &size);
    (void)fputs("set -eu\n", to);
    for (const char *c = from + 6; c < end;) {
        static const char name[] = "host7.example.org";
        const bool host = strncmp(c, name, sizeof name - 1) == 0;
        (void)(host ? fputs("localhost", to) : fputc(*c, to));
        c += host ? sizeof name - 1 : 1;
    }
    (void)fclose(to);
    return out;
}

static int up(void **state)
{
    char line[256];
    (void)state;
    if (missing)
        return 0;
    whole_start(w);
    (void)snprintf(line, sizeof line, "openssl pkey -in %s/log-key.pem -pubout -out log.pub", w->state);
    assert_int_equal(shell(line), 0);
    return 0;
}

static int down(void **state)
{
    (void)state;
    return missing ? 0 : whole_stop(w, SIGTERM);
}

static const char *make(char **argv)
{
    static char access[256], tls[256];
    CLEAN_FREE char *commands = commands_of(argv[4]);
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    if (system("command -v openssl >/dev/null") != 0)
        return "openssl is not installed";
    if (!mkdtemp(folder) || shell(commands) != 0)
        fail_msg("%s: the page's commands fail: %s", folder, output);
    (void)snprintf(access, sizeof access,
                   ", \"issuers\": [{\"name\": \"corp\", \"issuer\": \"" ISSUER
                   "\", \"audience\": \"cofred\", \"key_file\": \"%s/keys.json\"}]",
                   folder);
    (void)snprintf(tls, sizeof tls,
                   ", \"tls\": {\"certificate\": \"%s/server.pem\", \"key\": \"%s/server.key\", "
                   "\"client_ca\": \"%s/ca.pem\"}",
                   folder, folder, folder);
    assert_int_equal(shell("chmod 755 . && echo '{\"keys\": []}' >keys.json"), 0);
    const char *why =
        whole_make_as(w, argv[1], argv[2],
                      &(struct whole_wish){FIRST_USER, ", {\"address\": \"127.0.0.1:8443\"}", tls, access});
    CLEAN_FD s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return why ? why : ioctl(s, SIOCSIFFLAGS, &lo) == 0 ? NULL : "no loopback interface";
}

int main(int argc, char **argv)
{
    char line[64];
    if (argc != 5) {
        fputs("usage: test_site COFRED STAND_IN COFRE PAGE\n", stderr);
        return 2;
    }
    cofre = argv[3];
    missing = make(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_her_certificate_an_auditor_has_a_copy_that_grows),
        cmocka_unit_test(by_a_token_likewise),
        cmocka_unit_test(who_shows_nothing_or_another_s_gets_nothing),
        cmocka_unit_test(a_lost_key_is_denied_by_itself),
    };
    int rc = cmocka_run_group_tests(tests, up, down);
    whole_free(w);
    (void)snprintf(line, sizeof line, "rm -rf %s", folder);
    return system(line) == 0 ? rc : 1;
}
