#include "vmm/host/interface/operation.h"

#include <stdio.h>
#include <string.h>

#include "vmm/host/interface/schemas.h"

#define CHANGES   OPERATION_CHANGES
#define STREAMS   OPERATION_STREAMS
#define UPLOADS   OPERATION_UPLOADS
#define DANGEROUS OPERATION_DANGEROUS

#define TENANTS "/v1/tenants"
#define TENANT  TENANTS "/{tenant}"
#define GUESTS  TENANT "/guests"
#define GUEST   GUESTS "/{guest}"
#define IMAGES  TENANT "/images"

#define EVENTS "text/event-stream"
#define BYTES  "application/octet-stream"

/* clang-format off */
const struct operation operations[OPERATIONS] = {
    [OPERATION_TENANT_CREATE] = {"tenant.create", "POST", TENANTS, OF_HOST, NULL, &schema_tenant, &schema_tenant_shown,
        CHANGES, 201, NULL, "Makes a tenant, with its quotas."},
    [OPERATION_TENANT_LIST] = {"tenant.list", "GET", TENANTS, OF_CALLER, &schema_page, NULL, &schema_tenants_shown,
        0, 200, NULL, "Lists the tenants that the caller may see."},
    [OPERATION_TENANT_SHOW] = {"tenant.show", "GET", TENANT, OF_TENANT, NULL, NULL, &schema_tenant_shown,
        0, 200, NULL, "Shows a tenant, its quotas and what of them is used."},
    [OPERATION_TENANT_UPDATE] = {"tenant.update", "PATCH", TENANT, OF_TENANT, NULL, &schema_tenant_update, &schema_tenant_shown,
        CHANGES, 200, NULL, "Changes a tenant's quotas or labels; members that are not given stay."},
    [OPERATION_TENANT_DELETE] = {"tenant.delete", "DELETE", TENANT, OF_TENANT, NULL, NULL, NULL,
        CHANGES | DANGEROUS, 204, NULL, "Deletes a tenant that has no guests and no images."},

    [OPERATION_GUEST_CREATE] = {"guest.create", "POST", GUESTS, OF_TENANT, NULL, &schema_definition, &schema_guest_shown,
        CHANGES, 201, NULL, "Defines a guest, which is stopped then."},
    [OPERATION_GUEST_LIST] = {"guest.list", "GET", GUESTS, OF_TENANT, &schema_guests_query, NULL, &schema_guests_shown,
        0, 200, NULL, "Lists the tenant's guests that the caller may see."},
    [OPERATION_GUEST_SHOW] = {"guest.show", "GET", GUEST, OF_TENANT, NULL, NULL, &schema_guest_shown,
        0, 200, NULL, "Shows a guest: its state, its definition, and what it was started with."},
    [OPERATION_GUEST_UPDATE] = {"guest.update", "PUT", GUEST, OF_TENANT, NULL, &schema_redefinition, &schema_guest_shown,
        CHANGES, 200, NULL, "Gives a guest a new version of its definition, for its next start."},
    [OPERATION_GUEST_DELETE] = {"guest.delete", "DELETE", GUEST, OF_TENANT, NULL, NULL, NULL,
        CHANGES | DANGEROUS, 204, NULL, "Deletes a stopped guest and the disks that are its own."},
    [OPERATION_GUEST_START] = {"guest.start", "POST", GUEST "/start", OF_TENANT, NULL, NULL, &schema_guest_shown,
        CHANGES, 202, NULL, "Starts a guest with the newest version of its definition."},
    [OPERATION_GUEST_STOP] = {"guest.stop", "POST", GUEST "/stop", OF_TENANT, NULL, &schema_stop, &schema_guest_shown,
        CHANGES, 202, NULL, "Asks a guest to end, and ends it when it has not after a time."},
    [OPERATION_GUEST_KILL] = {"guest.kill", "POST", GUEST "/kill", OF_TENANT, NULL, NULL, &schema_guest_shown,
        CHANGES, 202, NULL, "Ends a guest at once."},
    [OPERATION_GUEST_RESTART] = {"guest.restart", "POST", GUEST "/restart", OF_TENANT, NULL, &schema_stop, &schema_guest_shown,
        CHANGES, 202, NULL, "Stops a guest, and starts it with the newest version of its definition."},
    [OPERATION_GUEST_PAUSE] = {"guest.pause", "POST", GUEST "/pause", OF_TENANT, NULL, NULL, &schema_guest_shown,
        CHANGES, 200, NULL, "Freezes a running guest where it is."},
    [OPERATION_GUEST_RESUME] = {"guest.resume", "POST", GUEST "/resume", OF_TENANT, NULL, NULL, &schema_guest_shown,
        CHANGES, 200, NULL, "Lets a paused guest go on."},
    [OPERATION_GUEST_LIMIT] = {"guest.limit", "PATCH", GUEST "/limits", OF_TENANT, NULL, &schema_limits, &schema_guest_shown,
        CHANGES, 200, NULL, "Changes limits, of a running guest at once; members that are not given stay."},
    [OPERATION_GUEST_WAIT] = {"guest.wait", "GET", GUEST "/wait", OF_TENANT, &schema_wait, NULL, &schema_guest_shown,
        0, 200, NULL, "Answers when a guest is in a state, or after a time, with the state that it is in."},
    [OPERATION_GUEST_CONSOLE] = {"guest.console", "GET", GUEST "/console", OF_TENANT, &schema_console, NULL, NULL,
        STREAMS, 200, BYTES, "What a guest writes to its console."},
    [OPERATION_GUEST_INPUT] = {"guest.input", "POST", GUEST "/console", OF_TENANT, NULL, &schema_input, NULL,
        CHANGES, 204, NULL, "Types at a guest's console."},
    [OPERATION_GUEST_LOGS] = {"guest.logs", "GET", GUEST "/logs", OF_TENANT, &schema_logs, NULL, NULL,
        STREAMS, 200, "text/plain", "What the monitor said of a guest, a line each."},
    [OPERATION_GUEST_EVIDENCE] = {"guest.evidence", "POST", GUEST "/evidence", OF_TENANT, NULL, &schema_nonce, &schema_evidence_shown,
        0, 200, NULL, "Has a running guest make evidence over a nonce."},
    [OPERATION_GUEST_STATISTICS] = {"guest.statistics", "GET", GUEST "/statistics", OF_TENANT, NULL, NULL, &schema_statistics_shown,
        0, 200, NULL, "What a guest has used of its CPUs, memory, disks and networks."},

    [OPERATION_IMAGE_ADD] = {"image.add", "PUT", IMAGES "/{digest}", OF_TENANT, NULL, NULL, &schema_image_shown,
        CHANGES | UPLOADS, 201, NULL, "Stores an image, whose bytes must have the digest."},
    [OPERATION_IMAGE_LIST] = {"image.list", "GET", IMAGES, OF_TENANT, &schema_page, NULL, &schema_images_shown,
        0, 200, NULL, "Lists the tenant's images and tags."},
    [OPERATION_IMAGE_SHOW] = {"image.show", "GET", IMAGES "/{image}", OF_TENANT, NULL, NULL, &schema_image_shown,
        0, 200, NULL, "Shows an image by its digest or a tag."},
    [OPERATION_IMAGE_DELETE] = {"image.delete", "DELETE", IMAGES "/{image}", OF_TENANT, NULL, NULL, NULL,
        CHANGES, 204, NULL, "Deletes an image that no guest needs, by its digest; or a tag alone, by its name."},
    [OPERATION_IMAGE_TAG] = {"image.tag", "PUT", TENANT "/tags/{tag}", OF_TENANT, NULL, &schema_tag, &schema_tag_shown,
        CHANGES, 200, NULL, "Gives an image a name; one that was another's is moved."},

    [OPERATION_ROLE_DEFINE] = {"role.define", "PUT", "/v1/roles/{role}", OF_HOST, NULL, &schema_role, &schema_role_shown,
        CHANGES | DANGEROUS, 200, NULL, "Makes a role, or says anew what it may."},
    [OPERATION_ROLE_LIST] = {"role.list", "GET", "/v1/roles", OF_HOST, NULL, NULL, &schema_roles_shown,
        0, 200, NULL, "Lists roles, those that are built in among them."},
    [OPERATION_ROLE_DELETE] = {"role.delete", "DELETE", "/v1/roles/{role}", OF_HOST, NULL, NULL, NULL,
        CHANGES, 204, NULL, "Deletes a role that nobody has."},
    [OPERATION_GRANT_ADD] = {"grant.add", "POST", "/v1/grants", OF_MEMBER, NULL, &schema_grant, &schema_grant_shown,
        CHANGES | DANGEROUS, 201, NULL, "Gives an identity a role, or denies it one; in a tenant, or on the host and in all tenants."},
    [OPERATION_GRANT_LIST] = {"grant.list", "GET", "/v1/grants", OF_MEMBER, &schema_grants_query, NULL, &schema_grants_shown,
        0, 200, NULL, "Lists who has which role."},
    [OPERATION_GRANT_REMOVE] = {"grant.remove", "DELETE", "/v1/grants/{grant}", OF_MEMBER, &schema_of_tenant, NULL, NULL,
        CHANGES | DANGEROUS, 204, NULL, "Takes a grant, or a denial, back."},
    [OPERATION_CONSTRAINT_SET] = {"constraint.set", "PUT", TENANT "/constraints", OF_TENANT, NULL, &schema_constraints, &schema_constraints_shown,
        CHANGES | DANGEROUS, 200, NULL, "Says what a tenant's guests must be to be started."},
    [OPERATION_CONSTRAINT_SHOW] = {"constraint.show", "GET", TENANT "/constraints", OF_TENANT, NULL, NULL, &schema_constraints_shown,
        0, 200, NULL, "Shows what a tenant's guests must be to be started."},
    [OPERATION_APPROVAL_LIST] = {"approval.list", "GET", "/v1/approvals", OF_MEMBER, &schema_grants_query, NULL, &schema_approvals_shown,
        0, 200, NULL, "Lists what waits for a second approver."},
    [OPERATION_APPROVAL_GIVE] = {"approval.give", "POST", "/v1/approvals/{approval}/give", OF_MEMBER, &schema_of_tenant, NULL, &schema_approval_shown,
        CHANGES, 200, NULL, "Approves what somebody else asked for, which is carried out then."},
    [OPERATION_APPROVAL_REFUSE] = {"approval.refuse", "POST", "/v1/approvals/{approval}/refuse", OF_MEMBER, &schema_of_tenant, &schema_refusal, &schema_approval_shown,
        CHANGES, 200, NULL, "Refuses what somebody asked for."},

    [OPERATION_AUDIT_ENTRIES] = {"audit.entries", "GET", "/v1/audit/entries", OF_MEMBER, &schema_entries_query, NULL, &schema_entries_shown,
        0, 200, NULL, "Reads the log's entries, in their order."},
    [OPERATION_AUDIT_HEAD] = {"audit.head", "GET", "/v1/audit/head", OF_HOST, NULL, NULL, &schema_head_shown,
        0, 200, NULL, "The log's newest signed head."},
    [OPERATION_AUDIT_PROOF] = {"audit.proof", "GET", "/v1/audit/proofs/{entry}", OF_HOST, &schema_proof_query, NULL, &schema_proof_shown,
        0, 200, NULL, "Proves that an entry is in the log under a head."},
    [OPERATION_AUDIT_CONSISTENCY] = {"audit.consistency", "GET", "/v1/audit/consistency", OF_HOST, &schema_consistency_query, NULL, &schema_consistency_shown,
        0, 200, NULL, "Proves that a head is a continuation of an earlier one."},

    [OPERATION_HOST_SHOW] = {"host.show", "GET", "/v1/host", OF_HOST, NULL, NULL, &schema_host_shown,
        0, 200, NULL, "What the host has of CPUs, memory and keys for confidential guests, and what is left."},
    [OPERATION_HOST_METRICS] = {"host.metrics", "GET", "/v1/metrics", OF_HOST, NULL, NULL, NULL,
        0, 200, "text/plain; version=0.0.4", "Metrics as Prometheus reads them."},
    [OPERATION_EVENT_STREAM] = {"event.stream", "GET", "/v1/events", OF_MEMBER, &schema_events_query, NULL, NULL,
        STREAMS, 200, EVENTS, "What happens to guests, as it happens."},
    [OPERATION_SESSION_SHOW] = {"session.show", "GET", "/v1/session", OF_CALLER, NULL, NULL, &schema_session_shown,
        0, 200, NULL, "Who the caller is, and what he may."},

    [OPERATION_AUDIT_RETAIN] = {"audit.retain", "POST", "/v1/audit/retain", OF_HOST, NULL, &schema_retain, &schema_retained_shown,
        CHANGES | DANGEROUS, 200, NULL, "Removes what old entries of the log say; their hashes stay, and with them every proof."},
};
/* clang-format on */

