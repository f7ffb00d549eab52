/* What this room does of the table of operations, each as access.h has it; and what their files share. */
#ifndef COFRE_HOST_ACCESS_OPERATIONS_H
#define COFRE_HOST_ACCESS_OPERATIONS_H

#include "vmm/host/access/access.h"

#define ACCESS_OPERATION(name)                                                                               \
    int name(json_t **answer, struct access *access, struct db *db, const struct access_caller *caller,      \
             const json_t *args, int64_t now, struct cofre_err *err)
ACCESS_OPERATION(role_define);
ACCESS_OPERATION(role_list);
ACCESS_OPERATION(role_delete);
ACCESS_OPERATION(grant_add);
ACCESS_OPERATION(grant_list);
ACCESS_OPERATION(grant_remove);
ACCESS_OPERATION(constraint_set);
ACCESS_OPERATION(constraint_show);
ACCESS_OPERATION(approval_list);
ACCESS_OPERATION(approval_give);
ACCESS_OPERATION(approval_refuse);
ACCESS_OPERATION(session_show);

/* After any change of grants or roles: somebody is administrator of the host for good. -COFRE_NEGATIVE otherwise. */
int grants_check_administrator(struct db *db, int64_t now, struct cofre_err *err);

/* What the caller asked for that waits for a second approver, or did, the newest first. */
int approvals_of(json_t *list, struct db *db, const struct access_caller *caller, int64_t now,
                 struct cofre_err *err);

/* Where a list is as long as was asked for, "next" is the number of its last row. */
int operations_page(json_t *answer, const json_t *rows, int64_t limit, struct cofre_err *err);

#endif
