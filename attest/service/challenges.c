/* POST /v1/challenges: a nonce, which one appraisal may use until it expires. */
#include <openssl/rand.h>
#include <stdlib.h>

#include "attest/service/handlers.h"
#include "attest/service/route.h"
#include "attest/store/challenge.h"
#include "vmm/base/timestamp.h"

#define NONCE_SIZE   32
#define LATE_SECONDS 3600 /* for which somebody who is late is told so */

void challenge_create(struct call *call)
{
    uint8_t nonce[NONCE_SIZE];
    char hex[2 * NONCE_SIZE + 1], until[TIME_TEXT_SIZE];
    struct cofre_err err;
    const int64_t expires = call->now + call->trust->config->challenge_seconds;
    int rc = RAND_bytes(nonce, sizeof nonce) == 1
                 ? challenge_keep(call->db, (struct view){nonce, sizeof nonce}, expires, &err)
                 : cofre_fail(&err, COFRE_FAILED, "there are no random bytes");
    if (rc == 0) /* what nobody brought back does not stay for ever */
        rc = challenge_drop_expired(call->db, call->now - LATE_SECONDS, &err);
    if (rc < 0) {
        call_fail(call, rc, &err);
        return;
    }
    hex_encode(hex, nonce, sizeof nonce);
    time_format(until, expires);
    request_answer_json(call->request, 201, json_pack("{s:s, s:s}", "nonce", hex, "expires", until));
}