const struct operation *operation_find(const char *name)
{
    for (size_t i = 0; i < OPERATIONS; i++)
        if (strcmp(operations[i].name, name) == 0)
            return &operations[i];
    return NULL;
}

static const struct {
    const char *name;
    enum schema_check check;
} part_kinds[] = {
    {"tenant", SCHEMA_IS_NAME},  {"guest", SCHEMA_IS_NAME},      {"digest", SCHEMA_IS_DIGEST},
    {"image", SCHEMA_IS_IMAGE},  {"tag", SCHEMA_IS_NAME},        {"role", SCHEMA_IS_NAME},
    {"grant", SCHEMA_IS_NUMBER}, {"approval", SCHEMA_IS_NUMBER}, {"entry", SCHEMA_IS_NUMBER},
};

/* The name in braces that a segment of a path in the table is; NULL: the segment is itself. len goes without the braces. */
static const char *braces(const char *segment, size_t len, size_t *inner)
{
    *inner = len >= 2 ? len - 2 : 0;
    return len >= 2 && segment[0] == '{' && segment[len - 1] == '}' ? segment + 1 : NULL;
}

static enum schema_check part_check(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof part_kinds / sizeof *part_kinds; i++)
        if (strlen(part_kinds[i].name) == len && memcmp(part_kinds[i].name, name, len) == 0)
            return part_kinds[i].check;
    return SCHEMA_IS_NAME;
}

