/* What the proto_*.c files share: the frame around a command, and the field types of docs/PROTOCOL.md
 * section 2. Not for others.
 *
 * Readers are sticky like those of codec.h: a field out of its range fails the reader. */
#ifndef MANDRILL_PROTO_PARTS_H
#define MANDRILL_PROTO_PARTS_H

#include "common/core/proto.h"

/* A frame's array of `fields` elements with its command number. */
void proto_write(buffer_t *b, command_t command, uint32_t fields);
void proto_read(reader_t *r, const void *frame, size_t len, command_t command, uint32_t fields);

/* The commands of one number; reading is 0 or -EPROTO. */
void write_number(buffer_t *b, command_t command, uint64_t v);
int read_number(const void *frame, size_t len, command_t command, uint64_t max, uint64_t *ret);

/* min..max, where read_uint() knows only a largest value. */
uint64_t read_range(reader_t *r, uint64_t min, uint64_t max);
/* stream, seq */
void write_message_id(buffer_t *b, message_id_t id);
message_id_t read_message_id(reader_t *r);
/* A text for people. What is too long is cut, what is not UTF-8 becomes '?': a peer refuses a whole frame for
 * either, and no text is worth the records beside it. */
void write_text(buffer_t *b, text_t text);
text_t read_text(reader_t *r);
unsigned read_error_code(reader_t *r);
/* The same, cut at LABEL_BYTES_MAX. */
void write_label(buffer_t *b, text_t label);
text_t read_label(reader_t *r);
/* An array of events (event_write) as bytes: written with its count, read as the bytes and their number. Each
 * has to pass `check`. */
void write_events(buffer_t *b, const void *events, uint32_t len, uint32_t count);
const void *read_events(reader_t *r, uint32_t max, bool (*check)(const event_t *e), uint32_t *ret_len,
                        uint32_t *ret_count);
/* An array of different names of legs: how many. */
uint32_t read_legs(reader_t *r, char ret[static LEGS_MAX][NAME_BYTES_MAX + 1]);
void write_legs(buffer_t *b, uint32_t count, const char legs[static LEGS_MAX][NAME_BYTES_MAX + 1]);
/* The name of a leg or a kind into `ret`, as a C string. */
void write_name(buffer_t *b, const char *name);
void read_name(reader_t *r, char ret[static NAME_BYTES_MAX + 1]);
/* An empty string where a name could be. */
void read_no_name(reader_t *r, char ret[static NAME_BYTES_MAX + 1]);

/* The array of records that ends a command: begin comes behind the other fields. */
void batch_begin(batch_t *batch, buffer_t *b);
/* Fails the reader when there are more than RECORDS_MAX, and returns their number all the same. */
uint32_t read_records(reader_t *r);
/* What the decoder of `n` records returns: n, -EPROTO, or -E2BIG when they are too many. */
int records_end(const reader_t *r, uint32_t n);

#endif
