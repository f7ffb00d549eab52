/* What a guest that starts must find: room in its tenant's quotas, and on the host. With numbers, so that who is refused knows what to change. */
#include <stdio.h>
#include <string.h>

#include "vmm/host/decide/parts.h"
#include "vmm/host/interface/schemas.h"

#define MIB (1024 * 1024ULL)

uint64_t tenant_quota(const struct tenant *tenant, const char *name)
{
    return member_unsigned(tenant->quotas, name, UINT64_MAX);
}

/* Of guests that run, or are about to. */
struct held {
    uint64_t running, cpus, memory, networks, snp_guests, tdx_guests;
    uint64_t huge_2m, huge_1g; /* bytes of memory, of these pages */
};

static int take_held(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    struct held *held = context;
    (void)columns;
    (void)err;
    *held = (struct held){(uint64_t)c[0].integer, (uint64_t)c[1].integer, (uint64_t)c[2].integer,
                          (uint64_t)c[3].integer, (uint64_t)c[4].integer, (uint64_t)c[5].integer,
                          (uint64_t)c[6].integer, (uint64_t)c[7].integer};
    return 0;
}

#define HELD                                                                                                 \
    "SELECT COUNT(*), CAST(COALESCE(SUM(cpus), 0) AS BIGINT), CAST(COALESCE(SUM(memory), 0) AS BIGINT),"     \
    " CAST(COALESCE(SUM(networks), 0) AS BIGINT),"                                                           \
    " CAST(COALESCE(SUM(CASE WHEN tee = 'snp' THEN 1 ELSE 0 END), 0) AS BIGINT),"                            \
    " CAST(COALESCE(SUM(CASE WHEN tee = 'tdx' THEN 1 ELSE 0 END), 0) AS BIGINT),"                            \
    " CAST(COALESCE(SUM(CASE WHEN huge_page = 2097152 THEN memory ELSE 0 END), 0) AS BIGINT),"               \
    " CAST(COALESCE(SUM(CASE WHEN huge_page = 1073741824 THEN memory ELSE 0 END), 0) AS BIGINT)"             \
    " FROM guest WHERE state IN ('starting', 'running', 'paused', 'stopping') "

static int held_by(struct held *out, struct db *db, const char *tenant, struct cofre_err *err)
{
    int rc = tenant ? DB_RUN(db, HELD "AND tenant = $1", take_held, out, err, db_text(tenant))
                    : DB_RUN(db, HELD "AND number > $1", take_held, out, err, db_integer(0));
    return rc < 0 ? rc : 0;
}

int admission_used(json_t **out, struct call *call, const char *tenant, struct cofre_err *err)
{
    struct held held = {0};
    uint64_t storage = 0;
    int64_t guests = 0;
    int rc = held_by(&held, call->db, tenant, err);
    if (rc == 0)
        rc = guests_count(&guests, call->db, tenant, err);
    if (rc == 0)
        rc = images_used(&storage, call->decider->images, call->db, tenant, err);
    if (rc < 0)
        return rc;
    *out =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "guests", (json_int_t)guests, "running",
                  (json_int_t)held.running, "cpus", (json_int_t)held.cpus, "memory", (json_int_t)held.memory,
                  "storage", (json_int_t)storage, "networks", (json_int_t)held.networks, "snp_guests",
                  (json_int_t)held.snp_guests, "tdx_guests", (json_int_t)held.tdx_guests);
    return *out ? 0 : cofre_fail(err, COFRE_FAILED, "no memory for an answer");
}

int admission_check_guests(struct call *call, struct cofre_err *err)
{
    const uint64_t quota = tenant_quota(&call->tenant, "guests");
    int64_t guests = 0;
    int rc = guests_count(&guests, call->db, call->tenant.name, err);
    if (rc == 0 && (uint64_t)guests >= quota)
        rc = cofre_fail(err, COFRE_LACKING, "tenant %s has %lld guests, and its quota is %llu",
                        call->tenant.name, (long long)guests, (unsigned long long)quota);
    return rc;
}

static int check(const char *whose, const char *what, uint64_t needs, uint64_t used, uint64_t all,
                 uint64_t unit, const char *units, struct cofre_err *err)
{
    if (needs == 0 || (used <= all && needs <= all - used))
        return 0;
    return cofre_fail(err, COFRE_LACKING, "%s: this guest needs %llu%s, and %s has %llu of %llu%s left", what,
                      (unsigned long long)(needs / unit), units, whose,
                      (unsigned long long)((used < all ? all - used : 0) / unit),
                      (unsigned long long)(all / unit), units);
}

