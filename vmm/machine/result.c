#include "vmm/machine/result.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static json_t *hex_or_null(bool there, const struct tee_measurement *m)
{
    char text[2 * sizeof m->value + 1];
    hex_encode(text, m->value, sizeof m->value);
    return there ? json_string(text) : json_null();
}

static json_t *measurement(const struct run_result *r)
{
    if (!r->predicted)
        return json_null();
    return json_pack("{s:s, s:o, s:o}", "name", r->prediction.name, "predicted",
                     hex_or_null(r->predicted, &r->prediction), "given",
                     hex_or_null(r->given, &r->measurement));
}

static json_t *registers(const struct run_result *r)
{
    json_t *object = json_object();
    for (unsigned i = 0; i < r->registers; i++)
        json_object_set_new(object, r->predicted_register[i].name,
                            hex_or_null(true, &r->predicted_register[i]));
    return object;
}

static json_t *phases(const struct run_result *r)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < PHASES; i++)
        if (r->phases.seconds[i] > 0)
            json_array_append_new(
                array, json_pack("{s:s, s:f}", "name", phase_name(i), "seconds", r->phases.seconds[i]));
    return array;
}

int run_result_launched(const struct run_result *r, int fd, struct cofre_err *err)
{
    json_t *object = json_pack("{s:i, s:s, s:b, s:s?, s:o, s:o, s:s?}", "launch", (int)r->launches, "tee",
                               r->tee ? r->tee->name : "none", "emulated", r->emulated, "name", r->name,
                               "measurement", measurement(r), "registers", registers(r), "jail_missing",
                               r->jail_missing[0] ? r->jail_missing : NULL);
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL, *line = NULL;
    int length = text ? asprintf(&line, "%s\n", text) : -1; /* in one call: a reader sees whole lines */
    bool written = length > 0 && write(fd, line, (size_t)length) == length;
    json_decref(object);
    free(text);
    free(line);
    return written ? 0 : cofre_fail(err, COFRE_FAILED, "--launches: a launch could not be written down");
}

int run_result_print(const struct run_result *r, struct cofre_err *err)
{
    bool started = r->end.how != MACHINE_RUNNING;
    json_t *object =
        json_pack("{s:s, s:b, s:s?, s:o, s:o, s:o, s:i, s:i, s:i, s:s?, s:s, s:s?, s:i}", "tee",
                  r->tee ? r->tee->name : "none", "emulated", r->emulated, "name", r->name, "measurement",
                  measurement(r), "registers", registers(r), "phases", phases(r), "launches",
                  (int)r->launches, "panicked", (int)r->panicked, "watchdog_expired",
                  (int)r->watchdog_expired, "jail_missing", r->jail_missing[0] ? r->jail_missing : NULL,
                  "ended", started ? machine_ending_name(r->end.how) : "not-started", "why",
                  r->end.why.text[0] ? r->end.why.text : NULL, "exit_code", r->end.code);
    int failed = !object || json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) < 0 ||
                 fputc('\n', stdout) == EOF || fflush(stdout) == EOF;
    json_decref(object);
    return failed ? cofre_fail(err, COFRE_FAILED, "the result could not be written to standard output") : 0;
}
