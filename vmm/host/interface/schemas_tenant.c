#include "vmm/host/interface/schemas.h"

#include "vmm/host/interface/schemas_parts.h"

static const struct schema_member quotas[] = {
    {"guests", NUMBER(0, 100000), false, "guests that are defined"},
    {"running", NUMBER(0, 100000), false, "guests that run at once"},
    {"cpus", NUMBER(0, 1000000), false, "virtual CPUs of guests that run"},
    {"memory", NUMBER(0, 0), false, "bytes of memory of guests that run"},
    {"storage", NUMBER(0, 0), false, "bytes of images, and of disks that are guests' own"},
    {"images", NUMBER(0, 100000), false, "images that are stored"},
    {"snp_guests", NUMBER(0, 100000), false, "SEV-SNP guests that run: each takes an ASID"},
    {"tdx_guests", NUMBER(0, 100000), false, "TDX guests that run: each takes a key ID"},
    {"networks", NUMBER(0, 100000), false, "network interfaces of guests that run"},
    END,
};
const struct schema schema_quotas = {
    "Quotas", "What a tenant may have; what is not there has no bound but the host's.", quotas, NULL};

static const struct schema_member tenant[] = {
    {"name", NAME, true, "of the tenant, unique on the host"},
    {"quotas", OBJECT(schema_quotas), false, NULL},
    {"labels", LABELS, false, "for people and for grants"},
    END,
};
const struct schema schema_tenant = {"Tenant", "A tenant to be made.", tenant, NULL};

static const struct schema_member update[] = {
    {"quotas", OBJECT(schema_quotas), false, "those that change"},
    {"labels", LABELS, false, "all of them, instead of those that were"},
    END,
};
const struct schema schema_tenant_update = {"TenantUpdate", "What changes of a tenant.", update, NULL};

static const struct schema_member page[] = {
    {"after", TEXT(1, 80), false, "the last name, or digest, of the page before"},
    {"limit", NUMBER(1, 1000), false, "how many at most; 100 where it is not said"},
    END,
};
const struct schema schema_page = {"Page", "A part of a list.", page, NULL};

static const struct schema_member tag[] = {
    {"image", DIGEST, true, "that has the name from now on"},
    END,
};
const struct schema schema_tag = {"Tag", "What a tag stands for.", tag, NULL};
