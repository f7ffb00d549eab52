/* From a root file system to an image, as a user makes one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libcryptsetup.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "tests/unit/cli/run.h"
#include "vmm/base/file.h"
#include "vmm/init/luks_header.h"
#include "vmm/init/root.h"

static uint8_t kernel[0x3001];

/* The least that is a kernel (Linux's Documentation/arch/x86/boot.rst). */
static void write_kernel(void)
{
    kernel[0x1f1] = 1;
    put_le16(kernel + 0x1fe, 0xaa55);
    kernel[0x201] = 0x6a;
    memcpy(kernel + 0x202, "HdrS", 4);
    put_le16(kernel + 0x206, 0x020f);
    kernel[0x211] = 1;
    put_le32(kernel + 0x22c, 0x7fffffff);
    put_le32(kernel + 0x230, 0x200000);
    kernel[0x234] = 1;
    put_le16(kernel + 0x236, 1);
    put_le32(kernel + 0x238, 2047);
    put_le64(kernel + 0x258, 16 << 20);
    put_le32(kernel + 0x260, 60 << 20);
    cli_write("rootfs/boot/vmlinuz-6.1", (struct view){kernel, sizeof kernel});
}

static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *format, ...)
{
    char command[2048], folder[CLI_PATH_SIZE];
    va_list list;
    cli_path(folder, "");
    int n = snprintf(command, sizeof command, "exec 1>&2; cd %s && ", folder);
    va_start(list, format);
    (void)vsnprintf(command + n, sizeof command - (size_t)n, format, list);
    va_end(list);
    if (system(command) != 0)
        fail_msg("%s", command);
}

static int setup(void **state)
{
    if (cli_setup(state) < 0)
        return -1;
    shell("mkdir -p rootfs/boot rootfs/etc rootfs/usr/lib/modules/6.1/kernel && cd "
          "rootfs/usr/lib/modules/6.1 && "
          "echo block >kernel/virtio_blk.ko && echo verity >kernel/dm-verity.ko && echo mod | xz "
          ">kernel/dm-mod.ko.xz && "
          "printf 'kernel/virtio_blk.ko:\\nkernel/dm-verity.ko: "
          "kernel/dm-mod.ko.xz\\nkernel/dm-mod.ko.xz:\\n' >modules.dep && "
          "printf "
          "'k/virtio_pci.ko\\nk/ext4.ko\\nk/vmw_vsock_virtio_transport.ko\\nk/dm-crypt.ko\\nk/xts.ko\\nk/"
          "ecb.ko\\nk/dm-integrity.ko\\nk/authenc.ko\\nk/hmac.ko\\n' >modules.builtin && "
          "cd ../../../../etc && head -c 900000 /dev/urandom >random && echo hello >hello && ln hello again");
    write_kernel();
    shell("find rootfs -exec touch -h -d @1600000000 {} +");
    return 0;
}

static void build(const char *arguments)
{
    char command[1024];
    (void)snprintf(command, sizeof command, "image --root verity %s", arguments);
    if (cli_run(command) != 0)
        fail_msg("%s", cli_output);
}

static void same(const char *one, const char *other)
{
    shell("diff -r %s %s", one, other);
}

static void two_builds_are_the_same_bytes(void **state)
{
    (void)state;
    build("--rootfs rootfs --out one");
    shell("cat rootfs/etc/* >/dev/null; cp -a rootfs copy");
    build("--rootfs copy --out two");
    same("one", "two");
    shell("tar --sort=name --numeric-owner -C rootfs -czf rootfs.tar.gz .");
    build("--rootfs rootfs.tar.gz --out three");
    same("one", "three");
    shell("echo more >>copy/etc/hello");
    build("--rootfs copy --out four");
    shell("! cmp -s one/disk.img four/disk.img && ! cmp -s one/cmdline four/cmdline && cmp one/initrd "
          "four/initrd");
}

static void the_date_is_that_of_the_environment(void **state)
{
    (void)state;
    setenv("SOURCE_DATE_EPOCH", "1500000000", 1);
    build("--rootfs rootfs --out one");
    shell("cp -r --preserve=links rootfs now");
    build("--rootfs now --out two");
    unsetenv("SOURCE_DATE_EPOCH");
    same("one", "two");
    build("--rootfs rootfs --out three");
    shell("! cmp -s one/disk.img three/disk.img");
}

