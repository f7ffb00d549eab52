/* The guest's command line: what is taken for a root is within its bounds, and is written as it was read. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/init/root.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct root root, again;
    struct cofre_err err = {""};
    struct view value;
    char word[ROOT_WORD_SIZE];
    const struct view cmdline = {data, size};
    int rc = root_parse(&root, cmdline, &err);
    FUZZ_CHECK(rc == 0 || (rc == -COFRE_MALFORMED && *err.text));
    if (rc == 0) {
        FUZZ_CHECK(root.kind == ROOT_LUKS ? strlen(root.uuid) == ROOT_UUID_SIZE - 1
                                          : root.verity.blocks > 0 && root.verity.blocks <= ROOT_BLOCKS_MAX);
        root_format(word, &root);
        FUZZ_CHECK(root_parse(&again, (struct view){(const uint8_t *)word, strlen(word)}, NULL) == 0);
        FUZZ_CHECK(memcmp(&root, &again, sizeof root) == 0);
    }
    if (root_word(cmdline, "init", &value))
        FUZZ_CHECK(value.data >= data && value.data + value.len <= data + size);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const char *const seeds[] = {
        "console=hvc0 quiet "
        "cofre.root=verity,hash=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef,"
        "salt=fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210,blocks=1264 init=/bin/sh\n",
        "cofre.root=luks,uuid=96d9e729-6ef7-8bb0-8c9a-b86d268844b8",
        "cofre.root=luks,uuid=96d9e729-6ef7-8bb0-8c9a-b86d268844b8,integrity",
    };
    if (index >= sizeof seeds / sizeof *seeds)
        return 0;
    memcpy(out, seeds[index], strlen(seeds[index]));
    return strlen(seeds[index]);
}
