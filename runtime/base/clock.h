/* clock.h — monotonic seconds. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

/* Seconds of a monotonic clock with arbitrary origin. */
double clock_s(void);
/* Seconds since this process first asked. */
double clock_process_s(void);
/* Seconds of processor time used by this process. */
double clock_cpu_s(void);

#endif
