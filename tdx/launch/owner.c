#include "tdx/launch/owner.h"

#include <string.h>

#include "tdx/attributes.h"

/* Linux refuses to boot without SEPT_VE_DISABLE: with it a host cannot make an accepted page disappear unnoticed. */
void tdx_owner_init(struct tdx_owner *owner)
{
    *owner = (struct tdx_owner){.attributes = TDX_ATTR_SEPT_VE_DISABLE};
}

static int option_attributes(struct tdx_owner *owner, const char *value, struct cofre_err *err)
{
    owner->attributes_given = true;
    return tdx_bits_parse(&owner->attributes, tdx_attribute_names, value, err);
}

static int option_xfam(struct tdx_owner *owner, const char *value, struct cofre_err *err)
{
    owner->xfam_given = true;
    int rc = tdx_bits_parse(&owner->xfam, tdx_xfam_names, value, err);
    owner->xfam |= TDX_XFAM_FIXED1;
    return rc;
}

static int take_digest(uint8_t out[TDX_DIGEST_SIZE], const char *value, struct cofre_err *err)
{
    if (!hex_decode(out, TDX_DIGEST_SIZE, value))
        return cofre_fail(err, COFRE_USAGE, "must be %u hexadecimal digits", 2 * TDX_DIGEST_SIZE);
    return 0;
}

static int option_mrconfigid(struct tdx_owner *owner, const char *value, struct cofre_err *err)
{
    return take_digest(owner->mrconfigid, value, err);
}

static int option_mrowner(struct tdx_owner *owner, const char *value, struct cofre_err *err)
{
    return take_digest(owner->mrowner, value, err);
}

static int option_mrownerconfig(struct tdx_owner *owner, const char *value, struct cofre_err *err)
{
    return take_digest(owner->mrownerconfig, value, err);
}

static int option_expect_rtmr(struct tdx_owner *owner, const char *value, struct cofre_err *err)
{
    unsigned i = (unsigned)(value[0] - '0');
    if (i >= TDX_RTMRS || value[1] != ':')
        return cofre_fail(err, COFRE_USAGE, "must be a register from 0 to %u, a colon, and its value",
                          TDX_RTMRS - 1);
    owner->expects_rtmr[i] = true;
    return take_digest(owner->expected_rtmr[i], value + 2, err);
}

static int option_quote_service(struct tdx_owner *owner, const char *value, struct cofre_err *err)
{
    if (strncmp(value, "unix:", 5) != 0 && strncmp(value, "vsock:", 6) != 0)
        return cofre_fail(err, COFRE_USAGE, "must be unix:PATH or vsock:CID:PORT");
    owner->quote_service = value;
    return 0;
}

const struct tee_option tdx_owner_options[] = {
    {"attributes", "NAMES",
     "TD attributes: names (sept-ve-disable,perfmon,pks,...) or a number; default sept-ve-disable"},
    {"xfam", "NAMES",
     "extended features: names (avx,avx512,amx,...) or a number; default all that the host has"},
    {"mrconfigid", "HEX", "48 bytes that the report carries: the configuration's identity"},
    {"mrowner", "HEX", "48 bytes that the report carries: the owner's identity"},
    {"mrownerconfig", "HEX", "48 bytes that the report carries: the owner's configuration"},
    {"expect-rtmr", "N:HEX",
     "do not start a guest that will boot with another value of RTMR N; may be repeated"},
    {"quote-service", "A", "unix:PATH or vsock:CID:PORT; default unix:/var/run/tdx-qgs/qgs.socket"},
    {0},
};

static int (*const option_setters[])(struct tdx_owner *, const char *, struct cofre_err *) = {
    option_attributes,    option_xfam,        option_mrconfigid,    option_mrowner,
    option_mrownerconfig, option_expect_rtmr, option_quote_service,
};

int tdx_owner_set_option(struct tdx_owner *owner, const char *name, const char *value, struct cofre_err *err)
{
    for (size_t i = 0; tdx_owner_options[i].name; i++)
        if (strcmp(tdx_owner_options[i].name, name) == 0) {
            int rc = option_setters[i](owner, value, err);
            return rc < 0 ? cofre_within(err, rc, "--%s %s", name, value) : 0;
        }
    return cofre_fail(err, COFRE_USAGE, "--%s is no option of a TDX guest", name);
}

int tdx_owner_check_registers(const struct tdx_owner *owner, const struct tee_measurement *rtmr,
                              struct cofre_err *err)
{
    char predicted[2 * TDX_DIGEST_SIZE + 1];
    for (unsigned i = 0; i < TDX_RTMRS; i++) {
        if (!owner->expects_rtmr[i] || memcmp(owner->expected_rtmr[i], rtmr[i].value, TDX_DIGEST_SIZE) == 0)
            continue;
        hex_encode(predicted, rtmr[i].value, TDX_DIGEST_SIZE);
        return cofre_fail(
            err, COFRE_NEGATIVE,
            "--expect-rtmr: this guest would boot with %s %s, not the one expected; nothing was started",
            rtmr[i].name, predicted);
    }
    return 0;
}

int tdx_owner_expects_no_register(const struct tdx_owner *owner, struct cofre_err *err)
{
    for (unsigned i = 0; i < TDX_RTMRS; i++)
        if (owner->expects_rtmr[i])
            return cofre_fail(err, COFRE_USAGE,
                              "--expect-rtmr goes without --firmware or --igvm: what a firmware measures "
                              "into RTMRs is known when "
                              "it has run; name them in the policy of the verifier, or replay the event log");
    return 0;
}

int tdx_owner_fit(struct tdx_owner *owner, uint64_t supported_attributes, uint64_t supported_xfam,
                  struct cofre_err *err)
{
    char names[TDX_BITS_TEXT_SIZE];
    if (!owner->xfam_given)
        owner->xfam = supported_xfam;
    uint64_t attributes = owner->attributes & ~supported_attributes, xfam = owner->xfam & ~supported_xfam;
    if (attributes) {
        tdx_bits_format(names, tdx_attribute_names, attributes);
        return cofre_fail(err, COFRE_LACKING, "--attributes: this host's KVM does not allow %s", names);
    }
    if (xfam) {
        tdx_bits_format(names, tdx_xfam_names, xfam);
        return cofre_fail(err, COFRE_LACKING, "--xfam: this host does not have %s", names);
    }
    return 0;
}
