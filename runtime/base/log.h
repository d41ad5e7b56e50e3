/* log.h — lines for people, on stderr: "[rank 3 +12.345s] warn plan: ...".
 * info is printed by rank 0 only; error and warn by every rank. A process that is not part of a
 * world prints without the rank. Levels are set by ISOFLOP_LOG=error|warn|info|debug.         */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/status.h"

typedef enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG } log_level;

/* ERR_CONFIG when ISOFLOP_LOG is none of them. */
status log_check(void);
/* Called once, when the world is known. ranks == 1 prints no rank prefix. */
void log_open(int rank, int ranks);
void log_line(log_level level, const char *area, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(area, ...) log_line(LOG_ERROR, area, __VA_ARGS__)
#define log_warn(area, ...)  log_line(LOG_WARN, area, __VA_ARGS__)
#define log_info(area, ...)  log_line(LOG_INFO, area, __VA_ARGS__)
#define log_debug(area, ...) log_line(LOG_DEBUG, area, __VA_ARGS__)

#endif
