#include "keys/seal/recovery.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static void check_letters(char out[static RECOVERY_CHECK], const char *letters)
{
    static const char purpose[] = "cofre recovery 1";
    uint8_t text[sizeof purpose + RECOVERY_RANDOM], hash[SHA256_DIGEST_LENGTH];
    memcpy(text, purpose, sizeof purpose);
    memcpy(text + sizeof purpose, letters, RECOVERY_RANDOM);
    SHA256(text, sizeof text, hash);
    for (size_t i = 0; i < RECOVERY_CHECK; i++)
        out[i] = alphabet[hash[i] & 31];
    OPENSSL_cleanse(text, sizeof text);
    OPENSSL_cleanse(hash, sizeof hash);
}

int recovery_make(char out[static RECOVERY_SIZE], struct cofre_err *err)
{
    uint8_t random[RECOVERY_RANDOM];
    char letters[RECOVERY_LETTERS];
    if (RAND_priv_bytes(random, sizeof random) != 1)
        return cofre_fail(err, COFRE_FAILED, "there are no random bytes");
    for (size_t i = 0; i < RECOVERY_RANDOM; i++)
        letters[i] = alphabet[random[i] & 31];
    check_letters(letters + RECOVERY_RANDOM, letters);
    char *to = out;
    for (size_t i = 0; i < RECOVERY_LETTERS; i++) {
        if (i && i % RECOVERY_GROUP == 0)
            *to++ = '-';
        *to++ = letters[i];
    }
    *to = 0;
    OPENSSL_cleanse(random, sizeof random);
    OPENSSL_cleanse(letters, sizeof letters);
    return 0;
}

/* 0: a gap; -1: no letter of it. */
static int letter(uint8_t c)
{
    if (c == '-' || c == ' ' || c == '\t')
        return 0;
    if (c >= 'a' && c <= 'z')
        c = (uint8_t)(c - 'a' + 'A');
    c = c == 'I' || c == 'L' ? '1' : c == 'O' ? '0' : c;
    return c && strchr(alphabet, c) ? c : -1;
}

int recovery_read(char out[static RECOVERY_LETTERS], struct view typed, struct cofre_err *err)
{
    size_t n = 0;
    char check[RECOVERY_CHECK];
    for (size_t i = 0; i < typed.len; i++) {
        const int l = letter(typed.data[i]);
        if (l < 0)
            return cofre_fail(
                err, COFRE_USAGE,
                "the recovery passphrase has a typing error: character %zu is none that it can have", i + 1);
        if (l > 0 && n == RECOVERY_LETTERS)
            return cofre_fail(err, COFRE_USAGE,
                              "the recovery passphrase has a typing error: it has more than %d characters",
                              RECOVERY_LETTERS);
        if (l > 0)
            out[n++] = (char)l;
    }
    if (n < RECOVERY_LETTERS)
        return cofre_fail(err, COFRE_USAGE,
                          "the recovery passphrase has a typing error: it has %zu characters of %d", n,
                          RECOVERY_LETTERS);
    check_letters(check, out);
    return memcmp(check, out + RECOVERY_RANDOM, RECOVERY_CHECK) == 0
               ? 0
               : cofre_fail(err, COFRE_USAGE,
                            "the recovery passphrase has a typing error: its last %d characters do not fit "
                            "the others",
                            RECOVERY_CHECK);
}
