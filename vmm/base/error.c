#include "vmm/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Control characters, also those of C1 in UTF-8, are commands to a terminal: whoever is quoted does not give it any. */
static void make_harmless(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++)
        if (*p < ' ' || *p == 0x7f)
            *p = '?';
        else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
            p[0] = p[1] = '?';
}

int cofre_fail(struct cofre_err *err, enum cofre_error code, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        make_harmless(err->text);
    }
    return -(int)code;
}

int cofre_within(struct cofre_err *err, int rc, const char *format, ...)
{
    if (!err)
        return rc;
    char inner[sizeof err->text];
    memcpy(inner, err->text, sizeof inner);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    size_t used = n < 0 ? 0 : (size_t)n;
    if (used < sizeof err->text)
        (void)snprintf(err->text + used, sizeof err->text - used, ": %.*s", (int)(sizeof inner - 1), inner);
    make_harmless(err->text);
    return rc;
}
