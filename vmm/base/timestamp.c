#include "vmm/base/timestamp.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int time_parse(int64_t *out, const char *text, const char *what, struct cofre_err *err)
{
    /* Fixed widths, and the way back shows a date that the calendar does not have. */
    struct tm tm = {0};
    char again[TIME_TEXT_SIZE], rest;
    bool read = sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2dZ%c", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
                       &tm.tm_min, &tm.tm_sec, &rest) == 6;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    if (read) {
        *out = timegm(&tm);
        time_format(again, *out);
    }
    if (!read || strcmp(again, text) != 0)
        return cofre_fail(err, COFRE_USAGE, "%s: \"%.40s\" is not a time such as 2025-06-20T00:00:00Z (UTC)",
                          what, text);
    return 0;
}

void time_format(char out[TIME_TEXT_SIZE], int64_t seconds)
{
    struct tm tm;
    time_t time = (time_t)seconds;
    out[0] = 0;
    if (gmtime_r(&time, &tm))
        (void)strftime(out, TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
}
