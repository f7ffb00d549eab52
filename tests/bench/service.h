/*
 * cofre-trust as a process of its own, for benchmarks: on one processor, with its listening socket handed over as systemd does,
 * and with what emulated chips are vouched for by. Clients keep their connections.
 */
#ifndef COFRE_TESTS_BENCH_SERVICE_H
#define COFRE_TESTS_BENCH_SERVICE_H

#include <sys/types.h>

#include "tests/unit/service/client.h"
#include "vmm/base/bytes.h"

/* Under which its keys for guests are wrapped. */
extern const uint8_t service_root[32];

/* What benchmarks have in common: files that the service's configuration names. */
struct service_files {
    char folder[32];
    char database[128]; /* for db_open */
    bool collateral;    /* there is a file of Intel's */
};
/* A folder with a key, a certificate, and these roots (PEM). collateral may be empty. database NULL: SQLite, in the folder.
 * The database has the policy "bench" and the token "bench", which may do everything. */
void service_files_make(struct service_files *f, const char *database, struct view roots,
                        struct view collateral);
void service_files_remove(struct service_files *f);

struct service {
    pid_t pid;
    uint16_t port;
    int notified, listening;
    clockid_t clock; /* all its threads' time on processors */
};
/* Returns when it says that it is ready. cpu: where it runs; -1: anywhere. */
void service_start(struct service *s, const char *program, const struct service_files *f, unsigned workers,
                   int cpu);
void service_stop(struct service *s);
/* Somebody else's, as PROGRAM -serve FOLDER, which serves on descriptor 3 with the folder's certificate and key. */
void service_start_other(struct service *s, const char *program, const struct service_files *f, int cpu);
void service_stop_other(struct service *s);
double service_resident_mib(const struct service *s);

/* This thread's processors: cpu alone, all but it where there are others, or all (-1). */
void run_on(int cpu);
void run_beside(int cpu);
int last_cpu(void);

/* The text of a request; the caller frees it. */
char *service_request(const char *path, const char *body);
/* Each client asks one of the requests, and then all read their answers, which have to be of that status. */
void service_ask_all(struct client *client, size_t clients, char *const *request, int status);

#endif
