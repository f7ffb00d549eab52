/*
 * Content-addressed storage of a host's guests: kernels, initrds, disks, ID blocks, certificates, and the disks that guests write to.
 *
 * Everything is a tenant's. The same bytes of two tenants are two files, so that no time, size or quota tells one of them what the
 * other has (docs/decisions.md). A tenant's quota counts what its files can come to, in whole blocks, not what they take at
 * the moment: of an image its length, of a disk its size, of an upload what was announced.
 *
 * The folder is the decider's alone (a lock says so). What is in it is opened by a tenant's name, a digest or a number and by nothing else:
 *     incoming/N            what is being written; the next start removes it
 *     images/TENANT/DIGEST  whole, as its digest says, mode 0400, under fs-verity where the file system has it
 *     disks/GUEST-PLACE     a guest's own disk
 * A file is on stable storage under its name before a row of the database names it, and is removed after its row is gone. So
 * who crashed in between left a file without a row, which images_open's caller removes by images_sweep.
 *
 * Rows: functions with a db run within the caller's transaction and begin none. After each transaction in which an image or a disk came or
 * went, whether it was kept or not, the caller calls images_settle.
 *
 * Threads: one thread has the store. What may also be called in another, so that the store's need not wait for a disk, says so.
 *
 * Errors: -COFRE_NEGATIVE there is no such thing; -COFRE_USAGE it is there, and cannot be had, or go, as it is; -COFRE_MALFORMED the bytes are not what
 * was announced; -COFRE_LACKING no room: quota, disk, too many uploads at once; -COFRE_FAILED the rest. Sentences name nothing of another tenant's.
 */
#ifndef COFRE_HOST_IMAGES_H
#define COFRE_HOST_IMAGES_H

#include <jansson.h>

#include "attest/store/db.h"

/* A step of the database's tables, for the list of who keeps them. */
extern const char images_schema[];

#define IMAGE_DIGEST_SIZE 32
#define IMAGE_DIGEST_TEXT (7 + 2 * IMAGE_DIGEST_SIZE + 1)

struct image_digest {
    uint8_t sha256[IMAGE_DIGEST_SIZE];
};

/* "sha256:" and 64 digits, lower-case: the one form. -COFRE_USAGE. */
int image_digest_parse(struct image_digest *out, const char *text, struct cofre_err *err);
void image_digest_text(char out[static IMAGE_DIGEST_TEXT], const struct image_digest *digest);

/* The store. */

struct images;

/* Takes the folder's descriptor over, in any case. -COFRE_LACKING where another process has this store. */
int images_open(struct images **out, int folder, struct cofre_err *err);
void images_close(struct images *images);
/* guest_disk_make, under way in some thread, ends soon, and none begins: -COFRE_LACKING. NULL is fine. */
void images_end(struct images *images);
/* Removes each file that no row names; no transaction is under way, and nothing else goes on. The result is their number.
 * -COFRE_USAGE where the folder is another database's, whose files it would take for nobody's. */
int images_sweep(struct images *images, struct db *db, struct cofre_err *err);
/* After a transaction: removes the files that it left without a row. What fails waits for the next sweep. */
int images_settle(struct images *images, struct db *db, struct cofre_err *err);
/* Bytes that count against the tenant's quota, with what is coming in. */
int images_used(uint64_t *out, const struct images *images, struct db *db, const char *tenant,
                struct cofre_err *err);
/* Images that the tenant has, with those that are coming in. */
int images_count(uint64_t *out, const struct images *images, struct db *db, const char *tenant,
                 struct cofre_err *err);

/* Images that come in. */

struct image_upload;

/*
 * size: what will come, exactly; it counts against the quota (bytes in all) from now on, so that of two uploads at once the second
 * is refused that does not fit beside the first. 1, and no upload: the tenant has this image.
 */
int image_upload_begin(struct image_upload **out, struct images *images, struct db *db, const char *tenant,
                       const struct image_digest *digest, uint64_t size, uint64_t quota,
                       struct cofre_err *err);