/* dm-verity's tree from its description in the kernel's documentation, not by who made it. */
static void hash_of(uint8_t out[32], const struct root_verity *v, const uint8_t *block)
{
    uint8_t salted[ROOT_HASH_SIZE + ROOT_BLOCK];
    memcpy(salted, v->salt, ROOT_HASH_SIZE);
    memcpy(salted + ROOT_HASH_SIZE, block, ROOT_BLOCK);
    SHA256(salted, sizeof salted, out);
}

static size_t level(uint8_t *out, const struct root_verity *v, const uint8_t *blocks, size_t count)
{
    size_t above = (count + 127) / 128;
    memset(out, 0, above * ROOT_BLOCK);
    for (size_t i = 0; i < count; i++)
        hash_of(out + i * 32, v, blocks + i * ROOT_BLOCK);
    return above;
}

static void the_root_hash_is_that_of_the_disk(void **state)
{
    (void)state;
    CLEAN_BYTES cmdline = {0}, disk = {0};
    struct root root;
    struct cofre_err err;
    uint8_t hash[32];
    build("--rootfs rootfs --out image --cmdline 'console=hvc0 quiet'");
    cli_read(&cmdline, "image/cmdline");
    cli_read(&disk, "image/disk.img");
    assert_memory_equal(cmdline.data, "console=hvc0 quiet cofre.root=verity,", 37);
    assert_int_equal(root_parse(&root, bytes_view(&cmdline), &err), 0);
    size_t count = root.verity.blocks;
    assert_in_range(count, 129, 128 * 128); /* two levels */
    uint8_t *tree = malloc(129 * ROOT_BLOCK), *top = tree + 128 * ROOT_BLOCK;
    size_t leaves = level(tree, &root.verity, disk.data, count);
    assert_int_equal(level(top, &root.verity, tree, leaves), 1);
    hash_of(hash, &root.verity, top);
    assert_memory_equal(hash, root.verity.hash, 32);
    /* On the disk the top is first. */
    assert_int_equal(disk.len, (count + 1 + leaves) * ROOT_BLOCK);
    assert_memory_equal(disk.data + count * ROOT_BLOCK, top, ROOT_BLOCK);
    assert_memory_equal(disk.data + (count + 1) * ROOT_BLOCK, tree, leaves * ROOT_BLOCK);
    free(tree);
}

static void the_initrd_has_what_the_guest_begins_with(void **state)
{
    (void)state;
    build("--rootfs rootfs --out image");
    shell("mkdir -p initrd && cd initrd && cpio -i --quiet <../image/initrd && [ -x init ] && [ -x "
          "bin/cofre-agent ] && "
          "[ \"$(cat modules/order)\" = \"$(printf 'virtio_blk.ko\\ndm_mod.ko\\ndm_verity.ko')\" ] && "
          "[ \"$(cat modules/dm_mod.ko)\" = mod ] && [ \"$(cat modules/dm_verity.ko)\" = verity ] && [ -d "
          "proc ]");
}

#define LUKS "--root luks --trust https://trust.lab:8443 --ca ca.pem --policy web --key-name root "

static void luks(const char *arguments)
{
    char command[1024];
    (void)snprintf(command, sizeof command, "image --rootfs rootfs " LUKS "%s", arguments);
    if (cli_run(command) != 0)
        fail_msg("%s", cli_output);
}

/* By libcryptsetup, in memory: the volume key that this key opens, or an error. */
static int volume_key(const char *image, const char *key_file, uint8_t out[96])
{
    char path[CLI_PATH_SIZE];
    CLEAN_BYTES key = {0};
    struct crypt_device *cd;
    size_t len = 96;
    cli_path(path, image);
    cli_read(&key, key_file);
    (void)crypt_metadata_locking(NULL, 0);
    assert_int_equal(crypt_init(&cd, path), 0);
    assert_int_equal(crypt_load(cd, CRYPT_LUKS2, NULL), 0);
    int rc = crypt_volume_key_get(cd, CRYPT_ANY_SLOT, (char *)out, &len, (const char *)key.data, key.len);
    crypt_free(cd);
    return rc;
}

