#include "attest/service/service.h"

#include <openssl/ssl.h>
#include <stdlib.h>

#include "attest/service/endorsements.h"
#include "attest/service/keys/keyring.h"
#include "attest/service/ledger.h"
#include "attest/service/signer.h"
#include "attest/service/tls.h"
#include "attest/service/workers.h"
#include "attest/store/schema.h"

#define STOP_MS 30000 /* longer than a worker waits for the database */

static void give(void *context, struct request *request)
{
    const struct trust *trust = context;
    workers_give(trust->workers, request);
}

static int open_keyring(struct keyring **out, struct db *db, const struct trust_config *config,
                        struct cofre_err *err)
{
    const struct keyring_seal seal = {config->root_key, config->root_passphrase, config->root_tpm,
                                      config->root_pcr_policy, config->root_authorisation};
    return seal.passphrase || seal.tpm ? keyring_unseal(out, db, &seal, err)
                                       : keyring_open(out, db, config->root_key, err);
}

/* Its tables, and the keys that are in them, which are opened once. */
static int bring_database(struct trust *trust, struct cofre_err *err)
{
    const struct trust_config *config = trust->config;
    struct db *db = NULL;
    int rc = db_open(&db, config->database, err);
    if (rc == 0)
        rc = schema_bring(db, err);
    if (rc == 0 && config->root_key)
        rc = open_keyring(&trust->keyring, db, config, err);
    db_close(db);
    return rc;
}

static int start_server(struct trust *trust, const int *listening, size_t listeners, struct cofre_err *err)
{
    SSL_CTX *tls;
    int rc = trust_tls_new(&tls, trust->config, err);
    if (rc < 0)
        return rc;
    const struct server_config config = {.listening = listening,
                                         .listeners = listeners,
                                         .tls = tls,
                                         .loops = 1, /* it moves bytes; workers work */
                                         .limits = trust->config->limits,
                                         .handle = give,
                                         .context = trust};
    rc = server_start(&trust->server, &config, err);
    SSL_CTX_free(tls);
    return rc;
}

int trust_start(struct trust **out, const struct trust_config *config, const int *listening, size_t listeners,
                int64_t (*clock)(void), struct cofre_err *err)
{
    struct trust *trust = calloc(1, sizeof *trust);
    if (!trust)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    *trust = (struct trust){.config = config, .clock = clock};
    int rc = bring_database(trust, err);
    if (rc == 0)
        rc = signer_new(&trust->signer, config, err);
    if (rc == 0)
        rc = endorsements_new(&trust->endorsements, config, clock, err);
    if (rc == 0)
        rc = ledger_start(&trust->ledger, trust, err);
    if (rc == 0)
        rc = workers_start(&trust->workers, trust, config->workers, err);
    if (rc == 0)
        rc = start_server(trust, listening, listeners, err);
    if (rc < 0) {
        trust_stop(trust);
        return rc;
    }
    *out = trust;
    return 0;
}

int trust_reload(struct trust *trust, const struct trust_config *config, struct cofre_err *err)
{
    SSL_CTX *tls;
    int rc = signer_reload(trust->signer, config, err);
    if (rc == 0)
        rc = endorsements_reload(trust->endorsements, config, err);
    if (rc == 0)
        rc = trust_tls_new(&tls, config, err);
    if (rc < 0)
        return rc;
    server_use_tls(trust->server, tls);
    SSL_CTX_free(tls);
    return 0;
}

/* Workers answer, or give to the ledger, what they were given before they end, and the ledger answers the rest: none is
 * pending when the server goes. */
void trust_stop(struct trust *trust)
{
    if (trust->server)
        (void)server_drain(trust->server, STOP_MS);
    if (trust->workers)
        workers_free(trust->workers);
    if (trust->ledger)
        ledger_free(trust->ledger);
    signer_free(trust->signer);
    endorsements_free(trust->endorsements);
    keyring_free(trust->keyring);
    if (trust->server)
        server_free(trust->server);
    free(trust);
}
