#include "attest/service/service.h"

#include <openssl/ssl.h>
#include <stdlib.h>

#include "attest/service/tls.h"
#include "attest/service/workers.h"
#include "attest/store/schema.h"

#define STOP_MS 30000 /* longer than a worker waits for the database */

static void give(void *context, struct request *request)
{
    const struct trust *trust = context;
    workers_give(trust->workers, request);
}

static int bring_database(const struct trust_config *config, struct cofre_err *err)
{
    struct db *db = NULL;
    int rc = db_open(&db, config->database, err);
    if (rc == 0)
        rc = schema_bring(db, err);
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
    int rc = bring_database(config, err);
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

int trust_reload(struct trust *trust, struct cofre_err *err)
{
    SSL_CTX *tls;
    int rc = trust_tls_new(&tls, trust->config, err);
    if (rc < 0)
        return rc;
    server_use_tls(trust->server, tls);
    SSL_CTX_free(tls);
    return 0;
}

/* The workers answer what they were given before they end, so none is pending when the server goes. */
void trust_stop(struct trust *trust)
{
    if (trust->server)
        (void)server_drain(trust->server, STOP_MS);
    if (trust->workers)
        workers_free(trust->workers);
    if (trust->server)
        server_free(trust->server);
    free(trust);
}
