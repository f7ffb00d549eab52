#include "vmm/host/interface/schemas.h"

#include "vmm/host/interface/schemas_parts.h"

#define OPERATIONS_LISTED_MAX 64

/* Roles and who has them */

static const struct schema_shape operation_shape = CHECKED(SCHEMA_IS_OPERATION);

static const struct schema_member role[] = {
    {"operations", LIST(1, OPERATIONS_LISTED_MAX, operation_shape), true,
     "what it may: names of operations, or \"guest.*\", or \"*\""},
    {"help", TEXT(0, 256), false, "what it is for"},
    END,
};
const struct schema schema_role = {"Role", "What a role may.", role, NULL};

static const struct schema_member grant[] = {
    {"identity", TEXT(1, 335), true,
     "\"user:\", \"cert:\", \"key:\", \"uid:\", \"gid:\", \"oidc:\" or \"group:\" and a name of that kind"},
    {"role", NAME, true, "that it gets"},
    {"tenant", NAME, false, "where it has the role; everywhere where it is not said"},
    {"labels", LABELS, false, "of the guests that it is for; all where it is not said"},
    {"deny", BOOLEAN, false, "whether the role's operations are denied instead, whatever else is granted"},
    {"until", TIME, false, "when it ends; it does not, where it is not said"},
    END,
};
const struct schema schema_grant = {"Grant", "A role of an identity.", grant, NULL};

static const struct schema_member of_tenant[] = {
    {"tenant", NAME, false, "whose it is; the host's where it is not said"},
    END,
};
const struct schema schema_of_tenant = {"OfTenant", "Whose.", of_tenant, NULL};

static const struct schema_member grants_query[] = {
    {"tenant", NAME, false, "only those of it"},
    {"after", CHECKED(SCHEMA_IS_NUMBER), false, "the last number of the page before"},
    {"limit", NUMBER(1, 1000), false, "how many at most; 100 where it is not said"},
    END,
};
const struct schema schema_grants_query = {"GrantsQuery", "Which are listed.", grants_query, NULL};

static const struct schema_member refusal[] = {
    {"reason", TEXT(0, 512), false, "for the log, and for who asked"},
    END,
};
const struct schema schema_refusal = {"Refusal", "Why it is refused.", refusal, NULL};

/* Constraints on launch */

static const char *const tees[] = {"none", "snp", "tdx", NULL}, *const bits[] = {"required", "forbidden",
                                                                                 "any", NULL};
static const struct schema_shape tee_shape = WORD(tees), measurement_shape = HEX(48, 48),
                                 digest_shape = DIGEST, host_data_shape = HEX(32, 32),
                                 config_shape = HEX(48, 48);

/* As attest/policy.h names them; a test compares them. */
#define BIT(name, of)                                                                                        \
    {                                                                                                        \
        name, WORD(bits), false, of                                                                          \
    }
#define OF_POLICY     "SNP: this bit of the guest's policy"
#define OF_ATTRIBUTES "TDX: this bit of the guest's attributes"
static const struct schema_member guest_policy[] = {BIT("debug", OF_POLICY),
                                                    BIT("migrate_ma", OF_POLICY),
                                                    BIT("smt", OF_POLICY),
                                                    BIT("single_socket", OF_POLICY),
                                                    BIT("cxl", OF_POLICY),
                                                    BIT("aes_256_xts", OF_POLICY),
                                                    BIT("rapl_disable", OF_POLICY),
                                                    BIT("ciphertext_hiding", OF_POLICY),
                                                    BIT("page_swap_disable", OF_POLICY),
                                                    END};
static const struct schema schema_guest_policy = {
    "GuestPolicyBits",
    "Bits of an SNP guest's policy; debug and migrate_ma are forbidden where nothing is said.", guest_policy,
    NULL};
static const struct schema_member td_attributes[] = {BIT("debug", OF_ATTRIBUTES),
                                                     BIT("migratable", OF_ATTRIBUTES),
                                                     BIT("sept_ve_disable", OF_ATTRIBUTES),
                                                     BIT("pks", OF_ATTRIBUTES),
                                                     BIT("kl", OF_ATTRIBUTES),
                                                     BIT("perfmon", OF_ATTRIBUTES),
                                                     END};
static const struct schema schema_td_attributes = {"TdAttributes",
                                                   "Attributes of a TD; debug and migratable are forbidden, "
                                                   "sept_ve_disable is required where nothing is said.",
                                                   td_attributes, NULL};

