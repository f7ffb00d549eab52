#include "tdx/quote.h"

#include <inttypes.h>
#include <string.h>

const uint8_t tdx_quote_intel_qe[16] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                        0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};

size_t tdx_quote_body_size(unsigned type)
{
    static const size_t sizes[] = {[TDX_BODY_10] = offsetof(struct tdx_quote_body, tee_tcb_svn_2),
                                   [TDX_BODY_15] = offsetof(struct tdx_quote_body, vmid),
                                   [TDX_BODY_15_EX] = sizeof(struct tdx_quote_body)};
    return type < sizeof sizes / sizeof *sizes ? sizes[type] : 0;
}

bool tdx_quote_recognises(struct view raw)
{
    const struct tdx_quote_head *head = (const struct tdx_quote_head *)raw.data;
    return raw.len >= sizeof *head && le16(head->version) >= TDX_QUOTE_VERSION_MIN &&
           le16(head->version) <= TDX_QUOTE_VERSION_MAX && le32(head->tee_type) == TDX_TEE_TYPE;
}

/* Takes len bytes off the front of *rest. */
static int take(struct view *out, struct view *rest, uint64_t len, const char *what, struct cofre_err *err)
{
    if (!view_sub(*rest, 0, len, out))
        return cofre_fail(err, COFRE_MALFORMED,
                          "the quote's %s has %" PRIu64 " bytes, and %zu are left of it", what, len,
                          rest->len);
    *rest = (struct view){rest->data + len, rest->len - len};
    return 0;
}

/* The same, of a structure whose bytes need no alignment. */
#define TAKE(to, rest, what, err)                                                                            \
    __extension__({                                                                                          \
        struct view part_;                                                                                   \
        int rc_ = take(&part_, rest, sizeof *(to), what, err);                                               \
        (to) = (const void *)part_.data;                                                                     \
        rc_;                                                                                                 \
    })

/* The descriptor of version 5; version 4 has bodies of TDX 1.0 alone. */
static int take_body_type(struct tdx_quote *out, struct view *rest, struct cofre_err *err)
{
    const struct tdx_quote_body_desc *desc = NULL;
    out->body_type = TDX_BODY_10;
    out->body_size = tdx_quote_body_size(TDX_BODY_10);
    if (out->version < 5)
        return 0;
    int rc = TAKE(desc, rest, "body descriptor", err);
    if (rc < 0)
        return rc;
    unsigned type = le16(desc->type);
    size_t size = tdx_quote_body_size(type);
    if (size == 0)
        return cofre_fail(err, COFRE_MALFORMED,
                          "the quote's body has type %u; those of trust domains are %d to %d", type,
                          TDX_BODY_10, TDX_BODY_15_EX);
    if (le32(desc->size) != size)
        return cofre_fail(err, COFRE_MALFORMED,
                          "the quote's body has %" PRIu32 " bytes; one of type %u has %zu", le32(desc->size),
                          type, size);
    out->body_type = (enum tdx_quote_body_type)type;
    out->body_size = size;
    return 0;
}

static int take_body(struct tdx_quote *out, struct view *rest, struct cofre_err *err)
{
    struct view body;
    int rc = take_body_type(out, rest, err);
    if (rc == 0)
        rc = take(&body, rest, out->body_size, "body", err);
    if (rc == 0)
        out->body = (const struct tdx_quote_body *)body.data;
    return rc;
}

/* Certification data of a part that must hold exactly it. */
static int take_certification(unsigned *type, struct view *data, struct view *rest, const char *what,
                              struct cofre_err *err)
{
    const struct tdx_certification_head *head;
    int rc = TAKE(head, rest, what, err);
    if (rc == 0)
        rc = take(data, rest, le32(head->size), what, err);
    if (rc < 0)
        return rc;
    *type = le16(head->type);
    return rest->len == 0
               ? 0
               : cofre_fail(err, COFRE_MALFORMED, "the quote's %s ends %zu bytes before the part it is in",
                            what, rest->len);
}

static int take_qe(struct tdx_quote *out, struct view rest, struct cofre_err *err)
{
    struct view len;
    int rc = TAKE(out->qe, &rest, "report of the quoting enclave", err);
    if (rc == 0)
        rc = take(&len, &rest, 2, "length of authentication data", err);
    if (rc == 0)
        rc = take(&out->qe_auth_data, &rest, le16(len.data), "authentication data", err);
    if (rc == 0)
        rc = take_certification(&out->certification_type, &out->certification, &rest,
                                "PCK certification data", err);
    return rc;
}

static int take_signature(struct tdx_quote *out, struct view rest, struct cofre_err *err)
{
    unsigned type;
    struct view qe;
    int rc = TAKE(out->signature, &rest, "signature and attestation key", err);
    if (rc == 0)
        rc = take_certification(&type, &qe, &rest, "certification data", err);
    if (rc < 0)
        return rc;
    if (type != TDX_CERTIFICATION_QE_REPORT)
        return cofre_fail(
            err, COFRE_MALFORMED,
            "the quote's certification data has type %u; %d (report of the quoting enclave) is due", type,
            TDX_CERTIFICATION_QE_REPORT);
    return take_qe(out, qe, err);
}

int tdx_quote_parse(struct tdx_quote *out, struct view raw, struct cofre_err *err)
{
    struct view rest = raw, len, signature;
    *out = (struct tdx_quote){0};
    if (raw.len > TDX_QUOTE_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "%zu bytes are too many for a quote", raw.len);
    int rc = TAKE(out->head, &rest, "header", err);
    if (rc < 0)
        return rc;
    if (!tdx_quote_recognises(raw))
        return cofre_fail(err, COFRE_MALFORMED,
                          "a quote of version %u for TEE type %#" PRIx32
                          "; versions %d and %d for TDX (%#x) are known",
                          le16(out->head->version), le32(out->head->tee_type), TDX_QUOTE_VERSION_MIN,
                          TDX_QUOTE_VERSION_MAX, TDX_TEE_TYPE);
    out->version = le16(out->head->version);
    rc = take_body(out, &rest, err);
    if (rc < 0)
        return rc;
    out->signed_bytes = (struct view){raw.data, (size_t)(rest.data - raw.data)};
    rc = take(&len, &rest, 4, "length of the signature section", err);
    if (rc == 0)
        rc = take(&signature, &rest, le32(len.data), "signature section", err);
    if (rc < 0)
        return rc;
    out->trailing = rest;
    return take_signature(out, signature, err);
}
