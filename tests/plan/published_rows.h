/* published_rows.h — published training throughput: facts of other people's systems, for
 * tests/plan/published.c.
 * mpt rows: mosaicml/llm-foundry, scripts/train/benchmarking/README.md at 8c8dd48, table "H100 80GB
 * BF16". llm.c: README and scripts at f1e2ace. torchtitan: benchmarks at b5bcd76 (FSDP, without
 * compile; selective recomputation stands as mlp). Megatron-LM: images/model_table.png at d98e8a6
 * (model TFLOP/s per GPU). KempnerForge:
 * benchmarks/mfu_scaling at 9f3f03a (compiled, so elementwise steps are fused, which `full` is not;
 * 81 GB on one GPU, so weights and moments are bf16). llmq: README tables at b77d969. */
#ifndef TESTS_PLAN_PUBLISHED_ROWS_H
#define TESTS_PLAN_PUBLISHED_ROWS_H

#include "config/config.h"
#include "plan/predict.h"

typedef struct published_row {
    const char *group, *model, *cluster;
    int32_t ranks;
    int64_t sequence, micro_batch, accumulate;
    predict_sharding sharding;
    int32_t recompute;
    double tokens_per_s_per_rank; /* 0: see tflops                                  */
    double tflops;                /* model FLOP/s per rank / 1e12; 0: see tokens    */
    int64_t params;               /* as published with the row; 0: not              */
} published_row;

#define FULL  PREDICT_FULL
#define ZERO1 PREDICT_ZERO1
#define NONE  RECOMPUTE_NONE
#define MLP   RECOMPUTE_MLP
#define BLOCK RECOMPUTE_BLOCK

