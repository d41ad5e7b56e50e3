/* the source itself, to compare its two ways of doing a block */
#include "../../runtime/base/sha256.c"

#include <criterion/criterion.h>
#include <string.h>

static void hash_is(const char *text, int64_t count, const char *expected)
{
    char hex[SHA256_HEX];
    sha256_of(text, count, hex);
    cr_expect_str_eq(hex, expected);
}

Test(sha256, equals_the_published_examples)
{
    static char million[1000000];
    memset(million, 'a', sizeof million);
    hash_is("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hash_is("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hash_is("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    hash_is(million, sizeof million,
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

Test(sha256, does_not_depend_on_how_the_bytes_come_in_pieces)
{
    uint8_t bytes[300], whole[SHA256_BYTES], parts[SHA256_BYTES];
    for (int i = 0; i < 300; i++) bytes[i] = (uint8_t)(i * 7);
    for (int64_t count = 0; count <= 300; count += 1 + count / 100)
        for (int64_t step = 1; step <= 130; step = 2 * step + 1) {
            sha256 h;
            sha256_init(&h);
            sha256_add(&h, bytes, count);
            sha256_end(&h, whole);
            sha256_init(&h);
            for (int64_t at = 0; at < count; at += step)
                sha256_add(&h, bytes + at, step < count - at ? step : count - at);
            sha256_end(&h, parts);
            cr_assert_arr_eq(whole, parts, SHA256_BYTES);
        }
}

Test(sha256, instructions_equal_plain_code)
{
#if defined(__x86_64__)
    if (!has_sha()) cr_skip_test("this processor has no SHA instructions");
    uint8_t bytes[64 * 9];
    uint32_t a[8], b[8];
    for (int i = 0; i < (int)sizeof bytes; i++) bytes[i] = (uint8_t)(i * i + 3 * i);
    for (int i = 0; i < 8; i++) a[i] = b[i] = 0x9e3779b9u * (uint32_t)(i + 1);
    blocks_plain(a, bytes, 9);
    blocks_sha(b, bytes, 9);
    cr_expect_arr_eq(a, b, sizeof a);
#else
    cr_skip_test("one way only on this processor");
#endif
}
