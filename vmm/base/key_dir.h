/*
 * A directory of keys and certificates that its first user makes: where the emulated platforms live. Its mode is 0700.
 * Of what is in it one file is written last: a directory that has it is complete.
 */
#ifndef COFRE_BASE_KEY_DIR_H
#define COFRE_BASE_KEY_DIR_H

#include <openssl/types.h>

#include "vmm/base/bytes.h"

/* dir; where it is NULL $COFRE_EMULATED_DIR, else /var/lib/cofre/emulated. */
const char *key_dir_emulated(const char *dir);

/*
 * Calls make unless the file is there. Of two processes that come first together one makes the files and both use them:
 * whoever holds the lock makes them, who waited for it finds them there. COFRE_LACKING where dir cannot be made or written.
 */
int key_dir_once(const char *dir, const char *last,
                 int (*make)(const char *dir, void *context, struct cofre_err *err), void *context,
                 struct cofre_err *err);

/* A file of dir, of mode 0600. */
int key_dir_read(struct bytes *out, const char *dir, const char *name, struct cofre_err *err);
int key_dir_write(const char *dir, const char *name, struct view data, struct cofre_err *err);

/* The same in PEM; the caller frees what is read. -COFRE_MALFORMED where it is not what it should be. */
int key_dir_read_cert(X509 **out, const char *dir, const char *name, struct cofre_err *err);
int key_dir_read_crl(X509_CRL **out, const char *dir, const char *name, struct cofre_err *err);
int key_dir_read_key(EVP_PKEY **out, const char *dir, const char *name, struct cofre_err *err);
int key_dir_write_cert(const char *dir, const char *name, X509 *cert, struct cofre_err *err);
int key_dir_write_crl(const char *dir, const char *name, X509_CRL *crl, struct cofre_err *err);
int key_dir_write_key(const char *dir, const char *name, EVP_PKEY *key, struct cofre_err *err);

/* Exactly len bytes as hexadecimal digits and a newline. */
int key_dir_read_hex(uint8_t *out, size_t len, const char *dir, const char *name, struct cofre_err *err);
int key_dir_write_hex(const char *dir, const char *name, const uint8_t *data, size_t len,
                      struct cofre_err *err);

/* -COFRE_MALFORMED with a sentence that says what to do. */
int key_dir_damaged(const char *dir, const char *name, const char *why, struct cofre_err *err);

#endif
