#include "vmm/host/access/keys_fetch.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "attest/collateral/download.h"
#include "vmm/base/file.h"
#include "vmm/base/log.h"
#include "vmm/host/access/token.h"

#define LOG_ROOM "access"

static int get(struct download *out, const struct access_issuer *issuer, struct cofre_err *err)
{
    const struct download_order order = {
        .url = issuer->key_url, .limits = {.body = TOKEN_FILE_MAX, .connect_ms = 5000, .whole_ms = 15000}};
    int rc = download(out, &order, err);
    if (rc < 0)
        return rc;
    return out->status == 200 ? 0 : cofre_fail(err, COFRE_LACKING, "the answer is %ld", out->status);
}

static int fetch_one(const struct access_issuer *issuer, struct cofre_err *err)
{
    CLEAN_DOWNLOAD answer = {0};
    CLEAN_TOKEN_KEYS keys = {0};
    int rc = get(&answer, issuer, err);
    if (rc == 0)
        rc = token_keys_read(&keys, bytes_view(&answer.body), err);
    if (rc < 0)
        return cofre_within(err, rc, "%s", issuer->key_url);
    return file_write(issuer->key_file, bytes_view(&answer.body), 0644, err);
}

static int64_t pause_after(unsigned failures)
{
    int64_t pause = KEYS_FETCH_AGAIN;
    for (unsigned i = 1; i < failures && pause < KEYS_FETCH_INTERVAL; i++)
        pause *= 2;
    return pause < KEYS_FETCH_INTERVAL ? pause : KEYS_FETCH_INTERVAL;
}

static int64_t visit(struct keys_fetch *fetch, size_t i, const struct access_issuer *issuer, int64_t now)
{
    struct cofre_err err = {""};
    if (fetch->issuer[i].next > now)
        return fetch->issuer[i].next;
    const bool good = fetch_one(issuer, &err) == 0;
    if (!good && fetch->issuer[i].failures == 0)
        log_warn("keys of issuer %s could not be had: %s", issuer->name, err.text);
    if (good && fetch->issuer[i].failures)
        log_info("keys of issuer %s are to be had again", issuer->name);
    fetch->issuer[i].failures = good ? 0 : fetch->issuer[i].failures + 1;
    fetch->issuer[i].next = now + (good ? KEYS_FETCH_INTERVAL : pause_after(fetch->issuer[i].failures));
    return fetch->issuer[i].next;
}

int64_t keys_fetch_round(struct keys_fetch *fetch, const struct access_config *config, int64_t now)
{
    int64_t next = now + KEYS_FETCH_INTERVAL;
    for (size_t i = 0; i < config->issuers; i++) {
        const int64_t at = *config->issuer[i].key_url ? visit(fetch, i, &config->issuer[i], now) : next;
        next = at < next ? at : next;
    }
    return next > now ? next - now : 1;
}

int keys_fetch_run(const struct access_config *config, int until, struct cofre_err *err)
{
    struct keys_fetch fetch = {0};
    for (;;) {
        struct pollfd end = {.fd = until, .events = POLLIN};
        const int64_t pause = keys_fetch_round(&fetch, config, time(NULL));
        const int rc = poll(&end, 1, (int)pause * 1000);
        if (rc > 0)
            return 0;
        if (rc < 0 && errno != EINTR)
            return cofre_fail(err, COFRE_FAILED, "waiting for the time to fetch keys: %s", strerror(errno));
    }
}
