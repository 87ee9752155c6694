/* Commands of section 3 of docs/PROTOCOL.md. */
#include "common/core/proto_parts.h"

#include <errno.h>
#include <string.h>

static const char *const protocol[] = {"mandrill"};
static const char *const roles[] = {[ROLE_CONSUMER] = "consumer", [ROLE_WORKER] = "worker"};

/* The place in `words` of the next string. */
static unsigned read_word(reader_t *r, const char *const *words, unsigned count)
{
    uint32_t len;
    const char *s = read_str(r, UINT32_MAX, &len);
    for (unsigned i = 0; i < count; i++) {
        if (len == strlen(words[i]) && memcmp(s, words[i], len) == 0) {
            return i;
        }
    }
    r->failed = true;
    return 0;
}

void encode_hello(buffer_t *b, const hello_t *h, const uint64_t *held)
{
    proto_write(b, CMD_HELLO, 11);
    write_name(b, protocol[0]);
    write_uint(b, h->version_min);
    write_uint(b, h->version_max);
    write_name(b, roles[h->role]);
    write_uint(b, h->session);
    write_uint(b, h->window);
    write_name(b, h->kind);
    write_name(b, h->leg);
    write_array(b, h->held_count);
    for (uint32_t i = 0; i < h->held_count; i++) {
        write_uint(b, held[i]);
    }
    write_label(b, (text_t){h->label, (uint32_t)strlen(h->label)});
}

/* Reads HELLO's list to its end, so that whoever walks it later finds only good numbers. */
static void check_held(reader_t *r, const hello_t *h)
{
    if (h->role == ROLE_WORKER) {
        for (uint32_t i = 0; i < h->held_count && !r->failed; i++) {
            read_uint(r, CODEC_INT_MAX);
        }
        return;
    }
    if (h->held_count % 2 != 0) {
        r->failed = true;
    }
    for (uint32_t i = 0; i < h->held_count && !r->failed; i += 2) {
        read_message_id(r);
    }
}

int decode_hello(const void *frame, size_t len, hello_t *ret)
{
    reader_t r;
    hello_t h = {0};
    proto_read(&r, frame, len, CMD_HELLO, 11);
    read_word(&r, protocol, 1);
    h.version_min = read_uint(&r, CODEC_INT_MAX);
    h.version_max = read_uint(&r, CODEC_INT_MAX);
    h.role = (role_t)read_word(&r, roles, 2);
    h.session = read_range(&r, 1, CODEC_INT_MAX);
    h.window = (uint32_t)read_uint(&r, WINDOW_MAX);
    if (h.role == ROLE_WORKER) {
        read_name(&r, h.kind);
        read_name(&r, h.leg);
    } else {
        read_no_name(&r, h.kind);
        read_no_name(&r, h.leg);
    }
    h.held_count = read_array(&r, 0, HELD_MAX);
    h.held = r;
    check_held(&r, &h);
    text_t label = read_label(&r);
    memcpy(h.label, label.bytes, r.failed ? 0 : label.len);
    if (reader_end(&r) != 0) {
        return -EPROTO;
    }
    *ret = h;
    return 0;
}

void write_legs(buffer_t *b, uint32_t count, const char legs[static LEGS_MAX][NAME_BYTES_MAX + 1])
{
    write_array(b, count);
    for (uint32_t i = 0; i < count; i++) {
        write_name(b, legs[i]);
    }
}

uint32_t read_legs(reader_t *r, char ret[static LEGS_MAX][NAME_BYTES_MAX + 1])
{
    uint32_t count = read_array(r, 0, LEGS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        read_name(r, ret[i]);
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(ret[k], ret[i]) == 0) {
                r->failed = true;
            }
        }
    }
    return count;
}

void encode_welcome(buffer_t *b, const welcome_t *w)
{
    proto_write(b, CMD_WELCOME, 7);
    write_uint(b, w->version);
    write_uint(b, w->session);
    write_uint(b, (uint64_t)w->ack_deadline_ms);
    write_uint(b, (uint64_t)w->lease_cap_ms);
    write_legs(b, w->legs_count, w->legs);
    write_uint(b, w->asked);
}

int decode_welcome(const void *frame, size_t len, welcome_t *ret)
{
    reader_t r;
    welcome_t w = {0};
    proto_read(&r, frame, len, CMD_WELCOME, 7);
    w.version = read_uint(&r, CODEC_INT_MAX);
    w.session = read_range(&r, 1, CODEC_INT_MAX);
    w.ack_deadline_ms = (int64_t)read_uint(&r, DURATION_MS_MAX);
    w.lease_cap_ms = (int64_t)read_uint(&r, DURATION_MS_MAX);
    w.legs_count = read_legs(&r, w.legs);
    w.asked = (uint8_t)read_uint(&r, (UINT64_C(1) << w.legs_count) - 1);
    if (reader_end(&r) != 0) {
        return -EPROTO;
    }
    *ret = w;
    return 0;
}

void encode_who(buffer_t *b)
{
    proto_write(b, CMD_WHO, 1);
}

void encode_bye(buffer_t *b)
{
    proto_write(b, CMD_BYE, 1);
}

void encode_ping(buffer_t *b, uint64_t count)
{
    write_number(b, CMD_PING, count);
}

int decode_ping(const void *frame, size_t len, uint64_t *ret_count)
{
    return read_number(frame, len, CMD_PING, CODEC_INT_MAX, ret_count);
}

void encode_window(buffer_t *b, uint32_t window)
{
    write_number(b, CMD_WINDOW, window);
}

int decode_window(const void *frame, size_t len, uint32_t *ret_window)
{
    uint64_t window;
    int rc = read_number(frame, len, CMD_WINDOW, WINDOW_MAX, &window);
    if (rc == 0) {
        *ret_window = (uint32_t)window;
    }
    return rc;
}

void encode_error(buffer_t *b, unsigned code, const char *text)
{
    proto_write(b, CMD_ERROR, 3);
    write_uint(b, code);
    write_text(b, (text_t){text, (uint32_t)strlen(text)});
}

int decode_error(const void *frame, size_t len, peer_error_t *ret)
{
    reader_t r;
    peer_error_t e;
    proto_read(&r, frame, len, CMD_ERROR, 3);
    e.code = read_error_code(&r);
    e.text = read_text(&r);
    if (reader_end(&r) != 0) {
        return -EPROTO;
    }
    *ret = e;
    return 0;
}
