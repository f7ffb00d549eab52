#include "tdx/report.h"

#include <openssl/evp.h>
#include <string.h>

bool tdx_report_recognises(struct view raw)
{
    return raw.len == TDX_REPORT_SIZE && raw.data[0] == TDX_TEE_TYPE && raw.data[1] == 0;
}

static int check_hash(const uint8_t expected[48], const void *data, size_t len, const char *what,
                      struct cofre_err *err)
{
    uint8_t digest[48];
    if (EVP_Digest(data, len, digest, NULL, EVP_sha384(), NULL) != 1)
        return cofre_fail(err, COFRE_FAILED, "SHA-384 is not available in this OpenSSL");
    return memcmp(digest, expected, sizeof digest) == 0
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "the TDREPORT's hash of %s is not that of its %s", what,
                            what);
}

int tdx_report_parse(struct tdx_report *out, struct view raw, struct cofre_err *err)
{
    if (raw.len != sizeof *out)
        return cofre_fail(err, COFRE_MALFORMED, "a TDREPORT has %zu bytes; this has %zu", sizeof *out,
                          raw.len);
    memcpy(out, raw.data, sizeof *out);
    return 0;
}

int tdx_report_check(const struct tdx_report *report, struct cofre_err *err)
{
    const struct tdx_report_mac *mac = &report->mac;
    if (mac->type != TDX_TEE_TYPE || mac->subtype)
        return cofre_fail(err, COFRE_NEGATIVE, "the report's type is %#x, subtype %u; a TDREPORT's is %#x, 0",
                          mac->type, mac->subtype, TDX_TEE_TYPE);
    if (mac->reserved0 || !bytes_are_zero(mac->reserved1, sizeof mac->reserved1) ||
        !bytes_are_zero(mac->reserved2, sizeof mac->reserved2) ||
        !bytes_are_zero(report->reserved, sizeof report->reserved))
        return cofre_fail(err, COFRE_NEGATIVE, "reserved bytes of the TDREPORT are not zero");
    int rc = check_hash(mac->tee_tcb_info_hash, &report->tcb, sizeof report->tcb, "TEE_TCB_INFO", err);
    return rc < 0 ? rc : check_hash(mac->tee_info_hash, &report->td, sizeof report->td, "TDINFO", err);
}
