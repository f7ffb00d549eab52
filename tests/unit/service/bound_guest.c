#include "tests/unit/service/bound_guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/evidence.h"
#include "tests/unit/model/fixture.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"

struct psp *bound_guest_platform;
struct identity bound_guest_key;
char bound_guest_root_file[128];

void bound_guest_open(struct fixture *f)
{
    CLEAN_BYTES root = {0};
    bound_guest_platform = open_platform((struct psp_options){.product = SNP_PRODUCT_MILAN});
    bound_guest_key = identity_new("nobody vouches for this");
    snprintf(bound_guest_root_file, sizeof bound_guest_root_file, "%s/root", f->folder);
    assert_int_equal(psp_root(bound_guest_platform, &root, NULL), 0);
    assert_int_equal(file_write(bound_guest_root_file, bytes_view(&root), 0600, NULL), 0);
    f->config.trust_roots.path[0] = bound_guest_root_file;
}

void bound_guest_close(void)
{
    identity_free(&bound_guest_key);
    psp_close(bound_guest_platform);
}

void bound_guest_use_policy(struct fixture *f, const char *document)
{
    char body[64];
    assert_int_equal(ask(f, "POST", "/v1/policies/web", "policies", document), 201);
    CLEAN_JSON *made = answer_json(f);
    snprintf(body, sizeof body, "{\"version\": %d}",
             (int)json_integer_value(json_object_get(made, "version")));
    assert_int_equal(ask(f, "PUT", "/v1/policies/web/active", "policies", body), 200);
}

struct client bound_guest_connection(struct fixture *f)
{
    struct client c = client_connect(f->port);
    assert_true(client_handshake(&c, &bound_guest_key, 0x0304));
    return c;
}

void bound_guest_challenge(struct fixture *f, struct client *c, char out[65])
{
    assert_int_equal(ask_with(f, c, "POST", "/v1/challenges", "submit", NULL, NULL), 201);
    CLEAN_JSON *object = answer_json(f);
    strcpy(out, json_string_value(json_object_get(object, "nonce")));
}

struct channel_binding bound_guest_binding(struct client *c, const char *hex, uint8_t nonce[32],
                                           struct bytes *key)
{
    assert_true(hex_decode(nonce, 32, hex));
    assert_int_equal(channel_key_of(key, bound_guest_key.cert, NULL), 0);
    struct channel_binding b = {.end = CHANNEL_CLIENT, .nonce = {nonce, 32}, .key = bytes_view(key)};
    assert_int_equal(channel_exporter(b.exporter, c->ssl, NULL), 0);
    return b;
}

char *bound_guest_evidence(const uint8_t report_data[CHANNEL_REPORT_DATA])
{
    struct snp_report_req request = {0};
    CLEAN_EVIDENCE evidence = {.tee = "snp"};
    CLEAN_BYTES file = {0};
    struct snp_secrets_page secrets;
    struct psp_guest *guest = launch_guest(bound_guest_platform, &secrets, NULL);
    memcpy(request.report_data, report_data, CHANNEL_REPORT_DATA);
    struct snp_report_rsp response = ask_report(guest, &secrets, 0, 1, &request);
    psp_guest_free(guest);
    const struct view report = {(const uint8_t *)&response.report, sizeof response.report};
    assert_int_equal(bytes_copy(&evidence.report, report, NULL), 0);
    assert_int_equal(psp_cert_table(bound_guest_platform, &evidence.certificates, NULL), 0);
    assert_int_equal(evidence_write(&file, &evidence, NULL), 0);
    return strndup((const char *)file.data, file.len);
}

int bound_guest_evidence_file(void *context, struct bytes *file,
                              const uint8_t report_data[CHANNEL_REPORT_DATA], struct cofre_err *err)
{
    (void)context;
    char *text = bound_guest_evidence(report_data);
    int rc = bytes_copy(file, (struct view){(const uint8_t *)text, strlen(text)}, err);
    free(text);
    return rc;
}
