/* The emulated chain: made once, whole, named for what it is, and good in OpenSSL's eyes. */
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "sev/cert_table.h"
#include "sev/product.h"
#include "vmm/base/file.h"

/* The certificates as the guest gets them. */
struct chain {
    X509 *leaf, *ask, *ark;
    X509_CRL *crl;
};

static struct chain chain_of(struct psp_options options)
{
    struct chain chain = {0};
    struct bytes raw = {0};
    struct snp_cert_table table;
    struct cofre_err err;
    struct psp *psp = open_platform(options);
    assert_int_equal(psp_cert_table(psp, &raw, &err), 0);
    assert_int_equal(snp_cert_table_parse(&table, bytes_view(&raw), &err), 0);
    assert_int_equal(table.count, 4);
    for (size_t i = 0; i < table.count; i++) {
        const uint8_t *p = table.entry[i].data.data;
        long len = (long)table.entry[i].data.len;
        enum snp_cert_kind kind = table.entry[i].kind;
        if (kind == SNP_CERT_CRL)
            chain.crl = d2i_X509_CRL(NULL, &p, len);
        else
            *(kind == SNP_CERT_ARK   ? &chain.ark
              : kind == SNP_CERT_ASK ? &chain.ask
                                     : &chain.leaf) = d2i_X509(NULL, &p, len);
        if (kind == SNP_CERT_VCEK || kind == SNP_CERT_VLEK)
            assert_int_equal(kind == SNP_CERT_VLEK, options.vlek);
    }
    assert_true(chain.leaf && chain.ask && chain.ark && chain.crl);
    bytes_free(&raw);
    psp_close(psp);
    return chain;
}

static void free_chain(struct chain *c)
{
    X509_free(c->leaf);
    X509_free(c->ask);
    X509_free(c->ark);
    X509_CRL_free(c->crl);
}

/* OpenSSL's verification, the root's own signature included. */
static int verify(const struct chain *c, X509 *root)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    STACK_OF(X509) *untrusted = sk_X509_new_null();
    X509_STORE_add_cert(store, root);
    X509_STORE_set_flags(store, X509_V_FLAG_CHECK_SS_SIGNATURE);
    sk_X509_push(untrusted, c->ask);
    X509_STORE_CTX_init(ctx, store, c->leaf, untrusted);
    int ok = X509_verify_cert(ctx);
    sk_X509_free(untrusted);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return ok;
}

static bool signed_by_pss(X509 *x)
{
    const X509_ALGOR *algorithm;
    X509_get0_signature(NULL, &algorithm, x);
    ASN1_STRING *parameters = algorithm->parameter ? algorithm->parameter->value.sequence : NULL;
    RSA_PSS_PARAMS *pss = parameters ? ASN1_item_unpack(parameters, ASN1_ITEM_rptr(RSA_PSS_PARAMS)) : NULL;
    bool ok = OBJ_obj2nid(algorithm->algorithm) == NID_rsassaPss && pss && pss->hashAlgorithm &&
              OBJ_obj2nid(pss->hashAlgorithm->algorithm) == NID_sha384 && pss->saltLength &&
              ASN1_INTEGER_get(pss->saltLength) == 48;
    RSA_PSS_PARAMS_free(pss);
    return ok;
}

static void assert_name(X509_NAME *name, const char *common)
{
    char text[64];
    assert_true(X509_NAME_get_text_by_NID(name, NID_commonName, text, sizeof text) > 0);
    assert_string_equal(text, common);
    assert_true(X509_NAME_get_text_by_NID(name, NID_organizationName, text, sizeof text) > 0);
    assert_string_equal(text, "EMULATED by Cofre");
}

/* An extension's value; the caller's view into the certificate. */
static struct view extension(X509 *x, const char *arc)
{
    char oid[64];
    snprintf(oid, sizeof oid, "1.3.6.1.4.1.3704.1.%s", arc);
    ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
    int at = X509_get_ext_by_OBJ(x, object, -1);
    ASN1_OBJECT_free(object);
    if (at < 0)
        return (struct view){0};
    ASN1_OCTET_STRING *octets = X509_EXTENSION_get_data(X509_get_ext(x, at));
    return (struct view){ASN1_STRING_get0_data(octets), (size_t)ASN1_STRING_length(octets)};
}

