/* A storage of images in a folder of the test's, with a database beside it. */
#ifndef TESTS_UNIT_HOST_IMAGES_FIXTURE_H
#define TESTS_UNIT_HOST_IMAGES_FIXTURE_H

#include "vmm/host/images/images.h"

struct fixture {
    char folder[128]; /* in it: db, and the store */
    struct db *db;
    struct images *images;
};

#define PLENTY (UINT64_C(1) << 40)

/* parent: where the folder is made; NULL: $TMPDIR, so that the tests can be had on any file system. */
void fixture_make(struct fixture *f, const char *parent);
void fixture_remove(struct fixture *f);
/* As a process does that starts. */
void fixture_open(struct fixture *f);
void fixture_close(struct fixture *f);

struct image_digest fixture_digest(struct view bytes);
/* From the announcement to the row, as one that knows the interface does it; the result of what failed. */
int fixture_add(struct fixture *f, const char *tenant, struct view bytes, uint64_t quota,
                struct cofre_err *err);
/* Keeps what was finished, in a transaction. */
int fixture_keep(struct fixture *f, struct image_upload *upload, struct cofre_err *err);
/* Plans, where that was not done, makes and notes a disk; image NULL: an empty one. */
int fixture_disk(struct fixture *f, const char *tenant, uint32_t guest, const struct image_digest *image,
                 uint64_t size, uint64_t quota, struct cofre_err *err);
/* Files below the store's folder, but the one that says whose it is. */
unsigned fixture_files(const struct fixture *f);

#endif
