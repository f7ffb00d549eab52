/* What is in a tar archive is in the file system, as it was; read back by debugfs and e2fsck. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/image/ext4.h"

static char folder[] = "/tmp/cofre-ext4-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[4][128];
    static unsigned next;
    char *out = path[next++ % 4];
    (void)snprintf(out, 128, "%s/%s", folder, name);
    return out;
}

/* An entry of an archive. */
struct made {
    const char *path;
    unsigned mode;
    const char *text; /* of a file, or where a link goes */
    int64_t uid, mtime;
    const char *hardlink, *capability;
    unsigned major, minor;
};

static void add(struct archive *a, const struct made *m)
{
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, m->path);
    archive_entry_set_mode(e, m->mode);
    archive_entry_set_uid(e, m->uid);
    archive_entry_set_gid(e, m->uid + 1);
    archive_entry_set_mtime(e, m->mtime, 5);
    size_t len = S_ISREG(m->mode) && m->text ? strlen(m->text) : 0;
    archive_entry_set_size(e, (int64_t)len);
    if (S_ISLNK(m->mode))
        archive_entry_set_symlink(e, m->text);
    if (m->hardlink)
        archive_entry_set_hardlink(e, m->hardlink);
    if (m->capability)
        archive_entry_xattr_add_entry(e, "security.capability", m->capability, strlen(m->capability));
    if (m->major) {
        archive_entry_set_rdevmajor(e, m->major);
        archive_entry_set_rdevminor(e, m->minor);
    }
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    if (len)
        assert_int_equal(archive_write_data(a, m->text, len), len);
    archive_entry_free(e);
}

static void write_tar(const char *name, const struct made *made, size_t count)
{
    struct archive *a = archive_write_new();
    assert_int_equal(archive_write_set_format_pax_restricted(a), ARCHIVE_OK);
    assert_int_equal(archive_write_add_filter_gzip(a), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(a, in_folder(name)), ARCHIVE_OK);
    for (size_t i = 0; i < count; i++)
        add(a, &made[i]);
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
}

static int add_to(void *fs, const struct tree_entry *entry, struct cofre_err *err)
{
    return ext4_add(fs, entry, err);
}

static int make(const char *tar, const char *image, uint64_t size, struct cofre_err *err)
{
    const struct ext4_plan plan = {
        .path = in_folder(image), .size = size, .inodes = 600, .identity = {{1}, {2}, 1700000000}};
    struct ext4 *fs;
    assert_int_equal(ext4_make(&fs, &plan, err), 0);
    int rc = tree_visit(in_folder(tar), add_to, fs, err);
    int finished = ext4_finish(fs, rc < 0 ? NULL : err);
    return rc < 0 ? rc : finished;
}

static char *output_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *output_of(const char *format, ...)
{
    static char text[65536];
    char command[1024];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(command, sizeof command, format, list);
    va_end(list);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    text[fread(text, 1, sizeof text - 1, pipe)] = '\0';
    assert_int_equal(pclose(pipe), 0);
    return text;
}

static void has(const char *image, const char *request, const char *wanted)
{
    const char *said =
        output_of("PATH=$PATH:/usr/sbin:/sbin debugfs -R '%s' %s 2>/dev/null", request, in_folder(image));
    if (!strstr(said, wanted))
        fail_msg("%s: no \"%s\" in: %s", request, wanted, said);
}

static void is_sound(const char *image)
{
    output_of("PATH=$PATH:/usr/sbin:/sbin e2fsck -fn %s 2>&1", in_folder(image));
}

static const struct made rootfs[] = {
    {.path = "./", .mode = S_IFDIR | 0750, .uid = 7, .mtime = 1600000000},
    {.path = "./etc/", .mode = S_IFDIR | 0711, .uid = 8, .mtime = 1600000001},
    {.path = "./etc/hello",
     .mode = S_IFREG | 04755,
     .text = "hello, world\n",
     .uid = 100000,
     .mtime = 1600000002},
    {.path = "/etc/again", .mode = S_IFREG | 04755, .hardlink = "./etc/hello"},
    {.path = "etc/newer", .mode = S_IFREG | 0600, .text = "", .mtime = 1900000000},
    {.path = "etc/link", .mode = S_IFLNK | 0777, .text = "hello", .uid = 9, .mtime = 1600000003},
    {.path = "etc/far",
     .mode = S_IFLNK | 0777,
     .text = "/a/path/that/is/longer/than/the/sixty/bytes/which/an/inode/has/room/for/itself"},
    {.path = "dev/console", .mode = S_IFCHR | 0600, .major = 5, .minor = 1},
    {.path = "dev/late", .mode = S_IFBLK | 0660, .major = 259, .minor = 300},
    {.path = "dev/pipe", .mode = S_IFIFO | 0640},
    {.path = "bin/ping", .mode = S_IFREG | 0755, .text = "ping", .capability = "a capability"},
};

