/* Log lines on standard error, by room: COFRE_LOG=debug, or COFRE_LOG=kvm=debug,emu=debug,info. */
#ifndef COFRE_BASE_LOG_H
#define COFRE_BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* True when a line of that room and level would be shown; for work that only a log line needs. */
bool log_wanted(const char *room, enum log_level level);
void log_line(const char *room, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Of lines that somebody hostile can cause there are LOG_ALLOWED, and then silence. Zero it to begin; any thread. */
#define LOG_ALLOWED 16
struct log_allowance {
    atomic_uint said;
};
/* What to put behind the next line: nothing, or that it is the last; NULL where there is to be none. */
const char *log_allow(struct log_allowance *allowance);

/* Each file that logs defines LOG_ROOM before it includes this header's macros' first use: #define LOG_ROOM
 * "kvm" */
#define log_error(...) log_line(LOG_ROOM, LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_ROOM, LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_ROOM, LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                                                                       \
    do {                                                                                                     \
        if (log_wanted(LOG_ROOM, LOG_DEBUG))                                                                 \
            log_line(LOG_ROOM, LOG_DEBUG, __VA_ARGS__);                                                      \
    } while (0)

#endif
