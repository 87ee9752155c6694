#include "common/core/once_note.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/core/codec.h"

enum { NOTE_VERSION = 1, NOTE_FIELDS = 6 };

bool observation_id_check(const char *id)
{
    static const char of[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:+-";
    const size_t len = strspn(id, of);
    return len > 0 && len <= OBSERVATION_ID_MAX && id[len] == '\0';
}

uint32_t once_note_write(const once_note_t *n, uint8_t bytes[static NOTE_BYTES_MAX])
{
    /* The longest note is far below the room that there is, so this buffer never grows nor fails. */
    buffer_t b = {.data = bytes, .cap = NOTE_BYTES_MAX};
    write_array(&b, NOTE_FIELDS);
    write_uint(&b, NOTE_VERSION);
    write_uint(&b, (uint64_t)n->grant_ms);
    write_uint(&b, (uint64_t)n->act_ms);
    write_uint(&b, (uint64_t)n->return_ms);
    write_uint(&b, n->done ? 1 : 0);
    write_str(&b, n->id, strlen(n->id));
    assert(!b.failed && b.data == bytes);
    return (uint32_t)b.len;
}

int once_note_read(const void *bytes, uint32_t len, once_note_t *ret)
{
    reader_t r;
    uint32_t id_len;
    once_note_t n = {0};
    if (codec_check(bytes, len, NULL) != 0) {
        return -EPROTO;
    }
    reader_init(&r, bytes, len);
    read_array(&r, NOTE_FIELDS, NOTE_FIELDS);
    const uint64_t version = read_uint(&r, CODEC_INT_MAX);
    n.grant_ms = (int64_t)read_uint(&r, ONCE_MS_MAX);
    n.act_ms = (int64_t)read_uint(&r, ONCE_MS_MAX);
    n.return_ms = (int64_t)read_uint(&r, ONCE_MS_MAX);
    n.done = read_uint(&r, 1) == 1;
    const char *id = read_str(&r, OBSERVATION_ID_MAX, &id_len);
    if (reader_end(&r) != 0 || version != NOTE_VERSION) {
        return -EPROTO;
    }
    memcpy(n.id, id, id_len);
    if (id_len > 0 && !observation_id_check(n.id)) {
        return -EPROTO;
    }
    *ret = n;
    return 0;
}

typedef struct {
    int64_t ms;
    const char *name, *suffix; /* for readers, for flags */
} unit_t;

static const unit_t units[] = {
    {86400000, "d", "d"}, {3600000, "h", "h"}, {60000, "min", "m"}, {1000, "s", "s"}, {1, "ms", "ms"}};
enum { UNITS = sizeof units / sizeof *units };

const char *once_duration(int64_t ms, char text[static ONCE_DURATION_TEXT])
{
    /* The largest unit of which there are two: "90 s" says more than "1 min". */
    size_t i = 0;
    while (i < UNITS - 1 && ms < 2 * units[i].ms) {
        i++;
    }
    snprintf(text, ONCE_DURATION_TEXT, "%" PRId64 " %s", ms / units[i].ms, units[i].name);
    return text;
}

const char *once_exactly(int64_t ms, char text[static ONCE_DURATION_TEXT])
{
    size_t i = 0;
    while (i < UNITS - 1 && (ms % units[i].ms != 0 || ms == 0)) {
        i++;
    }
    snprintf(text, ONCE_DURATION_TEXT, "%" PRId64 "%s", ms / units[i].ms, units[i].suffix);
    return text;
}