bool operation_part(const struct operation *operation, size_t index, char *name, enum schema_check *check)
{
    for (const char *at = strchr(operation->path, '{'); at; at = strchr(at + 1, '{'))
        if (index-- == 0) {
            const size_t len = strcspn(at + 1, "}");
            (void)snprintf(name, OPERATION_PART_MAX, "%.*s", (int)len, at + 1);
            *check = part_check(at + 1, len);
            return true;
        }
    return false;
}

size_t operation_part_count(const struct operation *operation)
{
    size_t count = 0;
    for (const char *at = strchr(operation->path, '{'); at; at = strchr(at + 1, '{'))
        count++;
    return count;
}

/* Whether the path has the row's segments; what stands where the row has braces is in parts then, unchecked. */
static bool fits(struct operation_parts *parts, const char *row, const char *path)
{
    parts->count = 0;
    while (*row == '/' && *path == '/') {
        const size_t in_row = strcspn(++row, "/"), in_path = strcspn(++path, "/");
        size_t inner;
        if (braces(row, in_row, &inner)) {
            if (in_path == 0 || in_path >= OPERATION_PART_MAX || parts->count == OPERATION_PARTS_MAX)
                return false;
            memcpy(parts->text[parts->count], path, in_path);
            parts->text[parts->count++][in_path] = 0;
        } else if (in_row != in_path || memcmp(row, path, in_row) != 0)
            return false;
        row += in_row;
        path += in_path;
    }
    return !*row && !*path;
}

