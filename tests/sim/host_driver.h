/* A way to restart the hosts of the world, as the real ones are written (workers/restart/driver.h). */
#ifndef MANDRILL_SIM_HOST_DRIVER_H
#define MANDRILL_SIM_HOST_DRIVER_H

#include "workers/restart/driver.h"

extern const driver_t sim_driver;

#endif