/* In any thread, one at a time. More than was announced is -COFRE_MALFORMED at once. Zeros become holes. */
int image_upload_write(struct image_upload *upload, struct view bytes, struct cofre_err *err);
/* In any thread, after the last byte: it is all there, it is what the digest says, and it is on the disk. */
int image_upload_finish(struct image_upload *upload, struct cofre_err *err);
/* Of a finished one: gives it its name and its row. 1: another upload of the same came before. added: seconds since 1970. */
int image_upload_keep(struct image_upload *upload, struct db *db, int64_t added, const char *by,
                      struct cofre_err *err);
/* In any case; what was not kept is gone. NULL is fine. */
void image_upload_free(struct image_upload *upload);

/* Images that are there. */

/* A digest's text, or a tag. -COFRE_NEGATIVE: this tenant has none of it. */
int image_resolve(struct image_digest *out, struct db *db, const char *tenant, const char *name,
                  struct cofre_err *err);
/* {"digest", "size", "created", "created_by", "tags": [...], "guests": [...]}; the list in the order of digests, after a digest (NULL: from the
 * first), at most limit of them. The caller's. */
int image_show(json_t **out, struct db *db, const char *tenant, const struct image_digest *digest,
               struct cofre_err *err);
int image_list(json_t **out, struct db *db, const char *tenant, const struct image_digest *after,
               int64_t limit, struct cofre_err *err);
/* Only to read, at offset 0; the caller closes it. Where it was added under fs-verity the kernel vouches for each byte that is read from it. */
int image_open(int *fd, const struct images *images, struct db *db, const char *tenant,
               const struct image_digest *digest, struct cofre_err *err);
/* -COFRE_USAGE with the guest's name while one uses it. Its tags go with it. */
int image_delete(struct images *images, struct db *db, const char *tenant, const struct image_digest *digest,
                 struct cofre_err *err);

/* A tag is a name that can be moved: a-z, 0-9 and "-", at most 63. */
int image_tag(struct db *db, const char *tenant, const char *tag, const struct image_digest *digest,
              int64_t moved, struct cofre_err *err);
int image_untag(struct db *db, const char *tenant, const char *tag, struct cofre_err *err);

/* What guests' definitions name. Replaces all that the guest used; of a running guest that has a newer definition the caller
 * gives both. -COFRE_NEGATIVE: the tenant does not have one of them. */
int images_use(struct db *db, const char *tenant, uint32_t guest, const char *guest_name,
               const struct image_digest *digest, size_t digests, struct cofre_err *err);

/* Disks of guests, by the guest's number, which no two guests ever have, and their place in its definition. */

#define GUEST_DISKS_MAX 16

struct guest_disk {
    uint32_t guest;
    unsigned place;
    uint64_t size;
    bool copy; /* of image; else it begins as zeros */
    struct image_digest image;
    bool made;
};

/* A row, and the quota that it takes: a copy of an image, whose size the result has, or, image NULL, an empty one of size bytes. */
int guest_disk_plan(struct images *images, struct db *db, const char *tenant, uint32_t guest, unsigned place,
                    const struct image_digest *image, uint64_t size, uint64_t quota, struct cofre_err *err);
int guest_disk_find(struct guest_disk *out, struct db *db, uint32_t guest, unsigned place,
                    struct cofre_err *err);
/* Before the guest's first start, while its row stays. In any thread: makes the file, shared with the image's blocks where the file system can (FICLONE).
 * image: as image_open gave it, or -1 of an empty one. Then, in a transaction, guest_disk_made. */
int guest_disk_make(struct images *images, const struct guest_disk *disk, int image, struct cofre_err *err);
int guest_disk_made(struct db *db, const struct guest_disk *disk, struct cofre_err *err);
/* To read and write; one that was made and is not there is an error, never made anew. */
int guest_disk_open(int *fd, const struct images *images, const struct guest_disk *disk,
                    struct cofre_err *err);
/* One that the guest's next definition does not have. */
int guest_disk_drop(struct images *images, struct db *db, uint32_t guest, unsigned place,
                    struct cofre_err *err);
/* The guest is deleted: its disks go, and so does what it used. */
int guest_images_drop(struct images *images, struct db *db, uint32_t guest, struct cofre_err *err);

#endif