static int check_parts(const struct operation *operation, const struct operation_parts *parts,
                       struct cofre_err *err)
{
    char name[OPERATION_PART_MAX];
    enum schema_check check;
    int rc = 0;
    for (size_t i = 0; rc == 0 && operation_part(operation, i, name, &check); i++)
        rc = schema_check_text(parts->text[i], check, name, err);
    return rc;
}

/* Two rows may differ only in what a part is: {digest} is put, {image} is shown. So a row whose parts do not pass is not the last
 * word. */
enum operation_match operation_match(const struct operation **out, struct operation_parts *parts,
                                     const char *method, const char *path, struct cofre_err *err)
{
    enum operation_match found = MATCH_NO_PATH;
    for (size_t i = 0; i < OPERATIONS; i++) {
        const struct operation *row = &operations[i];
        struct operation_parts these;
        if (!fits(&these, row->path, path))
            continue;
        if (strcmp(row->method, method) != 0) {
            if (found == MATCH_NO_PATH)
                found = MATCH_NO_METHOD;
        } else if (check_parts(row, &these, err) < 0)
            found = MATCH_BAD_PART;
        else {
            *out = row;
            *parts = these;
            return MATCH;
        }
    }
    return found;
}

void operation_methods(char *out, size_t room, const char *path)
{
    struct operation_parts parts;
    size_t len = 0;
    *out = 0;
    for (size_t i = 0; i < OPERATIONS; i++)
        if (fits(&parts, operations[i].path, path) && len < room)
            len += (size_t)snprintf(out + len, room - len, "%s%s", len ? ", " : "", operations[i].method);
}
