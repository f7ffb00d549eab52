/*
 * A bundle: entries of a log with all that proves them, in one file that is checked without the log. It says nothing that its
 * pieces, each of which is a standard one, do not prove: receipts (RFC 9942) of the entries, all by one signed head; a receipt of
 * growth from an older head, and from each head that a TPM vouches for in one of the entries (attest/log/clock.h, which says whether it
 * does); witnesses' signatures; and files of which an entry has the digest. docs/audit.md has the CDDL.
 */
#ifndef COFRE_ATTEST_LOG_BUNDLE_H
#define COFRE_ATTEST_LOG_BUNDLE_H

#include "attest/log/receipt.h"
#include "attest/log/witness.h"

#define LOG_BUNDLE_SIZE_MAX    (64u << 20) /* bytes */
#define LOG_BUNDLE_ENTRIES_MAX 16384
#define LOG_BUNDLE_FILES_MAX   64

struct log_bundle_entry {
    uint64_t number;
    struct view entry;    /* data NULL: it was removed, and */
    struct log_hash leaf; /* this is its hash */
    struct view receipt;
    struct view
        growth; /* of a TPM's word on a head: a receipt from that head; data NULL: it is another entry */
    struct bytes owned_entry, owned_receipt, owned_growth; /* of who makes a bundle */
};
struct log_bundle_witness {
    struct view signature,
        growth; /* from what was signed to the bundle's head; data NULL: that is the same */
    struct bytes owned_growth;
};
struct log_bundle_file {
    struct view data; /* it has no name: nobody would have signed that */
    struct bytes owned_data;
};

/* Views point into what was read, or are the maker's. */
struct log_bundle {
    struct view head;
    bool is_range; /* it claims to have each entry from the first to the last of those below */
    struct log_bundle_entry *entry; /* by their numbers */
    size_t entries;
    struct view older, growth; /* data NULL: there is none */
    struct log_bundle_witness witness[COSE_KEYS_MAX];
    size_t witnesses;
    struct log_bundle_file file[LOG_BUNDLE_FILES_MAX];
    size_t files;
    struct cose_doc doc; /* of what was read */
};
void log_bundle_free(struct log_bundle *bundle);
#define CLEAN_LOG_BUNDLE __attribute__((cleanup(log_bundle_free))) struct log_bundle

int log_bundle_write(struct bytes *out, const struct log_bundle *bundle, struct cofre_err *err);
/* in must outlive *out. -COFRE_MALFORMED where it is none, or written in another way than log_bundle_write does. */
int log_bundle_read(struct log_bundle *out, struct view in, struct cofre_err *err);

/* What follows from it. */
struct log_bundle_proven {
    struct log_head head, older; /* older.state.size is 0 where there is none */
    size_t removed;              /* entries of which only the hash is there */
    struct log_witnesses witnesses;
    uint64_t witnessed; /* entries that as many witnesses as were asked for have seen */
    struct log_bundle_voucher {
        const char *
            what; /* what the entry has its digest as: "evidence", "kernel"; NULL: none has, nothing is proven of it */
        uint64_t number;             /* the entry's */
    } voucher[LOG_BUNDLE_FILES_MAX]; /* of each file */
};
/* By the log's keys and those of witnesses, of which `minimum` must have signed; witness_keys NULL: they are not looked at.
 * -COFRE_NEGATIVE, -COFRE_MALFORMED with a sentence that names the piece. */
int log_bundle_verify(struct log_bundle_proven *out, const struct log_bundle *bundle,
                      const struct cose_keys *keys, const struct cose_keys *witness_keys, size_t minimum,
                      struct cofre_err *err);

#endif
