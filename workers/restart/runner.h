/* The loop kind over a driver: its functions are those of worker_kind_t, shared by every kind that restarts
 * real hosts. It takes each task through common/core/once.h: guards, looks, notes the intent, waits for the
 * grant, has the driver act, waits for the host to come back, gives the result.
 *
 * A kind is a driver, an open() of three lines, and a row:
 *
 *   static int exec_open(void **ret_self, const config_t *config, bool check, char *why)
 *   {
 *       return runner_open(ret_self, &exec_driver, config, check, why);
 *   }
 *   const worker_kind_t restart_exec = {.name = "restart-exec", RUNNER_KIND, .open = exec_open, ...};
 */
#ifndef MANDRILL_RESTART_RUNNER_H
#define MANDRILL_RESTART_RUNNER_H

#include "workers/restart/driver.h"

/* Their table stands in guard.c: --min-uptime, --dry-run, --allow-host, --deny-host, --grant, --act-timeout,
 * --return-timeout, --poll */
enum { RUNNER_OPTIONS = 8 };
extern const config_option_t runner_options[RUNNER_OPTIONS];

int runner_open(void **ret_self, const driver_t *driver, const config_t *config, bool check, char *why);
int runner_reload(void *self, const config_t *config, bool check, char *why);
void runner_close(void **self);
void runner_start(void *self, const worker_task_t *task, int64_t now_ms, worker_sink_t *sink);
int runner_go_on(void *self, int64_t now_ms, worker_sink_t *sink);
void runner_await(const void *self, worker_wait_t *ret);
void runner_cancel(void *self, uint32_t number, worker_sink_t *sink);
void runner_granted(void *self, uint32_t number, bool granted, worker_sink_t *sink);

#define RUNNER_KIND                                                                                          \
    .leg = "restart", .executor = EXECUTOR_LOOP, .shared = runner_options, .shared_count = RUNNER_OPTIONS,   \
    .reload = runner_reload, .close = runner_close, .start = runner_start, .go_on = runner_go_on,            \
    .await = runner_await, .cancel = runner_cancel, .granted = runner_granted

#endif
