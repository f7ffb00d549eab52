/* What the launch of one of Cofre's guests will measure. */
#ifndef COFRE_CLI_MEASURED_H
#define COFRE_CLI_MEASURED_H

#include <jansson.h>

#include "vmm/machine/guest.h"
#include "vmm/machine/tee.h"

/* The launch's own measurement, and the run-time registers that the TEE has. */
struct measured {
    struct tee_measurement value[1 + TEE_REGISTERS_MAX];
    int count;
};

/* cpu_model is that option's value, or NULL. By the image and the prediction that `cofre run` goes through. */
int measured_guest(struct measured *out, const struct tee_ops *ops, const struct guest_spec *spec,
                   const char *cpu_model, struct cofre_err *err);

/* A member for each: "launch digest" is launch_digest, "RTMR0" is rtmr0. */
void measured_json(json_t *object, const struct measured *measured);

#endif