/* The kernel's count of ASIDs and key ids is of what runs; what was let start and does not yet is not in it. */
static int check_scarce(const struct decider *d, const char *misc, const char *what, uint64_t ours,
                        struct cofre_err *err)
{
    for (uint32_t i = 0; i < d->host.miscs; i++)
        if (strcmp(d->host.misc[i].name, misc) == 0)
            return check("the host", what, 1, ours, d->host.misc[i].capacity, 1, "", err);
    return 0; /* nobody counts them here: the launch finds out */
}

/* The pool is no memory for others. */
static uint64_t without_pool(const struct hands_host *host, uint64_t memory)
{
    const uint64_t pool = (host->huge_2m << 21) + (host->huge_1g << 30);
    return memory > pool ? memory - pool : 0;
}

static int check_host(struct call *call, const struct held *needs, const char *tee, bool emulated,
                      struct cofre_err *err)
{
    const struct decider *d = call->decider;
    const struct hands_host *host = &d->host;
    const uint64_t reserved = d->config->reserved_memory,
                   memory = without_pool(host, host->memory > reserved ? host->memory - reserved : 0);
    struct held held = {0};
    int rc = held_by(&held, call->db, NULL, err);
    if (rc == 0)
        rc = check("the host", "memory", needs->memory - needs->huge_2m - needs->huge_1g,
                   held.memory - held.huge_2m - held.huge_1g, memory, MIB, " MiB", err);
    if (rc == 0) /* of which others may have some: the launch finds out */
        rc = check("the host", "huge pages of 2 MiB", needs->huge_2m >> 21, held.huge_2m >> 21, host->huge_2m,
                   1, "", err);
    if (rc == 0)
        rc = check("the host", "huge pages of 1 GiB", needs->huge_1g >> 30, held.huge_1g >> 30, host->huge_1g,
                   1, "", err);
    if (rc == 0 && !emulated && strcmp(tee, "snp") == 0)
        rc = check_scarce(d, "sev_es", "ASIDs for SNP guests", held.snp_guests, err);
    if (rc == 0 && !emulated && strcmp(tee, "tdx") == 0)
        rc = check_scarce(d, "tdx", "key IDs for TDX guests", held.tdx_guests, err);
    return rc;
}

int admission_check_start(struct call *call, const struct guest_row *guest, const json_t *definition,
                          struct cofre_err *err)
{
    const char *tee = member_text(definition, "tee", "none");
    const uint64_t memory = member_unsigned(definition, "memory", 0), page = definition_page(definition);
    const struct held needs = {.running = 1,
                               .cpus = member_unsigned(definition, "cpus", 1),
                               .memory = memory,
                               .huge_2m = page == 2 * MIB ? memory : 0,
                               .huge_1g = page == 1024 * MIB ? memory : 0,
                               .networks = json_array_size(member_at(definition, "networks")),
                               .snp_guests = strcmp(tee, "snp") == 0,
                               .tdx_guests = strcmp(tee, "tdx") == 0};
    struct held held = {0};
    char whose[96];
    (void)snprintf(whose, sizeof whose, "tenant %s", guest->tenant);
    int rc = held_by(&held, call->db, guest->tenant, err);
    const struct {
        const char *quota, *what;
        uint64_t needs, used, unit;
        const char *units;
    } rows[] = {
        {"running", "guests that run", needs.running, held.running, 1, ""},
        {"cpus", "CPUs", needs.cpus, held.cpus, 1, ""},
        {"memory", "memory", needs.memory, held.memory, MIB, " MiB"},
        {"networks", "network interfaces", needs.networks, held.networks, 1, ""},
        {"snp_guests", "SNP guests", needs.snp_guests, held.snp_guests, 1, ""},
        {"tdx_guests", "TDX guests", needs.tdx_guests, held.tdx_guests, 1, ""},
    };
    for (size_t i = 0; rc == 0 && i < sizeof rows / sizeof *rows; i++)
        rc = check(whose, rows[i].what, rows[i].needs, rows[i].used,
                   tenant_quota(&call->tenant, rows[i].quota), rows[i].unit, rows[i].units, err);
    return rc < 0 ? rc : check_host(call, &needs, tee, member_boolean(definition, "emulated", false), err);
}
