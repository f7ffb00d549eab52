/* Which modules go into the initrd, and in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/image/modules.h"

static struct view view_of(const char *text)
{
    return (struct view){(const uint8_t *)text, strlen(text)};
}

/* As depmod writes them. */
static const char dep[] =
    "kernel/drivers/block/virtio_blk.ko.xz:\n"
    "kernel/drivers/md/dm-mod.ko.xz:\n"
    "kernel/drivers/md/dm-bufio.ko.xz: kernel/drivers/md/dm-mod.ko.xz\n"
    "kernel/drivers/md/dm-verity.ko.xz: kernel/drivers/md/dm-bufio.ko.xz kernel/drivers/md/dm-mod.ko.xz\n"
    "kernel/net/vmw_vsock/vsock.ko:\n"
    "kernel/net/vmw_vsock/vmw_vsock_virtio_transport.ko: kernel/net/vmw_vsock/vsock.ko\n"
    "kernel/sound/soundcore.ko:\n";
static const char builtin[] = "kernel/fs/ext4/ext4.ko\nkernel/drivers/virtio/virtio_pci.ko\n";

static void chosen_are(const struct modules *m, const char *wanted)
{
    char got[2048] = "";
    for (size_t i = 0; i < m->count; i++) {
        char name[MODULE_NAME_SIZE];
        assert_true(module_name(name, view_of(m->path[i])));
        strcat(strcat(got, name), " ");
    }
    assert_string_equal(got, wanted);
}

static void what_a_module_needs_comes_before_it(void **state)
{
    (void)state;
    struct modules m;
    assert_int_equal(
        modules_choose(&m, view_of(dep), view_of(builtin), MODULES_ALWAYS | MODULES_VERITY, "rootfs", NULL),
        0);
    chosen_are(&m, "virtio_blk vsock vmw_vsock_virtio_transport dm_mod dm_bufio dm_verity ");
    modules_free(&m);
    assert_int_equal(modules_choose(&m, view_of(dep), view_of(builtin), MODULES_ALWAYS, "rootfs", NULL), 0);
    chosen_are(&m, "virtio_blk vsock vmw_vsock_virtio_transport ");
    modules_free(&m);
}

static void integrity_wants_more(void **state)
{
    (void)state;
    struct modules m;
    struct cofre_err err;
    static const char more[] = "kernel/drivers/block/virtio_blk.ko:\n"
                               "kernel/drivers/md/dm-mod.ko:\n"
                               "kernel/drivers/md/dm-integrity.ko: kernel/drivers/md/dm-mod.ko\n"
                               "kernel/crypto/authenc.ko:\n",
                      also[] = "k/ext4.ko\nk/virtio_pci.ko\nk/vmw_vsock_virtio_transport.ko\nk/dm-crypt.ko\n"
                               "k/xts.ko\nk/ecb.ko\nk/hmac.ko\n";
    const unsigned luks = MODULES_ALWAYS | MODULES_LUKS;
    assert_int_equal(
        modules_choose(&m, view_of(more), view_of(also), luks | MODULES_INTEGRITY, "rootfs", NULL), 0);
    chosen_are(&m, "virtio_blk dm_mod dm_integrity authenc ");
    modules_free(&m);
    assert_int_equal(modules_choose(&m, view_of(more), view_of(also), luks, "rootfs", NULL), 0);
    chosen_are(&m, "virtio_blk ");
    modules_free(&m);
    assert_int_equal(modules_choose(&m, view_of("kernel/drivers/block/virtio_blk.ko:\n"), view_of(also),
                                    luks | MODULES_INTEGRITY, "rootfs", &err),
                     -COFRE_LACKING);
    assert_string_equal(
        err.text,
        "rootfs: there is no module dm_integrity, nor is it in the kernel itself; the guest needs it");
    modules_free(&m);
}

static void names_the_module_that_is_missing(void **state)
{
    (void)state;
    struct modules m;
    struct cofre_err err;
    assert_int_equal(
        modules_choose(&m, view_of(dep), view_of("kernel/fs/ext4/ext4.ko\n"), MODULES_ALWAYS, "rootfs", &err),
        -COFRE_LACKING);
    modules_free(&m);
    assert_string_equal(
        err.text,
        "rootfs: there is no module virtio_pci, nor is it in the kernel itself; the guest needs it");
}

static void reads_odd_files_to_their_end(void **state)
{
    (void)state;
    static const char *const odd[] = {"",      "\n",      ":",        "no colon",
                                      "x.ko:", ": a b c", "/.ko: \n", "a/b.ko:  c  d \n\n"};
    struct modules m;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        assert_int_equal(modules_choose(&m, view_of(odd[i]), view_of(odd[i]), MODULES_ALWAYS, "rootfs", NULL),
                         -COFRE_LACKING);
        modules_free(&m);
    }
}

static void bounds_what_a_module_needs(void **state)
{
    (void)state;
    char many[8192] = "a/virtio_pci.ko:";
    struct modules m;
    struct cofre_err err;
    for (unsigned i = 0; i < MODULES_MAX; i++)
        sprintf(many + strlen(many), " a/m%u.ko", i);
    assert_int_equal(modules_choose(&m, view_of(many), view_of(""), MODULES_ALWAYS, "rootfs", &err),
                     -COFRE_MALFORMED);
    modules_free(&m);
    assert_string_equal(err.text, "rootfs: in modules.dep a module needs more than 127 others");
}

static void knows_a_module_by_its_name(void **state)
{
    (void)state;
    static const struct {
        const char *path, *name;
    } known[] = {{"kernel/a/dm-mod.ko.xz", "dm_mod"},
                 {"dm_mod.ko", "dm_mod"},
                 {"a/x.ko.zst", "x"},
                 {"a/.ko", NULL},
                 {"a/x.kox", NULL},
                 {"a/x", NULL},
                 {"", NULL}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char name[MODULE_NAME_SIZE];
        assert_int_equal(module_name(name, view_of(known[i].path)), known[i].name != NULL);
        if (known[i].name)
            assert_string_equal(name, known[i].name);
    }
    char longest[200];
    memset(longest, 'a', sizeof longest);
    strcpy(longest + 190, ".ko");
    char name[MODULE_NAME_SIZE];
    assert_false(module_name(name, view_of(longest)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_module_needs_comes_before_it), cmocka_unit_test(integrity_wants_more),
        cmocka_unit_test(names_the_module_that_is_missing),    cmocka_unit_test(reads_odd_files_to_their_end),
        cmocka_unit_test(bounds_what_a_module_needs),          cmocka_unit_test(knows_a_module_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
