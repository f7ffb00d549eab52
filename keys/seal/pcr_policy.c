#include "keys/seal/pcr_policy.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "vmm/base/ecdsa.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"

#define VERSION 1

static bool read_hex(uint8_t *out, size_t len, const json_t *value)
{
    return json_is_string(value) && json_string_length(value) == 2 * len &&
           hex_decode(out, len, json_string_value(value));
}

static int parse_pcrs(uint32_t *out, const json_t *list, struct cofre_err *err)
{
    size_t i;
    const json_t *number;
    *out = 0;
    json_array_foreach(list, i, number)
    {
        const json_int_t pcr = json_is_integer(number) ? json_integer_value(number) : -1;
        if (pcr < 0 || pcr >= PCR_COUNT || *out >> pcr & 1)
            return cofre_fail(err, COFRE_MALFORMED, "pcrs: they are to be numbers from 0 to %d, each once",
                              PCR_COUNT - 1);
        *out |= UINT32_C(1) << pcr;
    }
    return *out ? 0 : cofre_fail(err, COFRE_MALFORMED, "pcrs: there are none");
}

static int parse_approval(struct pcr_approval *out, const json_t *object, struct cofre_err *err)
{
    if (!json_is_object(object) || json_object_size(object) != 3)
        return cofre_fail(err, COFRE_MALFORMED, "it is to have pcrs, digest and signature alone");
    int rc = parse_pcrs(&out->pcrs, json_object_get(object, "pcrs"), err);
    if (rc < 0)
        return rc;
    if (!read_hex(out->digest, sizeof out->digest, json_object_get(object, "digest")) ||
        !read_hex(out->signature, sizeof out->signature, json_object_get(object, "signature")))
        return cofre_fail(err, COFRE_MALFORMED,
                          "digest and signature are to be %d and %d bytes in hexadecimal digits",
                          PCR_DIGEST_SIZE, PCR_SIGNATURE_SIZE);
    return 0;
}

int pcr_policy_parse(struct pcr_policy *out, struct view text, struct cofre_err *err)
{
    CLEAN_JSON *root = NULL;
    *out = (struct pcr_policy){0};
    int rc = json_read(&root, text, COFRE_MALFORMED, err);
    if (rc < 0)
        return rc;
    const json_t *version = json_object_get(root, "cofre_pcr_policy"),
                 *list = json_object_get(root, "approved");
    if (!json_is_integer(version) || json_integer_value(version) != VERSION || json_object_size(root) != 2)
        return cofre_fail(err, COFRE_MALFORMED, "it is no policy of PCRs of version %d", VERSION);
    if (json_array_size(list) < 1 || json_array_size(list) > PCR_APPROVED_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "approved: it is to be a list of 1 to %d", PCR_APPROVED_MAX);
    for (size_t i = 0; i < json_array_size(list); i++) {
        rc = parse_approval(&out->approved[i], json_array_get(list, i), err);
        if (rc < 0)
            return cofre_within(err, rc, "approved %zu", i + 1);
    }
    out->count = json_array_size(list);
    return 0;
}