static void every_chain_verifies_and_is_named_emulated(void **state)
{
    (void)state;
    for (enum snp_product p = SNP_PRODUCT_MILAN; p <= SNP_PRODUCT_TURIN; p++)
        for (int vlek = 0; vlek <= 1; vlek++) {
            char ark[32], ask[32];
            struct chain c = chain_of((struct psp_options){.product = p, .vlek = vlek});
            snprintf(ark, sizeof ark, "ARK-%s", snp_product_name(p));
            snprintf(ask, sizeof ask, "SEV-%s%s", vlek ? "VLEK-" : "", snp_product_name(p));
            assert_int_equal(verify(&c, c.ark), 1);
            assert_name(X509_get_subject_name(c.ark), ark);
            assert_name(X509_get_issuer_name(c.ark), ark);
            assert_name(X509_get_subject_name(c.ask), ask);
            assert_name(X509_get_subject_name(c.leaf), vlek ? "SEV-VLEK" : "SEV-VCEK");
            assert_name(X509_get_issuer_name(c.leaf), ask);
            assert_true(signed_by_pss(c.ark) && signed_by_pss(c.ask) && signed_by_pss(c.leaf));
            assert_int_equal(EVP_PKEY_get_bits(X509_get0_pubkey(c.ark)), 4096);
            assert_int_equal(EVP_PKEY_get_bits(X509_get0_pubkey(c.ask)), 4096);
            assert_int_equal(EVP_PKEY_get_bits(X509_get0_pubkey(c.leaf)), 384);
            assert_true(X509_check_ca(c.ark) == 1 && X509_check_ca(c.ask) == 1 && X509_check_ca(c.leaf) == 0);
            assert_int_equal(X509_CRL_verify(c.crl, X509_get0_pubkey(c.ark)), 1);
            free_chain(&c);
        }
}

static void a_chain_does_not_verify_under_another_chip_s_root(void **state)
{
    (void)state;
    struct chain milan = chain_of((struct psp_options){.product = SNP_PRODUCT_MILAN});
    struct chain genoa = chain_of((struct psp_options){.product = SNP_PRODUCT_GENOA});
    assert_int_equal(verify(&milan, genoa.ark), 0);
    free_chain(&milan);
    free_chain(&genoa);
}

static void leaves_carry_amd_s_extensions(void **state)
{
    (void)state;
    struct chain c = chain_of((struct psp_options){.product = SNP_PRODUCT_MILAN});
    struct view microcode = extension(c.leaf, "3.8"), name = extension(c.leaf, "2");
    const uint8_t padded[] = {2, 2, 0, 219}, snp[] = {2, 1, 24};
    assert_true(view_equal(microcode, (struct view){padded, sizeof padded}));
    assert_true(view_equal(extension(c.leaf, "3.3"), (struct view){snp, sizeof snp}));
    assert_int_equal(extension(c.leaf, "4").len, 64); /* the bare bytes, without a tag */
    assert_int_equal(extension(c.leaf, "5").len, 0);
    assert_int_equal(extension(c.leaf, "3.9").len, 0);
    assert_memory_equal(name.data, "\x16\x08Milan-B0", 10);
    free_chain(&c);
    c = chain_of((struct psp_options){.product = SNP_PRODUCT_TURIN});
    assert_int_equal(extension(c.leaf, "4").len, 8);
    assert_int_equal(extension(c.leaf, "3.9").len, 3);
    free_chain(&c);
    c = chain_of((struct psp_options){.product = SNP_PRODUCT_GENOA, .vlek = true});
    assert_int_equal(extension(c.leaf, "4").len, 0);
    assert_memory_equal(extension(c.leaf, "5").data,
                        "\x16\x0e"
                        "cofre-emulated",
                        16);
    free_chain(&c);
}

/* A new directory under the build tree; its parent is there or not. */
static void new_dir(char path[4096])
{
    const char *base = getenv("COFRE_TEST_EMULATED");
    assert_non_null(base);
    mkdir(base, 0755);
    snprintf(path, 4096, "%s/new.XXXXXX", base);
    assert_non_null(mkdtemp(path));
    strcat(path, "/a/b");
}

