#include "vmm/host/schemas.h"

#include "vmm/host/schemas_parts.h"

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

static const char *const tees[] = {"none", "snp", "tdx", NULL};
static const struct schema_shape tee_shape = WORD(tees), measurement_shape = HEX(48, 48),
                                 digest_shape = DIGEST, host_data_shape = HEX(32, 32);

static const struct schema_member constraints[] = {
    {"tees", LIST(1, 3, tee_shape), false, "that a guest may have; all where it is not said"},
    {"emulated", BOOLEAN, false, "whether an emulated TEE may be used; not, where it is not said"},
    {"measurements", LIST(0, 256, measurement_shape), false,
     "launch digests or MRTDs that may run; any where it is not said"},
    {"kernels", LIST(0, 256, digest_shape), false, "images that may be a guest's kernel"},
    {"policy_set", BITS, false, "SNP: bits of the guest's policy that must be set"},
    {"policy_clear", BITS, false, "SNP: bits of the guest's policy that must not be set"},
    {"attributes_set", BITS, false, "TDX: attributes that must be set"},
    {"attributes_clear", BITS, false, "TDX: attributes that must not be set"},
    {"host_data", LIST(0, 64, host_data_shape), false, "SNP: one of these must be the guest's host data"},
    {"id_block", BOOLEAN, false, "SNP: whether a guest must bring an ID block"},
    {"expect", BOOLEAN, false, "whether a guest's definition must say what it is measured as"},
    END,
};
const struct schema schema_constraints = {"Constraints", "What a guest must be to be started.", constraints,
                                          NULL};

/* The log and events */

static const struct schema_member entries[] = {
    {"tenant", NAME, false, "only those of it"},
    {"from", CHECKED(SCHEMA_IS_TIME), false, "not before"},
    {"to", CHECKED(SCHEMA_IS_TIME), false, "before"},
    {"operation", CHECKED(SCHEMA_IS_OPERATION), false, "only those of it"},
    {"guest", NAME, false, "only those of it"},
    {"after", CHECKED(SCHEMA_IS_NUMBER), false, "the last number of the page before"},
    {"limit", NUMBER(1, 1000), false, "how many at most; 100 where it is not said"},
    END,
};
const struct schema schema_entries_query = {"EntriesQuery", "Which entries are read.", entries, NULL};

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
