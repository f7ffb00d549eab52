/* The objects of cofred's interface. Members, bounds and what each is for are in the tables themselves. */
#ifndef COFRE_HOST_SCHEMAS_H
#define COFRE_HOST_SCHEMAS_H

#include "vmm/host/interface/schema.h"

/* schemas_guest.c: what is asked for */
#define DISKS_MAX            8
#define NETWORKS_MAX         4
#define LABELS_MAX           16
#define EXPECTED_RTMRS       4
#define OPERATIONS_SHOWN_MAX 128
extern const struct schema schema_definition;   /* of a guest: guest.create */
extern const struct schema schema_redefinition; /* the same without its name: guest.update */
/* Bytes of the huge pages that a definition asks for; 0: none. */
uint64_t definition_page(const json_t *definition);
extern const struct schema schema_limits; /* guest.limit, and a definition's member */
extern const struct schema schema_stop, schema_wait, schema_console, schema_input, schema_logs, schema_nonce;
extern const struct schema schema_guests_query;

/* schemas_tenant.c */
extern const struct schema schema_tenant, schema_tenant_update, schema_quotas, schema_page;
extern const struct schema schema_tag;

/* schemas_access.c */
extern const struct schema schema_role, schema_grant, schema_constraints, schema_refusal, schema_of_tenant;
extern const struct schema schema_grants_query, schema_entries_query, schema_proof_query,
    schema_consistency_query, schema_events_query, schema_retain;

/* schemas_answer.c: what is answered. Answers may have members that these do not name. */
extern const struct schema schema_problem;
extern const struct schema schema_tenant_shown, schema_tenants_shown, schema_guest_shown, schema_guests_shown;
extern const struct schema schema_image_shown, schema_images_shown, schema_tag_shown;
extern const struct schema schema_roles_shown, schema_role_shown, schema_grant_shown, schema_grants_shown;
extern const struct schema schema_constraints_shown;
extern const struct schema schema_approval_shown, schema_approvals_shown;
extern const struct schema schema_evidence_shown, schema_statistics_shown;
extern const struct schema schema_entries_shown, schema_head_shown, schema_proof_shown,
    schema_consistency_shown;
extern const struct schema schema_retained_shown, schema_host_shown, schema_session_shown;

#endif
