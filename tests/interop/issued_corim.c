/* Writes CoRIMs into a directory, plain and signed, with every form that there is: issued_corim DIRECTORY */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>

#include "tests/unit/corim/made.h"
#include "vmm/base/file.h"

static int write_in(const char *dir, const char *name, const struct corim *corim, EVP_PKEY *key,
                    struct cofre_err *err)
{
    char path[512];
    CLEAN_BYTES file = {0};
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    int rc = key ? corim_sign(&file, corim, key, err) : corim_write(&file, corim, err);
    return rc < 0 ? rc : file_write(path, bytes_view(&file), 0644, err);
}

static int write_key(const char *dir, EVP_PKEY *key)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/key.pub", dir);
    FILE *to = fopen(path, "we");
    bool good = to && PEM_write_PUBKEY(to, key) == 1;
    return (to && fclose(to) != 0) || !good ? -COFRE_FAILED : 0;
}

int main(int argc, char **argv)
{
    struct reference snp[2] = {made_snp(), made_snp()}, tdx = made_tdx();
    struct cofre_err err = {""};
    EVP_PKEY *key = EVP_EC_gen("P-384");
    if (argc != 2 || !key)
        return COFRE_USAGE;
    (void)strcpy(snp[1].name, "database");
    snp[1].keys = REFERENCE_VLEK;
    const struct corim amd = made_corim(snp, 2), intel = made_corim(&tdx, 1);
    int rc = write_in(argv[1], "snp.corim", &amd, NULL, &err);
    if (rc == 0)
        rc = write_in(argv[1], "tdx.corim", &intel, NULL, &err);
    if (rc == 0)
        rc = write_in(argv[1], "signed.corim", &amd, key, &err);
    if (rc == 0)
        rc = write_key(argv[1], key);
    if (rc < 0)
        fprintf(stderr, "issued_corim: %s\n", err.text);
    EVP_PKEY_free(key);
    return -rc;
}