// clang-format off
static const published_row published_rows[] = {
    {"mpt", "mpt-70b",  "8xh100", 64,  2048,  8,  4, FULL, BLOCK,  1039, 0, 64862437376},
    {"mpt", "mpt-70b",  "8xh100", 32,  2048,  2, 16, FULL, BLOCK,   882, 0, 64862437376},
    {"mpt", "mpt-30b",  "8xh100",  8,  8192,  1, 21, FULL, BLOCK,  1384, 0, 30019254272},
    {"mpt", "mpt-30b",  "8xh100",  8,  4096,  1, 21, FULL, BLOCK,  1802, 0, 29989894144},
    {"mpt", "mpt-30b",  "8xh100", 32,  2048, 14,  3, FULL, BLOCK,  2308, 0, 29975214080},
    {"mpt", "mpt-30b",  "8xh100", 16,  2048, 10,  3, FULL, BLOCK,  2263, 0, 29975214080},
    {"mpt", "mpt-30b",  "8xh100",  8,  2048,  3, 21, FULL, BLOCK,  2002, 0, 29975214080},
    {"mpt", "mpt-30b",  "8xh100",  8,  1024,  6, 21, FULL, BLOCK,  2084, 0, 29967874048},
    {"mpt", "mpt-13b",  "8xh100",  8, 32768,  1,  3, FULL, BLOCK,  1976, 0, 13011240960},
    {"mpt", "mpt-13b",  "8xh100",  8, 16384,  3,  3, FULL, BLOCK,  2985, 0, 12927354880},
    {"mpt", "mpt-13b",  "8xh100",  8,  4096, 10,  3, FULL, BLOCK,  4717, 0, 12864440320},
    {"mpt", "mpt-13b",  "8xh100", 64,  2048,  2,  1, FULL, NONE ,  4800, 0, 12853954560},
    {"mpt", "mpt-13b",  "8xh100", 32,  2048,  2,  1, FULL, NONE ,  4811, 0, 12853954560},
    {"mpt", "mpt-13b",  "8xh100", 16,  2048,  2,  1, FULL, NONE ,  4767, 0, 12853954560},
    {"mpt", "mpt-13b",  "8xh100",  8,  2048,  2,  1, FULL, NONE ,  4792, 0, 12853954560},
    {"mpt", "mpt-13b",  "8xh100",  8,  1024, 40,  3, FULL, BLOCK,  5502, 0, 12848711680},
    {"mpt", "mpt-7b",   "8xh100",  8, 65536,  1,  2, FULL, BLOCK,  1956, 0, 6918905856},
    {"mpt", "mpt-7b",   "8xh100",  8, 32768,  2,  2, FULL, BLOCK,  3318, 0, 6784688128},
    {"mpt", "mpt-7b",   "8xh100",  8,  8192,  8,  2, FULL, BLOCK,  6935, 0, 6684024832},
    {"mpt", "mpt-7b",   "8xh100",  8,  4096, 16,  2, FULL, BLOCK,  8611, 0, 6667247616},
    {"mpt", "mpt-7b",   "8xh100",  8,  2048,  6,  1, FULL, NONE , 10643, 0, 6658859008},
    {"mpt", "mpt-7b",   "8xh100",  8,  1024, 64,  2, FULL, BLOCK, 10203, 0, 6654664704},
    {"mpt", "mpt-3b",   "8xh100",  8, 65536,  1,  2, FULL, BLOCK,  3262, 0, 2814366720},
    {"mpt", "mpt-3b",   "8xh100",  8, 32768,  3,  6, FULL, BLOCK,  5873, 0, 2730480640},
    {"mpt", "mpt-3b",   "8xh100",  8, 16384,  1,  6, FULL, NONE , 11152, 0, 2688537600},
    {"mpt", "mpt-3b",   "8xh100",  8,  8192,  3,  6, FULL, NONE , 16578, 0, 2667566080},
    {"mpt", "mpt-3b",   "8xh100",  8,  4096,  5,  6, FULL, NONE , 20964, 0, 2657080320},
    {"mpt", "mpt-3b",   "8xh100", 64,  2048,  6,  3, FULL, NONE , 22525, 0, 2651837440},
    {"mpt", "mpt-3b",   "8xh100", 32,  2048,  6,  3, FULL, NONE , 23021, 0, 2651837440},
    {"mpt", "mpt-3b",   "8xh100", 16,  2048, 10,  3, FULL, NONE , 24142, 0, 2651837440},
    {"mpt", "mpt-3b",   "8xh100",  8,  1024, 20,  6, FULL, NONE , 27046, 0, 2649216000},
    {"mpt", "mpt-3b",   "8xh100",  8,   512, 40,  6, FULL, NONE , 27965, 0, 2647905280},
    {"mpt", "mpt-1b",   "8xh100",  8, 65536,  1,  2, FULL, BLOCK,  5506, 0, 1445974016},
    {"mpt", "mpt-1b",   "8xh100",  8, 32768,  1,  4, FULL, NONE , 12025, 0, 1378865152},
    {"mpt", "mpt-1b",   "8xh100",  8, 16384,  2,  4, FULL, NONE , 19649, 0, 1345310720},
    {"mpt", "mpt-1b",   "8xh100",  8,  8192,  3,  4, FULL, NONE , 29157, 0, 1328533504},
    {"mpt", "mpt-1b",   "8xh100",  8,  4096,  7,  4, FULL, NONE , 38535, 0, 1320144896},
    {"mpt", "mpt-1b",   "8xh100", 64,  2048, 20,  1, FULL, NONE , 44402, 0, 1315950592},
    {"mpt", "mpt-1b",   "8xh100", 32,  2048, 20,  1, FULL, NONE , 45130, 0, 1315950592},
    {"mpt", "mpt-1b",   "8xh100", 16,  2048, 20,  1, FULL, NONE , 46037, 0, 1315950592},
    {"mpt", "mpt-1b",   "8xh100",  8,  2048, 14,  1, FULL, NONE , 45455, 0, 1315950592},
    {"mpt", "mpt-1b",   "8xh100",  8,  1024, 18,  4, FULL, NONE , 48910, 0, 1313853440},
    {"mpt", "mpt-1b",   "8xh100",  8,   512, 56,  4, FULL, NONE , 52275, 0, 1312804864},
    {"mpt", "mpt-760m", "8xh100",  8, 32768,  1,  2, FULL, NONE , 16291, 0, 807656448},
    {"mpt", "mpt-760m", "8xh100",  8, 16384,  3,  2, FULL, NONE , 27815, 0, 782490624},
    {"mpt", "mpt-760m", "8xh100",  8,  8192,  6,  2, FULL, NONE , 41825, 0, 769907712},
    {"mpt", "mpt-760m", "8xh100",  8,  4096, 12,  2, FULL, NONE , 55459, 0, 763616256},
    {"mpt", "mpt-760m", "8xh100", 32,  2048, 24,  1, FULL, NONE , 67971, 0, 760470528},
    {"mpt", "mpt-760m", "8xh100", 16,  2048, 24,  1, FULL, NONE , 68551, 0, 760470528},
    {"mpt", "mpt-760m", "8xh100",  8,  2048, 24,  2, FULL, NONE , 63147, 0, 760470528},
    {"mpt", "mpt-760m", "8xh100",  8,  1024, 48,  2, FULL, NONE , 78581, 0, 758897664},
    {"mpt", "mpt-760m", "8xh100",  8,   512, 96,  2, FULL, NONE , 83749, 0, 758111232},
    {"llm.c", "gpt2-small",  "8xa100-80gb", 8, 1024, 64, 1, ZERO1, NONE, 218453, 0, 0},
    {"llm.c", "gpt2-medium", "8xa100-80gb", 8, 1024, 64, 1, ZERO1, NONE,  79922, 0, 0},
    {"llm.c", "gpt2-large",  "8xa100-80gb", 8, 1024, 32, 2, ZERO1, NONE,  38550, 0, 0},
    {"llm.c", "gpt2-xl",     "8xh100",      8, 1024, 16, 8, ZERO1, NONE,  46811, 0, 0},
    {"torchtitan", "llama3-8b", "8xh100-96gb-500w",   8, 8192, 2, 1, FULL, MLP, 5762, 0, 0},
    {"torchtitan", "llama3-8b", "8xh100-96gb-500w", 128, 8192, 2, 1, FULL, MLP, 5605, 0, 0},
    {"megatron", "megatron-1.7b", "8xh100", 48, 4096, 4, 1, ZERO1, NONE, 0, 408.8, 0},
    {"kempnerforge", "llama3-8b", "8xh200", 1, 4096, 4, 2, FULL, BLOCK, 10471, 0, 0},
    {"kempnerforge", "llama3-8b", "8xh200", 4, 4096, 4, 2, FULL, BLOCK,  9746, 0, 0},
    {"llmq", "qwen2.5-0.5b", "8xh100", 1, 1024, 16, 32, ZERO1, NONE, 149000, 0, 0},
    {"llmq", "qwen2.5-1.5b", "8xh100", 1, 1024, 16, 32, ZERO1, NONE,  59000, 0, 0},
    {"llmq", "qwen2.5-3b",   "8xh100", 1, 1024, 16, 32, ZERO1, NONE,  31000, 0, 0},
    {"llmq", "qwen2.5-7b",   "8xh100", 1, 1024, 16, 32, ZERO1, NONE,  14000, 0, 0},
    {"llmq", "qwen2.5-14b",  "8xh100", 1, 1024, 16, 32, ZERO1, NONE,   6300, 0, 0},
    {"llmq", "qwen2.5-0.5b", "4xrtx4090",      1, 1024,  8, 64, ZERO1, NONE,  40000, 0, 0},
    {"llmq", "qwen2.5-0.5b", "4xrtx4090",      4, 1024,  8, 16, ZERO1, NONE,  38500, 0, 0},
    {"llmq", "qwen2.5-7b",   "8xrtx-pro-6000", 8, 1024,  8,  8, ZERO1, NONE,   7750, 0, 0},
};
// clang-format on
enum { PUBLISHED_ROWS = sizeof published_rows / sizeof published_rows[0] };

#endif
