/* nvml.h — what the driver's management library (NVML) says of one GPU. The library is opened at
 * run time: machines without a GPU have none. What it does not know is absent (NaN), not 0.     */
#ifndef MEASURE_NVML_H
#define MEASURE_NVML_H

#include <stddef.h>
#include <stdint.h>

typedef struct nvml nvml;

/* The GPU with this PCI bus id, e.g. "0000:1B:00.0". NULL where there is no library or no such GPU;
 * why (optional) then says so. The caller closes. */
nvml *nvml_open(const char *bus_id, char *why, size_t bytes);
/* By number, 0 to nvml_count() - 1: as nvidia-smi counts, whatever CUDA_VISIBLE_DEVICES says. */
nvml *nvml_open_at(int32_t index, char *why, size_t bytes);
/* GPUs of this machine that the library shows; 0 without a library. */
int32_t nvml_count(void);
void nvml_close(nvml *n); /* NULL is a no-op */

/* Fixed while the machine runs. */
typedef struct nvml_about {
    char name[96], driver[80]; /* "" unknown                       */
    double power_limit_w;
} nvml_about;
void nvml_describe(const nvml *n, nvml_about *out);

typedef struct nvml_sample {
    double energy_j; /* since the driver was loaded                       */
    double power_w, temperature_c;
    double sm_clock_mhz, memory_clock_mhz, sm_clock_most_mhz;
    double ecc_corrected, ecc_uncorrected; /* since the driver was loaded */
    int64_t throttle;                      /* bits of nvmlClocksEventReasons; -1 unknown */
    int64_t xid;                           /* last critical error since opening; 0 none  */
    int32_t remap_pending, remap_failed;   /* rows of memory: 0 no, 1 yes, -1 unknown  */
} nvml_sample;
void nvml_read(nvml *n, nvml_sample *out);
/* Joules since the driver was loaded; NaN without a counter. */
double nvml_energy_j(const nvml *n);
/* Reasons as text, "power cap, thermal"; "none". */
void nvml_throttle_text(int64_t throttle, char *text, size_t bytes);

#endif
