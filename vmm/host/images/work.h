/*
 * What waits for a disk, in a thread of its own, so that the decider's loop does not: an upload's bytes from their descriptor to the disk, a disk
 * that is copied.
 */
#ifndef COFRE_HOST_IMAGES_WORK_H
#define COFRE_HOST_IMAGES_WORK_H

#include "vmm/host/images/images.h"

/* stop: a descriptor that can be read from when nobody wants the result any more. */
typedef int (*images_run)(void *context, int stop, struct cofre_err *err);

struct images_work;

/* context belongs to run until images_work_end. */
int images_work_start(struct images_work **out, images_run run, void *context, struct cofre_err *err);
/* A descriptor that can be read from when it is over; it is the work's. */
int images_work_fd(const struct images_work *work);
/* Frees it and gives run's result. One that is not over is stopped, and waited for: as long as a disk takes. */
int images_work_end(struct images_work *work, struct cofre_err *err);

/*
 * Brings what comes from fd (a pipe or socket, which may be non-blocking) into the upload until its end, and finishes it; what is
 * left is image_upload_keep in a transaction. fd is taken over, in any case; upload stays the caller's, and untouched until images_work_end.
 */
int image_receive(struct images_work **out, int fd, struct image_upload *upload, struct cofre_err *err);
#define IMAGE_RECEIVE_SECONDS 60 /* without a byte, and it is over */

/* guest_disk_make in a thread; the copies are its own, and so is image's descriptor (-1: none), in any case. */
int guest_disk_make_apart(struct images_work **out, struct images *images, const struct guest_disk *disk,
                          int image, struct cofre_err *err);

#endif
