/* A record, the log that it comes to, a bundle of that, and what somebody could put in their place. */
#ifndef COFRE_TESTS_HOST_AUDIT_BUNDLED_H
#define COFRE_TESTS_HOST_AUDIT_BUNDLED_H

#include "attest/log/bundle.h"
#include "tests/unit/host/audit/record.h"

struct bundled {
    struct record record, other; /* of two keys */
    char path[128];              /* for a log that is tried */
    struct bytes log;            /* a copy of the record's */
    struct log_head head;        /* its last */
    struct bytes bundle; /* all entries but the first: an older head, a witness, a file that an entry names */
    struct cose_keys witnesses; /* w's, one */
    struct bytes fork;          /* of the same size, by the same key, other in its last entries */
    struct bytes fork_head, fork_witness, other_head;
};

void bundled_make(struct bundled *b);
void bundled_free(struct bundled *b);

#endif
