/* Launches as entries of the record. */
#include <string.h>

#include "vmm/host/audit/about.h"

/* Texts that the caller may have from others. */
static void make_printable(char *text, size_t size)
{
    char copy[LOG_DETAIL_MAX + 1];
    (void)snprintf(copy, sizeof copy, "%.*s", (int)size - 1, text);
    log_entry_text(text, size, copy);
}

int audit_launch(struct audit_turn *turn, const struct log_entry *launch, int64_t *number,
                 struct cofre_err *err)
{
    struct log_entry e = *launch;
    int64_t unwanted;
    e.kind = LOG_ENTRY_LAUNCH;
    e.time = turn->now;
    make_printable(e.tee, sizeof e.tee);
    make_printable(e.object_name, sizeof e.object_name);
    make_printable(e.detail, sizeof e.detail);
    make_printable(e.request, sizeof e.request);
    make_printable(e.tenant, sizeof e.tenant);
    return audit_write(turn, &e, number ? number : &unwanted, err);
}

/* Of null or nothing: there is none. */
static bool read_measurement(uint8_t *out, const json_t *value)
{
    const char *text = json_string_value(value);
    if (!value || json_is_null(value))
        return true;
    if (!text || strlen(text) != 2 * LOG_MEASUREMENT_SIZE)
        return false;
    return hex_decode(out, LOG_MEASUREMENT_SIZE, text);
}

static bool read_into(struct log_measurement *out, const json_t *value)
{
    *out = (struct log_measurement){.len = json_is_string(value) ? LOG_MEASUREMENT_SIZE : 0};
    return read_measurement(out->data, value);
}

/* Those that are predicted, and zeros for the rest; or none. */
static bool read_registers(struct log_registers *out, const json_t *registers)
{
    *out = (struct log_registers){0};
    if (!json_object_size(registers))
        return true;
    for (size_t i = 0; i < LOG_REGISTERS_SIZE / LOG_MEASUREMENT_SIZE; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "RTMR%zu", i);
        if (!read_measurement(out->data + i * LOG_MEASUREMENT_SIZE, json_object_get(registers, name)))
            return false;
    }
    out->len = LOG_REGISTERS_SIZE;
    return true;
}

static bool differ(const struct log_measurement *a, const struct log_measurement *b)
{
    return a->len && b->len && memcmp(a, b, sizeof *a) != 0;
}

int audit_launch_result(struct log_entry *launch, const json_t *result, struct cofre_err *err)
{
    const char *tee = json_string_value(json_object_get(result, "tee"));
    const json_t *measurement = json_object_get(result, "measurement");
    if (!tee || strlen(tee) > LOG_TEE_MAX || !json_is_boolean(json_object_get(result, "emulated")) ||
        !read_into(&launch->predicted, json_object_get(measurement, "predicted")) ||
        !read_into(&launch->reported, json_object_get(measurement, "given")) ||
        !read_registers(&launch->predicted_registers, json_object_get(result, "registers")))
        return cofre_fail(err, COFRE_MALFORMED, "what the guest's program printed is no result of a launch");
    strcpy(launch->tee, tee);
    launch->emulated = json_is_true(json_object_get(result, "emulated"));
    if (differ(&launch->predicted, &launch->reported) || differ(&launch->expected, &launch->reported))
        launch->outcome = LOG_LAUNCH_STOPPED;
    return 0;
}
