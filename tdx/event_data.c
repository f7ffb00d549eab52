/* What the types of an event log's events mean: their names, and which data was measured. */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "tdx/event_log.h"

/* What of the data was measured. */
enum measured {
    DESCRIBED,   /* none: the data says what was measured */
    DATA,        /* all */
    VARIABLE,    /* UEFI_VARIABLE_DATA: all, or as edk2 does the variable's value alone */
    BOOT_STRING, /* GRUB's "grub_cmd: text": the text; other strings describe */
};

static const struct {
    uint32_t type;
    const char *name;
    enum measured measured;
} types[] = {
    {0x0, "EV_PREBOOT_CERT", DESCRIBED},
    {0x1, "EV_POST_CODE", DESCRIBED},
    {TDX_EV_NO_ACTION, "EV_NO_ACTION", DESCRIBED},
    {TDX_EV_SEPARATOR, "EV_SEPARATOR", DATA},
    {TDX_EV_ACTION, "EV_ACTION", DATA},
    {TDX_EV_EVENT_TAG, "EV_EVENT_TAG", DESCRIBED},
    {TDX_EV_S_CRTM_CONTENTS, "EV_S_CRTM_CONTENTS", DESCRIBED},
    {TDX_EV_S_CRTM_VERSION, "EV_S_CRTM_VERSION", DATA},
    {0x9, "EV_CPU_MICROCODE", DESCRIBED},
    {TDX_EV_PLATFORM_CONFIG_FLAGS, "EV_PLATFORM_CONFIG_FLAGS", DESCRIBED},
    {0xb, "EV_TABLE_OF_DEVICES", DESCRIBED},
    {0xc, "EV_COMPACT_HASH", DESCRIBED},
    {TDX_EV_IPL, "EV_IPL", BOOT_STRING},
    {0xe, "EV_IPL_PARTITION_DATA", DESCRIBED},
    {TDX_EV_EFI_VARIABLE_DRIVER_CONFIG, "EV_EFI_VARIABLE_DRIVER_CONFIG", DATA},
    {TDX_EV_EFI_VARIABLE_BOOT, "EV_EFI_VARIABLE_BOOT", VARIABLE},
    {TDX_EV_EFI_BOOT_SERVICES_APPLICATION, "EV_EFI_BOOT_SERVICES_APPLICATION", DESCRIBED},
    {0x80000004, "EV_EFI_BOOT_SERVICES_DRIVER", DESCRIBED},
    {0x80000005, "EV_EFI_RUNTIME_SERVICES_DRIVER", DESCRIBED},
    {TDX_EV_EFI_GPT_EVENT, "EV_EFI_GPT_EVENT", DATA},
    {TDX_EV_EFI_ACTION, "EV_EFI_ACTION", DATA},
    {0x80000008, "EV_EFI_PLATFORM_FIRMWARE_BLOB", DESCRIBED},
    {0x80000009, "EV_EFI_HANDOFF_TABLES", DESCRIBED},
    {TDX_EV_EFI_PLATFORM_FIRMWARE_BLOB2, "EV_EFI_PLATFORM_FIRMWARE_BLOB2", DESCRIBED},
    {TDX_EV_EFI_HANDOFF_TABLES2, "EV_EFI_HANDOFF_TABLES2", DESCRIBED},
    {TDX_EV_EFI_VARIABLE_BOOT2, "EV_EFI_VARIABLE_BOOT2", DATA},
    {TDX_EV_EFI_VARIABLE_AUTHORITY, "EV_EFI_VARIABLE_AUTHORITY", DATA},
};

const char *tdx_event_type_name(uint32_t type, char room[16])
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].type == type)
            return types[i].name;
    (void)snprintf(room, 16, "0x%x", type);
    return room;
}

static bool is_digest_of(const struct tdx_event *event, struct view data)
{
    uint8_t digest[TDX_DIGEST_SIZE];
    return EVP_Digest(data.data, data.len, digest, NULL, EVP_sha384(), NULL) == 1 &&
           memcmp(digest, event->digest, sizeof digest) == 0;
}

/* UEFI_VARIABLE_DATA: GUID, two 64-bit lengths (characters of the name, bytes of the value), the name, the value. */
static bool value_of(struct view variable, struct view *out)
{
    struct view lengths;
    if (!view_sub(variable, 16, 16, &lengths) || le64(lengths.data) > variable.len)
        return false;
    uint64_t at = 32 + 2 * le64(lengths.data), len = le64(lengths.data + 8);
    return view_sub(variable, at, len, out) && at + len == variable.len;
}

static bool text_of(struct view data, struct view *out)
{
    static const char *const prefixes[] = {"grub_cmd: ", "kernel_cmdline: ", "module_cmdline: "};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t len = strlen(prefixes[i]);
        if (data.len > len && memcmp(data.data, prefixes[i], len) == 0)
            return view_sub(data, len, data.len - len - (data.data[data.len - 1] == 0), out);
    }
    return false;
}

int tdx_event_check_data(const struct tdx_event *event, struct cofre_err *err)
{
    enum measured measured = DESCRIBED;
    struct view part;
    char room[16];
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].type == event->type)
            measured = types[i].measured;
    if (measured == DESCRIBED || (measured == BOOT_STRING && !text_of(event->data, &part)))
        return 1;
    if ((measured != BOOT_STRING && is_digest_of(event, event->data)) ||
        (measured == BOOT_STRING && is_digest_of(event, part)) ||
        (measured == VARIABLE && value_of(event->data, &part) && is_digest_of(event, part)))
        return 0;
    return cofre_fail(err, COFRE_NEGATIVE, "the data of the %s event at byte %zu is not what was measured",
                      tdx_event_type_name(event->type, room), event->offset);
}
