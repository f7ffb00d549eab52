/* COSE_Sign1 from anybody: what is read lies within the message, is written again as it was where it was canonical, and what
 * was not signed does not verify. */
#include <openssl/evp.h>
#include <string.h>

#include "attest/cose/sign1.h"
#include "attest/token/key_set.h"
#include "tests/fuzz/fuzz.h"

static EVP_PKEY *key;
static struct bytes made, detached;
static const struct view payload = {(const uint8_t *)"payload", 7}, none;

static void make_message(struct bytes *out, bool detach)
{
    CLEAN_COSE_WRITER w = {0};
    CLEAN_BYTES header = {0};
    cose_begin(&w);
    cose_put_int(&w, COSE_HEADER_ALG);
    cose_put_int(&w, -35);
    cose_put_int(&w, COSE_HEADER_CRIT);
    cose_begin(&w);
    cose_put_int(&w, COSE_HEADER_CWT_CLAIMS);
    cose_end_array(&w);
    cose_put_int(&w, COSE_HEADER_CWT_CLAIMS);
    cose_begin(&w);
    cose_put_int(&w, 1);
    cose_put_text(&w, "issuer");
    cose_end_map(&w);
    cose_end_map(&w);
    FUZZ_CHECK(cose_take(&header, &w, NULL) == 0);
    const struct cose_to_sign in = {.protected = bytes_view(&header), .payload = payload, .detach = detach};
    FUZZ_CHECK(cose_sign1_sign(out, &in, key, NULL) == 0);
}

static void make_all(void)
{
    FUZZ_CHECK(key_generate(&key, "ES384", NULL) == 0);
    make_message(&made, false);
    make_message(&detached, true);
}

static void check_items(const struct cose_doc *doc, struct view in)
{
    for (size_t i = 0; i < doc->count; i++) {
        const struct cose_item *item = &doc->item[i];
        FUZZ_CHECK(item->span >= 1 && item->span <= doc->count - i);
        FUZZ_CHECK(item->whole.data >= in.data && item->whole.data + item->whole.len <= in.data + in.len);
        if (item->kind == COSE_BYTES || item->kind == COSE_TEXT)
            FUZZ_CHECK(item->data.data + item->data.len == item->whole.data + item->whole.len);
    }
}

static void write_item(struct cose_writer *w, const struct cose_item *item)
{
    if (item->kind == COSE_TAG) {
        cose_put_tag(w, item->number);
        write_item(w, item + 1);
    } else if (item->kind == COSE_ARRAY || item->kind == COSE_MAP) {
        const struct cose_item *end = cose_behind(item);
        cose_begin(w);
        for (const struct cose_item *at = item + 1; at < end; at = cose_behind(at))
            write_item(w, at);
        item->kind == COSE_ARRAY ? cose_end_array(w) : cose_end_map(w);
    } else {
        cose_put_encoded(w, item->whole);
    }
}

/* What was read can be written, is then canonical, and stays as it is. */
static void check_writing(const struct cose_doc *doc)
{
    CLEAN_COSE_WRITER w = {0}, again = {0};
    CLEAN_BYTES once = {0}, twice = {0};
    CLEAN_COSE_DOC back = {0};
    write_item(&w, doc->item);
    FUZZ_CHECK(cose_take(&once, &w, NULL) == 0 && once.len == doc->item->whole.len);
    FUZZ_CHECK(cose_read(&back, bytes_view(&once), NULL) == 0 && back.count == doc->count);
    write_item(&again, back.item);
    FUZZ_CHECK(cose_take(&twice, &again, NULL) == 0 && view_equal(bytes_view(&once), bytes_view(&twice)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t understood[] = {COSE_HEADER_CWT_CLAIMS, 0};
    CLEAN_COSE_DOC doc = {0};
    CLEAN_COSE_SIGN1 m = {0};
    struct view in = {data, size};
    struct cofre_err err = {""};
    if (!key)
        make_all();
    if (cose_read(&doc, in, &err) < 0) {
        FUZZ_CHECK(*err.text);
    } else {
        check_items(&doc, in);
        check_writing(&doc);
    }
    if (cose_sign1_parse(&m, in, understood, &err) < 0) {
        FUZZ_CHECK(*err.text);
        return 0;
    }
    FUZZ_CHECK(m.signature.len == 2 * m.alg->curve->size);
    if (cose_sign1_verify(&m, key, m.detached ? payload : none, none, &err) == 0)
        FUZZ_CHECK(m.detached || view_equal(m.payload, payload));
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    if (!key)
        make_all();
    const struct bytes *const seeds[] = {&made, &detached};
    if (index >= sizeof seeds / sizeof *seeds)
        return 0;
    memcpy(out, seeds[index]->data, seeds[index]->len);
    return seeds[index]->len;
}
