#include "attest/token/key_set.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <string.h>

#include "attest/token/jwk.h"
#include "vmm/base/json.h"

static const char *const state_names[] = {
    [KEY_NEXT] = "next", [KEY_CURRENT] = "current", [KEY_RETIRED] = "retired"};

const char *key_state_name(enum key_state state)
{
    return state_names[state];
}

void key_set_free(struct key_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        EVP_PKEY_free(set->key[i].key);
    *set = (struct key_set){0};
}

int key_generate(EVP_PKEY **out, const char *alg, struct cofre_err *err)
{
    static const int64_t ids[] = {-7, -35};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        const struct cose_alg *known = cose_alg_find(ids[i]);
        if (strcmp(alg, known->name) != 0)
            continue;
        *out = EVP_EC_gen(known->curve->name);
        return *out ? 0
                    : cofre_fail(err, COFRE_FAILED, "OpenSSL could not make a key of %s", known->curve->name);
    }
    return cofre_fail(err, COFRE_USAGE, "tokens are signed by ES256 or ES384, not by \"%s\"", alg);
}

static struct signing_key *find_state(const struct key_set *set, enum key_state state)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->key[i].state == state)
            return (struct signing_key *)(uintptr_t)&set->key[i];
    return NULL;
}

EVP_PKEY *key_set_current(const struct key_set *set)
{
    const struct signing_key *key = find_state(set, KEY_CURRENT);
    return key ? key->key : NULL;
}

static int check_new(const struct key_set *set, const EVP_PKEY *key, enum key_state state,
                     struct cofre_err *err)
{
    if (!cose_alg_of_key(key))
        return cofre_fail(err, COFRE_USAGE, "a key that signs tokens is one of P-256 or P-384");
    if (state != KEY_RETIRED && find_state(set, state))
        return cofre_fail(err, COFRE_USAGE, "there is a %s key already", key_state_name(state));
    if (set->count == KEY_SET_MAX)
        return cofre_fail(err, COFRE_USAGE, "there are %d keys already", KEY_SET_MAX);
    for (size_t i = 0; i < set->count; i++)
        if (EVP_PKEY_eq(set->key[i].key, key) == 1)
            return cofre_fail(err, COFRE_USAGE, "the key is there already, as the %s one",
                              key_state_name(set->key[i].state));
    return 0;
}

int key_set_add(struct key_set *set, EVP_PKEY *key, enum key_state state, int64_t until,
                struct cofre_err *err)
{
    int rc = check_new(set, key, state, err);
    if (rc < 0)
        EVP_PKEY_free(key);
    else
        set->key[set->count++] = (struct signing_key){key, state, state == KEY_RETIRED ? until : 0};
    return rc;
}

static bool is_published(const struct signing_key *key, int64_t at)
{
    return key->state != KEY_RETIRED || at < key->until;
}

static void drop_old(struct key_set *set, int64_t at)
{
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (is_published(&set->key[i], at))
            set->key[kept++] = set->key[i];
        else
            EVP_PKEY_free(set->key[i].key);
    }
    set->count = kept;
}

int key_set_rotate(struct key_set *set, EVP_PKEY *fresh, int64_t at, int64_t lifetime, struct cofre_err *err)
{
    drop_old(set, at);
    struct signing_key *next = find_state(set, KEY_NEXT), *current = find_state(set, KEY_CURRENT);
    int rc =
        next ? check_new(set, fresh, KEY_RETIRED, err)
             : cofre_fail(err, COFRE_USAGE, "there is no next key: relying parties know none to rotate to");
    if (rc < 0) {
        EVP_PKEY_free(fresh);
        return rc;
    }
    if (current)
        *current = (struct signing_key){current->key, KEY_RETIRED, at + lifetime};
    next->state = KEY_CURRENT;
    set->key[set->count++] = (struct signing_key){fresh, KEY_NEXT, 0};
    return 0;
}

int key_set_cose(struct bytes *out, const struct key_set *set, int64_t at, struct cofre_err *err)
{
    CLEAN_COSE_WRITER w = {0};
    uint8_t kid[COSE_THUMBPRINT_SIZE];
    cose_begin(&w);
    for (size_t i = 0; i < set->count; i++) {
        if (!is_published(&set->key[i], at))
            continue;
        int rc = cose_key_thumbprint(kid, set->key[i].key, err);
        if (rc < 0)
            return rc;
        cose_put_key(&w, set->key[i].key, (struct view){kid, sizeof kid});
    }
    cose_end_array(&w);
    return cose_take(out, &w, err);
}

