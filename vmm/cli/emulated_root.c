/* cofre emulated-root: the root of this host's emulated platform, for --trust-root, and what else a verifier or a launch
 * needs of it. Makes the platform's chip and certificates where there are none yet. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "sev/model/psp.h"
#include "tdx/model/platform.h"
#include "vmm/base/file.h"
#include "vmm/cli/verb.h"

static const char help[] =
    "usage: cofre emulated-root [--tee snp|tdx] [--dir D] [--product P] [--out F] [--certificates F]\n"
    "                           [--collateral F] [--json]\n"
    "\n"
    "Writes the root certificate of this host's emulated platform, SEV-SNP or TDX, and makes the platform's\n"
    "chip and certificates first where there are none. The emulated platform protects nothing; its root is\n"
    "for tests and for learning, and no production policy accepts it.\n"
    "\n"
    "  --tee T      snp (default) or tdx\n"
    "  --dir D      where chip and certificates lie; default $COFRE_EMULATED_DIR, else "
    "/var/lib/cofre/emulated\n"
    "  --out F      where the certificate goes, as PEM; default is standard output\n"
    "  --product P  SEV-SNP: the chip to make: Milan (default), Genoa or Turin; an existing one must be "
    "this\n"
    "  --certificates F\n"
    "               SEV-SNP: where the chip's certificate table goes, for cofre run --certificates\n"
    "  --collateral F\n"
    "               TDX: where the platform's collateral goes, for cofre verify --collateral: TCB info, QE\n"
    "               identity and revocation lists, good for 30 days from now\n"
    "  --json       the certificate (and SEV-SNP's product) as one JSON object on standard output\n"
    "\n"
    "example: cofre emulated-root --out root.pem && cofre verify --evidence web.json --trust-root root.pem\n";

enum tee { TEE_SNP, TEE_TDX };

struct arguments {
    enum tee tee;
    const char *dir, *out, *product, *certificates, *collateral;
    bool json;
};

static int take_tee(struct arguments *args, const char *text, struct cofre_err *err)
{
    args->tee = strcmp(text, "tdx") == 0 ? TEE_TDX : TEE_SNP;
    return args->tee == TEE_TDX || strcmp(text, "snp") == 0
               ? 0
               : cofre_fail(err, COFRE_USAGE, "--tee %s: not snp or tdx", text);
}

static int check(const struct arguments *args, struct cofre_err *err)
{
    if (args->tee == TEE_TDX && (args->product || args->certificates))
        return cofre_fail(err, COFRE_USAGE, "--%s is for SEV-SNP; with --tee tdx there is --collateral",
                          args->product ? "product" : "certificates");
    if (args->tee == TEE_SNP && args->collateral)
        return cofre_fail(err, COFRE_USAGE, "--collateral is for TDX: give --tee tdx");
    return 0;
}

/* 0; 1 where help was printed; or an error. */
static int parse(struct arguments *args, int argc, char **argv, struct cofre_err *err)
{
    static const struct option options[] = {{"tee", required_argument, NULL, 't'},
                                            {"dir", required_argument, NULL, 'd'},
                                            {"product", required_argument, NULL, 'p'},
                                            {"out", required_argument, NULL, 'o'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"certificates", required_argument, NULL, 'c'},
                                            {"collateral", required_argument, NULL, 'l'},
                                            {NULL, 0, NULL, 0}};
    int rc = 0;
    for (int c; rc == 0 && (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 't':
            rc = take_tee(args, optarg, err);
            break;
        case 'd':
            args->dir = optarg;
            break;
        case 'p':
            args->product = optarg;
            break;
        case 'o':
            args->out = optarg;
            break;
        case 'c':
            args->certificates = optarg;
            break;
        case 'l':
            args->collateral = optarg;
            break;
        case 'j':
            args->json = true;
            break;
        case 'h':
            fputs(help, stdout);
            return 1;
        default:
            return cofre_fail(err, COFRE_USAGE, "see cofre emulated-root --help");
        }
    }
    if (rc == 0 && optind != argc)
        return cofre_fail(err, COFRE_USAGE, "%s: an argument too many", argv[optind]);
    return rc < 0 ? rc : check(args, err);
}

/* product: NULL where there is no choice of them. */
static int print_json(const char *product, const struct bytes *pem, struct cofre_err *err)
{
    json_t *object = json_pack("{s:s*, s:s%}", "product", product, "root", (const char *)pem->data, pem->len);
    int rc = object && json_dumpf(object, stdout, JSON_INDENT(2)) == 0 && putchar('\n') == '\n'
                 ? 0
                 : cofre_fail(err, COFRE_FAILED, "standard output cannot be written");
    json_decref(object);
    return rc;
}

static int write_root(const struct arguments *args, const char *product, const struct bytes *pem,
                      struct cofre_err *err)
{
    int rc =
        args->out || !args->json ? file_write(args->out ? args->out : "-", bytes_view(pem), 0644, err) : 0;
    return rc == 0 && args->json ? print_json(product, pem, err) : rc;
}

/* What an operator has from AMD's key service on hardware. */
static int write_certificates(const struct psp *psp, const char *file, struct cofre_err *err)
{
    CLEAN_BYTES table = {0};
    int rc = psp_cert_table(psp, &table, err);
    return rc ? rc : file_write(file, bytes_view(&table), 0644, err);
}

static int run_snp(const struct arguments *args, struct cofre_err *err)
{
    struct psp_options options = {0};
    struct psp *psp = NULL;
    CLEAN_BYTES pem = {0};
    if (args->product) {
        options.product = snp_product_named(args->product, strlen(args->product));
        if (options.product == SNP_PRODUCT_UNKNOWN)
            return cofre_fail(err, COFRE_USAGE, "--product %s: not Milan, Genoa or Turin", args->product);
    }
    int rc = psp_open(&psp, args->dir, &options, err);
    if (rc == 0)
        rc = psp_root(psp, &pem, err);
    if (rc == 0)
        rc = write_root(args, psp_product_name(psp), &pem, err);
    if (rc == 0 && args->certificates)
        rc = write_certificates(psp, args->certificates, err);
    psp_close(psp);
    return rc;
}

/* What a verifier has from Intel's provisioning certification service on hardware. */
static int write_collateral(const struct tdx_platform *platform, const char *file, struct cofre_err *err)
{
    CLEAN_BYTES text = {0};
    int rc = tdx_platform_collateral(platform, time(NULL), &text, err);
    return rc ? rc : file_write(file, bytes_view(&text), 0644, err);
}

static int run_tdx(const struct arguments *args, struct cofre_err *err)
{
    struct tdx_platform *platform = NULL;
    CLEAN_BYTES pem = {0};
    int rc = tdx_platform_open(&platform, args->dir, NULL, err);
    if (rc == 0)
        rc = tdx_platform_root(platform, &pem, err);
    if (rc == 0)
        rc = write_root(args, NULL, &pem, err);
    if (rc == 0 && args->collateral)
        rc = write_collateral(platform, args->collateral, err);
    tdx_platform_close(platform);
    return rc;
}

int verb_emulated_root(int argc, char **argv)
{
    struct arguments args = {0};
    struct cofre_err err;
    int rc = parse(&args, argc, argv, &err);
    if (rc == 0)
        rc = args.tee == TEE_TDX ? run_tdx(&args, &err) : run_snp(&args, &err);
    if (rc < 0)
        fprintf(stderr, "cofre emulated-root: %s\n", err.text);
    return rc < 0 ? -rc : 0;
}
