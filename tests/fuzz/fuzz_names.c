/* Texts that name something: hosts, instances, legs, ids of messages, endpoints; and patterns of them. */
#include "common/core/glob.h"
#include "common/core/message.h"
#include "common/core/utf8.h"
#include "common/runtime/wire.h"
#include "tests/fuzz/input.h"

#include <errno.h>

enum { ENDPOINT_BYTES = 128, NAMES_MAX = 4, PATTERN_MAX = 32, TEXT_MAX = 128 };

static char why[WHY_BYTES];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return 0;
}

static bool is_printable(const char *text)
{
    while (*text >= 0x20 && *text < 0x7f)
        text++;
    return *text == '\0';
}

/* A refusal has a reason that may be shown on any terminal. */
static bool judge(int rc)
{
    MUST(rc == 0 || rc == -EINVAL);
    MUST(rc == 0 || (why[0] != '\0' && is_printable(why)));
    why[0] = '\0';
    return rc == 0;
}

static void check_names(const char *text, size_t len)
{
    bool instance = judge(instance_check(text, len, why));
    bool host = judge(host_check(text, len, why));
    MUST(!instance || len <= INSTANCE_BYTES_MAX);
    MUST(!host || len <= HOST_BYTES_MAX);
    MUST(!(instance && host)); /* the dot tells them apart */
    MUST(name_check(text, len) != 0 || len <= NAME_BYTES_MAX);
}

static void check_id(const char *text)
{
    message_id_t id;
    char again[MESSAGE_ID_TEXT];
    if (message_id_parse(text, &id) != 0)
        return;
    message_id_format(id, again);
    MUST(strcmp(again, text) == 0);
}

/* Looking names up is the system's work, and asks other machines: numbers only. */
static bool needs_no_lookup(const char *endpoint)
{
    return strncmp(endpoint, "ipc", 3) == 0 || endpoint[strspn(endpoint, "tcp:/0123456789.*")] == '\0';
}

static void check_endpoint(const char *text)
{
    char found[NAMES_MAX][ENDPOINT_BYTES];
    if (!judge(endpoint_check(text, why)) || !needs_no_lookup(text))
        return;
    int n = endpoint_resolve(text, found, NAMES_MAX, why);
    MUST(n <= NAMES_MAX);
    for (int i = 0; i < n; i++)
        MUST(judge(endpoint_check(found[i], why)));
}

/* The same by a table: which ends of the pattern meet which ends of the text. */
static bool matches(const char *pattern, size_t pattern_len, const char *text, size_t len)
{
    static bool met[PATTERN_MAX + 1][TEXT_MAX + 1];
    memset(met, 0, sizeof met);
    met[0][0] = true;
    for (size_t p = 0; p < pattern_len; p++) {
        for (size_t t = 0; t <= len; t++) {
            size_t next = t + 1;
            while (next < len && (text[next] & 0xc0) == 0x80)
                next++;
            if (!met[p][t])
                continue;
            met[p + 1][t] |= pattern[p] == '*';
            if (t < len && pattern[p] == '*')
                met[p][next] = true;
            if (t < len && pattern[p] == '?')
                met[p + 1][next] = true;
            if (t < len && pattern[p] == text[t] && pattern[p] != '*')
                met[p + 1][t + 1] = true;
        }
    }
    return met[pattern_len][len];
}

/* The first line is the pattern. */
static void check_glob(const char *text, size_t len)
{
    const char *end = memchr(text, '\n', len);
    if (end == NULL)
        return;
    size_t pattern_len = (size_t)(end - text), rest = len - pattern_len - 1;
    bool found = glob_match(text, pattern_len, end + 1, rest);
    if (pattern_len <= PATTERN_MAX && rest <= TEXT_MAX && utf8_prefix(text, pattern_len) == pattern_len &&
        utf8_prefix(end + 1, rest) == rest)
        MUST(found == matches(text, pattern_len, end + 1, rest));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char shown[64];
    char *text = exact_copy(bytes, len);
    check_names(text, len);
    check_glob(text, len);
    text_escape(text, len, shown, sizeof shown);
    MUST(strlen(shown) < sizeof shown && is_printable(shown));
    free(text);

    input_t in = {bytes, len};
    char *word = take_run(&in, len, &len);
    check_id(word);
    check_endpoint(word);
    free(word);
    return 0;
}