static json_t *published_jwk(const EVP_PKEY *key)
{
    char kid[JWK_THUMBPRINT_TEXT];
    json_t *jwk = jwk_thumbprint(kid, key, NULL) == 0 ? jwk_of_key(key) : NULL;
    json_object_set_new(jwk, "kid", json_string(kid));
    json_object_set_new(jwk, "alg", json_string(cose_alg_of_key(key)->name));
    json_object_set_new(jwk, "use", json_string("sig"));
    return jwk;
}

int key_set_jwks(struct bytes *out, const struct key_set *set, int64_t at, struct cofre_err *err)
{
    CLEAN_JSON *keys = json_array(), *object = json_pack("{s:O}", "keys", keys);
    bool good = object;
    for (size_t i = 0; good && i < set->count; i++)
        if (is_published(&set->key[i], at))
            good = json_array_append_new(keys, published_jwk(set->key[i].key)) == 0;
    char *text = good ? json_dumps(object, JSON_INDENT(2)) : NULL;
    *out = (struct bytes){(uint8_t *)text, text ? strlen(text) : 0};
    return text ? 0 : cofre_fail(err, COFRE_FAILED, "no memory for the key set");
}

bool key_is_named(const struct cose_key *key, struct view kid)
{
    uint8_t cose[COSE_THUMBPRINT_SIZE];
    char jose[JWK_THUMBPRINT_TEXT];
    if (kid.len == 0)
        return false;
    if (view_equal((struct view){key->kid, key->kid_len}, kid))
        return true;
    if (kid.len == sizeof cose && cose_key_thumbprint(cose, key->key, NULL) == 0)
        return view_equal((struct view){cose, sizeof cose}, kid);
    return kid.len == sizeof jose - 1 && jwk_thumbprint(jose, key->key, NULL) == 0 &&
           view_equal((struct view){(const uint8_t *)jose, sizeof jose - 1}, kid);
}

static int read_jwks(struct cose_keys *out, struct view file, struct cofre_err *err)
{
    CLEAN_JSON *object = NULL;
    int rc = json_read(&object, file, COFRE_MALFORMED, err);
    if (rc < 0)
        return rc;
    const json_t *keys = json_object_get(object, "keys");
    size_t count = keys ? json_array_size(keys) : 1;
    for (size_t i = 0; i < count; i++) {
        rc = out->count == COSE_KEYS_MAX
                 ? cofre_fail(err, COFRE_MALFORMED, "there are more than %d keys", COSE_KEYS_MAX)
                 : jwk_read(&out->key[out->count], keys ? json_array_get(keys, i) : object, err);
        if (rc < 0)
            return cofre_within(err, rc, "key %zu", i);
        out->count += rc == 0;
    }
    return out->count
               ? 0
               : cofre_fail(err, COFRE_MALFORMED, "there is no key to verify ECDSA on P-256 or P-384 with");
}

static uint8_t first_byte(struct view file)
{
    for (size_t i = 0; i < file.len; i++)
        if (!strchr(" \t\r\n", file.data[i]) || file.data[i] == 0)
            return file.data[i];
    return 0;
}

int keys_read(struct cose_keys *out, struct view file, struct cofre_err *err)
{
    *out = (struct cose_keys){0};
    if (file.len > KEY_FILE_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "a key set of %zu bytes; none is longer than %u", file.len,
                          KEY_FILE_MAX);
    int rc = first_byte(file) == '{' ? read_jwks(out, file, err) : cose_keys_parse(out, file, err);
    if (rc < 0)
        cose_keys_free(out);
    return rc;
}

/* One that is a map, or begins a list, whose first member is the key type: so canonical sets begin. */
bool keys_recognise_cose(struct view file)
{
    CLEAN_COSE_DOC doc = {0};
    if (file.len < 4 || file.len > KEY_FILE_MAX || cose_read(&doc, file, NULL) < 0)
        return false;
    const struct cose_item *first = doc.item->kind == COSE_ARRAY ? cose_first(doc.item) : doc.item;
    return first && cose_at(first, 1) && cose_at(first, -1);
}

bool keys_recognise_jwks(struct view file)
{
    CLEAN_JSON *object = NULL;
    if (first_byte(file) != '{' || file.len > KEY_FILE_MAX ||
        json_read(&object, file, COFRE_MALFORMED, NULL) < 0)
        return false;
    return json_is_array(json_object_get(object, "keys")) || json_is_string(json_object_get(object, "kty"));
}
