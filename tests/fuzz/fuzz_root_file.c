/* A sealed root's file: what is taken has costs within their bounds and a way to recover; the rest is refused with a sentence. */
#include <string.h>

#include "keys/seal/root_file.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct root_file file;
    struct cofre_err err = {""};
    int rc = root_file_parse(&file, (struct view){data, size}, &err);
    FUZZ_CHECK(rc == 0 || (rc == -COFRE_MALFORMED && *err.text));
    for (size_t i = 0; rc == 0 && i < ROOT_SLOTS; i++)
        FUZZ_CHECK(!file.slot[i].there ||
                   (file.slot[i].cost >= SEAL_COST_MIN && file.slot[i].cost <= SEAL_COST_MAX));
    FUZZ_CHECK(rc < 0 || !file.tpm.there ||
               (file.tpm.object.public.len <= TPM_PART_MAX && file.tpm.object.private.len <= TPM_PART_MAX &&
                file.tpm.cost >= SEAL_COST_MIN && file.tpm.cost <= SEAL_COST_MAX));
    FUZZ_CHECK(rc < 0 || file.slot[SEAL_RECOVERY].there);
    return 0;
}

#define HEX8 "0123456789abcdef"
#define SLOT                                                                                                 \
    "{\"cost\": 17, \"salt\": \"" HEX8 HEX8 "\", \"nonce\": \"" HEX8                                         \
    "01234567\", \"sealed\": \"" HEX8 HEX8 HEX8 HEX8 HEX8 HEX8 "\"}"
#define HEX32 HEX8 HEX8 HEX8 HEX8
#define TPM                                                                                                  \
    "{\"cost\": 17, \"salt\": \"" HEX8 HEX8 "\", \"owner\": \"" HEX32 HEX32 "\", \"parent\": \"000b" HEX32   \
    "\", \"public\": \"" HEX8 "\", \"private\": \"" HEX32 "\"}"
#define ROOT(slots) "{\"cofre_root\": 1, \"id\": \"" HEX8 HEX8 "\", \"slots\": {" slots "}}"

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const char *const seeds[] = {
        ROOT("\"recovery\": " SLOT),
        ROOT("\"recovery\": " SLOT ", \"passphrase\": " SLOT),
        ROOT("\"recovery\": " SLOT ", \"tpm\": " TPM),
    };
    if (index >= sizeof seeds / sizeof *seeds)
        return 0;
    memcpy(out, seeds[index], strlen(seeds[index]));
    return strlen(seeds[index]);
}
