/*
 * A root file system as it comes to `cofre image`: a folder, or a tar archive (of any compression that libarchive reads).
 * It is visited as often as is wanted, each time in the same order: a folder's entries by name, an archive's as they lie.
 */
#ifndef COFRE_IMAGE_TREE_H
#define COFRE_IMAGE_TREE_H

#include <archive.h>
#include <archive_entry.h>

#include "vmm/base/bytes.h"

/* The entry that is being visited. path has no "/" or "./" before it and no ".." in it; "" is the root itself. */
struct tree_entry {
    const char *path;
    struct archive_entry *meta; /* owner, mode, times, extended attributes, where links go */
    const char *hardlink; /* the path, as above, of an earlier entry that this is another name of; or NULL */
    struct tree_source *source;
};

/* The next bytes of a regular file; 0 at its end. Only during the visit. */
ssize_t tree_read(const struct tree_entry *entry, void *out, size_t len, struct cofre_err *err);
/* All of it. -COFRE_MALFORMED where it has more than max bytes. */
int tree_read_all(const struct tree_entry *entry, struct bytes *out, size_t max, struct cofre_err *err);

typedef int tree_visitor(void *context, const struct tree_entry *entry, struct cofre_err *err);

/* Ends with the first visit that does not return 0, and returns what that did. */
int tree_visit(const char *path, tree_visitor *visitor, void *context, struct cofre_err *err);

#endif