static void has_the_form(const char *image, bool integrity)
{
    char path[CLI_PATH_SIZE];
    const char *json;
    struct cofre_err err;
    struct crypt_device *cd;
    cli_path(path, image);
    assert_int_equal(crypt_init(&cd, path), 0);
    assert_int_equal(crypt_load(cd, CRYPT_LUKS2, NULL), 0);
    assert_int_equal(crypt_dump_json(cd, &json, 0), 0);
    if (luks_header_check((struct view){(const uint8_t *)json, strlen(json)}, integrity, &err) < 0)
        fail_msg("%s", err.text);
    crypt_free(cd);
}

static void the_key_opens_what_was_encrypted(void **state)
{
    (void)state;
    CLEAN_BYTES disk = {0};
    uint8_t volume[96], iv[16] = {0}, sector[4096];
    int len;
    shell("echo certificate >ca.pem");
    luks("--key key --out luks --size 12M --json");
    json_t *all = json_loads(cli_output, 0, NULL);
    assert_string_equal(cli_text(all, "disk"), "luks/disk.img");
    assert_non_null(strstr(cli_text(all, "cmdline"),
                           "cofre.trust=https://trust.lab:8443 cofre.policy=web cofre.key=root "
                           "cofre.root=luks,uuid="));
    json_decref(all);
    shell("[ $(stat -c %%a-%%s key) = 600-32 ] && [ ! -e luks/disk.plain ] && ! grep -q hello luks/disk.img");
    assert_true(volume_key("luks/disk.img", "key", volume) >= 0);
    has_the_form("luks/disk.img", false);
    char path[CLI_PATH_SIZE];
    cli_path(path, "luks/disk.img");
    assert_int_equal(file_read(&disk, path, 1 << 28, NULL), 0);
    /* The first sector has a superblock of ext4 in it. */
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    assert_int_equal(EVP_DecryptInit_ex2(ctx, EVP_aes_256_xts(), volume, iv, NULL), 1);
    assert_int_equal(EVP_DecryptUpdate(ctx, sector, &len, disk.data + (16 << 20), 4096), 1);
    EVP_CIPHER_CTX_free(ctx);
    assert_int_equal(le16(sector + 1024 + 0x38), 0xef53);
    shell("head -c 32 /dev/urandom >other");
    assert_true(volume_key("luks/disk.img", "other", volume) < 0);
    /* The same key for another disk; what is measured is the same, the disk is not. */
    luks("--key key --out again --size 12M");
    shell("cmp luks/initrd again/initrd && cmp luks/cmdline again/cmdline && cmp luks/policy.json "
          "again/policy.json && "
          "! cmp -s luks/disk.img again/disk.img");
    assert_true(volume_key("again/disk.img", "key", volume) >= 0);
}

/* A sector of a disk with integrity, by what is known of the kernel's ways: tags of 48 bytes, of 4096 sectors before those. */
static void open_sector(uint8_t out[4096], const uint8_t *areas, const uint8_t key[96], uint64_t number)
{
    static const size_t tags = 4096 * 48, area_size = 4096 * 48 + 4096 * 4096;
    const uint8_t *area = areas + number / 4096 * area_size, *sector = area + tags + number % 4096 * 4096,
                  *tag = area + number % 4096 * 48;
    uint8_t all[8 + 16 + 4096], mac[32];
    int len;
    put_le64(all, number * 8);
    memcpy(all + 8, tag + 32, 16);
    memcpy(all + 24, sector, 4096);
    assert_non_null(HMAC(EVP_sha256(), key + 64, 32, all, sizeof all, mac, NULL));
    assert_memory_equal(mac, tag, 32);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    assert_int_equal(EVP_DecryptInit_ex2(ctx, EVP_aes_256_xts(), key, tag + 32, NULL), 1);
    assert_int_equal(EVP_DecryptUpdate(ctx, out, &len, sector, 4096), 1);
    EVP_CIPHER_CTX_free(ctx);
}

