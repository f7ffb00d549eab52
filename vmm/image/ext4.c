#include "vmm/image/ext4.h"

#include <errno.h>
#include <et/com_err.h>
#include <ext2fs/ext2fs.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "vmm/base/cleanup.h"

#define INODE_SIZE 256u

struct ext4 {
    ext2_filsys fs;
    const char *path;
    int64_t time;
};

static int failed(const struct ext4 *e, const char *what, errcode_t code, struct cofre_err *err)
{
    return cofre_fail(err, COFRE_FAILED, "%s: %s: %s", e->path, what,
                      code == EXT2_ET_BLOCK_ALLOC_FAIL || code == EXT2_ET_INODE_ALLOC_FAIL
                          ? "the file system is full; --size makes it larger"
                          : error_message(code));
}

uint64_t ext4_room(uint64_t content, uint64_t entries, bool journal)
{
    /* Inodes, a directory's or a long link's block for every few of them, bitmaps and tables, and what is kept free. */
    uint64_t size = content + entries * (INODE_SIZE + EXT4_BLOCK / 4) + (journal ? 32u << 20 : 0);
    size += size / 50 + (4u << 20);
    return size / EXT4_BLOCK * EXT4_BLOCK;
}

/* Formatting */

void ext4_uuid_text(char out[37], const uint8_t uuid[16])
{
    static const uint8_t dash_before[] = {4, 6, 8, 10};
    for (unsigned i = 0, dash = 0; i < 16; i++) {
        if (dash < sizeof dash_before && i == dash_before[dash]) {
            *out++ = '-';
            dash++;
        }
        hex_encode(out, &uuid[i], 1);
        out += 2;
    }
}

static int run_quietly(char *const argv[], char *const envp[], struct cofre_err *err)
{
    posix_spawn_file_actions_t quiet;
    pid_t pid;
    int status;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    int error = posix_spawnp(&pid, argv[0], &quiet, NULL, argv, envp);
    posix_spawn_file_actions_destroy(&quiet);
    if (error)
        return cofre_fail(err, COFRE_LACKING, "%s cannot be started: %s; it is in Debian's e2fsprogs",
                          argv[0], strerror(error));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0
               ? 0
               : cofre_fail(err, COFRE_FAILED, "%s made no file system; what it said stands above", argv[0]);
}

