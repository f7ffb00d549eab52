/* One figure, as a JSON line that tests/bench/table takes. */
#ifndef COFRE_TESTS_BENCH_ROW_H
#define COFRE_TESTS_BENCH_ROW_H

#include <jansson.h>

#include "tests/bench/bench.h"

struct bench_row {
    const char *figure, *of, *unit;
    double value;
    const char *beside; /* NULL: nothing */
    double beside_value;
    const char *aim_of, *aim_kind; /* "value" or "ratio", "at_most" or "at_least"; NULL: no aim */
    double aim;
};

static inline void bench_row_print(const struct bench_row *r)
{
    json_t *row = json_pack("{s:s, s:s, s:f, s:s}", "figure", r->figure, "of", r->of, "value", r->value,
                            "unit", r->unit);
    if (r->beside)
        json_object_update_new(row,
                               json_pack("{s:s, s:f}", "beside", r->beside, "beside_value", r->beside_value));
    if (r->aim_of)
        json_object_set_new(row, "aim", json_pack("{s:s, s:f}", "of", r->aim_of, r->aim_kind, r->aim));
    BENCH_CHECK(row && json_dumpf(row, stdout, JSON_REAL_PRECISION(9)) == 0);
    putchar('\n');
    json_decref(row);
}

#endif
