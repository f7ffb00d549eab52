#include "vmm/init/root.h"

#include <stdio.h>
#include <string.h>

/* The kernel's words: divided by white space. (Quotes have no meaning here: no value of ours has any.) */
static bool next_word(struct view *rest, struct view *word)
{
    size_t start = 0, end;
    while (start < rest->len && strchr(" \t\n", rest->data[start]))
        start++;
    for (end = start; end < rest->len && !strchr(" \t\n", rest->data[end]);)
        end++;
    *word = (struct view){rest->data + start, end - start};
    *rest = (struct view){rest->data + end, rest->len - end};
    return word->len > 0;
}

static bool value_of(struct view word, const char *name, struct view *value)
{
    size_t len = strlen(name);
    return word.len > len && memcmp(word.data, name, len) == 0 && word.data[len] == '=' &&
           view_sub(word, len + 1, word.len - len - 1, value);
}

bool root_word(struct view cmdline, const char *name, struct view *value)
{
    bool found = false;
    for (struct view word; next_word(&cmdline, &word);)
        found |= value_of(word, name, value);
    return found;
}

/* What stands before the next comma. */
static struct view next_part(struct view *rest)
{
    const uint8_t *comma = rest->len ? memchr(rest->data, ',', rest->len) : NULL;
    struct view part = {rest->data, comma ? (size_t)(comma - rest->data) : rest->len};
    size_t taken = part.len + (comma != NULL);
    *rest = (struct view){rest->data + taken, rest->len - taken};
    return part;
}

static bool read_hash(uint8_t out[ROOT_HASH_SIZE], struct view rest_of_part)
{
    char text[2 * ROOT_HASH_SIZE + 1] = "";
    if (rest_of_part.len != sizeof text - 1)
        return false;
    memcpy(text, rest_of_part.data, rest_of_part.len);
    return hex_decode(out, ROOT_HASH_SIZE, text);
}

static bool read_blocks(uint64_t *out, struct view text)
{
    uint64_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        n = 10 * n + (text.data[i] - '0');
        if (n > ROOT_BLOCKS_MAX)
            return false;
    }
    *out = n;
    return n > 0;
}

static bool read_verity(struct root_verity *out, struct view rest)
{
    struct view hash, salt, blocks;
    return value_of(next_part(&rest), "hash", &hash) && read_hash(out->hash, hash) &&
           value_of(next_part(&rest), "salt", &salt) && read_hash(out->salt, salt) &&
           value_of(next_part(&rest), "blocks", &blocks) && read_blocks(&out->blocks, blocks) && !rest.len;
}

/* 01234567-89ab-cdef-0123-456789abcdef */
static bool read_uuid(char out[ROOT_UUID_SIZE], struct view text)
{
    if (text.len != ROOT_UUID_SIZE - 1)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (!text.data[i] || !strchr(dash ? "-" : "0123456789abcdef", text.data[i]))
            return false;
    }
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return true;
}

static bool read_luks(struct root *out, struct view rest)
{
    static const char with[] = ",integrity";
    struct view uuid;
    out->integrity = rest.len >= sizeof with - 1 &&
                     memcmp(rest.data + rest.len - (sizeof with - 1), with, sizeof with - 1) == 0;
    rest.len -= out->integrity ? sizeof with - 1 : 0;
    return value_of(rest, "uuid", &uuid) && read_uuid(out->uuid, uuid);
}

const char *const root_kind_names[] = {[ROOT_VERITY] = "verity", [ROOT_LUKS] = "luks"};

static bool read_root(struct root *out, struct view rest)
{
    const struct view kind = next_part(&rest);
    for (unsigned i = 0; i < ROOT_KINDS; i++)
        if (kind.len == strlen(root_kind_names[i]) && memcmp(kind.data, root_kind_names[i], kind.len) == 0) {
            out->kind = (enum root_kind)i;
            return i == ROOT_VERITY ? read_verity(&out->verity, rest) : read_luks(out, rest);
        }
    return false;
}

int root_parse(struct root *out, struct view cmdline, struct cofre_err *err)
{
    struct view value = {0}, once;
    unsigned found = 0;
    *out = (struct root){0};
    for (struct view word; next_word(&cmdline, &word);)
        if (value_of(word, "cofre.root", &once)) {
            value = once;
            found++;
        }
    if (found != 1)
        return cofre_fail(err, COFRE_MALFORMED,
                          "the command line has %s cofre.root=, which says what the root is",
                          found ? "more than one" : "no");
    if (read_root(out, value))
        return 0;
    return cofre_fail(err, COFRE_MALFORMED, "cofre.root=%.*s is not understood", (int)value.len,
                      (const char *)value.data);
}

void root_format(char out[ROOT_WORD_SIZE], const struct root *root)
{
    char hash[2 * ROOT_HASH_SIZE + 1], salt[2 * ROOT_HASH_SIZE + 1];
    if (root->kind == ROOT_LUKS) {
        (void)snprintf(out, ROOT_WORD_SIZE, "cofre.root=luks,uuid=%s%s", root->uuid,
                       root->integrity ? ",integrity" : "");
        return;
    }
    hex_encode(hash, root->verity.hash, ROOT_HASH_SIZE);
    hex_encode(salt, root->verity.salt, ROOT_HASH_SIZE);
    (void)snprintf(out, ROOT_WORD_SIZE, "cofre.root=verity,hash=%s,salt=%s,blocks=%llu", hash, salt,
                   (unsigned long long)root->verity.blocks);
}
