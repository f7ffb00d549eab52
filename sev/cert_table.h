/*
 * The certificate table of the GHCB's extended guest request (GHCB specification 56421, SNP Extended Guest Request):
 * entries of a GUID as its text reads, an offset from the table's start and a length, ended by a zero entry; then
 * the certificates in DER. The host supplies it: every field is hostile, and any certificate may be missing.
 */
#ifndef COFRE_SEV_CERT_TABLE_H
#define COFRE_SEV_CERT_TABLE_H

#include "vmm/base/bytes.h"

enum snp_cert_kind { SNP_CERT_OTHER, SNP_CERT_VCEK, SNP_CERT_VLEK, SNP_CERT_ASK, SNP_CERT_ARK, SNP_CERT_CRL };

/* ASK stands for the ASVK too: there is no GUID of its own for that. */
const char *snp_cert_kind_name(enum snp_cert_kind kind);

#define SNP_CERT_TABLE_ENTRIES 16
struct snp_cert_entry {
    enum snp_cert_kind kind;
    uint8_t guid[16]; /* for building: needed for SNP_CERT_OTHER only */
    struct view data; /* into the table */
};
struct snp_cert_table {
    struct snp_cert_entry entry[SNP_CERT_TABLE_ENTRIES];
    size_t count;
};

/*
 * Bytes after the last certificate are ignored: the table comes in whole pages. -COFRE_MALFORMED for a table without
 * an end, data outside it or within its header, an empty certificate, a GUID twice, more than 16 entries.
 */
int snp_cert_table_parse(struct snp_cert_table *out, struct view raw, struct cofre_err *err);

/* A table, as far as one can tell: well formed, and of certificates that the specification names. */
bool snp_cert_table_recognises(struct view raw);

/* The table of these certificates, in this order, without padding at the end. */
int snp_cert_table_build(struct bytes *out, const struct snp_cert_entry *entries, size_t count,
                         struct cofre_err *err);

#endif