/* 20 MiB: more than one area of tags. */
static void each_sector_has_a_tag(void **state)
{
    (void)state;
    CLEAN_BYTES disk = {0}, plain = {0};
    uint8_t volume[96];
    char path[CLI_PATH_SIZE];
    shell("echo certificate >ca.pem");
    luks("--key key --out tagged --size 20M --integrity --json");
    json_t *all = json_loads(cli_output, 0, NULL);
    const char *cmdline = cli_text(all, "cmdline"), *end = strstr(cmdline, ",integrity");
    assert_true(end && !end[10]);
    json_decref(all);
    assert_int_equal(volume_key("tagged/disk.img", "key", volume), 0);
    has_the_form("tagged/disk.img", true);
    cli_path(path, "tagged/disk.img");
    assert_int_equal(file_read(&disk, path, 1 << 28, NULL), 0);
    const uint8_t *superblock = disk.data + (16 << 20);
    const uint64_t sectors = le64(superblock + 16) / 8;
    assert_int_equal(sectors, 20 << 8);
    assert_int_equal(bytes_alloc(&plain, sectors * 4096, NULL), 0);
    for (uint64_t i = 0; i < sectors; i++)
        open_sector(plain.data + i * 4096, superblock + 4096 + le32(superblock + 12) * 264 * 512, volume, i);
    cli_write("tagged.plain", bytes_view(&plain));
    shell(
        "PATH=$PATH:/usr/sbin:/sbin e2fsck -fn tagged.plain && tail -c 4096 tagged.plain | tr -d '\\0' | wc "
        "-c | grep -qx 0");
}

/* Debian's programs, which need no device mapper for this. */
static void others_read_it(void **state)
{
    (void)state;
    if (system("command -v cryptsetup integritysetup >/dev/null") != 0) {
        print_message("cryptsetup and integritysetup are not here (Debian's cryptsetup-bin)\n");
        skip();
    }
    luks("--key key --out tagged --size 12M --integrity");
    shell("cryptsetup luksDump tagged/disk.img >dump && grep -q 'cipher: aes-xts-random' dump && "
          "grep -q 'integrity: hmac(sha256)' dump && grep -q 'Key:  *768 bits' dump");
    shell("cryptsetup open --test-passphrase --disable-locks --key-file key tagged/disk.img");
    shell("tail -c +16777217 tagged/disk.img >inner && integritysetup dump inner >dump && grep -qx "
          "'integrity_tag_size 48' dump && grep -qx 'provided_data_sectors 24576' dump && "
          "grep -qx 'sector_size 4096' dump && grep -qx 'flags fix_padding ' dump");
    /* As docs/image.md has it. */
    shell("head -c 32 /dev/urandom >second && cryptsetup luksAddKey --disable-locks --pbkdf pbkdf2 "
          "--pbkdf-force-iterations 1000 --key-size 512 --key-file key --new-keyfile-size 32 tagged/disk.img "
          "second && cryptsetup luksRemoveKey --disable-locks tagged/disk.img key");
    uint8_t volume[96];
    assert_true(volume_key("tagged/disk.img", "second", volume) >= 0);
    assert_true(volume_key("tagged/disk.img", "key", volume) < 0);
    has_the_form("tagged/disk.img", true);
}

static void its_initrd_runs_what_opens_it(void **state)
{
    (void)state;
    shell("echo certificate >ca.pem");
    luks("--key key --out luks --size 12M");
    shell("mkdir -p opener && cd opener && cpio -i --quiet <../luks/initrd && cmp etc/cofre/ca.pem ../ca.pem "
          "&& "
          "lib64/ld-linux-x86-64.so.2 --inhibit-cache --library-path $PWD/lib/x86_64-linux-gnu --list "
          "bin/cofre-unlock >libs && "
          "! grep -v \"$PWD/lib\\|linux-vdso\\|ld-linux\" libs && grep -q libcryptsetup libs");
}

static const char *measured(const char *arguments, const char *member)
{
    static json_t *all;
    json_decref(all);
    if (cli_run(arguments) != 0)
        fail_msg("%s", cli_output);
    all = json_loads(cli_output, 0, NULL);
    return cli_text(all, member);
}

static void measures_what_measure_does(void **state)
{
    (void)state;
    char command[1024], snp[100], mrtd[100];
    build("--rootfs rootfs --out image --cpus 2 --memory 1G --corim-name web --json");
    json_t *all = json_loads(cli_output, 0, NULL);
    strcpy(snp, cli_text(json_object_get(all, "snp"), "launch_digest"));
    strcpy(mrtd, cli_text(json_object_get(all, "tdx"), "mrtd"));
    assert_string_equal(cli_text(all, "disk"), "image/disk.img,ro");
    (void)snprintf(command, sizeof command,
                   "measure --tee snp --kernel image/kernel --initrd image/initrd --cmdline '%s' --disk "
                   "image/disk.img,ro "
                   "--cpus 2 --memory 1G --json",
                   cli_text(all, "cmdline"));
    assert_int_equal(strlen(snp), 96);
    assert_string_equal(measured(command, "launch_digest"), snp);
    memcpy(strstr(command, "snp"), "tdx", 3);
    assert_string_equal(measured(command, "mrtd"), mrtd);
    json_decref(all);
    /* And so do the policy and the reference values. */
    shell("grep -q %s image/policy.json && grep -q %s image/policy.json", snp, mrtd);
    json_t *corim = cli_inspected("image/tdx.corim");
    char *text = json_dumps(corim, 0);
    assert_non_null(strstr(text, mrtd));
    free(text);
    json_decref(corim);
}

