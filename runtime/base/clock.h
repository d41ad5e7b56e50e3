/* clock.h — seconds: of a monotonic clock, of processors. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdio.h>

/* Seconds of a monotonic clock with arbitrary origin. */
double clock_s(void);
/* Seconds since this process first asked. */
double clock_process_s(void);
/* Seconds of processor time used by this process. */
double clock_cpu_s(void);
/* Seconds of processor time that this machine's host gave to others since the machine started, all
 * cores together: `steal` of the first line of /proc/stat. NaN where that does not say. */
double clock_stolen_s(void);
/* That much of all cores' time during so many seconds. */
double clock_stolen_share(double stolen_s, double took_s);
/* The same, of text in that form. Borrows it. */
double clock_stolen_of(FILE *stat);

#endif
