/* OpenSSL's own SHA-384, without its providers: they would make the static agent, which replays, five times as large. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include "tdx/mrtd.h"

void tdx_rtmr_extend(uint8_t rtmr[TDX_DIGEST_SIZE], const uint8_t digest[TDX_DIGEST_SIZE])
{
    SHA512_CTX sha384;
    SHA384_Init(&sha384);
    SHA384_Update(&sha384, rtmr, TDX_DIGEST_SIZE);
    SHA384_Update(&sha384, digest, TDX_DIGEST_SIZE);
    SHA384_Final(rtmr, &sha384);
}
