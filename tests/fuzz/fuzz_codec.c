/* Frames of any bytes: the check, and the reader over what it has taken, against msgpack-c's unpacker. */
#include "tests/fuzz/input.h"
#include "tests/support/codec_oracle.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return 0;
}

/* Every kind of read on bytes that nobody has checked: nothing but a refusal may come of it. */
static void read_unchecked(const uint8_t *bytes, size_t len)
{
    reader_t r;
    uint32_t n;
    reader_init(&r, bytes, len);
    while (!r.failed && r.at < r.end) {
        reader_t again = r;
        value_t v;
        read_array(&again, 0, UINT32_MAX);
        again = r;
        read_map(&again, UINT32_MAX);
        again = r;
        MUST(read_uint(&again, CODEC_INT_MAX) <= CODEC_INT_MAX);
        again = r;
        read_str(&again, UINT32_MAX, &n);
        MUST(n <= len);
        again = r;
        read_bin(&again, UINT32_MAX, &n);
        MUST(n <= len);
        read_value(&r, &v);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    uint8_t *frame = exact_copy(bytes, len);
    const char *why = NULL;
    const char *difference = codec_oracle(frame, len, &why, NULL);
    if (difference != NULL) {
        fprintf(stderr, "%s (%s)\n", difference, why != NULL ? why : "taken");
        abort();
    }
    read_unchecked(frame, len);
    free(frame);
    return 0;
}