static void refused(const char *arguments, int code, const char *sentence)
{
    char command[1024];
    (void)snprintf(command, sizeof command, "image %s", arguments);
    assert_int_equal(cli_run(command), code);
    if (!strstr(cli_output, sentence))
        fail_msg("\"%s\" has no \"%s\"", cli_output, sentence);
}

static void refuses_what_makes_no_image(void **state)
{
    (void)state;
    refused("--rootfs rootfs --root verity", COFRE_USAGE, "cofre image: --out is missing");
    refused("--rootfs rootfs --root none --out x", COFRE_USAGE, "--root none is not known");
    refused("--rootfs rootfs --root verity --out x --key k", COFRE_USAGE, "--key goes with --root luks");
    refused("--rootfs rootfs --root verity --out x --integrity", COFRE_USAGE,
            "--integrity goes with --root luks");
    refused("--rootfs rootfs --root luks --out x --key k", COFRE_USAGE,
            "--trust is missing: --root luks needs it");
    refused("--rootfs rootfs " LUKS "--key ca.pem --out x", COFRE_MALFORMED, "ca.pem: is no key");
    refused("--rootfs rootfs " LUKS "--key k --out x --relay 'a b'", COFRE_USAGE,
            "--relay: \"a b\" cannot be a word of a command line");
    refused("--rootfs rootfs/etc --root verity --out x", COFRE_USAGE,
            "rootfs/etc has no kernel: boot/vmlinuz-VERSION is missing");
    refused("--rootfs rootfs --root verity --out x --size 64K", COFRE_FAILED, "");
    refused("--rootfs rootfs --root verity --out x --cmdline cofre.root=verity", COFRE_MALFORMED,
            "the command line has more than one cofre.root=");
    refused("--rootfs rootfs --root verity --out x --corim-key k", COFRE_USAGE,
            "--corim-key goes with --corim-name");
    shell("cp -a rootfs many && cp many/boot/vmlinuz-6.1 many/boot/vmlinuz-6.2");
    refused("--rootfs many --root verity --out x", COFRE_USAGE,
            "the root file system has more than one kernel: of 6.1 and of 6.2");
    shell("rm many/boot/vmlinuz-6.1");
    refused("--rootfs many --root verity --out x", COFRE_USAGE, "many has no lib/modules/6.2/modules.dep");
    shell(
        "mv many/boot/vmlinuz-6.2 many/boot/vmlinuz-6.1 && rm many/usr/lib/modules/6.1/kernel/dm-mod.ko.xz");
    refused("--rootfs many --root verity --out x", COFRE_USAGE,
            "many has no lib/modules/6.1/kernel/dm-mod.ko.xz, which its modules.dep names");
    shell(": >many/usr/lib/modules/6.1/modules.builtin");
    refused("--rootfs many --root verity --out x", COFRE_LACKING, "there is no module virtio_pci");
}

int main(void)
{
    (void)unsetenv("COFRE_SHIM"); /* each kind of guest has its own */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_builds_are_the_same_bytes),
        cmocka_unit_test(the_date_is_that_of_the_environment),
        cmocka_unit_test(the_root_hash_is_that_of_the_disk),
        cmocka_unit_test(the_initrd_has_what_the_guest_begins_with),
        cmocka_unit_test(the_key_opens_what_was_encrypted),
        cmocka_unit_test(each_sector_has_a_tag),
        cmocka_unit_test(others_read_it),
        cmocka_unit_test(its_initrd_runs_what_opens_it),
        cmocka_unit_test(measures_what_measure_does),
        cmocka_unit_test(refuses_what_makes_no_image),
    };
    return cmocka_run_group_tests(tests, setup, cli_teardown);
}
