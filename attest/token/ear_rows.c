#include "attest/token/ear_rows.h"

#include <string.h>

/* Values of AR4SI that more than one tier's generic value says. */
enum {
    RECOGNISED = 2,
    BOOT_RECOGNISED = 3, /* executables: what was loaded at start, not all that runs */
    GENERIC = 31,        /* affirming, for less than the best reason */
    VULNERABLE = 32,
    NOT_RECOGNISED = 33, /* executables */
    NOT_EVALUABLE = 36,  /* configuration */
    UNACCEPTABLE = 96,
    NO_HARDWARE = 97, /* hardware and instance: none that is known or allowed */
    CRYPTO_FAILED = 99,
};

#define S EAR_SILENT
#define LAST                                                                                                 \
    {                                                                                                        \
        .member = EAR_ALL, .value = { S, S, S, S }                                                           \
    }
#define SAYS(name, ...) static const struct ear_says name[] = {__VA_ARGS__, LAST}

/*                               passed           failed         unjudged       skipped */
SAYS(genuine, {EAR_ALL, {S, CRYPTO_FAILED, EAR_NONE, S}},
     {EAR_HARDWARE, {RECOGNISED, CRYPTO_FAILED, EAR_NONE, S}});
SAYS(fresh, {EAR_ALL, {S, CRYPTO_FAILED, EAR_NONE, S}});
SAYS(known, {EAR_HARDWARE, {RECOGNISED, NO_HARDWARE, EAR_NONE, S}});
SAYS(revoked, {EAR_ALL, {S, CRYPTO_FAILED, EAR_NONE, S}},
     {EAR_HARDWARE, {RECOGNISED, CRYPTO_FAILED, EAR_NONE, GENERIC}});
SAYS(tcb, {EAR_HARDWARE, {RECOGNISED, UNACCEPTABLE, EAR_NONE, S}});
SAYS(min_tcb, {EAR_HARDWARE, {RECOGNISED, UNACCEPTABLE, EAR_NONE, GENERIC}});
SAYS(config, {EAR_CONFIGURATION, {RECOGNISED, UNACCEPTABLE, NOT_EVALUABLE, S}});
SAYS(debug, {EAR_CONFIGURATION, {RECOGNISED, UNACCEPTABLE, NOT_EVALUABLE, S}},
     {EAR_RUNTIME_OPAQUE, {RECOGNISED, UNACCEPTABLE, EAR_NONE, S}});
SAYS(opaque, {EAR_CONFIGURATION, {RECOGNISED, UNACCEPTABLE, NOT_EVALUABLE, S}},
     {EAR_RUNTIME_OPAQUE, {S, UNACCEPTABLE, EAR_NONE, S}});
SAYS(image, {EAR_EXECUTABLES, {BOOT_RECOGNISED, UNACCEPTABLE, EAR_NONE, NOT_RECOGNISED}});
SAYS(vouched, {EAR_EXECUTABLES, {S, UNACCEPTABLE, EAR_NONE, S}});
SAYS(owner, {EAR_INSTANCE_IDENTITY, {RECOGNISED, NO_HARDWARE, EAR_NONE, S}});
#undef S

