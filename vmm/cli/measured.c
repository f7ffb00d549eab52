#include "vmm/cli/measured.h"

#include <ctype.h>

static int measure(struct measured *out, const struct tee_ops *ops, const struct launch_image *image,
                   const char *cpu_model, struct cofre_err *err)
{
    struct tee *tee = NULL;
    int rc = ops->new (&tee, err);
    if (rc == 0 && cpu_model)
        rc = ops->set_option(tee, "cpu-model", cpu_model, err);
    if (rc == 0 && ops->adopt)
        rc = ops->adopt(tee, image, err);
    if (rc == 0)
        rc = ops->measure(tee, image, &out->value[0], err);
    out->count = 1;
    if (rc == 0 && ops->registers) {
        rc = ops->registers(tee, image, &out->value[1], err);
        out->count += rc < 0 ? 0 : rc;
    }
    if (tee)
        ops->free(tee);
    return rc < 0 ? rc : 0;
}

int measured_guest(struct measured *out, const struct tee_ops *ops, const struct guest_spec *spec,
                   const char *cpu_model, struct cofre_err *err)
{
    struct guest guest = {0};
    int rc = guest_load(&guest, spec, ops, err);
    if (rc == 0)
        rc = measure(out, ops, &guest.image, cpu_model, err);
    guest_free(&guest);
    return rc;
}

static void add_member(json_t *object, const struct tee_measurement *m)
{
    char key[32], hex[2 * sizeof m->value + 1];
    size_t i;
    for (i = 0; m->name[i] && i < sizeof key - 1; i++)
        key[i] = m->name[i] == ' ' ? '_' : (char)tolower((unsigned char)m->name[i]);
    key[i] = '\0';
    hex_encode(hex, m->value, sizeof m->value);
    json_object_set_new(object, key, json_string(hex));
}

void measured_json(json_t *object, const struct measured *measured)
{
    for (int i = 0; i < measured->count; i++)
        add_member(object, &measured->value[i]);
}