int pcr_policy_read(struct pcr_policy *out, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES text = {0};
    int rc = file_read(&text, path, PCR_POLICY_FILE_MAX, err);
    if (rc < 0)
        return rc;
    rc = pcr_policy_parse(out, bytes_view(&text), err);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

static json_t *format_approval(const struct pcr_approval *approval)
{
    char digest[2 * PCR_DIGEST_SIZE + 1], signature[2 * PCR_SIGNATURE_SIZE + 1];
    json_t *pcrs = json_array();
    for (int i = 0; i < PCR_COUNT; i++)
        if (approval->pcrs >> i & 1)
            json_array_append_new(pcrs, json_integer(i));
    hex_encode(digest, approval->digest, sizeof approval->digest);
    hex_encode(signature, approval->signature, sizeof approval->signature);
    return json_pack("{s:o, s:s, s:s}", "pcrs", pcrs, "digest", digest, "signature", signature);
}

int pcr_policy_write(const struct pcr_policy *policy, const char *path, struct cofre_err *err)
{
    json_t *list = json_array();
    bool good = true;
    for (size_t i = 0; i < policy->count; i++)
        good = json_array_append_new(list, format_approval(&policy->approved[i])) == 0 && good;
    CLEAN_JSON *root = json_pack("{s:i, s:o}", "cofre_pcr_policy", VERSION, "approved", list);
    char *text = good && root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    int rc = text ? file_write(path, (struct view){(const uint8_t *)text, strlen(text)}, 0644, err)
                  : cofre_fail(err, COFRE_FAILED, "%s: out of memory", path);
    free(text);
    return rc;
}

int pcr_policy_add(struct pcr_policy *policy, const struct pcr_approval *approval, struct cofre_err *err)
{
    size_t at = 0;
    while (at < policy->count &&
           (policy->approved[at].pcrs != approval->pcrs ||
            memcmp(policy->approved[at].digest, approval->digest, sizeof approval->digest) != 0))
        at++;
    if (at == PCR_APPROVED_MAX)
        return cofre_fail(err, COFRE_USAGE, "it has %d approvals, and more it cannot: begin another",
                          PCR_APPROVED_MAX);
    policy->approved[at] = *approval;
    policy->count += at == policy->count;
    return 0;
}

/* Lists as a person types them. */

int pcr_parse_list(uint32_t *pcrs, const char *text, struct cofre_err *err)
{
    *pcrs = 0;
    for (const char *at = text; *at;) {
        char *end;
        const unsigned long pcr = *at >= '0' && *at <= '9' ? strtoul(at, &end, 10) : PCR_COUNT;
        if (pcr >= PCR_COUNT || *pcrs >> pcr & 1 || (*end == ',' ? !end[1] : *end))
            return cofre_fail(err, COFRE_USAGE,
                              "\"%.40s\" is no list of PCRs, as 7,11 is: from 0 to %d, each once", text,
                              PCR_COUNT - 1);
        *pcrs |= UINT32_C(1) << pcr;
        at = end + (*end == ',');
    }
    return *pcrs ? 0 : cofre_fail(err, COFRE_USAGE, "a list of PCRs is to have one at least");
}

void pcr_print_list(char out[static 80], uint32_t pcrs)
{
    size_t used = 0;
    *out = 0;
    for (unsigned i = 0; i < PCR_COUNT; i++)
        if (pcrs >> i & 1)
            used += (size_t)snprintf(out + used, 80 - used, "%s%u", used ? "," : "", i);
}

/* The TPM's forms */

void pcr_selection(TPML_PCR_SELECTION *out, uint32_t pcrs)
{
    *out = (TPML_PCR_SELECTION){.count = 1};
    out->pcrSelections[0] =
        (TPMS_PCR_SELECTION){.hash = TPM2_ALG_SHA256,
                             .sizeofSelect = 3,
                             .pcrSelect = {(uint8_t)pcrs, (uint8_t)(pcrs >> 8), (uint8_t)(pcrs >> 16)}};
}

int pcr_approved_policy(TPM2B_DIGEST *out, const struct pcr_approval *approval, struct cofre_err *err)
{
    TPML_PCR_SELECTION selection;
    uint8_t text[PCR_DIGEST_SIZE + 128] = {0}; /* the policy before it: zeros */
    size_t used = PCR_DIGEST_SIZE;
    pcr_selection(&selection, approval->pcrs);
    if (Tss2_MU_TPM2_CC_Marshal(TPM2_CC_PolicyPCR, text, sizeof text, &used) != TSS2_RC_SUCCESS ||
        Tss2_MU_TPML_PCR_SELECTION_Marshal(&selection, text, sizeof text, &used) != TSS2_RC_SUCCESS ||
        used + PCR_DIGEST_SIZE > sizeof text)
        return cofre_fail(err, COFRE_FAILED, "a selection of PCRs could not be written as a TPM has it");
    memcpy(text + used, approval->digest, PCR_DIGEST_SIZE);
    *out = (TPM2B_DIGEST){.size = PCR_DIGEST_SIZE};
    return EVP_Digest(text, used + PCR_DIGEST_SIZE, out->buffer, NULL, EVP_sha256(), NULL) == 1
               ? 0
               : cofre_fail(err, COFRE_FAILED, "SHA-256 failed");
}

int pcr_approve(struct pcr_approval *approval, EVP_PKEY *owner, struct cofre_err *err)
{
    TPM2B_DIGEST policy;
    uint8_t text[PCR_DIGEST_SIZE + sizeof PCR_POLICY_REF - 1];
    if (!ecdsa_is_key(&ecdsa_p256, owner))
        return cofre_fail(err, COFRE_USAGE, "PCRs are approved by a key of P-256");
    int rc = pcr_approved_policy(&policy, approval, err);
    if (rc < 0)
        return rc;
    memcpy(text, policy.buffer, PCR_DIGEST_SIZE);
    memcpy(text + PCR_DIGEST_SIZE, PCR_POLICY_REF, sizeof PCR_POLICY_REF - 1);
    return ecdsa_sign(approval->signature, &ecdsa_p256, owner, (struct view){text, sizeof text}, err);
}