const struct ear_row ear_rows[] = {
    {"snp.version", genuine},
    {"snp.reserved", genuine},
    {"snp.unknown_bits", config},
    {"snp.signature_algorithm", genuine},
    {"snp.signature_format", genuine},
    {"snp.signature", genuine},
    {"snp.signing_key", genuine},
    {"snp.author_key_flag", genuine},
    {"snp.ark", known},
    {"snp.ask", genuine},
    {"snp.leaf", genuine},
    {"snp.names", genuine},
    {"snp.validity", genuine},
    {"snp.revocation", revoked},
    {"snp.leaf_extensions", genuine},
    {"snp.product", known},
    {"snp.leaf_tcb", genuine},
    {"snp.chip_id", genuine},
    {"snp.tcb_order", tcb},
    {"snp.min_tcb.reported", min_tcb},
    {"snp.min_tcb.committed", tcb},
    {"snp.min_tcb.launch", tcb},
    {"snp.min_tcb.current", tcb},
    {"snp.provisional_firmware", tcb},
    {"snp.mitigations", tcb},
    {"snp.guest_policy.debug", debug},
    {"snp.guest_policy.migrate_ma", opaque},
    {"snp.guest_policy.smt", config},
    {"snp.guest_policy.single_socket", config},
    {"snp.guest_policy.cxl", config},
    {"snp.guest_policy.aes_256_xts", config},
    {"snp.guest_policy.rapl_disable", config},
    {"snp.guest_policy.ciphertext_hiding", config},
    {"snp.guest_policy.page_swap_disable", config},
    {"snp.guest_policy.abi", config},
    {"snp.platform_info.smt", config},
    {"snp.platform_info.tsme", config},
    {"snp.platform_info.ecc", config},
    {"snp.platform_info.rapl_disabled", config},
    {"snp.platform_info.ciphertext_hiding", config},
    {"snp.platform_info.alias_check", config},
    {"snp.platform_info.iommu_write_safe", config},
    {"snp.platform_info.tio", config},
    {"snp.vmpl", config},
    {"snp.measurement", image},
    {"snp.reference", vouched},
    {"snp.host_data", config},
    {"snp.family_id", vouched},
    {"snp.image_id", vouched},
    {"snp.guest_svn", vouched},
    {"snp.report_data", fresh},
    {"snp.nonce", fresh},
    {"snp.vtpm_key", config},
    {"snp.report_id", owner},
    {"snp.report_id_ma", owner},
    {"snp.id_key", vouched},
    {"snp.author_key", vouched},
    {"snp.allowed_chip", owner},
    {"snp.allowed_csp", owner},
    {"snp.allowed_product", known},

    {"tdx.key_type", genuine},
    {"tdx.vendor", genuine},
    {"tdx.reserved", genuine},
    {"tdx.trailing", genuine},
    {"tdx.signature_format", genuine},
    {"tdx.attestation_key", genuine},
    {"tdx.signature", genuine},
    {"tdx.qe_report_data", genuine},
    {"tdx.qe_signature", genuine},
    {"tdx.root", known},
    {"tdx.pck_ca", genuine},
    {"tdx.pck", genuine},
    {"tdx.names", genuine},
    {"tdx.validity", genuine},
    {"tdx.revocation.pck_ca", revoked},
    {"tdx.revocation.pck", revoked},
    {"tdx.pck_extensions", genuine},
    {"tdx.tcb_info_signer", genuine},
    {"tdx.tcb_info_signature", genuine},
    {"tdx.tcb_info_window", genuine},
    {"tdx.tcb_info_evaluation_number", tcb},
    {"tdx.fmspc", known},
    {"tdx.pce_id", known},
    {"tdx.qe_identity_signer", genuine},
    {"tdx.qe_identity_signature", genuine},
    {"tdx.qe_identity_window", genuine},
    {"tdx.qe_identity_evaluation_number", tcb},
    {"tdx.qe_mrsigner", genuine},
    {"tdx.qe_product", genuine},
    {"tdx.qe_miscselect", genuine},
    {"tdx.qe_attributes", genuine},
    {"tdx.module_signer", known},
    {"tdx.module_attributes", known},
    {"tdx.tcb_level", tcb},
    {"tdx.tcb_status", tcb},
    {"tdx.tcb_date", tcb},
    {"tdx.advisories", tcb},
    {"tdx.event_log", config},
    {"tdx.event_log_replay", vouched},
    {"tdx.event_data", vouched},
    {"tdx.events", vouched},
    {"tdx.td_attributes.debug", debug},
    {"tdx.td_attributes.migratable", opaque},
    {"tdx.td_attributes.sept_ve_disable", config},
    {"tdx.td_attributes.pks", config},
    {"tdx.td_attributes.kl", config},
    {"tdx.td_attributes.perfmon", config},
    {"tdx.unknown_bits", config},
    {"tdx.xfam", config},
    {"tdx.mrseam", known},
    {"tdx.mrsignerseam", known},
    {"tdx.seam_attributes", known},
    {"tdx.min_tee_tcb_svn", tcb},
    {"tdx.mrservicetd", opaque},
    {"tdx.mrtd", image},
    {"tdx.reference", vouched},
    {"tdx.rtmr0", vouched},
    {"tdx.rtmr1", image},
    {"tdx.rtmr2", image},
    {"tdx.rtmr3", vouched},
    {"tdx.mrconfigid", config},
    {"tdx.mrowner", config},
    {"tdx.mrownerconfig", config},
    {"tdx.report_data", fresh},
    {"tdx.nonce", fresh},
    {"tdx.platform_instance", owner},
    {"tdx.platform.dynamic_platform", config},
    {"tdx.platform.cached_keys", config},
    {"tdx.platform.smt", config},
};
const size_t ear_row_count = sizeof ear_rows / sizeof *ear_rows;

