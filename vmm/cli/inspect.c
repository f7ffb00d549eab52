/* cofre inspect: says what a file is and what it says. It judges nothing. */
#include "vmm/cli/inspect.h"

#include <getopt.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "attest/verdict.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/cli/verb.h"

static const char help[] =
    "usage: cofre inspect F [--json]\n"
    "\n"
    "Says what a file is and what it says: attestation reports, quotes and evidence, certificates,\n"
    "revocation lists, certificate tables, TDX collateral, policies, reference values (CoRIM), OVMF\n"
    "images, IGVM files, event logs and CCEL tables, TDREPORTs, ID blocks, the boot shim, attestation "
    "results (JWT, CWT) "
    "and key sets (JWKS,\n"
    "COSE), logs with their heads, receipts and entries. Nothing is judged here; cofre verify and\n"
    "cofre log verify do that.\n"
    "\n"
    "  --json   prints it as one JSON object\n"
    "\n"
    "example: cofre inspect evidence.json\n";

#define FILE_MAX (256u << 20)

void inspect_put_hex(json_t *object, const char *key, const void *data, size_t len)
{
    char text[2 * 64 + 1];
    hex_encode(text, data, len < 64 ? len : 64);
    json_object_set_new(object, key, json_string(text));
}

void inspect_put_address(json_t *object, const char *key, uint64_t address)
{
    char text[24];
    (void)snprintf(text, sizeof text, "0x%" PRIx64, address);
    json_object_set_new(object, key, json_string(text));
}

int inspect_put_sha256(json_t *out, struct view file, struct cofre_err *err)
{
    uint8_t hash[32];
    if (EVP_Digest(file.data, file.len, hash, NULL, EVP_sha256(), NULL) != 1)
        return cofre_fail(err, COFRE_FAILED, "SHA-256 is not available in this OpenSSL");
    json_object_set_new(out, "size", json_integer((json_int_t)file.len));
    inspect_put_hex(out, "sha256", hash, sizeof hash);
    return 0;
}

/* The first that recognises a file describes it: kinds that are told by more of their bytes come first. */
static const struct artefact_kind *const kinds[] = {
    &inspect_igvm,       &inspect_corim,  &inspect_log_file,     &inspect_log_head,    &inspect_log_receipt,
    &inspect_log_entry,  &inspect_jwt,    &inspect_cwt,          &inspect_jwks,        &inspect_cose_keys,
    &inspect_evidence,   &inspect_policy, &inspect_tcb_info,     &inspect_qe_identity, &inspect_collateral,
    &inspect_cert_table, &inspect_crl,    &inspect_certificates, &inspect_ovmf,        &inspect_event_log,
    &inspect_ccel_table, &inspect_shim,   &inspect_id_auth,      &inspect_id_block,    &inspect_td_report,
};
#define KINDS (sizeof kinds / sizeof *kinds)

static const struct artefact_kind *kind_of(struct view file)
{
    for (size_t i = 0; i < KINDS; i++)
        if (kinds[i]->recognises(file))
            return kinds[i];
    return NULL;
}

static int describe(json_t **out, struct view file, struct cofre_err *err)
{
    const struct artefact_kind *kind = kind_of(file);
    if (!kind)
        return cofre_fail(err, COFRE_MALFORMED, "%zu bytes of no kind that is known here", file.len);
    CLEAN_JSON *content = NULL;
    int rc = kind->describe(&content, file, err);
    if (rc < 0)
        return cofre_within(err, rc, "looks like a %s, but", kind->name);
    *out = json_pack("{s:s}", "kind", kind->name);
    if (!*out || json_object_update(*out, content) < 0)
        return cofre_fail(err, COFRE_FAILED, "no memory for the description");
    return 0;
}

static int inspect(const char *path, bool json, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    CLEAN_JSON *description = NULL;
    int rc = file_read(&file, path, FILE_MAX, err);
    if (rc < 0)
        return rc;
    rc = describe(&description, bytes_view(&file), err);
    if (rc < 0)
        return cofre_within(err, rc, "%s", path);
    if (json) {
        json_dumpf(description, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        claims_print(description, stdout);
    }
    return fflush(stdout) == 0 ? 0 : cofre_fail(err, COFRE_FAILED, "standard output cannot be written");
}

int verb_inspect(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    bool json = false;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'h' || o == '?') {
            fputs(help, o == 'h' ? stdout : stderr);
            return o == 'h' ? 0 : COFRE_USAGE;
        }
        json = true;
    }
    if (optind + 1 != argc) {
        fputs(help, stderr);
        return COFRE_USAGE;
    }
    struct cofre_err err;
    int rc = inspect(argv[optind], json, &err);
    if (rc < 0)
        fprintf(stderr, "cofre inspect: %s\n", err.text);
    return -rc;
}
