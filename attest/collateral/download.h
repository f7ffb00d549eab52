/* One HTTP GET, bounded in size and time. What comes back is the network's until somebody checks it. */
#ifndef COFRE_ATTEST_COLLATERAL_DOWNLOAD_H
#define COFRE_ATTEST_COLLATERAL_DOWNLOAD_H

#include "vmm/base/bytes.h"

struct download_limits {
    size_t body;               /* bytes */
    long connect_ms, whole_ms; /* milliseconds */
};

/* Borrowed. */
struct download_order {
    const char *url;
    const char *header; /* whose value is wanted, decoded from URL's encoding; NULL: none */
    struct download_limits limits;
    bool (*is_over)(void *context); /* true: give up; asked about once a second. May be NULL */
    void *context;
};

struct download {
    long status;
    struct bytes body, header;
    char retry_after[64]; /* as it came; "" where there was none, or a longer one */
};
void download_free(struct download *download);
#define CLEAN_DOWNLOAD __attribute__((cleanup(download_free))) struct download

/* Once for the process, before threads: libcurl's own preparation. */
int download_prepare(struct cofre_err *err);

/* https anywhere, http to this machine alone; -COFRE_USAGE otherwise. */
int download_check_address(const char *url, struct cofre_err *err);

/* 0 with a whole answer, whatever its status. -COFRE_LACKING: there was none. Redirections are not followed. */
int download(struct download *out, const struct download_order *order, struct cofre_err *err);

#endif
