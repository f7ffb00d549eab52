/* cofre emulated-root: the root of this host's emulated platform, for --trust-root. Makes the platform's chip and
 * certificates where there are none yet. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "sev/model/psp.h"
#include "vmm/base/file.h"
#include "vmm/cli/verb.h"

static const char help[] =
    "usage: cofre emulated-root [--dir D] [--product P] [--out F] [--certificates F] [--json]\n"
    "\n"
    "Writes the root certificate of this host's emulated SEV-SNP platform, and makes the platform's chip\n"
    "and certificates first where there are none. The emulated platform protects nothing; its root is for\n"
    "tests and for learning, and no production policy accepts it.\n"
    "\n"
    "  --dir D      where chip and certificates lie; default $COFRE_EMULATED_DIR, else "
    "/var/lib/cofre/emulated\n"
    "  --product P  the chip to make: Milan (default), Genoa or Turin; an existing one must be this\n"
    "  --out F      where the certificate goes, as PEM; default is standard output\n"
    "  --certificates F\n"
    "               where the chip's certificate table goes, for cofre run --certificates\n"
    "  --json       product and certificate as one JSON object on standard output\n"
    "\n"
    "example: cofre emulated-root --out root.pem && cofre verify --evidence web.json --trust-root root.pem\n";

struct arguments {
    const char *dir, *out, *certificates;
    struct psp_options options;
    bool json;
};

/* 0; 1 where help was printed; or an error. */
static int parse(struct arguments *args, int argc, char **argv, struct cofre_err *err)
{
    static const struct option options[] = {{"dir", required_argument, NULL, 'd'},
                                            {"product", required_argument, NULL, 'p'},
                                            {"out", required_argument, NULL, 'o'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"certificates", required_argument, NULL, 'c'},
                                            {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'd':
            args->dir = optarg;
            break;
        case 'p':
            args->options.product = snp_product_named(optarg, strlen(optarg));
            if (args->options.product == SNP_PRODUCT_UNKNOWN)
                return cofre_fail(err, COFRE_USAGE, "--product %s: not Milan, Genoa or Turin", optarg);
            break;
        case 'o':
            args->out = optarg;
            break;
        case 'c':
            args->certificates = optarg;
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
    return optind == argc ? 0 : cofre_fail(err, COFRE_USAGE, "%s: an argument too many", argv[optind]);
}

static int print_json(const struct psp *psp, const struct bytes *pem, struct cofre_err *err)
{
    json_t *object =
        json_pack("{s:s, s:s%}", "product", psp_product_name(psp), "root", (const char *)pem->data, pem->len);
    int rc = object && json_dumpf(object, stdout, JSON_INDENT(2)) == 0 && putchar('\n') == '\n'
                 ? 0
                 : cofre_fail(err, COFRE_FAILED, "standard output cannot be written");
    json_decref(object);
    return rc;
}

/* What an operator has from AMD's key service on hardware. */
static int write_certificates(const struct psp *psp, const char *file, struct cofre_err *err)
{
    CLEAN_BYTES table = {0};
    int rc = psp_cert_table(psp, &table, err);
    return rc ? rc : file_write(file, bytes_view(&table), 0644, err);
}

static int run(const struct arguments *args, struct cofre_err *err)
{
    struct psp *psp = NULL;
    CLEAN_BYTES pem = {0};
    int rc = psp_open(&psp, args->dir, &args->options, err);
    if (rc == 0)
        rc = psp_root(psp, &pem, err);
    if (rc == 0 && (args->out || !args->json))
        rc = file_write(args->out ? args->out : "-", bytes_view(&pem), 0644, err);
    if (rc == 0 && args->json)
        rc = print_json(psp, &pem, err);
    if (rc == 0 && args->certificates)
        rc = write_certificates(psp, args->certificates, err);
    psp_close(psp);
    return rc;
}

int verb_emulated_root(int argc, char **argv)
{
    struct arguments args = {0};
    struct cofre_err err;
    int rc = parse(&args, argc, argv, &err);
    if (rc == 0)
        rc = run(&args, &err);
    if (rc < 0)
        fprintf(stderr, "cofre emulated-root: %s\n", err.text);
    return rc < 0 ? -rc : 0;
}
