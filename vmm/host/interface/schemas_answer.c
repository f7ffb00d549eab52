/* What is answered. These are for who reads the interface, and for tests; members that they do not name are no mistake. */
#include "vmm/host/interface/schemas.h"

#include "vmm/host/interface/schemas_parts.h"

#define ANSWER(object, name, help, member) const struct schema object = {name, help, member, NULL}
/* A page of a list: the things, and after what the next begins. */
#define PAGE(noun, object, name, help, of)                                                                   \
    static const struct schema_shape noun##_each = OBJECT(of);                                               \
    static const struct schema_member noun##_page[] = {                                                      \
        {#noun, LIST(0, 1000, noun##_each), true, NULL},                                                     \
        {"next", TEXT(1, 80), false, "\"after\" of the next page; not there on the last"},                   \
        END,                                                                                                 \
    };                                                                                                       \
    ANSWER(object, name, help, noun##_page)

static const struct schema_shape text_shape = TEXT(0, 1024), hash_shape = HEX(32, 32);

static const struct schema_member problem[] = {
    {"type", TEXT(1, 128), true, "about:blank"},
    {"title", TEXT(1, 128), true, "of the status"},
    {"status", NUMBER(400, 599), true, NULL},
    {"code", NAME, true, "a word for programs"},
    {"detail", TEXT(0, 2048), false, "a sentence for people"},
    END,
};
ANSWER(schema_problem, "Problem", "Why something was not done (RFC 9457).", problem);

/* Tenants */

static const struct schema_member tenant[] = {
    {"name", NAME, true, NULL},
    {"quotas", OBJECT(schema_quotas), true, NULL},
    {"used", OBJECT(schema_quotas), false, "of the quotas"},
    {"labels", LABELS, false, NULL},
    {"created", TIME, false, NULL},
    END,
};
ANSWER(schema_tenant_shown, "TenantShown", "A tenant.", tenant);
PAGE(tenants, schema_tenants_shown, "TenantsShown", "A page of tenants.", schema_tenant_shown);

/* Guests */

static const char *const states[] = {"stopped",  "starting", "running",  "paused",
                                     "stopping", "failed",   "deleting", NULL};

static const struct schema_member guest[] = {
    {"name", NAME, true, NULL},
    {"tenant", NAME, true, NULL},
    {"number", NUMBER(0, 0), false, "of the guest on this host, never used twice"},
    {"state", WORD(states), true, NULL},
    {"why", TEXT(0, 1024), false, "it failed, or how it ended last"},
    {"starts_again", BOOLEAN, false,
     "it has ended, and is to be started again by itself, unless it is stopped"},
    {"version", NUMBER(1, 0), true, "of the definition"},
    {"started_version", NUMBER(1, 0), false, "of the definition that the guest runs with"},
    {"definition", ANY, false, "as it was given, without its name"},
    {"created", TIME, false, NULL},
    {"started", TIME, false, "last"},
    {"ended", TIME, false, "last"},
    {"tee", TEXT(1, 16), false, "of the definition that it was last started with"},
    {"measurement", HEX(48, 48), false, "launch digest or MRTD of the start, as the firmware reported it"},
    {"expected", HEX(48, 48), false, "the same, as it was calculated before the start"},
    END,
};
ANSWER(schema_guest_shown, "GuestShown", "A guest.", guest);
PAGE(guests, schema_guests_shown, "GuestsShown", "A page of guests.", schema_guest_shown);

static const struct schema_member evidence[] = {
    {"evidence", ANY, true, "as cofre verify and cofre-trust take it"},
    END,
};
ANSWER(schema_evidence_shown, "EvidenceShown", "Evidence of a guest.", evidence);

static const struct schema_member statistics[] = {
    {"cpu_microseconds", NUMBER(0, 0), false, "used since the start"},
    {"memory", NUMBER(0, 0), false, "bytes in use"},
    {"processes", NUMBER(0, 0), false, NULL},
    {"read_bytes", NUMBER(0, 0), false, NULL},
    {"write_bytes", NUMBER(0, 0), false, NULL},
    {"network_in", NUMBER(0, 0), false, "bytes"},
    {"network_out", NUMBER(0, 0), false, "bytes"},
    END,
};
ANSWER(schema_statistics_shown, "StatisticsShown", "What a guest has used.", statistics);

/* Images */

static const struct schema_shape tag_name = NAME;

static const struct schema_member image[] = {
    {"digest", DIGEST, true, NULL},
    {"size", NUMBER(0, 0), true, "bytes"},
    {"tags", LIST(0, 1000, tag_name), false, NULL},
    {"created", TIME, false, NULL},
    END,
};
ANSWER(schema_image_shown, "ImageShown", "An image.", image);
PAGE(images, schema_images_shown, "ImagesShown", "A page of images.", schema_image_shown);

static const struct schema_member tag[] = {
    {"tag", NAME, true, NULL},
    {"image", DIGEST, true, NULL},
    END,
};
ANSWER(schema_tag_shown, "TagShown", "A tag.", tag);

/* Access */

static const struct schema_member role[] = {
    {"name", NAME, true, NULL},
    {"operations", LIST(0, OPERATIONS_SHOWN_MAX, text_shape), true, NULL},
    {"help", TEXT(0, 256), false, NULL},
    {"builtin", BOOLEAN, false, "whether it can be neither changed nor deleted"},
    END,
};
ANSWER(schema_role_shown, "RoleShown", "A role.", role);
PAGE(roles, schema_roles_shown, "RolesShown", "Roles.", schema_role_shown);

static const struct schema_member grant[] = {
    {"id", CHECKED(SCHEMA_IS_NUMBER), true, NULL},
    {"identity", TEXT(1, 335), true, NULL},
    {"role", NAME, true, NULL},
    {"tenant", NAME, false, NULL},
    {"labels", LABELS, false, NULL},
    {"deny", BOOLEAN, false, NULL},
    {"until", TIME, false, NULL},
    {"by", TEXT(1, 600), false, "who granted it"},
    END,
};
ANSWER(schema_grant_shown, "GrantShown", "A role of an identity.", grant);
PAGE(grants, schema_grants_shown, "GrantsShown", "A page of grants.", schema_grant_shown);

static const struct schema_member constraints[] = {
    {"constraints", OBJECT(schema_constraints), true, NULL},
    END,
};
ANSWER(schema_constraints_shown, "ConstraintsShown", "What a tenant's guests must be.", constraints);

static const char *const approvals_states[] = {"waiting", "given", "refused", "used", "failed", NULL};
static const struct schema_member approval[] = {
    {"id", CHECKED(SCHEMA_IS_NUMBER), true, NULL},
    {"state", WORD(approvals_states), true, NULL},
    {"operation", CHECKED(SCHEMA_IS_OPERATION), true, NULL},
    {"tenant", NAME, false, NULL},
    {"by", TEXT(1, 335), true, "who asked"},
    {"request", ANY, false, "what was asked"},
    {"until", TIME, false, "when it is too late"},
    {"decided_by", TEXT(1, 600), false, "who gave or refused it"},
    {"reason", TEXT(0, 512), false, "of who refused it"},
    {"result", ANY, false, "what it was answered when it was carried out"},
    END,
};
ANSWER(schema_approval_shown, "ApprovalShown", "What waits for a second approver.", approval);
PAGE(approvals, schema_approvals_shown, "ApprovalsShown", "A page of approvals.", schema_approval_shown);

/* The log */

static const struct schema_member entry[] = {
    {"index", NUMBER(0, 0), true, "in the log"},
    {"leaf", HEX(32, 32), false, "its hash, where what it said was removed"},
    {"entry", ANY, false, "what is on record"},
    END,
};
static const struct schema schema_entry_shown = {"EntryShown", "An entry of the log.", entry, NULL};
PAGE(entries, schema_entries_shown, "EntriesShown", "A page of the log.", schema_entry_shown);

static const struct schema_member head[] = {
    {"size", NUMBER(0, 0), true, "entries"},
    {"root", HEX(32, 32), true, "of the tree (RFC 9162)"},
    {"time", TIME, false, NULL},
    {"head", BASE64(1, 65536), true, "signed"},
    {"first", NUMBER(1, 0), false, "the lowest number but 0 that was not removed"},
    END,
};
ANSWER(schema_head_shown, "HeadShown", "A signed head.", head);

static const struct schema_member proof_members[] = {
    {"index", NUMBER(0, 0), true, NULL},
    {"size", NUMBER(1, 0), true, "of the head"},
    {"path", LIST(0, 64, hash_shape), true, "from the leaf to the root"},
    {"receipt", BASE64(1, 65536), false, "the same as COSE"},
    END,
};
ANSWER(schema_proof_shown, "ProofShown", "That an entry is in the log.", proof_members);

static const struct schema_member consistency[] = {
    {"first", NUMBER(1, 0), true, NULL},
    {"second", NUMBER(1, 0), true, NULL},
    {"path", LIST(0, 128, hash_shape), true, NULL},
    END,
};
ANSWER(schema_consistency_shown, "ConsistencyShown", "That one head continues another.", consistency);

static const struct schema_member retained[] = {
    {"removed", NUMBER(0, 0), true, "entries that were still there"},
    END,
};
ANSWER(schema_retained_shown, "RetainedShown", "What was removed of the log.", retained);

/* The host and the caller */

static const struct schema_member amount[] = {
    {"total", NUMBER(0, 0), true, NULL},
    {"used", NUMBER(0, 0), true, NULL},
    END,
};
static const struct schema schema_amount = {"Amount", "Of something of the host.", amount, NULL};

static const struct schema_member host[] = {
    {"cpus", OBJECT(schema_amount), true, NULL},
    {"memory", OBJECT(schema_amount), true, "bytes that guests may have"},
    {"huge_pages_2m", OBJECT(schema_amount), false, "huge pages of 2 MiB, whoever uses them"},
    {"huge_pages_1g", OBJECT(schema_amount), false, "huge pages of 1 GiB"},
    {"storage", OBJECT(schema_amount), false, "bytes of images and disks"},
    {"snp_guests", OBJECT(schema_amount), false, "ASIDs"},
    {"tdx_guests", OBJECT(schema_amount), false, "key IDs"},
    {"guests", OBJECT(schema_amount), false, NULL},
    {"version", TEXT(1, 64), false, "of cofred"},
    END,
};
ANSWER(schema_host_shown, "HostShown", "The host.", host);

static const struct schema_shape grant_each = OBJECT(schema_grant_shown);
static const struct schema_shape request_each = OBJECT(schema_approval_shown);
static const struct schema_member session[] = {
    {"identity", TEXT(1, 335), true, "that the caller has shown"},
    {"operations", LIST(0, OPERATIONS_SHOWN_MAX, text_shape), false, "that he may, somewhere"},
    {"grants", LIST(0, 1000, grant_each), false, "by which he may"},
    {"requests", LIST(0, 100, request_each), false, "of his that wait for a second approver, or did"},
    END,
};
ANSWER(schema_session_shown, "SessionShown", "Who the caller is, and what he may.", session);
