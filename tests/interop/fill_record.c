/* A host's record with many entries, of what nobody did: fill_record DATABASE KEY NAME ENTRIES. Its texts try to be more than text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vmm/host/audit/audit.h"
#include "vmm/host/store/tables.h"
#include "vmm/host/store/tenant.h"

#define OF_ONE_TURN 1000

static const char *const tenants[] = {"shop", "blue", "red"},
                         *const details[] = {"", "<script>document.title='taken'</script>",
                                             "\"><img src=x onerror=alert(1)>", "the quota has no room",
                                             "'; DROP TABLE log_entry; --\xe2\x80\xae"},
                         *const names[] = {"guest.start", "guest.stop", "guest.create", "image.add",
                                           "constraint.set"};

struct filling {
    struct audit *audit;
    long first, count, all;
    int64_t now;
};

static int launch(struct audit_turn *turn, long n, const char *tenant, struct cofre_err *err)
{
    struct log_entry e = {
        .kind = LOG_ENTRY_LAUNCH, .guest = n % 97 + 1, .emulated = 1, .guest_policy = 0x30000};
    (void)snprintf(e.tee, sizeof e.tee, "%s", n % 20 ? "snp" : "tdx");
    (void)snprintf(e.tenant, sizeof e.tenant, "%s", tenant);
    (void)snprintf(e.object_name, sizeof e.object_name, "guest-%ld", n % 97);
    (void)snprintf(e.request, sizeof e.request, "%032lx", (unsigned long)n);
    e.predicted.len = e.reported.len = LOG_MEASUREMENT_SIZE;
    memset(e.predicted.data, (int)(n % 97), sizeof e.predicted.data);
    e.reported = e.predicted;
    e.kernel.len = sizeof e.kernel.data;
    if (n % 1000 == 0) {
        e.reported.data[7] ^= 0xff;
        e.outcome = LOG_LAUNCH_STOPPED;
        (void)snprintf(e.detail, sizeof e.detail, "%s", details[n / 1000 % 5]);
    }
    return audit_launch(turn, &e, NULL, err);
}

static int operation(struct audit_turn *turn, long n, const char *tenant, struct cofre_err *err)
{
    char object[64], request[64];
    (void)snprintf(object, sizeof object, "guest-%ld", n % 97);
    (void)snprintf(request, sizeof request, "%032lx", (unsigned long)n);
    const struct audit_operation o = {.outcome = n % 7 ? LOG_OPERATION_DONE : LOG_OPERATION_REFUSED,
                                      .operation = names[n % 5],
                                      .request = request,
                                      .subject = n % 3 ? "uid:1000" : "cert:CN=<b>ann</b>,O=\"Shop\"",
                                      .identity = "socket",
                                      .from = "pid 812",
                                      .tenant = tenant,
                                      .object = object,
                                      .after = {(const uint8_t *)object, strlen(object)},
                                      .detail = n % 7 ? NULL : details[n / 7 % 5]};
    return audit_operation(turn, &o, NULL, err);
}

static int turn(struct db *db, void *context, struct cofre_err *err)
{
    const struct filling *f = context;
    CLEAN_AUDIT_TURN turn = {0};
    int rc = audit_begin(&turn, f->audit, db, f->now, err);
    for (long n = f->first; rc == 0 && n < f->first + f->count; n++) {
        turn.now = f->now - (f->all - n) * 60; /* an entry a minute */
        rc = n % 10 ? operation(&turn, n, tenants[n % 3], err) : launch(&turn, n, tenants[n % 3], err);
    }
    turn.now = f->now;
    return rc < 0 ? rc : audit_sign(&turn, err);
}

static int add_tenants(struct db *db, void *context, struct cofre_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof tenants / sizeof *tenants; i++) {
        struct tenant t = {
            .made = *(const int64_t *)context, .quotas = json_object(), .labels = json_object()};
        (void)snprintf(t.name, sizeof t.name, "%s", tenants[i]);
        rc = tenant_add(db, &t, "uid:0", err);
        tenant_free(&t);
    }
    return rc;
}

static int fill(const char *database, struct filling *f, struct cofre_err *err)
{
    struct db *db = NULL;
    int rc = db_open(&db, database, err);
    if (rc == 0)
        rc = tables_bring(db, err);
    if (rc == 0)
        rc = db_atomically(db, add_tenants, &f->now, err);
    for (; rc >= 0 && f->first < f->all; f->first += f->count) {
        f->count = f->all - f->first < OF_ONE_TURN ? f->all - f->first : OF_ONE_TURN;
        rc = db_atomically(db, turn, f, err);
        audit_kept(f->audit);
    }
    db_close(db);
    return rc;
}

int main(int argc, char **argv)
{
    struct cofre_err err;
    if (argc != 5) {
        fputs("usage: fill_record DATABASE KEY NAME ENTRIES\n", stderr);
        return 2;
    }
    const struct audit_config config = {.key = argv[2], .name = argv[3]};
    struct filling f = {.first = 1, .all = strtol(argv[4], NULL, 10), .now = time(NULL)};
    int rc = audit_new(&f.audit, &config, &err);
    if (rc == 0)
        rc = fill(argv[1], &f, &err);
    audit_free(f.audit);
    if (rc < 0)
        fprintf(stderr, "fill_record: %s\n", err.text);
    return rc < 0;
}
