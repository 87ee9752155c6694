/* What goes wrong, when, and to whom: drawn from the plan as the run goes on. */
#ifndef MANDRILL_SIM_FAULTS_H
#define MANDRILL_SIM_FAULTS_H

/* The first of each kind are set on their way. They end when world.faults does. */
void faults_begin(void);

#endif
