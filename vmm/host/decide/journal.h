/*
 * What the decider did, for journald, with fields that a search can be by: the log of operations is the record, and this is for whoever looks
 * at the host. Field names are these alone; what anybody chose is in values, as printable text.
 *
 * systemd, JOURNAL_NATIVE_PROTOCOL: a datagram of lines "FIELD=VALUE".
 */
#ifndef COFRE_HOST_DECIDE_JOURNAL_H
#define COFRE_HOST_DECIDE_JOURNAL_H

#include <stdbool.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* What a message is of; each has a MESSAGE_ID, which never changes, and a priority. */
enum journal_kind {
    JOURNAL_DONE,         /* an operation was done */
    JOURNAL_BEGUN,        /* it was let, and is under way, or waits for an approval */
    JOURNAL_REFUSED,      /* who asked may not */
    JOURNAL_FAILED,       /* it was let, and could not be done */
    JOURNAL_GUEST,        /* a guest is in another state */
    JOURNAL_GUEST_FAILED, /* it did not come to run, or ended otherwise than a guest does */
    JOURNAL_KINDS,
};

/* NULL or "": there is no such field. */
struct journal_message {
    enum journal_kind kind;
    const char *operation, *request, *tenant, *guest, *object, *by, *state;
    const char *why; /* behind the message's own words */
};

/* A socket that is connected to the one at that path, before a process gives up that it can; -1: nobody listens there. */
int journal_open(const char *path);
/* Never waits: what journald does not take at once it is not told. journal -1: nothing. */
void journal_tell(int journal, const struct journal_message *message);
/* Its MESSAGE_ID: 32 hexadecimal digits. */
const char *journal_id(enum journal_kind kind);

#endif
