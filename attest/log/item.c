#include "attest/log/item.h"

#include <cbor.h>
#include <string.h>

#include "attest/log/hash.h"

#define TAG_ENCODED_CBOR 24

static const struct {
    size_t min, max;
} len_of[] = {[LOG_ITEM_ENTRY] = {0, LOG_ENTRY_MAX},
              [LOG_ITEM_HEAD] = {0, LOG_HEAD_MAX},
              [LOG_ITEM_REMOVED] = {LOG_HASH_SIZE, LOG_HASH_SIZE}};

static const char format[] = "cofre-log-1";

void log_header_write(uint8_t out[LOG_HEADER_SIZE], uint64_t committed)
{
    size_t len = cbor_encode_string_start(sizeof format - 1, out, LOG_HEADER_SIZE);
    memcpy(out + len, format, sizeof format - 1);
    cbor_encode_uint64(committed, out + LOG_HEADER_COMMITTED, LOG_HEADER_SIZE - LOG_HEADER_COMMITTED);
}

static void on_number(void *context, uint64_t value)
{
    *(uint64_t *)context = value;
}

bool log_header_read(uint64_t *committed, struct view bytes)
{
    uint8_t same[LOG_HEADER_SIZE];
    struct cbor_callbacks callbacks = cbor_empty_callbacks;
    callbacks.uint64 = on_number;
    *committed = 0;
    if (bytes.len < LOG_HEADER_SIZE)
        return false;
    cbor_stream_decode(bytes.data + LOG_HEADER_COMMITTED, LOG_HEADER_SIZE - LOG_HEADER_COMMITTED, &callbacks,
                       committed);
    log_header_write(same, *committed);
    return memcmp(same, bytes.data, LOG_HEADER_SIZE) == 0;
}

/* What libcbor's decoder met. */
struct met {
    bool encoded_cbor, array_of_one, bytes;
};

static void on_tag(void *context, uint64_t value)
{
    ((struct met *)context)->encoded_cbor = value == TAG_ENCODED_CBOR;
}

static void on_array(void *context, size_t items)
{
    ((struct met *)context)->array_of_one = items == 1;
}

static void on_bytes(void *context, cbor_data data, size_t len)
{
    (void)data, (void)len;
    ((struct met *)context)->bytes = true;
}

static struct cbor_decoder_result decode(struct met *met, struct view bytes)
{
    struct cbor_callbacks callbacks = cbor_empty_callbacks;
    callbacks.tag = on_tag;
    callbacks.array_start = on_array;
    callbacks.byte_string = on_bytes;
    return cbor_stream_decode(bytes.data, bytes.len, &callbacks, met);
}

/* The prefix must be the one that we would write: a log has one encoding. */
static bool fits(struct log_item *out, struct view bytes, uint64_t total)
{
    uint8_t prefix[LOG_ITEM_PREFIX_MAX];
    for (size_t len = 1; len <= LOG_ITEM_PREFIX_MAX && len <= bytes.len && len <= total; len++) {
        out->prefix = len;
        out->len = total - len;
        if (out->len >= len_of[out->kind].min && out->len <= len_of[out->kind].max &&
            log_item_prefix(prefix, out->kind, out->len) == len && memcmp(prefix, bytes.data, len) == 0)
            return true;
    }
    return false;
}

int log_item_read(struct log_item *out, struct view bytes, struct cofre_err *err)
{
    struct met met = {0};
    size_t before = 0;
    struct cbor_decoder_result result = decode(&met, bytes);
    *out = (struct log_item){.kind = LOG_ITEM_ENTRY};
    if (met.encoded_cbor || met.array_of_one) {
        out->kind = met.encoded_cbor ? LOG_ITEM_HEAD : LOG_ITEM_REMOVED;
        before = result.read;
        result = decode(&met, (struct view){bytes.data + before, bytes.len - before});
    }
    /* A string that ends behind these bytes is not met, but the decoder says how many it would have taken. */
    bool wants_more = result.status == CBOR_DECODER_NEDATA;
    if ((met.bytes || wants_more) && fits(out, bytes, before + (wants_more ? result.required : result.read)))
        return 1;
    if (wants_more && bytes.len < LOG_ITEM_PREFIX_MAX)
        return 0;
    return cofre_fail(err, COFRE_MALFORMED, "neither an entry nor a signed head, or longer than one may be");
}

size_t log_item_prefix(uint8_t out[LOG_ITEM_PREFIX_MAX], enum log_item_kind kind, size_t len)
{
    size_t before = 0;
    if (kind == LOG_ITEM_HEAD)
        before = cbor_encode_tag(TAG_ENCODED_CBOR, out, LOG_ITEM_PREFIX_MAX);
    else if (kind == LOG_ITEM_REMOVED)
        before = cbor_encode_array_start(1, out, LOG_ITEM_PREFIX_MAX);
    return before + cbor_encode_bytestring_start(len, out + before, LOG_ITEM_PREFIX_MAX - before);
}
