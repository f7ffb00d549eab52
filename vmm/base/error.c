#include "vmm/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int cofre_fail(struct cofre_err *err, enum cofre_error code, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
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
    return rc;
}
