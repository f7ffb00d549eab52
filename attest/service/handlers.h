/* What the routes run: a file for each thing that the interface has. */
#ifndef COFRE_ATTEST_SERVICE_HANDLERS_H
#define COFRE_ATTEST_SERVICE_HANDLERS_H

struct call;

/* health.c */
void health_alive(struct call *call);
void health_ready(struct call *call);
void health_metrics(struct call *call);

/* openapi.c */
void openapi_show(struct call *call);

/* challenges.c */
void challenge_create(struct call *call);

/* appraisals.c */
void appraisal_create(struct call *call);

/* results.c */
void result_show(struct call *call);
void results_on_evidence(struct call *call);

/* keys.c */
void keys_jwks(struct call *call);
void keys_cose(struct call *call);

/* guest_keys.c */
void guest_keys_list(struct call *call);
void guest_key_show(struct call *call);

/* guest_key_changes.c */
void guest_key_make(struct call *call);
void guest_key_add_version(struct call *call);
void guest_key_retire_version(struct call *call);
void guest_key_set_state(struct call *call);
void guest_key_grant(struct call *call);
void guest_key_revoke(struct call *call);
void guest_key_approve(struct call *call);

/* guest_key_transfer.c */
void guest_key_import_key(struct call *call);
void guest_key_export(struct call *call);

/* guest_key_backup.c */
void guest_keys_back_up(struct call *call);
void guest_keys_restore(struct call *call);

/* release.c */
void release_create(struct call *call);

/* log.c */
void log_show_head(struct call *call);
void log_show_entry(struct call *call);
void log_prove_entry(struct call *call);
void log_prove_growth(struct call *call);

/* collateral.c */
void collateral_list(struct call *call);

/* policies.c */
void policy_list_all(struct call *call);
void policy_list_versions(struct call *call);
void policy_show(struct call *call);
void policy_add(struct call *call);
void policy_activate(struct call *call);

/* reference_import.c, reference_export.c */
void references_import(struct call *call);
void references_export(struct call *call);

/* references.c */
void references_list(struct call *call);
void reference_show(struct call *call);
void reference_show_file(struct call *call);
void reference_retire(struct call *call);

/* credentials.c */
void credentials_list(struct call *call);
void credentials_add(struct call *call);
void credentials_remove(struct call *call);

#endif
