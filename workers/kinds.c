/* Every kind that mandrill-worker can be: one row each. */
#include "workers/worker.h"

extern const worker_kind_t save_sqlite;      /* save/save_sqlite.c */
extern const worker_kind_t save_postgres;    /* save/save_postgres.c */
extern const worker_kind_t restart_simulate; /* restart/restart_simulate.c */
extern const worker_kind_t restart_docker;   /* restart/restart_docker.c */
extern const worker_kind_t restart_exec;     /* restart/restart_exec.c */
extern const worker_kind_t restart_http;     /* restart/restart_http.c */
extern const worker_kind_t fetch_http;       /* fetch/fetch_http.c */

const worker_kind_t *const worker_kinds[] = {
    &save_sqlite,  &save_postgres, &restart_simulate, &restart_docker,
    &restart_exec, &restart_http,  &fetch_http,       NULL,
};
