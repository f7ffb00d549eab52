#include "vmm/host/hands/flat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

int flat_read(int directory, const char *name, char *out, size_t size, struct cofre_err *err)
{
    out[0] = 0;
    CLEAN_FD fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return cofre_fail(err, errno == ENOENT ? COFRE_LACKING : COFRE_FAILED, "%s: %s", name,
                          strerror(errno));
    size_t used = 0;
    ssize_t n;
    while ((n = read(fd, out + used, size - 1 - used)) > 0)
        used += (size_t)n;
    out[used] = 0;
    if (n < 0)
        return cofre_fail(err, COFRE_FAILED, "%s: %s", name, strerror(errno));
    return used < size - 1 ? 0 : cofre_fail(err, COFRE_FAILED, "%s: longer than %zu bytes", name, size - 1);
}

int flat_write(int directory, const char *name, const char *text, struct cofre_err *err)
{
    CLEAN_FD fd = openat(directory, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    size_t length = strlen(text);
    if (fd >= 0 && write(fd, text, length) == (ssize_t)length)
        return 0;
    int error = errno;
    cofre_fail(err, COFRE_FAILED, "%s: \"%s\" was not taken: %s", name, text, strerror(error));
    errno = error;
    return -COFRE_FAILED;
}

/* Takes a number off the text's beginning. */
static bool take(uint64_t *out, const char **text)
{
    const char *at = *text;
    uint64_t value = 0;
    while (*at >= '0' && *at <= '9')
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*at++ - '0'), &value))
            return false;
    bool some = at != *text;
    *out = value;
    *text = at;
    return some;
}

static bool ends_line(const char *at)
{
    return *at == '\n' || *at == 0;
}

bool flat_number(uint64_t *out, const char *text)
{
    if (strcmp(text, "max\n") == 0) {
        *out = UINT64_MAX;
        return true;
    }
    return take(out, &text) && (strcmp(text, "\n") == 0 || *text == 0);
}

static const char *next_line(const char *at)
{
    const char *end = strchr(at, '\n');
    return end ? end + 1 : at + strlen(at);
}

bool flat_keyed(uint64_t *out, const char *text, const char *key)
{
    size_t length = strlen(key);
    for (const char *line = text; *line; line = next_line(line)) {
        const char *at = line + length;
        if (strncmp(line, key, length) != 0 || (*at != ' ' && *at != ':'))
            continue;
        at += *at == ':';
        at += strspn(at, " ");
        if (strncmp(at, "max", 3) == 0 && ends_line(at + 3)) {
            *out = UINT64_MAX;
            return true;
        }
        if (!take(out, &at))
            return false;
        if (strncmp(at, " kB", 3) == 0 && ends_line(at + 3))
            return !__builtin_mul_overflow(*out, (uint64_t)1024, out);
        return ends_line(at);
    }
    return false;
}

bool flat_sum(uint64_t *out, const char *text, const char *key)
{
    size_t length = strlen(key);
    for (const char *at = text; (at = strstr(at, key)); at++) {
        uint64_t value;
        const char *number = at + length + 1;
        bool is_key = at > text && at[-1] == ' ' && at[length] == '=';
        if (!is_key)
            continue;
        if (!take(&value, &number) || (*number != ' ' && !ends_line(number)) ||
            __builtin_add_overflow(*out, value, out))
            return false;
    }
    return true;
}

bool flat_bits(uint64_t *out, unsigned words, const char *text)
{
    memset(out, 0, words * sizeof *out);
    if (ends_line(text))
        return true;
    for (;;) {
        uint64_t first, last;
        if (!take(&first, &text))
            return false;
        last = first;
        if (*text == '-' && (text++, !take(&last, &text)))
            return false;
        if (last < first || last >= 64ull * words)
            return false;
        for (uint64_t i = first; i <= last; i++)
            out[i / 64] |= 1ull << (i % 64);
        if (*text != ',')
            return ends_line(text);
        text++;
    }
}

static bool has(const uint64_t *bits, unsigned words, unsigned at)
{
    return at < 64 * words && bits[at / 64] >> (at % 64) & 1;
}

bool flat_bits_format(char *out, size_t size, const uint64_t *bits, unsigned words)
{
    size_t used = 0;
    out[0] = 0;
    for (unsigned first = 0; first < 64 * words; first++) {
        if (!has(bits, words, first))
            continue;
        unsigned last = first;
        while (has(bits, words, last + 1))
            last++;
        int n = last == first ? snprintf(out + used, size - used, "%s%u", used ? "," : "", first)
                              : snprintf(out + used, size - used, "%s%u-%u", used ? "," : "", first, last);
        if (n < 0 || (size_t)n >= size - used)
            return false;
        used += (size_t)n;
        first = last;
    }
    return true;
}