static const struct schema_member constraints[] = {
    {"tees", LIST(1, 3, tee_shape), false, "that a guest may have; all where it is not said"},
    {"emulated", BOOLEAN, false, "whether an emulated TEE may be used; not, where it is not said"},
    {"measurements", LIST(1, 256, measurement_shape), false,
     "launch digests or MRTDs that may run; any, and plain guests, where it is not said"},
    {"rtmr0", LIST(1, 256, measurement_shape), false, "TDX: what RTMR 0 may be at the start"},
    {"rtmr1", LIST(1, 256, measurement_shape), false, "TDX: what RTMR 1 may be at the start"},
    {"rtmr2", LIST(1, 256, measurement_shape), false, "TDX: what RTMR 2 may be at the start"},
    {"rtmr3", LIST(1, 256, measurement_shape), false, "TDX: what RTMR 3 may be at the start"},
    {"kernels", LIST(1, 256, digest_shape), false, "images that may be a guest's kernel"},
    {"initrds", LIST(1, 256, digest_shape), false,
     "images that may be a guest's initial RAM disk, which it must have"},
    {"guest_policy", OBJECT(schema_guest_policy), false, NULL},
    {"td_attributes", OBJECT(schema_td_attributes), false, NULL},
    {"host_data", LIST(1, 64, host_data_shape), false,
     "SNP: what the guest's host data may be; one alone is put where a definition has none"},
    {"mrconfigid", LIST(1, 64, config_shape), false,
     "TDX: what MRCONFIGID may be; one alone is put where a definition has none"},
    {"mrowner", LIST(1, 64, config_shape), false,
     "TDX: what MROWNER may be; one alone is put where a definition has none"},
    {"id_block", BOOLEAN, false, "SNP: whether a guest must bring an ID block"},
    {"expect", BOOLEAN, false, "whether a guest's definition must say what it is measured as"},
    {"approval", LIST(0, 64, operation_shape), false,
     "dangerous operations that need somebody else's approval in this tenant; with any, constraint.set does "
     "as well"},
    END,
};
const struct schema schema_constraints = {"Constraints", "What a guest must be to be started.", constraints,
                                          NULL};

/* The log and events */

static const char *const entry_kinds[] = {"launch", "operation", NULL};
static const struct schema_member entries[] = {
    {"tenant", NAME, false, "only those of it"},
    {"from", CHECKED(SCHEMA_IS_TIME), false, "not before"},
    {"to", CHECKED(SCHEMA_IS_TIME), false, "before"},
    {"operation", CHECKED(SCHEMA_IS_OPERATION), false, "only those of it"},
    {"guest", NAME, false, "only those of it"},
    {"who", TEXT(1, 384), false, "only what this caller asked for"},
    {"kind", WORD(entry_kinds), false, "only launches; or only operations"},
    {"differing", BOOLEAN, false, "only launches whose measurements are not all the same"},
    {"newest", BOOLEAN, false, "the newest first, by their times"},
    {"after", CHECKED(SCHEMA_IS_NUMBER), false, "the last number of the page before"},
    {"limit", NUMBER(1, 1000), false, "how many at most; 100 where it is not said"},
    END,
};
const struct schema schema_entries_query = {"EntriesQuery", "Which entries are read.", entries, NULL};

static const struct schema_member retain[] = {
    {"before", NUMBER(2, 0), true,
     "the lowest number that stays; those below it go, but for the first entry"},
    END,
};
const struct schema schema_retain = {"Retain", "Which entries of the log are removed.", retain, NULL};

static const struct schema_member proof[] = {
    {"size", NUMBER(1, 0), false, "of the head that it is under; the newest where it is not said"},
    END,
};
const struct schema schema_proof_query = {"ProofQuery", "Under which head.", proof, NULL};

static int consistency_rule(const json_t *query, struct cofre_err *err)
{
    return member_unsigned(query, "first", 0) <= member_unsigned(query, "second", UINT64_MAX)
               ? 0
               : cofre_fail(err, COFRE_MALFORMED, "first: it is greater than second");
}

static const struct schema_member consistency[] = {
    {"first", NUMBER(1, 0), true, "size of the earlier head"},
    {"second", NUMBER(1, 0), false, "size of the later one; the newest where it is not said"},
    END,
};
const struct schema schema_consistency_query = {"ConsistencyQuery", "Between which heads.", consistency,
                                                consistency_rule};

static const struct schema_member events[] = {
    {"tenant", NAME, false, "only those of it; all that the caller may see where it is not said"},
    {"after", CHECKED(SCHEMA_IS_NUMBER), false, "the last event's number that the caller has"},
    END,
};
const struct schema schema_events_query = {"EventsQuery", "Which events.", events, NULL};
