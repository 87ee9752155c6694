/* save-postgres: what its tables hold, what it does while there is no server, and who may share them. */
#include "tests/contract/contract.h"
#include "tests/support/postgres.h"

#include "common/runtime/clock.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, SHARED = 3000, LARGE_BYTES = 60000, LARGE = 300 };

static int64_t number(const contract_t *c, const char *sql)
{
    return postgres_number(postgres_shared(), c->schema, sql);
}

static void run(const contract_t *c, const char *sql)
{
    postgres_run(postgres_shared(), c->schema, sql);
}

static void expect_text(const contract_t *c, const char *sql, const char *expected)
{
    char *text = postgres_text(postgres_shared(), c->schema, sql);

    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

static int64_t rows(const contract_t *c)
{
    return postgres_rows(postgres_shared(), c->schema);
}

static void wait_result(contract_t *c, uint64_t ref, outcome_t outcome)
{
    boss_t *b = &c->boss;

    BOSS_UNTIL(b, boss_result(b, ref) != NULL);
    if (boss_result(b, ref)->outcome != outcome)
        fail_msg("outcome %d instead of %d: %s", boss_result(b, ref)->outcome, outcome,
                 boss_result(b, ref)->text);
}

/* A stored body of one attribute. */
static void make_body(buffer_t *body, int64_t published_ms, const char *key, const char *value, size_t len)
{
    buffer_t given;
    char why[WHY_BYTES] = "";

    buffer_init(&given);
    buffer_init(body);
    write_map(&given, 3);
    write_str(&given, "instance", 8);
    write_str(&given, "db-1", 4);
    write_str(&given, "published_at", 12);
    write_uint(&given, (uint64_t)published_ms);
    write_str(&given, key, strlen(key));
    write_str(&given, value, len);
    if (body_normalise(given.data, given.len, "example.net", 1, body, why) != 0)
        fail_msg("%s", why);
    buffer_done(&given);
}

static uint64_t give(contract_t *c, uint64_t seq, int64_t published_ms, const char *value, size_t len)
{
    buffer_t body;

    make_body(&body, published_ms, "why", value, len);
    const uint64_t ref = boss_give(&c->boss, 0, seq, 1, body.data, body.len);
    buffer_done(&body);
    return ref;
}

static void test_a_row_says_what_the_message_said(void **state)
{
    contract_t *c = *state;
    char expected[128];
    const char odd[] = "a \"quote\", a \\u0000 that is text, \xf0\x9f\x90\x98\x01\x1f\x7f";

    contract_start(c, "worker", NO_ARGS);
    const int64_t before_ms = clock_wall_ms();
    wait_result(c, give(c, 1, INT64_C(1234567890123), odd, strlen(odd)), OUTCOME_OK);
    wait_result(c, boss_ask(&c->boss, 0, 2, 1, "web-2.example.org"), OUTCOME_OK);
    snprintf(expected, sizeof expected, "%llu db-1 db-1.example.net", (unsigned long long)BOSS_STREAM);
    expect_text(c, "SELECT stream || ' ' || instance || ' ' || host FROM mandrill_messages WHERE seq = 1",
                expected);
    expect_text(c, "SELECT published_at AT TIME ZONE 'UTC' FROM mandrill_messages WHERE seq = 1",
                "2009-02-13 23:31:30.123");
    expect_text(c, "SELECT attributes->>'why' FROM mandrill_messages WHERE seq = 1", odd);
    assert_in_range(number(c, "SELECT (extract(epoch FROM saved_at) * 1000)::bigint FROM mandrill_messages"
                              " WHERE seq = 1"),
                    before_ms, clock_wall_ms());
    expect_text(c, "SELECT host FROM mandrill_messages WHERE seq = 2 AND attributes IS NULL",
                "web-2.example.org");
    rig_passed(c->rig);
}

/* What MessagePack has and PostgreSQL has not, in one batch with what both have. */
static void test_whatever_a_body_may_hold_is_saved(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    const char nul[] = "x\0\\\0y";
    process_t *p = contract_start(c, "worker", NO_ARGS);

    process_signal(p, SIGSTOP);
    const uint64_t first = give(c, 1, INT64_MAX, nul, sizeof nul - 1);
    give(c, 2, 0, "", 0);
    give(c, 3, INT64_C(9224318015999999), "the last moment that there is", 29);
    give(c, 4, INT64_C(9224318016000000), "the first that there is not", 27);
    process_signal(p, SIGCONT);
    BOSS_UNTIL(b, b->results_count == 4);
    boss_expect_each_once(b, first, 4);
    assert_int_equal(b->outcomes[OUTCOME_OK], 4);
    expect_text(c, "SELECT attributes->>'why' FROM mandrill_messages WHERE seq = 1",
                "x\xef\xbf\xbd\\\xef\xbf\xbdy");
    assert_int_equal(
        number(c, "SELECT seq FROM mandrill_messages WHERE published_at = 'infinity' ORDER BY seq"), 1);
    assert_int_equal(number(c, "SELECT count(*) FROM mandrill_messages WHERE isfinite(published_at)"), 2);
    assert_int_equal(number(c, "SELECT extract(year FROM published_at AT TIME ZONE 'UTC')"
                               " FROM mandrill_messages WHERE seq = 3"),
                     294276);
    rig_passed(c->rig);
}

static void test_a_message_has_one_row_however_often_it_comes(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", NO_ARGS);
    wait_result(c, boss_ask(b, 0, 1, 1, "web-1"), OUTCOME_OK);
    run(c, "UPDATE mandrill_messages SET saved_at = 'epoch'");
    for (uint32_t try_no = 2; try_no < 6; try_no++)
        wait_result(c, boss_ask(b, 0, 1, try_no, "web-1"), OUTCOME_OK);
    /* Also twice in one batch. */
    boss_flood(b, 0, "web", 10, 1);
    boss_flood(b, 0, "web", 10, 1);
    BOSS_UNTIL(b, b->results_count == 7);
    assert_int_equal(b->outcomes[OUTCOME_OK], 7);
    assert_int_equal(rows(c), 2);
    assert_int_equal(number(c, "SELECT count(*) FROM mandrill_messages WHERE saved_at = 'epoch'"), 1);
    rig_passed(c->rig);
}

/* More than one statement takes. */
static void test_a_batch_of_large_bodies_is_saved(void **state)
{
    static char value[LARGE_BYTES];
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker", NO_ARGS);

    memset(value, '\x01', sizeof value);
    process_signal(p, SIGSTOP);
    for (uint64_t seq = 1; seq <= LARGE; seq++)
        give(c, seq, 1, value, sizeof value);
    process_signal(p, SIGCONT);
    BOSS_UNTIL(b, b->results_count == LARGE);
    assert_int_equal(b->outcomes[OUTCOME_OK], LARGE);
    assert_int_equal(
        number(c, "SELECT count(*) FROM mandrill_messages WHERE length(attributes->>'why') = 60000"), LARGE);
    rig_passed(c->rig);
}

/* Somebody's constraint: the row that breaks it fails for good, and no other does. */
static void test_a_row_that_is_refused_takes_no_other_along(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker", NO_ARGS);

    run(c, "ALTER TABLE mandrill_messages ADD CHECK (seq % 50 <> 7)");
    process_signal(p, SIGSTOP);
    const uint64_t first = b->next_ref;
    boss_give_many(b, 0, "web", 1, 500);
    process_signal(p, SIGCONT);
    BOSS_UNTIL(b, b->results_count == 500);
    boss_expect_each_once(b, first, 500);
    assert_int_equal(b->outcomes[OUTCOME_OK], 490);
    assert_int_equal(b->outcomes[OUTCOME_PERMANENT], 10);
    assert_int_equal(boss_result(b, first + 6)->outcome, OUTCOME_PERMANENT);
    assert_non_null(strstr(boss_result(b, first + 6)->text, "PostgreSQL refuses the row"));
    assert_int_equal(rows(c), 490);
    /* A constraint that is looked at when the transaction commits. */
    run(c, "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'not this one'; END$$;"
           "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON mandrill_messages DEFERRABLE INITIALLY DEFERRED"
           " FOR EACH ROW WHEN (NEW.seq = 1001) EXECUTE FUNCTION no()");
    b->results_count = 0;
    process_signal(p, SIGSTOP);
    const uint64_t second = b->next_ref;
    boss_give_many(b, 0, "web", 1000, 5);
    process_signal(p, SIGCONT);
    BOSS_UNTIL(b, b->results_count == 5);
    assert_int_equal(boss_result(b, second + 1)->outcome, OUTCOME_PERMANENT);
    assert_int_equal(rows(c), 494);
    rig_passed(c->rig);
}

static process_t *last(const contract_t *c)
{
    return c->rig->processes[c->rig->processes_count - 1];
}

/* --- the row, or the table? --- */

static void wait_log(contract_t *c, process_t *p, const char *text)
{
    BOSS_UNTIL(&c->boss, process_log_count(p, text) > 0);
}

/* Gives the row again and again, as the consumer does, until it is no more BLOCKED. */
static void insist(contract_t *c, uint64_t seq, uint32_t try_no, outcome_t outcome)
{
    boss_t *b = &c->boss;
    const int64_t end_ms = clock_ms() + WAIT_MS;

    for (;;) {
        BOSS_UNTIL(b, b->workers[0].window > 0);
        const uint64_t ref = boss_ask(b, 0, seq, try_no, "web-1");
        BOSS_UNTIL(b, boss_result(b, ref) != NULL);
        if (boss_result(b, ref)->outcome != OUTCOME_BLOCKED || clock_ms() >= end_ms) {
            wait_result(c, ref, outcome);
            return;
        }
    }
}

/* Whatever makes the table refuse each and every row is no row's fault: a limit of the server (what it says
 * when its transaction ids run out), a column or a partition that somebody forgot, a trigger. */
static void test_a_table_that_refuses_every_row_kills_none(void **state)
{
    static const struct {
        const char *begin, *end, *says;
    } outages[] = {
        {"CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS"
         " $$BEGIN RAISE 'not accepting commands' USING ERRCODE = '54000'; END$$;"
         "CREATE TRIGGER no BEFORE INSERT ON mandrill_messages FOR EACH ROW EXECUTE FUNCTION no()",
         "DROP TRIGGER no ON mandrill_messages", "not accepting commands"},
        {"ALTER TABLE mandrill_messages ADD COLUMN tenant text; UPDATE mandrill_messages SET tenant = '';"
         "ALTER TABLE mandrill_messages ALTER tenant SET NOT NULL",
         "ALTER TABLE mandrill_messages DROP COLUMN tenant", "null value in column"},
        {"ALTER TABLE mandrill_messages ADD CONSTRAINT never CHECK (seq < 0) NOT VALID",
         "ALTER TABLE mandrill_messages DROP CONSTRAINT never", "new row for relation"},
        {"CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;"
         "CREATE TRIGGER nothing BEFORE INSERT ON mandrill_messages FOR EACH ROW EXECUTE FUNCTION nothing()",
         "DROP TRIGGER nothing ON mandrill_messages", "a trigger or rule"},
    };
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker", NO_ARGS);

    for (unsigned i = 0; i < sizeof outages / sizeof outages[0]; i++) {
        const uint64_t seq = 1 + 100 * i;

        insist(c, seq, 1, OUTCOME_OK);
        run(c, outages[i].begin);
        /* Alone, and with others: the second time all of it is old. */
        for (uint32_t try_no = 1; try_no <= 2; try_no++) {
            BOSS_UNTIL(b, b->workers[0].window > 0);
            wait_result(c, boss_ask(b, 0, seq + 1, try_no, "web-1"), OUTCOME_BLOCKED);
            b->results_count = 0;
            BOSS_UNTIL(b, b->workers[0].window > 0);
            process_signal(p, SIGSTOP);
            const uint64_t first = b->next_ref;
            boss_give_many(b, 0, "web", seq + 1, 20);
            process_signal(p, SIGCONT);
            BOSS_UNTIL(b, b->results_count == 20);
            if (strstr(boss_result(b, first)->text, outages[i].says) == NULL)
                fail_msg("outage %u, try %u: %s instead of: %s", i, try_no, boss_result(b, first)->text,
                         outages[i].says);
        }
        assert_int_equal(b->outcomes[OUTCOME_PERMANENT] + b->outcomes[OUTCOME_TRANSIENT], 0);
        /* The log is limited, and four outages take less than a second. */
        if (i == 0)
            wait_log(c, p, "; nothing is saved until that is over");
        run(c, outages[i].end);
        insist(c, seq + 1, 3, OUTCOME_OK);
    }
    rig_passed(c->rig);
}

/* Others get in, and yet it is not the row: somebody has to make the partition. */
static void test_a_row_without_a_partition_waits(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker", NO_ARGS);

    run(c, "ALTER TABLE mandrill_messages RENAME TO was;"
           "CREATE TABLE mandrill_messages(LIKE was, PRIMARY KEY(stream, seq)) PARTITION BY RANGE(seq);"
           "CREATE TABLE low PARTITION OF mandrill_messages FOR VALUES FROM (0) TO (100)");
    for (uint32_t try_no = 1; try_no <= 3; try_no++) {
        b->results_count = 0;
        process_signal(p, SIGSTOP);
        const uint64_t first = b->next_ref;
        boss_give_many(b, 0, "web", 98 - 2 * try_no, 2);
        const uint64_t high = boss_ask(b, 0, 100, try_no, "web-100");
        process_signal(p, SIGCONT);
        BOSS_UNTIL(b, b->results_count == 3);
        assert_int_equal(boss_result(b, first)->outcome, OUTCOME_OK);
        assert_int_equal(boss_result(b, high)->outcome, OUTCOME_BLOCKED);
    }
    run(c, "CREATE TABLE high PARTITION OF mandrill_messages FOR VALUES FROM (100) TO (200)");
    insist(c, 100, 4, OUTCOME_OK);
    rig_passed(c->rig);
}

/* Nobody can tell whose fault it is until another row was saved. */
static void test_a_bad_row_dies_when_another_was_saved(void **state)
{
    contract_t *c = *state;

    contract_start(c, "worker", NO_ARGS);
    wait_result(c, boss_ask(&c->boss, 0, 1, 1, "web-1"), OUTCOME_OK);
    run(c, "ALTER TABLE mandrill_messages ADD CHECK (seq <> 7)");
    for (uint32_t try_no = 1; try_no <= 3; try_no++)
        wait_result(c, boss_ask(&c->boss, 0, 7, try_no, "web-1"), OUTCOME_BLOCKED);
    wait_result(c, boss_ask(&c->boss, 0, 2, 1, "web-1"), OUTCOME_OK);
    wait_result(c, boss_ask(&c->boss, 0, 7, 4, "web-1"), OUTCOME_PERMANENT);
    rig_passed(c->rig);
}

/* What a trigger leaves out is not there, whatever COMMIT says: new rows and such as come again. */
static void test_no_row_no_ok(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker", NO_ARGS);

    run(c, "CREATE FUNCTION leave_out() RETURNS trigger LANGUAGE plpgsql AS"
           " $$BEGIN IF NEW.seq % 10 = 3 THEN RETURN NULL; END IF; RETURN NEW; END$$;"
           "CREATE TRIGGER leave_out BEFORE INSERT ON mandrill_messages FOR EACH ROW EXECUTE FUNCTION "
           "leave_out()");
    for (unsigned round = 0; round < 2; round++) {
        b->results_count = 0;
        process_signal(p, SIGSTOP);
        const uint64_t first = b->next_ref;
        /* The second round has ten rows that are there, and ten that are not. */
        boss_give_many(b, 0, "web", 1 + 10 * round, 20);
        process_signal(p, SIGCONT);
        BOSS_UNTIL(b, b->results_count == 20);
        boss_expect_each_once(b, first, 20);
        assert_int_equal(boss_result(b, first + 2)->outcome, OUTCOME_PERMANENT);
        assert_int_equal(boss_result(b, first + 12)->outcome, OUTCOME_PERMANENT);
        assert_non_null(strstr(boss_result(b, first + 2)->text, "a trigger or rule"));
        assert_int_equal(b->outcomes[OUTCOME_OK], 18 * (1 + round));
        assert_int_equal(rows(c), 18 + 9 * round);
    }
    rig_passed(c->rig);
}

/* An error of any class on one row: that row waits, alone, and the session stays. */
static void test_an_odd_error_of_one_row_stops_no_other(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker", NO_ARGS);

    run(c, "CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS"
           " $$BEGIN RAISE 'how odd' USING ERRCODE = '38000'; END$$;"
           "CREATE TRIGGER odd BEFORE INSERT ON mandrill_messages FOR EACH ROW WHEN (NEW.seq = 7)"
           " EXECUTE FUNCTION odd()");
    process_signal(p, SIGSTOP);
    const uint64_t first = b->next_ref;
    boss_give_many(b, 0, "web", 1, 100);
    process_signal(p, SIGCONT);
    BOSS_UNTIL(b, b->results_count == 100);
    assert_int_equal(b->outcomes[OUTCOME_OK], 99);
    assert_int_equal(boss_result(b, first + 6)->outcome, OUTCOME_BLOCKED);
    assert_int_equal(rows(c), 99);
    assert_int_equal(process_log_count(p, "connected to PostgreSQL"), 1);
    rig_passed(c->rig);
}

/* What the server has time for is found out once, not with each batch. */
static void test_a_batch_that_takes_too_long_comes_in_parts(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p;

    contract_start(c, "first", NO_ARGS);
    run(c, "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
           " $$BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END$$;"
           "CREATE TRIGGER slow BEFORE INSERT ON mandrill_messages FOR EACH ROW EXECUTE FUNCTION slow();"
           "ALTER ROLE postgres IN DATABASE postgres SET statement_timeout = '500ms'");
    p = last(c);
    number(c, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name ="
              " 'mandrill'");
    BOSS_UNTIL(b, process_log_count(p, "connected to PostgreSQL") == 2 && b->workers[0].window > 0);
    run(c, "ALTER ROLE postgres IN DATABASE postgres RESET statement_timeout");
    process_signal(p, SIGSTOP);
    boss_give_many(b, 0, "web", 1, 40);
    process_signal(p, SIGCONT);
    BOSS_UNTIL(b, b->results_count == 40);
    assert_int_equal(b->outcomes[OUTCOME_OK], 40);
    rig_passed(c->rig);
}

/* --- while there is no session --- */

static void test_a_session_that_is_ended_costs_nothing(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker", NO_ARGS);

    for (unsigned i = 1; i <= 3; i++) {
        wait_result(c, boss_ask(b, 0, i, 1, "web-1"), OUTCOME_OK);
        assert_int_equal(number(c, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                                   " WHERE application_name = 'mandrill'"),
                         1);
        BOSS_UNTIL(b, process_log_count(p, "connected to PostgreSQL") == 1 + i &&
                          b->workers[0].window == contract_window(c));
    }
    assert_int_equal(b->outcomes[OUTCOME_TRANSIENT] + b->outcomes[OUTCOME_PERMANENT], 0);
    assert_true(process_log_count(p, "nothing is saved until that is over") == 3);
    rig_passed(c->rig);
}

/* A commit that lasts holds up nobody: PING goes on, SIGTERM is heard; when it is over the batch is OK. */
static void test_a_commit_that_lasts_stops_no_loop(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker", NO_ARGS);

    wait_result(c, boss_ask(b, 0, 1, 1, "web-1"), OUTCOME_OK);
    run(c, "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
           " $$BEGIN PERFORM pg_sleep(2.5); RETURN NULL; END$$;"
           "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON mandrill_messages DEFERRABLE INITIALLY DEFERRED"
           " FOR EACH ROW EXECUTE FUNCTION slow()");
    const unsigned pings = b->workers[0].pings;
    const uint64_t ref = boss_ask(b, 0, 2, 1, "web-2");
    BOSS_UNTIL(b, b->workers[0].pings >= pings + 2);
    assert_null(boss_result(b, ref));
    process_signal(p, SIGTERM);
    BOSS_UNTIL(b, process_log_count(p, "draining: 1 tasks in flight") == 1);
    assert_null(boss_result(b, ref));
    BOSS_UNTIL(b, !process_running(p));
    boss_turn(b, 0);
    assert_int_equal(process_code(p), 0);
    wait_result(c, ref, OUTCOME_OK);
    rig_passed(c->rig);
}

/* A statement that does not end: the tasks come back when their time is over, and the server gives up what it
 * does for nobody. */
static void test_what_is_locked_for_long_is_blocked(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", NO_ARGS);
    run(c, "CREATE FUNCTION stuck() RETURNS trigger LANGUAGE plpgsql AS"
           " $$BEGIN PERFORM pg_sleep(60); RETURN NULL; END$$;"
           "CREATE TRIGGER stuck AFTER INSERT ON mandrill_messages FOR EACH ROW EXECUTE FUNCTION stuck()");
    b->limit_ms = 700;
    wait_result(c, boss_ask(b, 0, 1, 1, "web-1"), OUTCOME_BLOCKED);
    BOSS_UNTIL(b, b->workers[0].window == 0);
    WAIT(number(c, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'INSERT%' AND state = 'active'") ==
         0);
    run(c, "DROP TRIGGER stuck ON mandrill_messages");
    b->limit_ms = 0;
    BOSS_UNTIL(b, b->workers[0].window > 0);
    wait_result(c, boss_ask(b, 0, 1, 2, "web-1"), OUTCOME_OK);
    assert_int_equal(rows(c), 1);
    rig_passed(c->rig);
}

static void test_a_server_that_takes_no_writes_is_waited_for(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    char set[128];
    process_t *p = contract_start(c, "worker", NO_ARGS);

    wait_result(c, boss_ask(b, 0, 1, 1, "web-1"), OUTCOME_OK);
    snprintf(set, sizeof set,
             "ALTER ROLE postgres IN DATABASE postgres SET default_transaction_read_only = on");
    run(c, set);
    number(c, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mandrill'");
    BOSS_UNTIL(b, process_log_count(p, "the server takes no writes") > 0 && b->workers[0].window == 0);
    run(c, "SET transaction_read_only = off; ALTER ROLE postgres IN DATABASE postgres RESET"
           " default_transaction_read_only");
    BOSS_UNTIL(b, b->workers[0].window == contract_window(c));
    wait_result(c, boss_ask(b, 0, 2, 1, "web-2"), OUTCOME_OK);
    rig_passed(c->rig);
}

static void start_odd(contract_t *c, const char *name, const char *conninfo, const char *const *args)
{
    const char *list[] = {"--kind",     "save-postgres", "--consumer", c->boss.endpoint,
                          "--postgres", conninfo,        args[0],      args[0] != NULL ? args[1] : NULL,
                          NULL};
    rig_spawn(c->rig, name, "mandrill-worker", list);
}

/* Nobody is there yet: no end, and no tasks. A wrong name, right or password is told, too, and waited out. */
static void test_what_is_wrong_is_told_and_waited_for(void **state)
{
    static const struct {
        const char *conninfo, *says;
    } wrong[] = {
        {"host=/nowhere dbname=x", "No such file or directory"},
        {"host=127.0.0.1 port=1 dbname=x", "Connection refused"},
        {"dbname=no_such_database", "database \"no_such_database\" does not exist (SQLSTATE 3D000)"},
        {"user=nobody_has_this", "role \"nobody_has_this\" does not exist (SQLSTATE 28000)"},
        {"options=-csearch_path=no_such_schema", "no schema has been selected to create in (SQLSTATE 3F000)"},
    };
    contract_t *c = *state;
    boss_t *b = &c->boss;

    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char conninfo[CONNINFO_MAX], all[2 * CONNINFO_MAX], name[16];
        const bool elsewhere = strncmp(wrong[i].conninfo, "host=", 5) == 0;

        postgres_conninfo(postgres_shared(), "", conninfo);
        snprintf(all, sizeof all, "%s %s", elsewhere ? "" : conninfo, wrong[i].conninfo);
        snprintf(name, sizeof name, "wrong-%u", i);
        start_odd(c, name, all, NO_ARGS);
        BOSS_UNTIL(b, process_log_count(last(c), wrong[i].says) > 0 && b->workers_count > 0);
        assert_true(process_running(last(c)));
        assert_int_equal(b->workers[b->workers_count - 1].window, 0);
        process_kill(last(c));
        boss_dismiss(b);
    }
    rig_passed(c->rig);
}

static void test_a_bad_conninfo_is_refused_and_not_shown(void **state)
{
    static const char *const bad[] = {"host=here hunter2", "postgresql://me:hunter2@[::1/x",
                                      "nosuchoption=hunter2", "postgresql:/me:hunter2@here/x", "me:hunter2"};
    contract_t *c = *state;

    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char name[16];

        snprintf(name, sizeof name, "bad-%u", i);
        start_odd(c, name, bad[i], ARGS("-n"));
        assert_int_equal(process_wait(last(c), WAIT_MS), EXIT_USAGE);
        assert_int_equal(process_log_count(last(c), "--postgres is no connection string or URI"), 1);
        assert_int_equal(process_log_count(last(c), "hunter2"), 0);
    }
    start_odd(c, "no-file", "postgresql://", ARGS("--postgres-password-file", "/no/such/file"));
    assert_int_equal(process_wait(last(c), WAIT_MS), EXIT_FAILED);
    assert_int_equal(process_log_count(last(c), "the password file /no/such/file: No such file"), 1);
    rig_passed(c->rig);
}

/* What the administrator turns off while a session is open is not off for what it saves. */
static void test_a_commit_stays_a_commit(void **state)
{
    contract_t *c = *state;

    contract_start(c, "worker", NO_ARGS);
    run(c, "CREATE TABLE seen(how text); CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS"
           " $$BEGIN INSERT INTO seen VALUES(current_setting('synchronous_commit')); RETURN NEW; END$$;"
           "CREATE TRIGGER look BEFORE INSERT ON mandrill_messages FOR EACH ROW EXECUTE FUNCTION look()");
    run(c, "ALTER SYSTEM SET synchronous_commit = off");
    run(c, "SELECT pg_reload_conf()");
    WAIT(number(c, "SELECT count(*) WHERE current_setting('synchronous_commit') = 'off'") == 1);
    for (uint64_t seq = 1; seq <= 3; seq++)
        wait_result(c, boss_ask(&c->boss, 0, seq, 1, "web-1"), OUTCOME_OK);
    run(c, "ALTER SYSTEM RESET synchronous_commit");
    run(c, "SELECT pg_reload_conf()");
    assert_int_equal(number(c, "SELECT count(*) FROM seen WHERE how = 'on'"), 3);
    rig_passed(c->rig);
}

/* Servers know settings that they cannot keep on their system: each is set for itself. */
static void test_a_limit_that_the_server_cannot_keep_is_left_out(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    char conninfo[CONNINFO_MAX], all[2 * CONNINFO_MAX];

    run(c, "CREATE FUNCTION set_config(name text, value text, local boolean) RETURNS text"
           " LANGUAGE plpgsql AS $$BEGIN IF name = 'client_connection_check_interval' THEN"
           " RAISE 'must be set to 0 on this platform' USING ERRCODE = '22023'; END IF;"
           " RETURN pg_catalog.set_config(name, value, local); END$$");
    snprintf(all, sizeof all, "%s options=-csearch_path=%s,pg_catalog",
             postgres_conninfo(postgres_shared(), c->schema, conninfo), c->schema);
    start_odd(c, "worker", all, NO_ARGS);
    BOSS_UNTIL(b, b->workers_count == 1 && b->workers[0].window > 0);
    run(c, "CREATE TABLE seen(how text); CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS"
           " $$BEGIN INSERT INTO seen VALUES(current_setting('lock_timeout')); RETURN NEW; END$$;"
           "CREATE TRIGGER look BEFORE INSERT ON mandrill_messages FOR EACH ROW EXECUTE FUNCTION look()");
    wait_result(c, boss_ask(b, 0, 1, 1, "web-1"), OUTCOME_OK);
    expect_text(c, "SELECT how FROM seen", "10s");
    rig_passed(c->rig);
}

/* --- passwords: a server of the test's own, for this is about who may connect --- */

static void test_a_password_comes_from_a_file(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    postgres_t *pg = rig_alloc(c->rig, sizeof *pg);
    char file[TEST_PATH_MAX], hba[TEST_PATH_MAX + 32], conninfo[CONNINFO_MAX], all[2 * CONNINFO_MAX];
    const char trust[] = "local all postgres trust\nlocal all all scram-sha-256\n";

    postgres_open(pg, c->rig->dir, 0, c->rig->guard);
    postgres_run(pg, "",
                 "CREATE ROLE saver LOGIN PASSWORD 'hunter2'; GRANT CREATE ON SCHEMA public TO saver");
    snprintf(hba, sizeof hba, "%s/data/pg_hba.conf", pg->dir);
    test_write_file(hba, trust, sizeof trust - 1);
    postgres_run(pg, "", "SELECT pg_reload_conf()");
    test_write_file(rig_path(c->rig, "secret", file), "hunter1\n", 8);
    snprintf(all, sizeof all, "%s user=saver", postgres_conninfo(pg, "", conninfo));
    start_odd(c, "worker", all, ARGS("--postgres-password-file", file));
    process_t *p = last(c);
    BOSS_UNTIL(b, process_log_count(p, "password authentication failed for user \"saver\" (SQLSTATE 28P01)") >
                      0);
    /* The file is read again with each attempt. */
    test_write_file(file, "hunter2\n", 8);
    BOSS_UNTIL(b, b->workers_count == 1 && b->workers[0].window > 0);
    wait_result(c, boss_ask(b, 0, 1, 1, "web-1"), OUTCOME_OK);
    assert_int_equal(postgres_rows(pg, ""), 1);
    process_signal(p, SIGUSR1);
    BOSS_UNTIL(b, process_log_count(p, "in flight: ") > 0);
    assert_int_equal(contract_stop(c, p), 0);
    assert_int_equal(process_log_count(p, "hunter"), 0);
    postgres_close(pg);
    rig_passed(c->rig);
}

/* --- many workers --- */

/* All at once, over nothing: one makes the tables. Then all have the same messages, and each has one row. */
static void test_workers_that_start_at_once_share_the_tables(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    for (unsigned i = 0; i < BOSS_WORKERS_MAX; i++) {
        char name[16];

        snprintf(name, sizeof name, "worker-%u", i);
        contract_spawn(c, name, NULL, NO_ARGS);
    }
    for (unsigned i = 0; i < BOSS_WORKERS_MAX; i++)
        BOSS_UNTIL(b, b->workers_count > i && b->workers[i].window > 0);
    assert_int_equal(number(c, "SELECT version FROM mandrill_schema"), 1);
    assert_int_equal(number(c, "SELECT count(*) FROM mandrill_schema"), 1);
    for (uint64_t from = 1; from < SHARED; from += 500)
        for (unsigned i = 0; i < BOSS_WORKERS_MAX; i++)
            boss_give_many(b, i, "web", from, 500);
    BOSS_UNTIL(b, b->results_count == BOSS_WORKERS_MAX * SHARED);
    assert_int_equal(b->outcomes[OUTCOME_OK], BOSS_WORKERS_MAX * SHARED);
    assert_int_equal(rows(c), SHARED);
    for (size_t i = 0; i < c->rig->processes_count; i++)
        assert_int_equal(process_log_count(c->rig->processes[i], "ERROR"), 0);
    rig_passed(c->rig);
}

static void test_tables_of_another_version_are_refused(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    run(c, "CREATE TABLE mandrill_schema(version integer); INSERT INTO mandrill_schema VALUES(2)");
    process_t *p = contract_spawn(c, "worker", NULL, NO_ARGS);
    BOSS_UNTIL(b, process_log_count(p, "the tables have version 2, this program knows versions up to 1") > 0);
    assert_int_equal(number(c, "SELECT count(*) WHERE to_regclass('mandrill_messages') IS NOT NULL"), 0);
    assert_int_equal(b->workers[0].window, 0);
    rig_passed(c->rig);
}

/* Who finds its tables needs no right to make any; without that to write it says which is missing. */
static void test_few_rights_are_enough(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    char conninfo[CONNINFO_MAX], all[2 * CONNINFO_MAX], sql[512];
    process_t *p = contract_start(c, "owner", NO_ARGS);

    assert_int_equal(contract_stop(c, p), 0);
    snprintf(sql, sizeof sql,
             "DROP ROLE IF EXISTS clerk; CREATE ROLE clerk LOGIN; GRANT USAGE ON SCHEMA %s TO clerk;"
             "GRANT SELECT ON mandrill_schema, mandrill_messages TO clerk",
             c->schema);
    run(c, sql);
    boss_dismiss(b);
    snprintf(all, sizeof all, "%s user=clerk", postgres_conninfo(postgres_shared(), c->schema, conninfo));
    start_odd(c, "clerk", all, NO_ARGS);
    BOSS_UNTIL(b, b->workers_count == 1 && b->workers[0].window > 0);
    wait_result(c, boss_ask(b, 0, 1, 1, "web-1"), OUTCOME_BLOCKED);
    BOSS_UNTIL(
        b, process_log_count(last(c), "permission denied for table mandrill_messages (SQLSTATE 42501)") > 0);
    BOSS_UNTIL(b, b->workers[0].window == 0);
    run(c, "GRANT INSERT ON mandrill_messages TO clerk");
    BOSS_UNTIL(b, b->workers[0].window > 0);
    wait_result(c, boss_ask(b, 0, 1, 1, "web-1"), OUTCOME_OK);
    run(c, "DROP OWNED BY clerk; DROP ROLE clerk");
    rig_passed(c->rig);
}

int main(void)
{
    const row_t row = contract_row("save-postgres");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_row_says_what_the_message_said),
        cmocka_unit_test(test_whatever_a_body_may_hold_is_saved),
        cmocka_unit_test(test_a_message_has_one_row_however_often_it_comes),
        cmocka_unit_test(test_a_batch_of_large_bodies_is_saved),
        cmocka_unit_test(test_a_row_that_is_refused_takes_no_other_along),
        cmocka_unit_test(test_a_table_that_refuses_every_row_kills_none),
        cmocka_unit_test(test_a_row_without_a_partition_waits),
        cmocka_unit_test(test_a_bad_row_dies_when_another_was_saved),
        cmocka_unit_test(test_no_row_no_ok),
        cmocka_unit_test(test_an_odd_error_of_one_row_stops_no_other),
        cmocka_unit_test(test_a_batch_that_takes_too_long_comes_in_parts),
        cmocka_unit_test(test_a_session_that_is_ended_costs_nothing),
        cmocka_unit_test(test_a_commit_that_lasts_stops_no_loop),
        cmocka_unit_test(test_what_is_locked_for_long_is_blocked),
        cmocka_unit_test(test_a_server_that_takes_no_writes_is_waited_for),
        cmocka_unit_test(test_what_is_wrong_is_told_and_waited_for),
        cmocka_unit_test(test_a_bad_conninfo_is_refused_and_not_shown),
        cmocka_unit_test(test_a_commit_stays_a_commit),
        cmocka_unit_test(test_a_limit_that_the_server_cannot_keep_is_left_out),
        cmocka_unit_test(test_a_password_comes_from_a_file),
        cmocka_unit_test(test_workers_that_start_at_once_share_the_tables),
        cmocka_unit_test(test_tables_of_another_version_are_refused),
        cmocka_unit_test(test_few_rights_are_enough),
    };
    return contract_run("save-postgres", tests, sizeof tests / sizeof tests[0], &row, 1);
}
