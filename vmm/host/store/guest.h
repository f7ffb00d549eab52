/* Guests' rows, and the versions of their definitions. All of it runs within the caller's transaction. */
#ifndef COFRE_HOST_STORE_GUEST_H
#define COFRE_HOST_STORE_GUEST_H

#include <jansson.h>

#include "attest/store/db.h"
#include "vmm/host/store/state.h"

struct guest_row {
    uint32_t number, run; /* run 0: never started */
    char tenant[64], name[64];
    enum guest_state state;
    int64_t version, started_version;
    int64_t launches; /* of this run, that were final */
    bool asked;       /* to end */
    bool again;       /* to be started when it has ended */
    char why[512];    /* of its last end; "" */
    json_t *labels;   /* owned */
    int64_t made, started, ended;
    char expected[97], measurement[97]; /* hexadecimal; "" where there is none */
    char request[65];                   /* that started it: what the log has of it */
    char tee[8];                        /* of what it was last started with, and the next four; "": never */
    int64_t cpus, memory, networks;
    int64_t huge_page; /* bytes of one, of which its memory is; 0: of none */
    int64_t early;     /* in a row it soon ended by itself, so often */
};
void guest_row_free(struct guest_row *guest);
#define CLEAN_GUEST_ROW __attribute__((cleanup(guest_row_free))) struct guest_row

/* 1: there is none. */
int guest_row_find(struct guest_row *out, struct db *db, const char *tenant, const char *name,
                   struct cofre_err *err);
int guest_row_find_run(struct guest_row *out, struct db *db, uint32_t run, struct cofre_err *err);

/* Draws its number; version is 1. -COFRE_USAGE: the tenant has one of that name. */
int guest_row_add(struct guest_row *guest, struct db *db, const json_t *definition, const char *by,
                  struct cofre_err *err);
/* All but what names it. */
int guest_row_change(struct db *db, const struct guest_row *guest, struct cofre_err *err);
int guest_row_remove(struct db *db, uint32_t number, struct cofre_err *err);
/* A run that no other guest ever had. */
int guest_draw_run(uint32_t *out, struct db *db, struct cofre_err *err);

/* The next version, guest->version afterwards, which guest_change has yet to write. */
int guest_redefine(struct guest_row *guest, struct db *db, const json_t *definition, int64_t now,
                   const char *by, struct cofre_err *err);
/* *out is the caller's. */
int guest_definition(json_t **out, struct db *db, uint32_t number, int64_t version, struct cofre_err *err);
/* Versions that neither the next start nor the one that runs needs. */
int guest_forget_versions(struct db *db, const struct guest_row *guest, struct cofre_err *err);

/* 1: enough, no more of them. A negative value ends it as well, and is its result. */
typedef int (*guest_take)(void *context, const struct guest_row *guest, struct cofre_err *err);
/* A tenant's, in the order of names: those after one ("": all), in one state (NULL: in any). */
int guests_list(struct db *db, const char *tenant, const char *after, const char *state, guest_take take,
                void *context, struct cofre_err *err);
/* Every tenant's, in the order of numbers. */
int guests_all(struct db *db, guest_take take, void *context, struct cofre_err *err);
int guests_count(int64_t *out, struct db *db, const char *tenant, struct cofre_err *err);

/* It has ended, and is to be started again by itself. */
bool guest_waits(const struct guest_row *guest);

/* As the interface shows it (schema_guest_shown); definition may be NULL. The caller's; NULL: no memory. */
json_t *guest_show(const struct guest_row *guest, const json_t *definition);

#endif
