#include "vmm/base/base64.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

int base64_encode(char **out, struct view data, struct cofre_err *err)
{
    size_t room = (data.len + 2) / 3 * 4 + 1;
    *out = malloc(room);
    if (!*out)
        return cofre_fail(err, COFRE_FAILED, "no memory for %zu bytes", room);
    (*out)[0] = 0;
    if (data.len)
        EVP_EncodeBlock((unsigned char *)*out, data.data, (int)data.len);
    return 0;
}

int base64_decode(struct bytes *out, size_t max, const char *text, struct cofre_err *err)
{
    *out = (struct bytes){0};
    size_t digits = strlen(text);
    size_t padding = digits ? (text[digits - 1] == '=') + (digits > 1 && text[digits - 2] == '=') : 0;
    if (digits % 4)
        return cofre_fail(err, COFRE_MALFORMED, "not base64: %zu characters are not a multiple of four",
                          digits);
    if (digits / 4 * 3 - padding > max)
        return cofre_fail(err, COFRE_MALFORMED, "more than %zu bytes", max);
    int rc = bytes_alloc(out, digits / 4 * 3, err);
    if (rc < 0 || digits == 0)
        return rc;
    bool read = EVP_DecodeBlock(out->data, (const unsigned char *)text, (int)digits) == (int)out->len;
    out->len -= padding;
    /* EVP_DecodeBlock takes white space at the ends and stray bits before the padding: the way back shows both. */
    char *again = NULL;
    bool same = read && base64_encode(&again, bytes_view(out), err) == 0 && strcmp(again, text) == 0;
    free(again);
    if (!same) {
        bytes_free(out);
        return cofre_fail(err, COFRE_MALFORMED, "not base64 in its canonical form");
    }
    return 0;
}
