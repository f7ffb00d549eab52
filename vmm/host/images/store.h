/* Inside of the storage: its folders, and how a file of them is opened. */
#ifndef COFRE_HOST_IMAGES_STORE_H
#define COFRE_HOST_IMAGES_STORE_H

#include <stdatomic.h>
#include <sys/types.h>

#include "vmm/host/images/images.h"

#define TENANT_NAME_MAX 63
#define BLOCK           4096u /* what is counted, and what holes are made of */

/* The longest is a digest's digits. */
#define STORED_NAME_SIZE (2 * IMAGE_DIGEST_SIZE + 1)

/* A file whose row a transaction may have made or removed. */
struct touched {
    char tenant[TENANT_NAME_MAX + 1]; /* "": a guest's disk */
    char name[STORED_NAME_SIZE];
};

struct images {
    int folder;                   /* holds the lock */
    int incoming, tenants, disks; /* folders in it */
    atomic_uint next;             /* name in incoming */
    atomic_bool ends;             /* copies are not gone on with */
    struct image_upload *uploads; /* that go on */
    struct touched *touched;
    size_t touched_count;
};

/* What a file of size bytes takes of a quota. */
static inline uint64_t charge_of(uint64_t size)
{
    return (size + BLOCK - 1) / BLOCK * BLOCK;
}

/* name: one component, made by us of a digest, a number or a checked name. -errno. */
int store_open(int folder, const char *name, int flags, mode_t mode);
/* What is open is a file of that size which nobody but this user, or root, can write to. */
bool store_is_ours(int fd, uint64_t size);
/* A folder likewise, which is made where it is not there. */
int store_folder(int parent, const char *name, bool make);
/* A file in incoming, to be written; name gets what it is called there. */
int store_incoming(struct images *images, char name[static STORED_NAME_SIZE], struct cofre_err *err);
/* All of data at offset, or an error that says whether the disk is full. what names the file to people. */
int store_write(int fd, struct view data, uint64_t offset, const char *what, struct cofre_err *err);
/* Gives what is whole in incoming its name in folder; on the disk when it returns. */
int store_name(const struct images *images, const char *incoming, int folder, const char *name,
               struct cofre_err *err);
/* The folder is this database's: else no row would mean that nobody has a file. */
int store_belongs(struct images *images, struct db *db, struct cofre_err *err);
int store_touch(struct images *images, const char *tenant, const char *name, struct cofre_err *err);
/* What is no tenant's name is nobody's: -COFRE_NEGATIVE. */
int store_tenant(const char *tenant, struct cofre_err *err);
/* -COFRE_LACKING where size more bytes do not fit under the tenant's quota. */
int store_room(const struct images *images, struct db *db, const char *tenant, uint64_t size, uint64_t quota,
               struct cofre_err *err);
/* Announced by the tenant's uploads (upload.c). */
uint64_t uploads_reserved(const struct images *images, const char *tenant);
uint64_t uploads_coming(const struct images *images, const char *tenant); /* how many */

void digest_name(char out[static STORED_NAME_SIZE], const struct image_digest *digest);
void disk_name(char out[static STORED_NAME_SIZE], uint32_t guest, unsigned place);

/* Rows: 1 or 0. */
int image_has_row(struct db *db, const char *tenant, const struct image_digest *digest,
                  struct cofre_err *err);
int disk_has_row(struct db *db, uint32_t guest, unsigned place, struct cofre_err *err);

/* fs-verity (linux/fsverity.h). The file, open to read and by nobody to write, is never changed again: *digest is what the kernel checks
 * it by, "sha256:" apart; empty where the file system does not have it. */
int verity_enable(int fd, struct bytes *digest, struct cofre_err *err);
/* The same of a file that may have it. */
int verity_measure(int fd, struct bytes *digest, struct cofre_err *err);

#endif
