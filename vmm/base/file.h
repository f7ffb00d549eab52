/* Whole files, read with a bound and written so that a reader sees the old or the new one. */
#ifndef COFRE_BASE_FILE_H
#define COFRE_BASE_FILE_H

#include "vmm/base/bytes.h"

/* As open(2), close-on-exec; or for the name "fd=N" a copy of the open descriptor N, which was opened for as much (else EACCES). */
int file_open_named(const char *path, int flags, unsigned mode);
/* N; -1 for another name. */
int file_named_descriptor(const char *path);

/* Reads a regular file or pipe of at most max bytes; "-" is standard input, "fd=N" a descriptor, from its file's beginning. A longer one is refused, not cut.
 */
int file_read(struct bytes *out, const char *path, size_t max, struct cofre_err *err);
/* Opens one of at most max bytes to be mapped: a regular file as it is; a pipe, or "-", as a copy in memory. The caller closes
 * *fd in any case (-1: nothing is open). */
int file_open(int *fd, size_t *size, const char *path, size_t max, struct cofre_err *err);
/* flock(2) of what is open as fd, for one alone. Whoever had it and was killed may still be ending, in the middle of a call: that is waited
 * for, for so many seconds at most. 0, or -1 and errno: EWOULDBLOCK where somebody has it. */
int file_lock(int fd, unsigned seconds);
/* Replaces the file; mode as for open(2). "-" writes to standard output. */
int file_write(const char *path, struct view data, unsigned mode, struct cofre_err *err);

#endif
