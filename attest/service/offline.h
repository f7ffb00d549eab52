/* The service's configuration, keys and database without the service: for what is done at the machine itself. */
#ifndef COFRE_ATTEST_SERVICE_OFFLINE_H
#define COFRE_ATTEST_SERVICE_OFFLINE_H

#include "attest/service/admission.h"

struct offline {
    struct trust_config config;
    struct trust trust; /* config, signer and clock; no more of it is there */
    struct db *db;
};

/* The service may run meanwhile. On an error there is nothing to close. */
int offline_open(struct offline *out, const char *config, struct cofre_err *err);
void offline_close(struct offline *offline);
#define CLEAN_OFFLINE __attribute__((cleanup(offline_close))) struct offline

#define OFFLINE_ACTOR_SIZE 48
/* "local:root", which no credential can be named: who works at the machine. */
void offline_actor(char out[static OFFLINE_ACTOR_SIZE]);

/* Lets somebody in for that many days; the token is told to the caller alone. */
int offline_admit(struct offline *offline, const char *name, const char *roles, const char *scope,
                  unsigned days, char token[static ADMISSION_TOKEN_SIZE], struct cofre_err *err);

#endif
