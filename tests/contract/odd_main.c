/* mandrill-worker-odd: the whole program over the kinds of the tests. */
#include "workers/worker.h"

int main(int argc, char **argv)
{
    return worker_main(argc, argv);
}
