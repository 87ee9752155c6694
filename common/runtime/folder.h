/* Folders for data: made for their owner alone (host names are nobody else's business), and safe on disk when
 * made, so that a power cut does not take a folder away with what was confirmed in it. Errors: 0 or -errno.
 */
#ifndef MANDRILL_FOLDER_H
#define MANDRILL_FOLDER_H

/* Makes the folder and those above it, as far as they are missing. -ENOTDIR: something else has the name. */
int folder_make(const char *path);
/* Makes the folder that `file` is to be in, but not those above that. */
int folder_make_for(const char *file);

#endif