static char *search_path(void)
{
    static char usual[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    for (char **at = environ; *at; at++)
        if (strncmp(*at, "PATH=", 5) == 0)
            return *at;
    return usual;
}

/* Features are named here, and mke2fs's configuration of this machine is not read. */
static int format(const struct ext4_plan *plan, struct cofre_err *err)
{
    char uuid[37], seed[37], extended[96], inodes[24], blocks[24], now[48], features[160];
    ext4_uuid_text(uuid, plan->identity.uuid);
    ext4_uuid_text(seed, plan->identity.hash_seed);
    (void)snprintf(features, sizeof features,
                   "none,extent,filetype,sparse_super,large_file,huge_file,dir_index,ext_attr,metadata_csum,"
                   "flex_bg,dir_nlink,extra_isize%s",
                   plan->journal ? ",has_journal" : "");
    (void)snprintf(extended, sizeof extended, "hash_seed=%s,root_owner=0:0,lazy_itable_init=0,nodiscard",
                   seed);
    (void)snprintf(inodes, sizeof inodes, "%llu", (unsigned long long)plan->inodes);
    (void)snprintf(blocks, sizeof blocks, "%llu", (unsigned long long)(plan->size / EXT4_BLOCK));
    (void)snprintf(now, sizeof now, "E2FSPROGS_FAKE_TIME=%lld", (long long)plan->identity.time);
    CLEAN_FREE char *file = strdup(plan->path);
    if (!file)
        return cofre_fail(err, COFRE_FAILED, "%s: out of memory", plan->path);
    char *const argv[] = {"mke2fs", "-q", "-F",     "-t", "ext4",   "-T", "default", "-b",
                          "4096",   "-I", "256",    "-m", "0",      "-U", uuid,      "-N",
                          inodes,   "-O", features, "-E", extended, file, blocks,    NULL};
    char *const envp[] = {search_path(), now, "MKE2FS_CONFIG=/dev/null", "LC_ALL=C", NULL};
    return run_quietly(argv, envp, err);
}

int ext4_make(struct ext4 **out, const struct ext4_plan *plan, struct cofre_err *err)
{
    *out = NULL;
    CLEAN_FD fd = open(plan->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || ftruncate(fd, (off_t)plan->size) < 0)
        return cofre_fail(err, COFRE_FAILED, "%s: %s", plan->path, strerror(errno));
    struct ext4 *e = calloc(1, sizeof *e);
    if (!e)
        return cofre_fail(err, COFRE_FAILED, "%s: out of memory", plan->path);
    e->path = plan->path;
    e->time = plan->identity.time;
    int rc = format(plan, err);
    initialize_ext2_error_table();
    errcode_t code =
        rc < 0 ? 0 : ext2fs_open(plan->path, EXT2_FLAG_RW | EXT2_FLAG_64BITS, 0, 0, unix_io_manager, &e->fs);
    if (code)
        rc = failed(e, "what mke2fs made", code, err);
    if (rc == 0)
        code = ext2fs_read_bitmaps(e->fs);
    if (rc == 0 && code)
        rc = failed(e, "bitmaps", code, err);
    if (rc < 0) {
        if (e->fs)
            ext2fs_close_free(&e->fs);
        free(e);
        return rc;
    }
    e->fs->now = (time_t)e->time;
    *out = e;
    return 0;
}

/* Entries */

/* A directory that is full gets another block, and the call is made again. */
#define WITH_ROOM(e, parent, call)                                                                           \
    __extension__({                                                                                          \
        errcode_t code_;                                                                                     \
        while ((code_ = (call)) == EXT2_ET_DIR_NO_SPACE)                                                     \
            if ((code_ = ext2fs_expand_dir((e)->fs, (parent))))                                              \
                break;                                                                                       \
        code_;                                                                                               \
    })

static void set_meta(const struct ext4 *e, struct ext2_inode *inode, struct archive_entry *meta)
{
    int64_t uid = archive_entry_uid(meta), gid = archive_entry_gid(meta), t = archive_entry_mtime(meta);
    inode->i_mode = (uint16_t)((inode->i_mode & LINUX_S_IFMT) | (archive_entry_perm(meta) & 07777));
    inode->i_uid = (uint16_t)uid;
    ext2fs_set_i_uid_high(*inode, (uint16_t)(uid >> 16));
    inode->i_gid = (uint16_t)gid;
    ext2fs_set_i_gid_high(*inode, (uint16_t)(gid >> 16));
    t = t < 0 ? 0 : t > e->time ? e->time : t;
    inode->i_mtime = inode->i_atime = inode->i_ctime = (uint32_t)t;
}

static errcode_t update_meta(const struct ext4 *e, ext2_ino_t ino, struct archive_entry *meta)
{
    struct ext2_inode inode;
    errcode_t code = ext2fs_read_inode(e->fs, ino, &inode);
    if (code)
        return code;
    set_meta(e, &inode, meta);
    return ext2fs_write_inode(e->fs, ino, &inode);
}

static errcode_t set_attributes(const struct ext4 *e, ext2_ino_t ino, struct archive_entry *meta)
{
    struct ext2_xattr_handle *handle;
    const char *name;
    const void *value;
    size_t len;
    if (archive_entry_xattr_reset(meta) == 0)
        return 0;
    errcode_t code = ext2fs_xattrs_open(e->fs, ino, &handle);
    if (code)
        return code;
    code = ext2fs_xattrs_read(handle);
    while (!code && archive_entry_xattr_next(meta, &name, &value, &len) == ARCHIVE_OK)
        code = ext2fs_xattr_set(handle, name, value, len);
    errcode_t closed = ext2fs_xattrs_close(&handle);
    return code ? code : closed;
}

static errcode_t add_directory(const struct ext4 *e, ext2_ino_t parent, const char *name, ext2_ino_t *ino)
{
    errcode_t code = WITH_ROOM(e, parent, ext2fs_mkdir(e->fs, parent, 0, name));
    return code ? code : ext2fs_lookup(e->fs, parent, name, (int)strlen(name), NULL, ino);
}

static errcode_t add_symlink(const struct ext4 *e, ext2_ino_t parent, const char *name, const char *target,
                             ext2_ino_t *ino)
{
    errcode_t code = WITH_ROOM(e, parent, ext2fs_symlink(e->fs, parent, 0, name, target));
    return code ? code : ext2fs_lookup(e->fs, parent, name, (int)strlen(name), NULL, ino);
}

/* As the kernel has it: the old form where both numbers fit, else the new one. */
static void set_device(struct ext2_inode *inode, unsigned major, unsigned minor)
{
    if (major < 256 && minor < 256)
        inode->i_block[0] = major << 8 | minor;
    else
        inode->i_block[1] = (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
}

static const struct kind {
    mode_t mode; /* S_IFMT's */
    uint16_t inode_mode;
    int type; /* in the directory */
} kinds[] = {
    {S_IFREG, LINUX_S_IFREG, EXT2_FT_REG_FILE}, {S_IFCHR, LINUX_S_IFCHR, EXT2_FT_CHRDEV},
    {S_IFBLK, LINUX_S_IFBLK, EXT2_FT_BLKDEV},   {S_IFIFO, LINUX_S_IFIFO, EXT2_FT_FIFO},
    {S_IFSOCK, LINUX_S_IFSOCK, EXT2_FT_SOCK},
};

/* Files and special files: the inode, and its name. */
static errcode_t add_inode(const struct ext4 *e, ext2_ino_t parent, const char *name, const struct kind *kind,
                           struct archive_entry *meta, ext2_ino_t *ino)
{
    struct ext2_inode inode = {.i_links_count = 1, .i_mode = kind->inode_mode};
    errcode_t code = ext2fs_new_inode(e->fs, parent, kind->inode_mode, NULL, ino);
    if (!code)
        code = WITH_ROOM(e, parent, ext2fs_link(e->fs, parent, name, *ino, kind->type));
    if (code)
        return code;
    ext2fs_inode_alloc_stats2(e->fs, *ino, +1, 0);
    set_meta(e, &inode, meta);
    if (kind->mode == S_IFREG) {
        ext2_extent_handle_t handle; /* an empty tree of extents */
        inode.i_flags = EXT4_EXTENTS_FL;
        if ((code = ext2fs_extent_open2(e->fs, *ino, &inode, &handle)))
            return code;
        ext2fs_extent_free(handle);
    } else if (kind->mode == S_IFCHR || kind->mode == S_IFBLK)
        set_device(&inode, (unsigned)archive_entry_rdevmajor(meta), (unsigned)archive_entry_rdevminor(meta));
    return ext2fs_write_new_inode(e->fs, *ino, &inode);
}

static errcode_t add_link(const struct ext4 *e, ext2_ino_t parent, const char *name, const char *first)
{
    ext2_ino_t ino;
    struct ext2_inode inode;
    errcode_t code = ext2fs_namei(e->fs, EXT2_ROOT_INO, EXT2_ROOT_INO, first, &ino);
    if (!code)
        code = ext2fs_read_inode(e->fs, ino, &inode);
    if (!code)
        code = WITH_ROOM(e, parent, ext2fs_link(e->fs, parent, name, ino, EXT2_FT_REG_FILE));
    if (code)
        return code;
    inode.i_links_count++;
    return ext2fs_write_inode(e->fs, ino, &inode);
}

static int write_content(const struct ext4 *e, ext2_ino_t ino, const struct tree_entry *entry,
                         struct cofre_err *err)
{
    uint8_t piece[1 << 16];
    ext2_file_t file;
    int64_t left = archive_entry_size(entry->meta);
    errcode_t code = ext2fs_file_open(e->fs, ino, EXT2_FILE_WRITE, &file);
    if (code)
        return failed(e, entry->path, code, err);
    int rc = 0;
    while (rc == 0 && left > 0) {
        unsigned done = 0;
        ssize_t n = tree_read(entry, piece, left < (int64_t)sizeof piece ? (size_t)left : sizeof piece, err);
        if (n <= 0)
            rc = n < 0 ? (int)n
                       : cofre_fail(err, COFRE_MALFORMED, "%s became shorter while it was read", entry->path);
        else if ((code = ext2fs_file_write(file, piece, (unsigned)n, &done)) || done != (unsigned)n)
            rc = failed(e, entry->path, code, err);
        left -= n;
    }
    code = ext2fs_file_close(file);
    return rc == 0 && code ? failed(e, entry->path, code, err) : rc;
}

/* A directory that no entry described. */
static errcode_t find_directory(const struct ext4 *e, const char *path, ext2_ino_t *ino)
{
    errcode_t code = ext2fs_namei(e->fs, EXT2_ROOT_INO, EXT2_ROOT_INO, *path ? path : "/", ino);
    if (code != EXT2_ET_FILE_NOT_FOUND)
        return code;
    const char *slash = strrchr(path, '/');
    CLEAN_FREE char *above = strndup(path, slash ? (size_t)(slash - path) : 0);
    ext2_ino_t parent;
    if (!above)
        return EXT2_ET_NO_MEMORY;
    code = find_directory(e, above, &parent);
    return code ? code : add_directory(e, parent, slash ? slash + 1 : path, ino);
}

static const struct kind *kind_of(mode_t mode)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].mode == (mode & S_IFMT))
            return &kinds[i];
    return NULL;
}