static void remove_dir(char path[4096])
{
    static const char *const files[] = {"ark.pem",  "ark.key",  "ask.pem",  "ask.key",  "asvk.pem",
                                        "asvk.key", "vcek.pem", "vcek.key", "vlek.pem", "vlek.key",
                                        "crl.pem",  "chip_id",  "lock"};
    char file[4200];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(file, sizeof file, "%s/%s", path, files[i]);
        unlink(file);
    }
    for (int up = 0; up < 3; up++) {
        assert_int_equal(rmdir(path), 0); /* nothing else was left in it */
        *strrchr(path, '/') = 0;
    }
}

/* Two processes come first together: both go on with the same chip. Afterwards it is damaged in turn. */
static void first_use_by_two_processes_makes_one_chip(void **state)
{
    (void)state;
    char dir[4096];
    int ends[2];
    struct bytes mine = {0};
    uint8_t theirs[8192];
    struct psp *psp = NULL;
    struct cofre_err err;
    new_dir(dir);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        bool ok = psp_open(&psp, dir, NULL, &err) == 0 && psp_root(psp, &mine, &err) == 0 &&
                  write(ends[1], mine.data, mine.len) == (ssize_t)mine.len;
        _exit(ok ? 0 : 1);
    }
    close(ends[1]);
    assert_int_equal(psp_open(&psp, dir, NULL, &err), 0);
    assert_int_equal(psp_root(psp, &mine, &err), 0);
    int status = -1;
    size_t len = 0;
    for (ssize_t n; (n = read(ends[0], theirs + len, sizeof theirs - len)) > 0;)
        len += (size_t)n;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(view_equal(bytes_view(&mine), (struct view){theirs, len}));
    assert_string_equal(psp_product_name(psp), "Milan");
    psp_close(psp);
    bytes_free(&mine);

    struct stat st;
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    struct psp_options genoa = {.product = SNP_PRODUCT_GENOA};
    assert_int_equal(psp_open(&psp, dir, &genoa, &err), -COFRE_USAGE);

    char vcek[4200], vlek[4200], chip[4200];
    snprintf(vcek, sizeof vcek, "%s/vcek.key", dir);
    snprintf(vlek, sizeof vlek, "%s/vlek.key", dir);
    snprintf(chip, sizeof chip, "%s/chip_id", dir);
    assert_int_equal(rename(vlek, vcek), 0);
    assert_int_equal(psp_open(&psp, dir, NULL, &err), -COFRE_USAGE); /* vlek.key is gone */
    assert_int_equal(link(vcek, vlek), 0);
    assert_int_equal(psp_open(&psp, dir, NULL, &err), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "vcek.key"));
    assert_int_equal(file_write(chip, (struct view){(const uint8_t *)"00\n", 3}, 0600, &err), 0);
    assert_int_equal(psp_open(&psp, dir, NULL, &err), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "chip_id"));
    remove_dir(dir);
}

static void a_place_that_cannot_be_written_is_named(void **state)
{
    (void)state;
    struct psp *psp = NULL;
    struct cofre_err err;
    assert_int_equal(psp_open(&psp, "/proc/nowhere/emulated", NULL, &err), -COFRE_LACKING);
    assert_non_null(strstr(err.text, "/proc/nowhere/emulated"));
    assert_null(psp);
}

static void options_that_cannot_be_are_refused(void **state)
{
    (void)state;
    char dir[4096];
    struct psp *psp = NULL;
    struct cofre_err err;
    snprintf(dir, sizeof dir, "%s/Turin", getenv("COFRE_TEST_EMULATED"));
    struct psp_options turin_2 = {.product = SNP_PRODUCT_TURIN, .report_version = 2},
                       four = {.report_version = 4};
    assert_int_equal(psp_open(&psp, dir, &turin_2, &err), -COFRE_USAGE);
    assert_int_equal(psp_open(&psp, dir, &four, &err), -COFRE_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_chain_verifies_and_is_named_emulated),
        cmocka_unit_test(a_chain_does_not_verify_under_another_chip_s_root),
        cmocka_unit_test(leaves_carry_amd_s_extensions),
        cmocka_unit_test(first_use_by_two_processes_makes_one_chip),
        cmocka_unit_test(a_place_that_cannot_be_written_is_named),
        cmocka_unit_test(options_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
