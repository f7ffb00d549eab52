/*
 * Both ends of HPKE for an implementation of others' to speak with; keys, and all that is printed, in hexadecimal:
 *   hpke public KEM AEAD KEY-FILE                 makes a key, and prints its public part
 *   hpke seal   KEM AEAD PUBLIC INFO AAD TEXT     prints what is encapsulated, and what is sealed
 *   hpke open   KEM AEAD KEY-FILE ENC INFO AAD SEALED
 * KEM is "P-256" or "X25519", AEAD 128 or 256.
 */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "keys/hpke.h"

#define MAX 4096

static void print(const void *data, size_t len)
{
    char text[2 * MAX + 1];
    hex_encode(text, data, len);
    puts(text);
}

static int make_public(const struct hpke_about *about, char **argv, struct cofre_err *err)
{
    EVP_PKEY *key = NULL;
    struct hpke_public public;
    int rc = hpke_key_new(&key, about->suite.kem, err);
    if (rc == 0)
        rc = hpke_public_of(&public, about->suite.kem, key, err);
    FILE *to = rc == 0 ? fopen(argv[0], "we") : NULL;
    if (rc == 0 && (!to || PEM_write_PrivateKey(to, key, NULL, NULL, 0, NULL, NULL) != 1))
        rc = cofre_fail(err, COFRE_FAILED, "%s cannot be written", argv[0]);
    if (to)
        fclose(to);
    EVP_PKEY_free(key);
    if (rc == 0)
        print(public.data, public.len);
    return rc;
}

static int read_all(struct bytes *out, size_t count, char **argv, struct cofre_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = hex_decode_some(&out[i], MAX, argv[i], err);
    return rc;
}

static int seal(struct hpke_about *about, char **argv, struct cofre_err *err)
{
    struct bytes in[4] = {{0}};
    struct hpke_public enc;
    uint8_t sealed[MAX + HPKE_OVERHEAD];
    int rc = read_all(in, 4, argv, err);
    about->info = bytes_view(&in[1]);
    about->aad = bytes_view(&in[2]);
    if (rc == 0)
        rc = hpke_seal(&enc, sealed, about, bytes_view(&in[0]), bytes_view(&in[3]), err);
    if (rc == 0) {
        print(enc.data, enc.len);
        print(sealed, in[3].len + HPKE_OVERHEAD);
    }
    for (size_t i = 0; i < 4; i++)
        bytes_free(&in[i]);
    return rc;
}

static int open_sealed(struct hpke_about *about, char **argv, struct cofre_err *err)
{
    struct bytes in[4] = {{0}};
    uint8_t text[MAX];
    FILE *from = fopen(argv[0], "re");
    EVP_PKEY *key = from ? PEM_read_PrivateKey(from, NULL, NULL, NULL) : NULL;
    if (from)
        fclose(from);
    int rc = key ? read_all(in, 4, argv + 1, err) : cofre_fail(err, COFRE_MALFORMED, "%s is no key", argv[0]);
    about->info = bytes_view(&in[1]);
    about->aad = bytes_view(&in[2]);
    if (rc == 0)
        rc = hpke_open(text, about, key, bytes_view(&in[0]), bytes_view(&in[3]), err);
    if (rc == 0)
        print(text, in[3].len - HPKE_OVERHEAD);
    for (size_t i = 0; i < 4; i++)
        bytes_free(&in[i]);
    EVP_PKEY_free(key);
    return rc;
}

int main(int argc, char **argv)
{
    struct hpke_about about = {{HPKE_P256, HPKE_AES_256_GCM}, {0}, {0}};
    struct cofre_err err = {"usage: hpke public|seal|open KEM AEAD ..."};
    int rc = -COFRE_USAGE;
    if (argc > 4) {
        about.suite.kem = strcmp(argv[2], hpke_kem_names[HPKE_P256]) == 0 ? HPKE_P256 : HPKE_X25519;
        about.suite.aead = strcmp(argv[3], "128") == 0 ? HPKE_AES_128_GCM : HPKE_AES_256_GCM;
        if (strcmp(argv[1], "public") == 0)
            rc = make_public(&about, argv + 4, &err);
        else if (strcmp(argv[1], "seal") == 0 && argc == 8)
            rc = seal(&about, argv + 4, &err);
        else if (strcmp(argv[1], "open") == 0 && argc == 9)
            rc = open_sealed(&about, argv + 4, &err);
    }
    if (rc < 0)
        fprintf(stderr, "%s\n", err.text);
    return -rc;
}
