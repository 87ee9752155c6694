/* What lies on the publishers' disks. */
#include "common/core/notes.h"
#include "tests/sim/check.h"
#include "tests/sim/disk_internal.h"
#include "tests/sim/trace.h"
#include <assert.h>
#include <string.h>

static disk_t disks[PUBLISHERS_MAX];

disk_t *disk_at(uint32_t publisher)
{
    return &disks[publisher];
}

disk_t *disk_of(const outbox_t *o)
{
    return &disks[o->publisher];
}

uint32_t disk_epoch_of(const disk_t *d, uint64_t stream)
{
    for (uint32_t i = d->epoch; i > 0; i--)
        if (d->streams[i - 1] == stream)
            return i;
    return 0;
}

/* --- tables --- */

uint32_t disk_place_of(const tables_t *t, uint64_t id)
{
    uint32_t low = 0, high = t->rows_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->rows[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

disk_row_t *disk_find_row(const tables_t *t, uint64_t id)
{
    uint32_t place = disk_place_of(t, id);
    return place < t->rows_count && t->rows[place].id == id ? &t->rows[place] : NULL;
}

static void insert_row(tables_t *t, const disk_row_t *row)
{
    if (t->rows_count == t->rows_cap) {
        t->rows_cap = t->rows_cap > 0 ? 2 * t->rows_cap : 64;
        t->rows = keep_grow(t->rows, t->rows_cap * sizeof *t->rows);
    }
    assert(t->rows_count == 0 || t->rows[t->rows_count - 1].id < row->id);
    t->rows[t->rows_count++] = *row;
}

static void delete_row(tables_t *t, disk_row_t *row)
{
    keep_free(row->body);
    keep_free(row->notes);
    uint32_t place = (uint32_t)(row - t->rows);
    memmove(row, row + 1, (t->rows_count - place - 1) * sizeof *row);
    t->rows_count--;
}

client_row_t *disk_find_client(tables_t *t, uint64_t session)
{
    for (uint32_t i = 0; i < t->clients_count; i++)
        if (t->clients[i].session == session)
            return &t->clients[i];
    return NULL;
}

static void apply_change(uint32_t publisher, tables_t *t, const write_t *w)
{
    const delivery_change_t *c = &w->change;
    disk_row_t *row = disk_find_row(t, c->id);
    if (row == NULL)
        return;
    check_change(publisher, row, c);
    if (c->kind == CHANGE_DELETE) {
        delete_row(t, row);
        return;
    }
    row->done = c->done;
    row->bad = c->bad;
    row->deliveries = c->deliveries;
    row->not_before_ms = c->wait_ms > 0 ? w->wall_ms + c->wait_ms : 0;
    row->delay_ms = c->wait_ms;
    if (c->kind == CHANGE_BURY) {
        row->dead = true;
        row->exhausted = c->exhausted;
    }
}

/* Of a history only what it says of tries is kept here. */
static void apply_tries(tables_t *t, const write_t *w)
{
    disk_row_t *row = disk_find_row(t, w->row.id);
    for (uint32_t bit = 0; row != NULL && bit < LEGS_MAX; bit++)
        if (w->row.tries[bit] > row->tries[bit])
            row->tries[bit] = w->row.tries[bit];
}

static void set_notes(disk_row_t *row, const buffer_t *notes)
{
    keep_free(row->notes);
    row->notes = notes->len > 0 ? keep_alloc(notes->len) : NULL;
    row->notes_len = (uint32_t)notes->len;
    if (notes->len > 0)
        memcpy(row->notes, notes->data, notes->len);
}

/* Takes the write's own. */
static void apply_note(tables_t *t, const write_t *w)
{
    disk_row_t *row = disk_find_row(t, w->row.id);
    reader_t r;
    note_t note;
    buffer_t notes;
    buffer_init(&notes);
    reader_init(&r, w->row.notes, w->row.notes_len);
    if (row != NULL && note_read(&r, &note)) {
        check_noted(row, w->number);
        notes_put(row->notes, row->notes_len, &note, &notes);
        set_notes(row, &notes);
        row->noted = w->number;
    }
    buffer_done(&notes);
    keep_free(w->row.notes);
}

static void apply_redrive(uint32_t publisher, tables_t *t, const write_t *w)
{
    disk_row_t *row = disk_find_row(t, w->row.id);
    if (row == NULL || !row->dead)
        return;
    check_redriven(publisher, row);
    row->dead = row->exhausted = false;
    row->bad = 0;
    row->deliveries = 0;
    memset(row->tries, 0, sizeof row->tries);
    set_notes(row, &(buffer_t){.len = 0});
    row->noted = 0;
    row->not_before_ms = w->wall_ms;
    row->delay_ms = 1;
}

static void apply_purge(uint32_t publisher, tables_t *t, const write_t *w)
{
    disk_row_t *row = disk_find_row(t, w->row.id);
    if (row == NULL || !row->dead)
        return;
    check_purged(publisher, row);
    delete_row(t, row);
}

void disk_apply(uint32_t publisher, const write_t *w)
{
    tables_t *t = &disks[publisher].tables;
    switch (w->kind) {
    case WRITE_INSERT:
        insert_row(t, &w->row);
        check_insert(publisher, &w->row);
        break;
    case WRITE_TRIES:
        apply_tries(t, w);
        break;
    case WRITE_NOTE:
        apply_note(t, w);
        break;
    case WRITE_REDRIVE:
        apply_redrive(publisher, t, w);
        break;
    case WRITE_PURGE:
        apply_purge(publisher, t, w);
        break;
    case WRITE_CHANGE:
        apply_change(publisher, t, w);
        break;
    case WRITE_DISPATCH:
        if (w->number > t->dispatched_to)
            t->dispatched_to = w->number;
        break;
    case WRITE_CLIENT: {
        client_row_t *client = disk_find_client(t, w->client.session);
        assert(client != NULL || t->clients_count < CLIENTS_MAX);
        if (client == NULL)
            client = &t->clients[t->clients_count++];
        *client = w->client;
        break;
    }
    case WRITE_LOAD:
        t->load_position = w->number;
        t->load_known = true;
        break;
    }
}

/* --- from outside --- */

uint32_t disk_rows(uint32_t publisher)
{
    return disks[publisher].tables.rows_count;
}

uint32_t disk_living(uint32_t publisher)
{
    const tables_t *t = &disks[publisher].tables;
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->rows_count; i++)
        n += !t->rows[i].dead;
    return n;
}

uint64_t disk_first_living(uint32_t publisher)
{
    const disk_row_t *row = disks[publisher].tables.rows;
    while (row->dead)
        row++;
    return row->id;
}

uint64_t disk_load_position(uint32_t publisher)
{
    return disks[publisher].tables.load_position;
}

uint32_t disk_epoch(uint32_t publisher)
{
    return disks[publisher].epoch;
}

uint32_t disk_refusals(uint32_t publisher)
{
    return disks[publisher].refusals;
}

uint64_t disk_dispatched_to(uint32_t publisher)
{
    return disks[publisher].tables.dispatched_to;
}

bool disk_row_id(uint32_t publisher, message_id_t id, uint64_t *ret_row)
{
    uint32_t epoch = disk_epoch_of(&disks[publisher], id.stream);
    *ret_row = ((uint64_t)epoch << EPOCH_SHIFT) + id.seq;
    return epoch > 0;
}

message_id_t disk_id(uint32_t publisher, uint64_t row)
{
    uint32_t epoch = (uint32_t)(row >> EPOCH_SHIFT);
    return (message_id_t){.stream = disks[publisher].streams[epoch - 1], .seq = row & SEQ_MAX};
}

const disk_row_t *disk_find(uint32_t publisher, uint64_t row)
{
    return disk_find_row(&disks[publisher].tables, row);
}

void disk_full(uint32_t publisher, int64_t us)
{
    trace("the disk of publisher-%u is full for %.3f s", publisher, (double)us / 1e6);
    disks[publisher].full_until_us = world.now_us + us;
}

void disk_fail(uint32_t publisher)
{
    trace("the disk of publisher-%u fails with the next write", publisher);
    disks[publisher].fails = true;
}

void disk_open(void)
{
    memset(disks, 0, sizeof disks);
}

void disk_close(void)
{
    for (uint32_t i = 0; i < PUBLISHERS_MAX; i++) {
        tables_t *t = &disks[i].tables;
        for (uint32_t k = 0; k < t->rows_count; k++)
            keep_free(t->rows[k].body), keep_free(t->rows[k].notes);
        keep_free(t->rows);
    }
}

void disk_heal(void)
{
    for (uint32_t i = 0; i < PUBLISHERS_MAX; i++) {
        disks[i].full_until_us = 0;
        disks[i].fails = false;
    }
}
