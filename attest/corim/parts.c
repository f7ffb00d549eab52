#include "attest/corim/parts.h"

#include <stdio.h>
#include <string.h>

const uint8_t corim_intel_profile[10] = {0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x4d, 0x01, 0x10, 0x01};
const uint8_t corim_amd_classes[2][9] = {{0x2b, 0x06, 0x01, 0x04, 0x01, 0x9c, 0x78, 0x03, 0x01},
                                         {0x2b, 0x06, 0x01, 0x04, 0x01, 0x9c, 0x78, 0x03, 0x02}};

const struct amd_field corim_amd_fields[AMD_FIELDS] = {
    {1, REFERENCE_GUEST_SVN, AMD_SVN},
    {2, REFERENCE_GUEST_POLICY, AMD_RAW},
    {3, REFERENCE_FAMILY_ID, AMD_RAW},
    {4, REFERENCE_IMAGE_ID, AMD_RAW},
    {5, REFERENCE_VMPL, AMD_INT},
    {6, REFERENCE_CURRENT_TCB, AMD_SVN},
    {7, REFERENCE_PLATFORM_INFO, AMD_RAW},
    {641, REFERENCE_MEASUREMENT, AMD_DIGEST},
    {642, REFERENCE_HOST_DATA, AMD_DIGEST},
    {643, REFERENCE_ID_KEY, AMD_DIGEST},
    {644, REFERENCE_AUTHOR_KEY, AMD_DIGEST},
    {647, REFERENCE_REPORTED_TCB, AMD_SVN},
    {3329, REFERENCE_COMMITTED_TCB, AMD_SVN},
    {3968, REFERENCE_LAUNCH_TCB, AMD_SVN},
};

int corim_check_keys(const struct cose_item *map, const char *what, const int64_t *known, size_t count,
                     struct cofre_err *err)
{
    if (!map || map->kind != COSE_MAP)
        return corim_no(err, "%s is no map", what);
    const struct cose_item *key = cose_first(map);
    for (uint64_t i = 0; i < map->number; i++, key = cose_behind(key + 1)) {
        int64_t number;
        size_t at = 0;
        if (!cose_int(&number, key))
            return corim_no(err, "%s has a member that is named by no integer, and is not known here", what);
        while (at < count && known[at] != number)
            at++;
        if (at == count)
            return corim_no(err, "%s has a member %lld, which is not understood here", what,
                            (long long)number);
    }
    return 0;
}

static bool uuid_text(char *out, size_t max, struct view uuid)
{
    char hex[33];
    if (uuid.len != 16 || max < 36)
        return false;
    hex_encode(hex, uuid.data, uuid.len);
    (void)snprintf(out, max + 1, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
    return true;
}

bool corim_text(char *out, size_t max, const struct cose_item *item)
{
    if (item && item->kind == COSE_TAG && item->number == CORIM_TAG_UUID && item[1].kind == COSE_BYTES)
        return uuid_text(out, max, item[1].data);
    if (!item || item->kind != COSE_TEXT || item->data.len == 0 || item->data.len > max)
        return false;
    memcpy(out, item->data.data, item->data.len);
    out[item->data.len] = 0;
    return true;
}

static bool read_time(int64_t *out, const struct cose_item *item)
{
    return item && item->kind == COSE_TAG && item->number == CORIM_TAG_TIME && cose_int(out, item + 1) &&
           *out >= 0;
}

int corim_read_validity(int64_t *from, int64_t *until, const struct cose_item *map, struct cofre_err *err)
{
    int64_t begin = 0, end = 0;
    const struct cose_item *since = cose_at(map, 0);
    int rc = CORIM_CHECK_KEYS(map, "the validity", err, 0, 1);
    if (rc == 0 && ((since && !read_time(&begin, since)) || !read_time(&end, cose_at(map, 1))))
        rc = corim_no(err, "a time of the validity is missing, or is not tag 1 on whole seconds");
    if (rc < 0)
        return rc;
    if (begin > *from)
        *from = begin;
    if (end < *until)
        *until = end;
    return 0;
}

bool corim_is_oid(const struct cose_item *item, struct view content)
{
    if (!item || item->kind != COSE_TAG || item->number != CORIM_TAG_OID || item[1].kind != COSE_BYTES)
        return false;
    struct view is = item[1].data;
    const uint8_t header[] = {0x06, (uint8_t)content.len};
    if (is.len == content.len + sizeof header && memcmp(is.data, header, sizeof header) == 0)
        is = (struct view){is.data + sizeof header, is.len - sizeof header};
    return view_equal(is, content);
}
