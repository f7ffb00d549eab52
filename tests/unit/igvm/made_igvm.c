#include "tests/unit/igvm/made_igvm.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static void must(bool ok)
{
    if (!ok)
        abort();
}

void igvm_made_begin(struct made_igvm *made, unsigned version, size_t header_room, size_t data_room)
{
    const size_t begin = version == 1 ? 24 : 32;
    *made = (struct made_igvm){.begin = begin, .room = header_room, .data = begin + header_room};
    must(bytes_alloc(&made->file, made->data + data_room, NULL) == 0);
    memcpy(made->file.data, "IGVM", 4);
    put_le32(made->file.data + 4, version);
    put_le32(made->file.data + 8, (uint32_t)begin);
    if (version == 2)
        put_le32(made->file.data + 28, 4096);
}

uint8_t *igvm_made_header(struct made_igvm *made, uint32_t type, uint32_t len)
{
    const size_t padded = (len + 7u) & ~7u;
    must(made->headers + 8 + padded <= made->room);
    made->last = made->begin + made->headers;
    uint8_t *at = made->file.data + made->last;
    memset(at, 0, 8 + padded);
    put_le32(at, type);
    put_le32(at + 4, len);
    made->headers += 8 + padded;
    return at + 8;
}

uint32_t igvm_made_data(struct made_igvm *made, const void *data, size_t len)
{
    const size_t at = made->data;
    must(len <= made->file.len - at);
    if (data)
        memcpy(made->file.data + at, data, len);
    made->data += len;
    return (uint32_t)at;
}

struct view igvm_made_whole(struct made_igvm *made)
{
    uint8_t *file = made->file.data;
    put_le32(file + 12, (uint32_t)made->headers);
    put_le32(file + 16, (uint32_t)made->data);
    put_le32(file + 20, 0);
    uLong crc = crc32(0, file, (uInt)(le32(file + 4) == 2 ? 32 : 24));
    put_le32(file + 20, (uint32_t)crc32(crc, file + made->begin, (uInt)made->headers));
    return (struct view){file, made->data};
}

uint8_t *igvm_made_platform(struct made_igvm *made, unsigned type, uint32_t mask)
{
    uint8_t *body = igvm_made_header(made, IGVM_SUPPORTED_PLATFORM, 16);
    put_le32(body, mask);
    body[5] = (uint8_t)type;
    put_le16(body + 6, 1);
    return body;
}

uint8_t *igvm_made_policy(struct made_igvm *made, uint32_t mask, uint64_t policy)
{
    uint8_t *body = igvm_made_header(made, IGVM_GUEST_POLICY, 16);
    put_le64(body, policy);
    put_le32(body + 8, mask);
    return body;
}

uint8_t *igvm_made_page(struct made_igvm *made, uint32_t mask, uint64_t gpa, uint32_t offset, uint32_t flags,
                        unsigned type)
{
    uint8_t *body = igvm_made_header(made, IGVM_PAGE_DATA, 24);
    put_le64(body, gpa);
    put_le32(body + 8, mask);
    put_le32(body + 12, offset);
    put_le32(body + 16, flags);
    put_le16(body + 20, (uint16_t)type);
    return body;
}

uint8_t *igvm_made_area(struct made_igvm *made, uint32_t number, uint64_t size, uint32_t offset)
{
    uint8_t *body = igvm_made_header(made, IGVM_PARAMETER_AREA, 16);
    put_le64(body, size);
    put_le32(body + 8, number);
    put_le32(body + 12, offset);
    return body;
}

uint8_t *igvm_made_parameter(struct made_igvm *made, uint32_t type, uint32_t area, uint32_t offset)
{
    uint8_t *body = igvm_made_header(made, type, 8);
    put_le32(body, area);
    put_le32(body + 4, offset);
    return body;
}

uint8_t *igvm_made_insert(struct made_igvm *made, uint32_t mask, uint64_t gpa, uint32_t area)
{
    uint8_t *body = igvm_made_header(made, IGVM_PARAMETER_INSERT, 16);
    put_le64(body, gpa);
    put_le32(body + 8, mask);
    put_le32(body + 12, area);
    return body;
}

uint8_t *igvm_made_context(struct made_igvm *made, uint32_t mask, uint64_t gpa, uint32_t offset, unsigned vp)
{
    uint8_t *body = igvm_made_header(made, IGVM_VP_CONTEXT, 20);
    put_le64(body, gpa);
    put_le32(body + 8, mask);
    put_le32(body + 12, offset);
    put_le16(body + 16, (uint16_t)vp);
    return body;
}

uint8_t *igvm_made_memory(struct made_igvm *made, uint32_t type, uint32_t mask, uint64_t gpa, uint32_t size)
{
    uint8_t *body = igvm_made_header(made, type, (type & 0xffff) == IGVM_ERROR_RANGE ? 16 : 24);
    put_le64(body, gpa);
    put_le32(body + 8, mask);
    put_le32(body + 12, size);
    return body;
}
