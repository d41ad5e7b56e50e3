#include "base/tensor.h"

#include <criterion/criterion.h>
#include <math.h>

Test(bf16, every_bf16_value_survives_the_round_trip)
{
    for (uint32_t bits = 0; bits < 65536; bits++) {
        float value = f32_from_bf16((uint16_t)bits);
        uint16_t back = bf16_from_f32(value);
        if (isnan(value))
            cr_assert((back & 0x7fc0) == 0x7fc0 && (back & 0x8000) == (bits & 0x8000));
        else
            cr_assert(back == bits, "%04x became %04x", bits, back);
    }
}

/* between two neighbours: below the middle down, above it up, at the middle to the even one */
Test(bf16, rounding_is_to_nearest_and_ties_to_even)
{
    for (uint32_t bits = 0; bits < 0x7f80; bits++) {
        const uint32_t low[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
        for (int i = 0; i < 6; i++) {
            uint32_t word = bits << 16 | low[i];
            float value;
            memcpy(&value, &word, 4);
            uint32_t up = low[i] > 0x8000 || (low[i] == 0x8000 && bits % 2 == 1);
            cr_assert(bf16_from_f32(value) == bits + up, "%08x", word);
            cr_assert(bf16_from_f32(-value) == ((bits + up) | 0x8000u), "-%08x", word);
        }
    }
}

Test(bf16, what_is_too_large_becomes_infinite_and_nan_stays_nan)
{
    cr_expect(bf16_from_f32(3.4028235e38f) == 0x7f80 && bf16_from_f32(-3.4028235e38f) == 0xff80);
    for (uint32_t payload = 1; payload < 0x800000; payload = payload * 3 + 1) {
        uint32_t word = 0x7f800000u | payload;
        float value;
        memcpy(&value, &word, 4);
        cr_assert(isnan(f32_from_bf16(bf16_from_f32(value))), "%08x", word);
    }
}

Test(tensor, counts_and_bytes_follow_from_the_shape)
{
    cr_expect(tensor_count(tensor_3(NULL, DTYPE_BF16, 2, 3, 5)) == 30);
    cr_expect(tensor_bytes(tensor_3(NULL, DTYPE_BF16, 2, 3, 5)) == 60);
    cr_expect(tensor_bytes(tensor_2(NULL, DTYPE_F32, 0, 7)) == 0);
    cr_expect(tensor_bytes(tensor_1(NULL, DTYPE_I64, 3)) == 24);
    cr_expect(dtype_bytes(DTYPE_I32) == 4 && dtype_bytes(DTYPE_F64) == 8 &&
              dtype_bytes(DTYPE_U64) == 8);
    cr_expect(tensor_count((tensor){0}) == 0);
}
