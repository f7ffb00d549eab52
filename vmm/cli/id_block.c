/* cofre id-block: what a guest's owner vouches for, signed with his keys, in the two files that `cofre run` takes. */
#include <getopt.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "sev/ecdsa.h"
#include "sev/id_block.h"
#include "sev/policy.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/number.h"
#include "vmm/cli/verb.h"

static const char help[] =
    "usage: cofre id-block --measurement HEX --id-key PEM --id-block OUT --id-auth OUT [OPTION]...\n"
    "\n"
    "Signs the launch digest of a guest and what its owner calls it. The firmware starts no guest\n"
    "with another digest or policy under this ID block, and puts the keys' digests into its reports.\n"
    "Keys are EC keys of P-384 (openssl ecparam -name secp384r1 -genkey -noout -out id.pem).\n"
    "\n"
    "  --measurement HEX     launch digest, as cofre measure prints it\n"
    "  --id-key PEM          private key that signs the ID block\n"
    "  --author-key PEM      private key that signs the ID key\n"
    "  --family-id HEX       16 bytes (default zeros)\n"
    "  --image-id HEX        16 bytes (default zeros)\n"
    "  --guest-svn N         security version of the guest (default 0)\n"
    "  --policy FLAGS        guest policy, by names or as a number (default smt)\n"
    "  --id-block OUT        where the ID block goes (96 bytes)\n"
    "  --id-auth OUT         where signatures and keys go (4096 bytes)\n"
    "  --json                the result as one JSON object\n"
    "\n"
    "Prints the digests of the keys, which a verifier's policy names.\n"
    "\n"
    "example: cofre id-block --measurement $(cofre measure --tee snp --kernel vmlinuz) \\\n"
    "                        --id-key id.pem --id-block guest.id --id-auth guest.auth\n";

enum {
    MEASUREMENT,
    ID_KEY,
    AUTHOR_KEY,
    FAMILY_ID,
    IMAGE_ID,
    GUEST_SVN,
    POLICY,
    ID_BLOCK,
    ID_AUTH,
    VALUES,
    JSON,
    HELP
};
static const struct option options[] = {
    {"measurement", required_argument, NULL, MEASUREMENT},
    {"id-key", required_argument, NULL, ID_KEY},
    {"author-key", required_argument, NULL, AUTHOR_KEY},
    {"family-id", required_argument, NULL, FAMILY_ID},
    {"image-id", required_argument, NULL, IMAGE_ID},
    {"guest-svn", required_argument, NULL, GUEST_SVN},
    {"policy", required_argument, NULL, POLICY},
    {"id-block", required_argument, NULL, ID_BLOCK},
    {"id-auth", required_argument, NULL, ID_AUTH},
    {"json", no_argument, NULL, JSON},
    {"help", no_argument, NULL, HELP},
    {0},
};
static const int required[] = {MEASUREMENT, ID_KEY, ID_BLOCK, ID_AUTH};

static void cleanup_pkey(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}
#define CLEAN_PKEY __attribute__((cleanup(cleanup_pkey))) EVP_PKEY

#define PEM_MAX 65536

/* Leaves *out NULL where path is. */
static int read_key(EVP_PKEY **out, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES pem = {0};
    if (!path)
        return 0;
    int rc = file_read(&pem, path, PEM_MAX, err);
    return rc < 0 ? rc : snp_ecdsa_key_read(out, bytes_view(&pem), path, err);
}

/* Leaves out as it is where text is NULL. */
static int read_hex(void *out, size_t len, const char *name, const char *text, struct cofre_err *err)
{
    if (text && !hex_decode(out, len, text))
        return cofre_fail(err, COFRE_USAGE, "--%s is not %zu hexadecimal digits", name, 2 * len);
    return 0;
}

