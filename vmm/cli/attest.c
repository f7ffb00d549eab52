/* cofre attest: the evidence of a running guest, from its agent into one file. It judges nothing. */
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "attest/evidence.h"
#include "vmm/agent/attest_answer.h"
#include "vmm/agent/client.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/base/rundir.h"
#include "vmm/cli/verb.h"

static const char help[] =
    "usage: cofre attest --guest NAME|--socket F --nonce HEX [--out F]\n"
    "                    [--service vtpm|all [--manifest-out F]] [--json]\n"
    "\n"
    "Asks the agent in a running guest for evidence over the nonce: the attestation report, or on\n"
    "TDX the quote and the event log, and the certificates that the host gave with it. Nothing is\n"
    "judged here; give the file to cofre verify, on a machine that you trust.\n"
    "\n"
    "  --guest NAME   the guest's name, as cofre run printed it\n"
    "  --socket F     instead: the guest's vsock socket\n"
    "  --nonce HEX    up to 64 bytes of your own choice, never used before (openssl rand -hex 32)\n"
    "  --out F        where the evidence goes; default evidence.json, - is standard output\n"
    "  --service S    the report of the SVSM beneath the guest, at VMPL 0, on its vTPM (vtpm) or on all\n"
    "                 its services (all), instead of the guest's own\n"
    "  --manifest-out F\n"
    "                 where what that report is on goes; default manifest.bin. cofre verify\n"
    "                 --service-manifest takes it\n"
    "  --json         what was fetched, as one JSON object on standard output\n"
    "\n"
    "example: cofre attest --guest web --nonce $(openssl rand -hex 32) --out web.json\n";

#define VSOCK_SOCKET    "vsock"
#define TIMEOUT_SECONDS 60 /* the firmware throttles requests; one takes at most some seconds */

struct arguments {
    const char *guest, *socket, *nonce, *out;
    const char *service, *manifest_out; /* service NULL: the guest's own report */
    bool json;
};

/* The report data is the nonce, with zeros after it. */
static int fetch(struct evidence *out, struct bytes *manifest, const char *path, const struct arguments *a,
                 struct cofre_err *err)
{
    int rc = hex_decode_some(&out->nonce, EVIDENCE_NONCE_MAX, a->nonce, err);
    if (rc == 0 && out->nonce.len == 0)
        rc = cofre_fail(err, COFRE_USAGE, "is empty");
    if (rc < 0)
        return cofre_within(err, -COFRE_USAGE, "--nonce");
    uint8_t report_data[64] = {0};
    memcpy(report_data, out->nonce.data, out->nonce.len);
    char request[AGENT_EVIDENCE_SIZE];
    agent_evidence_request(request, report_data, a->service);
    CLEAN_BYTES answer = {0};
    rc = agent_ask(&answer, path, request, TIMEOUT_SECONDS, err);
    return rc < 0 ? rc
                  : attest_answer_parse(out, a->service ? manifest : NULL, (const char *)answer.data, err);
}

static void print_json(const struct evidence *e, const struct bytes *manifest, const struct arguments *a)
{
    CLEAN_JSON *result =
        json_pack("{s:s, s:I, s:I, s:I, s:s}", "tee", e->tee, "report_bytes", (json_int_t)e->report.len,
                  "certificates_bytes", (json_int_t)e->certificates.len, "event_log_bytes",
                  (json_int_t)e->event_log.len, "out", a->out);
    if (a->service) {
        json_object_set_new(result, "manifest_bytes", json_integer((json_int_t)manifest->len));
        json_object_set_new(result, "manifest_out", json_string(a->manifest_out));
    }
    json_dumpf(result, stdout, JSON_COMPACT);
    putchar('\n');
}

static void print_sentence(const struct evidence *e, const struct bytes *manifest, const struct arguments *a)
{
    fprintf(stderr, "cofre: %s: %s of %zu bytes", a->out, strcmp(e->tee, "tdx") == 0 ? "a quote" : "a report",
            e->report.len);
    if (e->certificates.len)
        fprintf(stderr, ", certificates of %zu bytes", e->certificates.len);
    if (e->event_log.len)
        fprintf(stderr, ", an event log of %zu bytes", e->event_log.len);
    if (a->service)
        fprintf(stderr, "; %s: a manifest of %zu bytes", a->manifest_out, manifest->len);
    fprintf(stderr, "; cofre verify judges it\n");
}

static int attest(const struct arguments *a, struct cofre_err *err)
{
    char path[PATH_MAX];
    int rc = 0;
    if (a->guest) {
        rc = rundir_of_guest(path, sizeof path - sizeof "/" VSOCK_SOCKET, a->guest, err);
        if (rc == 0)
            strcat(path, "/" VSOCK_SOCKET);
    }
    CLEAN_EVIDENCE evidence = {0};
    CLEAN_BYTES file = {0}, manifest = {0};
    if (rc == 0)
        rc = fetch(&evidence, &manifest, a->guest ? path : a->socket, a, err);
    if (rc == 0)
        rc = evidence_write(&file, &evidence, err);
    if (rc == 0)
        rc = file_write(a->out, bytes_view(&file), 0644, err);
    if (rc == 0 && a->service)
        rc = file_write(a->manifest_out, bytes_view(&manifest), 0644, err);
    if (rc < 0)
        return rc;
    if (a->json)
        print_json(&evidence, &manifest, a);
    else
        print_sentence(&evidence, &manifest, a);
    return 0;
}

/* A file without a question for it would never be written, and of two that go to standard output neither could be read. */
static bool service_is_well_named(struct arguments *a)
{
    if (!a->service)
        return !a->manifest_out;
    if (!a->manifest_out)
        a->manifest_out = "manifest.bin";
    return (strcmp(a->service, "vtpm") == 0 || strcmp(a->service, "all") == 0) &&
           strcmp(a->manifest_out, "-") != 0;
}

int verb_attest(int argc, char **argv)
{
    static const struct option options[] = {
        {"guest", required_argument, NULL, 'g'},
        {"socket", required_argument, NULL, 's'},
        {"nonce", required_argument, NULL, 'n'},
        {"out", required_argument, NULL, 'o'},
        {"service", required_argument, NULL, 'v'},
        {"manifest-out", required_argument, NULL, 'm'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct arguments a = {.out = "evidence.json"};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        const char **const strings[] = {['g'] = &a.guest, ['s'] = &a.socket,  ['n'] = &a.nonce,
                                        ['o'] = &a.out,   ['v'] = &a.service, ['m'] = &a.manifest_out};
        if (o == 'j') {
            a.json = true;
        } else if (o == 'h' || o == '?') {
            fputs(help, o == 'h' ? stdout : stderr);
            return o == 'h' ? 0 : COFRE_USAGE;
        } else {
            *strings[o] = optarg;
        }
    }
    if (optind != argc || !a.nonce || !a.guest == !a.socket || (a.json && strcmp(a.out, "-") == 0) ||
        !service_is_well_named(&a)) {
        fputs(help, stderr);
        return COFRE_USAGE;
    }
    struct cofre_err err;
    int rc = attest(&a, &err);
    if (rc < 0)
        fprintf(stderr, "cofre attest: %s\n", err.text);
    return -rc;
}
