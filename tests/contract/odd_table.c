/* The table that the program looks at; in the tests themselves this name is the real one. */
#include "tests/contract/odd_driver.h"
#include "tests/contract/odd_kinds.h"

const worker_kind_t *const worker_kinds[] = {&odd_threads, &odd_batch, &odd_loop, &odd_runner, NULL};