static void entries_are_what_they_were(void **state)
{
    (void)state;
    struct cofre_err err;
    write_tar("rootfs.tar.gz", rootfs, sizeof rootfs / sizeof *rootfs);
    if (make("rootfs.tar.gz", "image", 8 << 20, &err) < 0)
        fail_msg("%s", err.text);
    is_sound("image");
    has("image", "cat /etc/again", "hello, world\n");
    has("image", "stat /etc/hello", "Mode:  04755");
    has("image", "stat /etc/hello", "User: 100000   Group: 100001");
    has("image", "stat /etc/hello", "Links: 2 ");
    has("image", "stat /etc/hello", "mtime: 0x5f5e1002:00000000");
    has("image", "stat /etc/hello", "ctime: 0x5f5e1002:00000000");
    has("image", "stat /etc/hello", "crtime: 0x6553f100:00000000"); /* of the making */
    has("image", "stat /etc/newer", "mtime: 0x6553f100:00000000");
    has("image", "stat /", "User:     7   Group:     8");
    has("image", "stat /", "Mode:  0750");
    has("image", "stat /etc", "Mode:  0711");
    has("image", "stat /etc/link", "Fast link dest: \"hello\"");
    has("image", "stat /etc/link", "User:     9");
    has("image", "cat /etc/far", "/itself");
    has("image", "stat /dev", "Mode:  0755"); /* nobody said how it is */
    has("image", "stat /dev/console", "Device major/minor number: 05:01");
    has("image", "stat /dev/late", "Device major/minor number: 259:300");
    has("image", "stat /dev/pipe", "Type: FIFO");
    has("image", "stat /bin/ping", "security.capability (12) = \"a capability\"");
}

static void the_same_entries_are_the_same_bytes(void **state)
{
    (void)state;
    CLEAN_BYTES first = {0}, second = {0};
    write_tar("rootfs.tar.gz", rootfs, sizeof rootfs / sizeof *rootfs);
    assert_int_equal(make("rootfs.tar.gz", "one", 8 << 20, NULL), 0);
    assert_int_equal(make("rootfs.tar.gz", "two", 8 << 20, NULL), 0);
    assert_int_equal(file_read(&first, in_folder("one"), 16 << 20, NULL), 0);
    assert_int_equal(file_read(&second, in_folder("two"), 16 << 20, NULL), 0);
    assert_int_equal(first.len, 8 << 20);
    assert_int_equal(second.len, first.len);
    assert_memory_equal(first.data, second.data, first.len);
}

static void a_directory_holds_many_names(void **state)
{
    (void)state;
    char names[500][160];
    struct made many[500];
    for (unsigned i = 0; i < 500; i++) {
        (void)snprintf(names[i], sizeof names[i], "d/%0100u", i);
        many[i] = (struct made){.path = names[i], .mode = S_IFREG | 0644, .text = names[i]};
    }
    write_tar("many.tar.gz", many, 500);
    assert_int_equal(make("many.tar.gz", "many", 16 << 20, NULL), 0);
    is_sound("many");
    char request[200];
    (void)snprintf(request, sizeof request, "cat %s", names[499]);
    has("many", request, names[499]);
}

static void refused(const struct made *made, size_t count, int code, const char *sentence)
{
    struct cofre_err err;
    write_tar("bad.tar.gz", made, count);
    assert_int_equal(make("bad.tar.gz", "bad", 2 << 20, &err), -code);
    if (!strstr(err.text, sentence))
        fail_msg("\"%s\" has no \"%s\"", err.text, sentence);
}

static void refuses_what_it_cannot_hold(void **state)
{
    (void)state;
    char *big = calloc(1, (4 << 20) + 1);
    memset(big, 'x', 4 << 20);
    const struct made large[] = {{.path = "big", .mode = S_IFREG | 0644, .text = big}};
    refused(large, 1, COFRE_FAILED, "big: the file system is full; --size makes it larger");
    free(big);
    const struct made twice[] = {{.path = "a", .mode = S_IFREG | 0644},
                                 {.path = "./a", .mode = S_IFREG | 0644}};
    refused(twice, 2, COFRE_FAILED, "a: ");
    const struct made outside[] = {{.path = "a/../../b", .mode = S_IFREG | 0644}};
    refused(outside, 1, COFRE_MALFORMED, "\"a/../../b\" leads out of the root file system");
    const struct made lost[] = {{.path = "a", .mode = S_IFREG | 0644, .hardlink = "nowhere"}};
    refused(lost, 1, COFRE_FAILED, "a: File not found");
}

static void refuses_what_is_no_archive(void **state)
{
    (void)state;
    struct cofre_err err;
    assert_int_equal(
        file_write(in_folder("bad.tar.gz"), (struct view){(const uint8_t *)"no archive", 10}, 0600, NULL), 0);
    assert_int_equal(make("bad.tar.gz", "bad", 2 << 20, &err), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "is no tar archive that can be read"));
    assert_int_equal(make("nothing", "bad", 2 << 20, &err), -COFRE_USAGE);
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    output_of("rm -r %s", folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_what_they_were),   cmocka_unit_test(the_same_entries_are_the_same_bytes),
        cmocka_unit_test(a_directory_holds_many_names), cmocka_unit_test(refuses_what_it_cannot_hold),
        cmocka_unit_test(refuses_what_is_no_archive),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
