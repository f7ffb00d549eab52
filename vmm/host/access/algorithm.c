#include <string.h>

#include "vmm/host/access/token.h"

const struct token_algorithm_kind token_algorithms[TOKEN_ALGORITHMS] = {
    [TOKEN_ES256] = {"ES256", "EC", "P-256"}, [TOKEN_ES384] = {"ES384", "EC", "P-384"},
    [TOKEN_RS256] = {"RS256", "RSA", NULL},   [TOKEN_RS384] = {"RS384", "RSA", NULL},
    [TOKEN_RS512] = {"RS512", "RSA", NULL},   [TOKEN_PS256] = {"PS256", "RSA", NULL},
    [TOKEN_PS384] = {"PS384", "RSA", NULL},   [TOKEN_PS512] = {"PS512", "RSA", NULL},
};

int token_algorithms_parse(unsigned *out, const char *text, struct cofre_err *err)
{
    *out = 0;
    while (*text) {
        const size_t len = strcspn(text, " ");
        unsigned found = 0;
        for (unsigned i = 0; i < TOKEN_ALGORITHMS; i++)
            if (strlen(token_algorithms[i].name) == len && memcmp(token_algorithms[i].name, text, len) == 0)
                found = 1u << i;
        if (!found)
            return cofre_fail(
                err, COFRE_USAGE,
                "\"%.*s\" is no algorithm of signatures; there are ES256, ES384, RS256 to RS512, "
                "PS256 to PS512",
                (int)(len < 32 ? len : 32), text);
        *out |= found;
        text += len + (text[len] == ' ');
    }
    return 0;
}