/* What a TCB status says of a platform whose owner accepts it: nobody's policy makes it better. */
static const struct {
    const char *status;
    int8_t hardware, configuration;
} statuses[] = {
    {"UpToDate", RECOGNISED, EAR_SILENT},
    {"SWHardeningNeeded", VULNERABLE, EAR_SILENT},
    {"ConfigurationNeeded", EAR_SILENT, VULNERABLE},
    {"ConfigurationAndSWHardeningNeeded", VULNERABLE, VULNERABLE},
    {"OutOfDate", VULNERABLE, EAR_SILENT},
    {"OutOfDateConfigurationNeeded", VULNERABLE, VULNERABLE},
    {"TDRelaunchAdvised", VULNERABLE, EAR_SILENT},
    {"TDRelaunchAdvisedConfigurationNeeded", VULNERABLE, VULNERABLE},
    {"Revoked", UNACCEPTABLE, EAR_SILENT},
};

/* Round the table, from there on: checks come nearly in its order, so that the one after the last found is mostly the next. */
static const struct ear_row *find_from(size_t start, const char *id)
{
    for (size_t i = 0; i < ear_row_count; i++) {
        const struct ear_row *row = &ear_rows[(start + i) % ear_row_count];
        if (strcmp(row->id, id) == 0)
            return row;
    }
    return NULL;
}

const struct ear_row *ear_row_find(const char *id)
{
    return find_from(0, id);
}

bool ear_says_ends(const struct ear_says *says)
{
    for (int i = 0; i < 4; i++)
        if (says->value[i] != EAR_SILENT)
            return false;
    return true;
}

static void say_member(struct ear_vector *v, int member, int8_t value)
{
    if (value == EAR_SILENT)
        return;
    v->value[member] = v->has[member] ? ear_worse(v->value[member], value) : value;
    v->has[member] = true;
}

/* What is said of all is kept until it is known which are asserted. */
static void say_check(struct ear_vector *v, int8_t *all, const struct check_result *check,
                      const struct ear_row *row)
{
    for (const struct ear_says *says = row ? row->says : genuine; !ear_says_ends(says); says++) {
        int8_t value = says->value[check->outcome];
        if (says->member != EAR_ALL)
            say_member(v, says->member, value);
        else if (value != EAR_SILENT)
            *all = *all == EAR_SILENT ? value : ear_worse(*all, value);
    }
}

static bool passed(const struct verdict *verdict, const char *id)
{
    const struct check_result *check = verdict_check(verdict, id);
    return check && check->outcome == CHECK_PASSED;
}

/* The bit that lets the host read the guest, as the evidence has it: a policy may allow either. */
static void say_debugging(struct ear_vector *v, const json_t *claims)
{
    const json_t *bits = json_object_get(claims, "policy");
    const json_t *bit = json_object_get(bits ? bits : json_object_get(claims, "td_attributes"), "debug");
    if (json_is_true(bit))
        say_member(v, EAR_CONFIGURATION, VULNERABLE);
    if (json_is_boolean(bit))
        say_member(v, EAR_RUNTIME_OPAQUE, json_is_true(bit) ? UNACCEPTABLE : RECOGNISED);
}

static void say_special(struct ear_vector *v, const struct verdict *verdict)
{
    for (size_t i = 0; verdict->tcb_status && i < sizeof statuses / sizeof *statuses; i++)
        if (strcmp(statuses[i].status, verdict->tcb_status) == 0) {
            say_member(v, EAR_HARDWARE, statuses[i].hardware);
            say_member(v, EAR_CONFIGURATION, statuses[i].configuration);
        }
    say_debugging(v, verdict->claims);
    if (v->value[EAR_EXECUTABLES] == BOOT_RECOGNISED && passed(verdict, "tdx.event_log_replay"))
        v->value[EAR_EXECUTABLES] = RECOGNISED;
    if (verdict->emulated) {
        say_member(v, EAR_HARDWARE, UNACCEPTABLE);
        say_member(v, EAR_RUNTIME_OPAQUE, UNACCEPTABLE);
    }
}

void ear_vector_of(struct ear_vector *out, const struct verdict *verdict)
{
    static const enum ear_member always[] = {EAR_CONFIGURATION, EAR_EXECUTABLES, EAR_HARDWARE,
                                             EAR_RUNTIME_OPAQUE};
    int8_t all = EAR_SILENT;
    size_t next = 0;
    *out = (struct ear_vector){0};
    for (size_t i = 0; i < verdict->count; i++) {
        const struct ear_row *row = find_from(next, verdict->check[i].id);
        next = row ? (size_t)(row - ear_rows) + 1 : next;
        say_check(out, &all, &verdict->check[i], row);
    }
    say_special(out, verdict);
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        out->has[always[i]] = true; /* what nobody spoke of is 0, no claim */
    for (int i = 0; i < EAR_MEMBERS; i++)
        if (out->has[i])
            say_member(out, i, all);
}
