#include "vmm/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static int level_named(const char *name, size_t len)
{
    for (int i = 0; i < 4; i++)
        if (strlen(level_names[i]) == len && strncmp(level_names[i], name, len) == 0)
            return i;
    return -1;
}

/* COFRE_LOG is a list of LEVEL and ROOM=LEVEL; the last that fits wins. Without it warnings and errors are
 * shown. */
static enum log_level threshold(const char *room)
{
    int level = LOG_WARN;
    const char *p = getenv("COFRE_LOG");
    while (p && *p) {
        size_t len = strcspn(p, ",");
        const char *equals = memchr(p, '=', len);
        size_t name = equals ? (size_t)(equals - p) : 0;
        int named = equals ? level_named(equals + 1, len - name - 1) : level_named(p, len);
        bool fits = !equals || (strlen(room) == name && strncmp(room, p, name) == 0);
        if (named >= 0 && fits)
            level = named;
        p += len + (p[len] == ',');
    }
    return (enum log_level)level;
}

bool log_wanted(const char *room, enum log_level level)
{
    return level <= threshold(room);
}

void log_line(const char *room, enum log_level level, const char *format, ...)
{
    if (!log_wanted(room, level))
        return;
    char line[2048];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fprintf(stderr, "cofre: %s: %s: %s\n", level_names[level], room,
            line); /* one write: lines of threads do not mix */
}
