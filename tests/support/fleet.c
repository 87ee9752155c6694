#include "tests/support/fleet.h"

#include <signal.h>
#include <stdio.h>

/* Long enough that every worker has some of them at any time. */
#define SIMULATE "50..250"

enum { LEASES_PORT = 5555, TASKS_PORT, CLIENTS_PORT, CONTROL_PORT, LOOK_MS = 100 };

/* "<what>-<n>" is on this host. */
static void place(rig_t *rig, const char *what, unsigned n, const host_t *h, unsigned port)
{
    char name[PROCESS_NAME_MAX], text[RIG_ENDPOINT_MAX];

    snprintf(name, sizeof name, "%s-%u", what, n);
    snprintf(text, sizeof text, "tcp://%s:%u", host_address(h), port);
    rig_place(rig, name, text);
}

static void start_publisher_host(fleet_t *f, rig_t *rig)
{
    host_t *h = host_new(rig);

    place(rig, "leases", 0, h, LEASES_PORT);
    place(rig, "clients", 0, h, CLIENTS_PORT);
    rig_detour(rig, "leases-0", "tcp://publisher:5555");
    rig_detour(rig, "tasks-0", "tcp://consumer:5556");
    hosts_name("publisher", &h, 1);
    host_enter(h);
    f->publisher = (member_t){start_sturdy_publisher(rig, 0, FLEET_LEASE_MS), h, true};
    host_leave();
}

unsigned fleet_add_consumer(fleet_t *f)
{
    rig_t *rig = f->trial.rig;
    unsigned n = f->consumers_count++;
    host_t *h = host_new(rig);

    assert_true(n < FLEET_MEMBERS_MAX);
    place(rig, "tasks", n, h, TASKS_PORT);
    place(rig, "control", n, h, CONTROL_PORT);
    host_enter(h);
    f->consumers[n] = (member_t){start_sturdy_consumer(rig, n, 1, FLEET_LEASE_MS), h, false};
    host_leave();
    return n;
}

void fleet_list_consumer(fleet_t *f, unsigned n, bool listed)
{
    host_t *hosts[FLEET_MEMBERS_MAX];
    unsigned count = 0;

    f->consumers[n].listed = listed;
    for (unsigned i = 0; i < f->consumers_count; i++)
        if (f->consumers[i].listed)
            hosts[count++] = f->consumers[i].host;
    hosts_name("consumer", hosts, count);
}

static void start_workers(fleet_t *f, rig_t *rig, unsigned restarts)
{
    f->save.host = host_new(rig);
    host_enter(f->save.host);
    f->save.process = start_save(rig, 0, 1, ARGS("--log-messages"));
    host_leave();
    for (; f->restarts_count < restarts; f->restarts_count++) {
        member_t *m = &f->restarts[f->restarts_count];

        m->host = host_new(rig);
        host_enter(m->host);
        m->process = start_restart(rig, f->restarts_count, 1, ARGS("--simulate", SIMULATE, "--log-messages"));
        host_leave();
    }
}

void fleet_start(fleet_t *f, rig_t *rig, unsigned consumers, unsigned restarts)
{
    assert_true(restarts <= FLEET_MEMBERS_MAX);
    *f = (fleet_t){.consumers_count = 0};
    start_publisher_host(f, rig);
    trial_load(&f->trial, rig);
    while (f->consumers_count < consumers)
        fleet_list_consumer(f, fleet_add_consumer(f), true);
    start_workers(f, rig, restarts);
    for (unsigned n = 0; n < consumers; n++) {
        WAIT(fleet_consumer_number(f, n, "workers.restart.count") == restarts);
        WAIT(fleet_consumer_number(f, n, "workers.save.count") == 1);
    }
    f->trial.programs[PART_PUBLISHER] = f->publisher.process;
    f->trial.programs[PART_CONSUMER] = f->consumers[0].process;
    f->trial.programs[PART_SAVE] = f->save.process;
    f->trial.programs[PART_RESTART] = f->restarts[0].process;
}

void fleet_scale_down(fleet_t *f, member_t *m)
{
    process_signal(m->process, SIGTERM);
    TRIAL_WAIT(&f->trial, !process_running(m->process));
    assert_int_equal(process_code(m->process), 0);
    host_remove(m->host);
}

int64_t fleet_consumer_number(fleet_t *f, unsigned n, const char *path)
{
    char name[PROCESS_NAME_MAX];

    snprintf(name, sizeof name, "control-%u", n);
    return status_number(f->trial.rig, name, path);
}

/* Between two looks lie a pause and a few questions. */
void fleet_look(fleet_t *f)
{
    int64_t now_ms = test_now_ms();

    if (now_ms - f->looked_ms > LOOK_MS)
        f->late_ms += now_ms - f->looked_ms - LOOK_MS;
    f->looked_ms = now_ms;
    trial_confirmed(&f->trial);
}

void fleet_took(fleet_t *f, int64_t from_ms, int64_t limit_ms, const char *what)
{
    int64_t took_ms = test_now_ms() - from_ms;

    print_message("%5d ms: %s\n", (int)took_ms, what);
    if (took_ms > limit_ms + f->late_ms)
        fail_msg("after %d ms, and not within %d ms: %s", (int)took_ms, (int)limit_ms, what);
}

void fleet_end(fleet_t *f, const char *fault)
{
    for (unsigned n = 0; n < f->consumers_count; n++)
        assert_int_equal(f->consumers[n].process->starts, 1);
    for (unsigned n = 0; n < f->restarts_count; n++)
        assert_int_equal(f->restarts[n].process->starts, 1);
    trial_end_unhelped(&f->trial, fault);
}
