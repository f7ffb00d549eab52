/* Every figure of shared/evidence/measure/snp-expected.json, one test each: another calculator's launch digests of
 * real firmware. A case whose firmware or kernel is not on this machine is skipped with a sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <openssl/evp.h>

#include "sev/layout.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"

#define CASES_MAX 64
static json_t *expected;

static const struct {
    const char *name, *file; /* under COFRE_SHARED, or a path of this machine */
} places[] = {
    {"debian-sid-amdsev", "firmware/debian-sid-OVMF.amdsev.fd.xz"},
    {"debian-trixie-ovmf", "firmware/debian-trixie-OVMF.fd.xz"},
    {"debian-bookworm-ovmf", "/usr/share/ovmf/OVMF.fd"},
};

static void path_of(char *out, size_t size, const char *file)
{
    const char *shared = getenv("COFRE_SHARED");
    if (*file == '/')
        (void)snprintf(out, size, "%s", file);
    else
        (void)snprintf(out, size, "%s/%s", shared ? shared : "../shared", file);
}

static bool has_sha256(struct view data, const char *hex)
{
    uint8_t hash[32];
    char text[65];
    if (!hex || EVP_Digest(data.data, data.len, hash, NULL, EVP_sha256(), NULL) != 1)
        return false;
    hex_encode(text, hash, sizeof hash);
    return strcmp(text, hex) == 0;
}

/* The shared ones are compressed; xz is part of every Debian. */
static bool read_firmware(struct bytes *out, const char *name)
{
    char path[4096], command[4200];
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (strcmp(name, places[i].name) != 0)
            continue;
        path_of(path, sizeof path, places[i].file);
        if (!strstr(path, ".xz"))
            return file_read(out, path, SNP_OVMF_SIZE_MAX, NULL) == 0;
        (void)snprintf(command, sizeof command, "xz -dc '%s' 2>/dev/null", path);
        FILE *pipe = popen(command, "r");
        if (!pipe || bytes_alloc(out, SNP_OVMF_SIZE_MAX, NULL) < 0)
            return false;
        out->len = fread(out->data, 1, SNP_OVMF_SIZE_MAX, pipe);
        return pclose(pipe) == 0;
    }
    return false;
}

static bool read_kernel(struct bytes *out, const char *name)
{
    const char *path = getenv("COFRE_KERNEL");
    json_t *known = json_object_get(json_object_get(expected, "kernel"), name);
    return path && file_read(out, path, 1u << 30, NULL) == 0 &&
           has_sha256(bytes_view(out), json_string_value(json_object_get(known, "sha256")));
}

static const char *text_of(const json_t *test, const char *key)
{
    return json_string_value(json_object_get(test, key));
}

static struct view view_of_text(const char *text)
{
    return (struct view){(const uint8_t *)text, text ? strlen(text) : 0};
}

/* The file writes the newline that ends its one initrd as a backslash and an n. */
static struct view initrd_of(const json_t *test, char buffer[256])
{
    const char *text = text_of(test, "initrd_ascii");
    if (!text)
        return (struct view){NULL, 0};
    (void)snprintf(buffer, 256, "%s", text);
    char *newline = strstr(buffer, "\\n");
    if (newline)
        memcpy(newline, "\n", 2);
    return view_of_text(buffer);
}

/* What the case is compared with, or an empty text where what it needs is not here and *missing says what. */
static void digest_of(const json_t *test, char out[2 * SNP_DIGEST_SIZE + 1], const char **missing)
{
    const char *name = text_of(test, "firmware");
    CLEAN_BYTES firmware = {0}, kernel = {0};
    json_t *known = json_object_get(json_object_get(expected, "firmware"), name);
    out[0] = '\0';
    if (!read_firmware(&firmware, name) || !has_sha256(bytes_view(&firmware), text_of(known, "sha256"))) {
        *missing = text_of(known, "package");
        return;
    }
    if (text_of(test, "kernel") && !read_kernel(&kernel, text_of(test, "kernel"))) {
        *missing = "the kernel that COFRE_KERNEL should name";
        return;
    }
    char initrd[256];
    const struct snp_kernel_items items = {bytes_view(&kernel), initrd_of(test, initrd),
                                           view_of_text(text_of(test, "cmdline"))};
    struct snp_layout layout = {.cpus = (unsigned)json_integer_value(json_object_get(test, "vcpus")),
                                .guest_features = strtoull(text_of(test, "guest_features"), NULL, 16),
                                .kernel = kernel.len ? &items : NULL};
    struct snp_ovmf ovmf;
    struct snp_digest digest;
    struct cofre_err err = {{0}};
    *missing = NULL;
    if (snp_cpu_signature(&layout.cpu_signature, text_of(test, "vcpu_type"), &err) < 0 ||
        snp_ovmf_parse(&ovmf, bytes_view(&firmware), &err) < 0 ||
        snp_layout_digest(&digest, &ovmf, &layout, &err) < 0)
        print_message("# %s\n", err.text);
    else
        hex_encode(out, digest.value, sizeof digest.value);
}

static void digest_is_as_another_calculator_found(void **state)
{
    const json_t *test = *state;
    char text[2 * SNP_DIGEST_SIZE + 1];
    const char *missing;
    assert_string_equal(text_of(test, "vmm"), "QEMU");
    digest_of(test, text, &missing);
    if (missing) {
        print_message("# skipped: not on this machine: %s\n", missing);
        skip();
    }
    assert_string_equal(text, text_of(test, "launch_digest"));
}

int main(void)
{
    static struct CMUnitTest tests[CASES_MAX];
    static char names[CASES_MAX][160];
    char path[4096], at[4096];
    const char *evidence = getenv("COFRE_EVIDENCE");
    path_of(at, sizeof at, "evidence");
    (void)snprintf(path, sizeof path, "%.4000s/measure/snp-expected.json", evidence ? evidence : at);
    expected = json_load_file(path, 0, NULL);
    json_t *cases = json_object_get(expected, "cases"), *test;
    size_t i, count = 0;
    json_array_foreach(cases, i, test)
    {
        if (count == CASES_MAX)
            break;
        (void)snprintf(names[i], sizeof names[i], "%s_%lld_vcpus_%s_%s%s", text_of(test, "firmware"),
                       json_integer_value(json_object_get(test, "vcpus")), text_of(test, "vcpu_type"),
                       text_of(test, "guest_features"), text_of(test, "kernel") ? "_kernel" : "");
        tests[count++] =
            (struct CMUnitTest){names[i], digest_is_as_another_calculator_found, NULL, NULL, test};
    }
    if (count == 0) {
        printf("1..0 # SKIP %s is not here or has no cases\n", path);
        return 0;
    }
    int rc = _cmocka_run_group_tests("expected", tests, count, NULL, NULL);
    json_decref(expected);
    return rc;
}
