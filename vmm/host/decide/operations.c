#include "vmm/host/decide/parts.h"

/* clang-format off */
static call_work *const works[OPERATIONS] = {
    [OPERATION_TENANT_CREATE] = work_tenant_create, [OPERATION_TENANT_LIST] = work_tenant_list,
    [OPERATION_TENANT_SHOW] = work_tenant_show, [OPERATION_TENANT_UPDATE] = work_tenant_update,
    [OPERATION_TENANT_DELETE] = work_tenant_delete,
    [OPERATION_GUEST_CREATE] = work_guest_create, [OPERATION_GUEST_LIST] = work_guest_list,
    [OPERATION_GUEST_SHOW] = work_guest_show, [OPERATION_GUEST_UPDATE] = work_guest_update,
    [OPERATION_GUEST_DELETE] = work_guest_delete, [OPERATION_GUEST_START] = work_guest_start,
    [OPERATION_GUEST_STOP] = work_guest_stop, [OPERATION_GUEST_KILL] = work_guest_kill,
    [OPERATION_GUEST_RESTART] = work_guest_restart, [OPERATION_GUEST_PAUSE] = work_guest_pause,
    [OPERATION_GUEST_RESUME] = work_guest_resume, [OPERATION_GUEST_LIMIT] = work_guest_limit,
    [OPERATION_GUEST_WAIT] = work_guest_wait, [OPERATION_GUEST_CONSOLE] = work_guest_console,
    [OPERATION_GUEST_INPUT] = work_guest_input, [OPERATION_GUEST_LOGS] = work_guest_logs,
    [OPERATION_GUEST_EVIDENCE] = work_guest_evidence, [OPERATION_GUEST_STATISTICS] = work_guest_statistics,
    [OPERATION_IMAGE_ADD] = work_image_add, [OPERATION_IMAGE_LIST] = work_image_list,
    [OPERATION_IMAGE_SHOW] = work_image_show, [OPERATION_IMAGE_DELETE] = work_image_delete,
    [OPERATION_IMAGE_TAG] = work_image_tag,
    [OPERATION_ROLE_DEFINE] = work_access, [OPERATION_ROLE_LIST] = work_access, [OPERATION_ROLE_DELETE] = work_access,
    [OPERATION_GRANT_ADD] = work_access, [OPERATION_GRANT_LIST] = work_access, [OPERATION_GRANT_REMOVE] = work_access,
    [OPERATION_CONSTRAINT_SET] = work_access, [OPERATION_CONSTRAINT_SHOW] = work_access,
    [OPERATION_APPROVAL_LIST] = work_access, [OPERATION_APPROVAL_GIVE] = work_access, [OPERATION_APPROVAL_REFUSE] = work_access,
    [OPERATION_SESSION_SHOW] = work_access,
    [OPERATION_AUDIT_ENTRIES] = work_audit_entries, [OPERATION_AUDIT_HEAD] = work_audit_head,
    [OPERATION_AUDIT_PROOF] = work_audit_proof, [OPERATION_AUDIT_CONSISTENCY] = work_audit_consistency,
    [OPERATION_AUDIT_RETAIN] = work_audit_retain,
    [OPERATION_HOST_SHOW] = work_host_show, [OPERATION_HOST_METRICS] = work_host_metrics,
    [OPERATION_EVENT_STREAM] = work_event_stream,
};
/* clang-format on */

call_work *operation_work(const struct operation *operation)
{
    return works[operation_number(operation)];
}
