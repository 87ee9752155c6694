/* Where a program is that is called by its name. */
#ifndef MANDRILL_RESTART_PROGRAM_PATH_H
#define MANDRILL_RESTART_PROGRAM_PATH_H

/* Its absolute path: of a name with a slash that file itself, else the first in the folders of PATH that can
 * be run. 0, with memory for free(), or -errno with `why` (WHY_BYTES). */
int program_find(const char *program, char **ret_path, char *why);

#endif