static int fill_block(struct snp_id_block *block, const char *const value[VALUES], struct cofre_err *err)
{
    uint64_t svn = 0, policy = SNP_POLICY_DEFAULT;
    memset(block, 0, sizeof *block);
    int rc =
        read_hex(block->launch_digest, sizeof block->launch_digest, "measurement", value[MEASUREMENT], err);
    if (rc == 0)
        rc = read_hex(block->family_id, sizeof block->family_id, "family-id", value[FAMILY_ID], err);
    if (rc == 0)
        rc = read_hex(block->image_id, sizeof block->image_id, "image-id", value[IMAGE_ID], err);
    if (rc == 0 && value[GUEST_SVN])
        rc = number_parse(&svn, value[GUEST_SVN], "--guest-svn", 0, UINT32_MAX, err);
    if (rc == 0 && value[POLICY])
        rc = snp_policy_parse(&policy, value[POLICY], err);
    put_le32(&block->version, SNP_ID_BLOCK_VERSION);
    put_le32(&block->guest_svn, (uint32_t)svn);
    put_le64(&block->policy, policy);
    return rc;
}

static int add_digest(json_t *result, const char *name, const struct snp_ecdsa_key *key,
                      struct cofre_err *err)
{
    uint8_t digest[SNP_DIGEST_SIZE];
    char hex[2 * sizeof digest + 1];
    int rc = snp_ecdsa_key_digest(digest, key, err);
    hex_encode(hex, digest, sizeof digest);
    if (rc == 0 && json_object_set_new(result, name, json_string(hex)) < 0)
        rc = cofre_fail(err, COFRE_FAILED, "out of memory");
    return rc;
}

static void print_result(json_t *result, bool json)
{
    const char *name;
    json_t *digest;
    if (json) {
        json_dumpf(result, stdout, JSON_INDENT(2));
        putchar('\n');
        return;
    }
    json_object_foreach(result, name, digest) printf("%-18s %s\n", name, json_string_value(digest));
}

static int make(const char *const value[VALUES], json_t *result, struct cofre_err *err)
{
    CLEAN_PKEY *id_key = NULL, *author_key = NULL;
    struct snp_id_block block;
    struct snp_id_auth auth;
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++)
        if (!value[required[i]])
            return cofre_fail(err, COFRE_USAGE, "--%s is missing", options[required[i]].name);
    int rc = fill_block(&block, value, err);
    if (rc == 0)
        rc = read_key(&id_key, value[ID_KEY], err);
    if (rc == 0)
        rc = read_key(&author_key, value[AUTHOR_KEY], err);
    if (rc == 0)
        rc = snp_id_auth_sign(&auth, &block, id_key, author_key, err);
    if (rc == 0)
        rc = file_write(value[ID_BLOCK], (struct view){(const uint8_t *)&block, sizeof block}, 0644, err);
    if (rc == 0)
        rc = file_write(value[ID_AUTH], (struct view){(const uint8_t *)&auth, sizeof auth}, 0644, err);
    if (rc == 0)
        rc = add_digest(result, "id_key_digest", &auth.id_key, err);
    if (rc == 0 && author_key)
        rc = add_digest(result, "author_key_digest", &auth.author_key, err);
    return rc;
}

int verb_id_block(int argc, char **argv)
{
    const char *value[VALUES] = {NULL};
    struct cofre_err err;
    bool json = false;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == HELP || o == '?') {
            fputs(help, o == HELP ? stdout : stderr);
            return o == HELP ? 0 : COFRE_USAGE;
        }
        if (o == JSON)
            json = true;
        else
            value[o] = optarg;
    }
    if (optind != argc) {
        fprintf(stderr, "cofre id-block: \"%s\" is no option; cofre id-block --help lists them\n",
                argv[optind]);
        return COFRE_USAGE;
    }
    json_t *result = json_object();
    int rc = make(value, result, &err);
    if (rc < 0)
        fprintf(stderr, "cofre id-block: %s\n", err.text);
    else
        print_result(result, json);
    json_decref(result);
    return -rc;
}
