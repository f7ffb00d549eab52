#include "tests/unit/sev/expected.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "sev/ovmf.h"
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
            return file_read(out, path, OVMF_SIZE_MAX, NULL) == 0;
        (void)snprintf(command, sizeof command, "xz -dc '%s' 2>/dev/null", path);
        FILE *pipe = popen(command, "r");
        if (!pipe || bytes_alloc(out, OVMF_SIZE_MAX, NULL) < 0)
            return false;
        out->len = fread(out->data, 1, OVMF_SIZE_MAX, pipe);
        return pclose(pipe) == 0;
    }
    return false;
}

static bool read_kernel(struct bytes *out, const char *path, const char *name)
{
    json_t *known = json_object_get(json_object_get(expected, "kernel"), name);
    return path && file_read(out, path, 1u << 30, NULL) == 0 &&
           has_sha256(bytes_view(out), json_string_value(json_object_get(known, "sha256")));
}

const char *expected_text(const json_t *test, const char *key)
{
    return json_string_value(json_object_get(test, key));
}

unsigned expected_vcpus(const json_t *test)
{
    return (unsigned)json_integer_value(json_object_get(test, "vcpus"));
}

void expected_free(struct expected_inputs *inputs)
{
    bytes_free(&inputs->firmware);
    bytes_free(&inputs->kernel);
}

/* The file writes the newline that ends its one initrd as a backslash and an n. */
static void read_initrd(char out[256], const json_t *test)
{
    const char *text = expected_text(test, "initrd_ascii");
    (void)snprintf(out, 256, "%s", text ? text : "");
    char *newline = strstr(out, "\\n");
    if (newline)
        memcpy(newline, "\n", 2);
}

/* The file that COFRE_KERNEL names, else the lab's (tests/lab/prepare). */
static const char *kernel_path(void)
{
    static char path[4096];
    const char *named = getenv("COFRE_KERNEL"), *cache = getenv("COFRE_CACHE"),
               *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (named)
        return named;
    if (cache)
        (void)snprintf(path, sizeof path, "%s/lab/kernel/vmlinuz", cache);
    else
        (void)snprintf(path, sizeof path, "%s%s/cofre/lab/kernel/vmlinuz",
                       xdg    ? xdg
                       : home ? home
                              : "",
                       xdg ? "" : "/.cache");
    return path;
}

const char *expected_read(struct expected_inputs *out, const json_t *test)
{
    const char *name = expected_text(test, "firmware"), *kernel = expected_text(test, "kernel");
    json_t *known = json_object_get(json_object_get(expected, "firmware"), name);
    *out = (struct expected_inputs){.cmdline = expected_text(test, "cmdline")};
    read_initrd(out->initrd, test);
    if (!read_firmware(&out->firmware, name) ||
        !has_sha256(bytes_view(&out->firmware), expected_text(known, "sha256")))
        return expected_text(known, "package");
    out->kernel_path = kernel ? kernel_path() : NULL;
    if (kernel && !read_kernel(&out->kernel, out->kernel_path, kernel))
        return "that kernel, in the lab's cache or where COFRE_KERNEL says";
    return NULL;
}

int expected_run(void (*body)(void **state))
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
        (void)snprintf(names[i], sizeof names[i], "%s_%lld_vcpus_%s_%s%s", expected_text(test, "firmware"),
                       json_integer_value(json_object_get(test, "vcpus")), expected_text(test, "vcpu_type"),
                       expected_text(test, "guest_features"), expected_text(test, "kernel") ? "_kernel" : "");
        tests[count++] = (struct CMUnitTest){names[i], body, NULL, NULL, test};
    }
    if (count == 0) {
        printf("1..0 # SKIP %s is not here or has no cases\n", path);
        return 0;
    }
    int rc = _cmocka_run_group_tests("expected", tests, count, NULL, NULL);
    json_decref(expected);
    return rc;
}
