/* Cleanup by scope, so that every early return is right. */
#ifndef COFRE_BASE_CLEANUP_H
#define COFRE_BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void cleanup_free(void *p)
{
    free(*(void **)p);
}

static inline void cleanup_fclose(FILE **f)
{
    if (*f)
        fclose(*f);
}

#define CLEAN_FD   __attribute__((cleanup(cleanup_close))) int
#define CLEAN_FREE __attribute__((cleanup(cleanup_free)))
#define CLEAN_FILE __attribute__((cleanup(cleanup_fclose))) FILE

/* Hands the value to the caller and leaves nothing for the cleanup. */
#define TAKE_FD(fd)                                                                                          \
    __extension__({                                                                                          \
        int taken_ = (fd);                                                                                   \
        (fd) = -1;                                                                                           \
        taken_;                                                                                              \
    })
#define TAKE_PTR(p)                                                                                          \
    __extension__({                                                                                          \
        __typeof__(p) taken_ = (p);                                                                          \
        (p) = NULL;                                                                                          \
        taken_;                                                                                              \
    })

#endif
