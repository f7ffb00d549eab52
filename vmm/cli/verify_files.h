/* What evidence is judged with, from the files that options name: for cofre verify and cofre policy test. */
#ifndef COFRE_CLI_VERIFY_FILES_H
#define COFRE_CLI_VERIFY_FILES_H

#include "attest/appraise.h"
#include "attest/cose/key.h"
#include "attest/reference.h"
#include "tdx/collateral.h"

#define VERIFY_REFERENCES_MAX  64
#define VERIFY_COLLATERALS_MAX 16

/* Zeroed is empty. */
struct verify_files {
    struct x509_certs certs, roots;
    struct x509_crls crls;
    struct tdx_collateral collateral[VERIFY_COLLATERALS_MAX];
    size_t collaterals;
    const char *reference[VERIFY_REFERENCES_MAX]; /* CoRIMs, read when it is known who may have signed them */
    size_t reference_files;
    struct references references;
    struct cose_keys reference_keys;
};
void verify_files_free(struct verify_files *files);

int verify_read_evidence(struct evidence *out, const char *path, struct cofre_err *err);
int verify_read_policy(struct policy *out, const char *path, struct cofre_err *err);
int verify_read_certs(struct x509_certs *to, const char *path, struct cofre_err *err);
int verify_read_crls(struct x509_crls *to, const char *path, struct cofre_err *err);
int verify_read_collateral(struct verify_files *to, const char *path, struct cofre_err *err);
int verify_note_reference(struct verify_files *to, const char *path, struct cofre_err *err);
int verify_read_references(struct verify_files *to, struct cofre_err *err);

#endif
