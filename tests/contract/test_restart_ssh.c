/* restart-exec with the real thing: ssh to an sshd whose hosts are files (tests/support/exec_host.sh). */
#include "tests/contract/contract.h"
#include "tests/support/exec_host.h"
#include "tests/support/sshd.h"

#include "common/runtime/clock.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { HOSTS = 12, SKIPPED = 77, COMMAND_BYTES = 3 * TEST_PATH_MAX };

static process_t *start(contract_t *c, const char *name)
{
    boss_t *b = &c->boss;
    const unsigned before = b->workers_count;
    char file[TEST_PATH_MAX], act[COMMAND_BYTES], look[COMMAND_BYTES], health[COMMAND_BYTES];

    sshd_client_file(c->rig, file);
    snprintf(act, sizeof act, "ssh -F %s {host} restart {instance} {boot_id}", file);
    snprintf(look, sizeof look, "ssh -F %s {host} 'observe {instance}'", file);
    snprintf(health, sizeof health, "ssh -F %s {host} health {instance}", file);
    process_t *p =
        SPAWN(c->rig, name, "mandrill-worker", "--kind", "restart-exec", "--consumer", b->endpoint, "--exec",
              act, "--exec-observe", look, "--exec-health", health, "--exec-exit", "9=ok", "--slots", "4",
              "--grant", "2s", "--act-timeout", "20s", "--return-timeout", "20s", "--poll", "50ms");
    BOSS_UNTIL(b, b->workers_count > before && b->workers[before].welcomed);
    return p;
}

static process_t *start_sshd(contract_t *c)
{
    char forced[COMMAND_BYTES];
    return sshd_start(c->rig, exec_host_command(c->rig, "", forced));
}

static uint64_t ask(contract_t *c, const char *host)
{
    return contract_ask(c, host, clock_wall_ms(), NULL);
}

static void test_hosts_are_restarted_by_ssh(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    uint64_t refs[HOSTS];
    char host[32];

    start_sshd(c);
    process_t *p = start(c, "worker");
    for (int i = 0; i < HOSTS; i++) {
        BOSS_UNTIL(b, b->workers[0].outstanding < b->workers[0].window);
        /* Every third cuts the connection that asks for it: ssh then exits with 255. */
        snprintf(host, sizeof host, "%s-%d", i % 3 == 0 ? "cut" : "web", i);
        refs[i] = ask(c, host);
    }
    for (int i = 0; i < HOSTS; i++) {
        contract_expect(c, refs[i], OUTCOME_OK, "is back after");
        snprintf(host, sizeof host, "%s-%d", i % 3 == 0 ? "cut" : "web", i);
        assert_int_equal(exec_host_restarts(c->rig, host), 1);
    }
    assert_int_equal(contract_stop(c, p), 0);
    rig_passed(c->rig);
}

static void test_what_ssh_says_of_itself_is_in_the_history(void **state)
{
    contract_t *c = *state;

    process_t *sshd = start_sshd(c);
    start(c, "worker");
    contract_expect(c, ask(c, "off-1"), OUTCOME_TRANSIENT, "no route to off-1");
    process_kill(sshd);
    contract_expect(c, ask(c, "web-1"), OUTCOME_TRANSIENT, "exit 255: ssh: connect to host 127.0.0.1 port ");
    assert_int_equal(exec_host_restarts(c->rig, "web-1"), 0);
    rig_passed(c->rig);
}

/* The far end goes on when the worker and its ssh are gone: the next try finds out. */
static void test_a_killed_worker_restarts_nothing_twice(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    start_sshd(c);
    process_t *p = start(c, "worker");
    const uint64_t ref = ask(c, "held-1");
    BOSS_UNTIL(b, exec_host_restarts(c->rig, "held-1") == 1);
    process_kill(p);
    start(c, "next");
    const uint64_t again = contract_ask(c, "held-1", clock_wall_ms(), boss_intent(b, ref));
    contract_expect(c, again, OUTCOME_OK, "was restarted by an earlier try");
    exec_host_go(c->rig);
    assert_int_equal(exec_host_restarts(c->rig, "held-1"), 1);
    WAIT(!exec_host_runs(c->rig, "held-1"));
    rig_passed(c->rig);
}

int main(void)
{
    const row_t rows[] = {contract_row("restart-exec")};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts_are_restarted_by_ssh),
        cmocka_unit_test(test_what_ssh_says_of_itself_is_in_the_history),
        cmocka_unit_test(test_a_killed_worker_restarts_nothing_twice),
    };
    if (!sshd_is_here()) {
        fprintf(stderr, "skipped: no sshd here (openssh-server)\n");
        return SKIPPED;
    }
    return contract_run("restart-exec by ssh", tests, sizeof tests / sizeof tests[0], rows, 1);
}
