/* cofre audit: rows as lines for people, and as CSV for programs. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "attest/verdict.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/cli/audit.h"

#define COLUMN_MAX 48 /* characters of a column for people */

/* text: in the table for people; else in CSV alone. */
static const struct column {
    const char *member;
    bool text;
} columns[] = {
    {"number", true},
    {"time", true},
    {"entry", true},
    {"tenant", true},
    {"guest", true},
    {"name", true},
    {"actor", true},
    {"operation", true},
    {"action", true},
    {"object", true},
    {"outcome", true},
    {"tee", true},
    {"emulated", false},
    {"differs", true},
    {"listed", true},
    {"reported", true},
    {"predicted", false},
    {"expected", false},
    {"predicted_registers", false},
    {"reported_registers", false},
    {"kernel", false},
    {"initrd", false},
    {"cmdline", false},
    {"firmware", false},
    {"id_block", false},
    {"policy", false},
    {"host_data", false},
    {"evidence", false},
    {"identity", false},
    {"from", false},
    {"before", false},
    {"after", false},
    {"digest", false},
    {"count", true},
    {"request", false},
    {"detail", true},
};
#define COLUMNS (sizeof columns / sizeof *columns)

/* The member as text: "" where it is not there. The caller frees it. */
static char *cell(const json_t *row, const char *member)
{
    const json_t *value = json_object_get(row, member);
    char number[24];
    if (json_is_string(value))
        return strdup(json_string_value(value));
    if (json_is_boolean(value))
        return strdup(json_is_true(value) ? "yes" : "no");
    (void)snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return strdup(json_is_integer(value) ? number : "");
}

/* RFC 4180. A text that a spreadsheet would compute gets a "'" in front: its writer may be anybody. */
static void put_csv(const char *text, FILE *out)
{
    const bool formula = *text && strchr("=+-@\t\r", *text);
    if (!formula && !strpbrk(text, ",\"\r\n")) {
        fputs(text, out);
        return;
    }
    fputs(formula ? "\"'" : "\"", out);
    for (; *text; text++) {
        if (*text == '"')
            putc('"', out);
        putc(*text, out);
    }
    putc('"', out);
}

void audit_print_csv(const json_t *result, FILE *out)
{
    const json_t *row;
    size_t n;
    for (size_t i = 0; i < COLUMNS; i++)
        fprintf(out, "%s%s", columns[i].member, i + 1 < COLUMNS ? "," : "\r\n");
    json_array_foreach (json_object_get(result, "entries"), n, row)
        for (size_t i = 0; i < COLUMNS; i++) {
            CLEAN_FREE char *text = cell(row, columns[i].member);
            put_csv(text ? text : "", out);
            fputs(i + 1 < COLUMNS ? "," : "\r\n", out);
        }
}

static size_t width_of(const json_t *rows, const char *member)
{
    const json_t *row;
    size_t n, width = 0;
    json_array_foreach (rows, n, row) {
        CLEAN_FREE char *text = cell(row, member);
        const size_t len = text ? strlen(text) : 0;
        width = len > width ? len : width;
    }
    if (width && width < strlen(member))
        width = strlen(member);
    return width < COLUMN_MAX ? width : COLUMN_MAX;
}

/* The last column of a line has no end. */
static void print_row(const json_t *row, const size_t width[COLUMNS], FILE *out)
{
    size_t last = 0;
    for (size_t i = 0; i < COLUMNS; i++)
        last = width[i] ? i : last;
    for (size_t i = 0; i < COLUMNS; i++) {
        if (!width[i])
            continue;
        CLEAN_FREE char *text = row ? cell(row, columns[i].member) : strdup(columns[i].member);
        const bool cut = i != last && text && strlen(text) > width[i];
        if (i == last)
            fprintf(out, "%s\n", text ? text : "");
        else if (cut)
            fprintf(out, "%.*s...  ", (int)width[i] - 3, text);
        else
            fprintf(out, "%-*s  ", (int)width[i], text ? text : "");
    }
}

void audit_print_table(const json_t *result, FILE *out)
{
    const json_t *rows = json_object_get(result, "entries"), *row;
    size_t width[COLUMNS] = {0}, n;
    CLEAN_JSON *rest = json_copy((json_t *)result);
    if (json_is_array(rows)) {
        for (size_t i = 0; i < COLUMNS; i++)
            width[i] = columns[i].text ? width_of(rows, columns[i].member) : 0;
        if (json_array_size(rows))
            print_row(NULL, width, out);
        json_array_foreach (rows, n, row)
            print_row(row, width, out);
        fprintf(out, "%s%zu entries\n", json_array_size(rows) ? "\n" : "", json_array_size(rows));
        json_object_del(rest, "entries");
    }
    claims_print(rest, out);
}