/* The entry's own inode, with what it points to but without a file's bytes; *ino is 0 where it is another's name. */
static errcode_t add_entry(const struct ext4 *e, const struct tree_entry *entry, ext2_ino_t parent,
                           const char *name, ext2_ino_t *ino)
{
    const mode_t mode = archive_entry_filetype(entry->meta);
    const struct kind *kind = kind_of(mode);
    errcode_t code = ext2fs_lookup(e->fs, parent, name, (int)strlen(name), NULL, ino);
    if (code != EXT2_ET_FILE_NOT_FOUND)
        return code ? code : mode == S_IFDIR ? update_meta(e, *ino, entry->meta) : EXT2_ET_FILE_EXISTS;
    *ino = 0;
    if (entry->hardlink)
        return add_link(e, parent, name, entry->hardlink);
    if (kind)
        return add_inode(e, parent, name, kind, entry->meta, ino);
    if (mode == S_IFDIR)
        code = add_directory(e, parent, name, ino);
    else
        code = mode == S_IFLNK ? add_symlink(e, parent, name, archive_entry_symlink(entry->meta), ino)
                               : EXT2_ET_INVALID_ARGUMENT;
    return code ? code : update_meta(e, *ino, entry->meta);
}

int ext4_add(struct ext4 *e, const struct tree_entry *entry, struct cofre_err *err)
{
    const char *slash = strrchr(entry->path, '/'), *name = slash ? slash + 1 : entry->path;
    ext2_ino_t parent = EXT2_ROOT_INO, ino = EXT2_ROOT_INO;
    CLEAN_FREE char *above = strndup(entry->path, slash ? (size_t)(slash - entry->path) : 0);
    errcode_t code = above ? 0 : EXT2_ET_NO_MEMORY;
    if (*entry->path) {
        code = code ? code : find_directory(e, above, &parent);
        code = code ? code : add_entry(e, entry, parent, name, &ino);
    } else
        code = update_meta(e, ino, entry->meta);
    int rc = code ? failed(e, entry->path, code, err) : 0;
    if (rc == 0 && ino && archive_entry_filetype(entry->meta) == S_IFREG)
        rc = write_content(e, ino, entry, err);
    if (rc == 0 && ino && (code = set_attributes(e, ino, entry->meta)))
        rc = failed(e, entry->path, code, err);
    return rc;
}

int ext4_finish(struct ext4 *e, struct cofre_err *err)
{
    errcode_t code = ext2fs_close_free(&e->fs);
    int rc = code ? failed(e, "writing it", code, err) : 0;
    free(e);
    return rc;
}
