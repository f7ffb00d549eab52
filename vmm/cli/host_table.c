#include "vmm/cli/host_table.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#define CELL_MAX 96
#define DIGITS   19 /* of a digest: "sha256:" and 12 digits, by which people know it again */

static const json_t *member_of(const json_t *object, const char *path)
{
    char part[64];
    for (const char *dot; object && (dot = strchr(path, '.')); path = dot + 1) {
        (void)snprintf(part, sizeof part, "%.*s", (int)(dot - path), path);
        object = json_object_get(object, part);
    }
    return json_object_get(object, path);
}

/* In the largest unit that leaves it whole, as options take it. */
static void put_size(char out[static CELL_MAX], uint64_t size)
{
    static const char units[] = "KMG";
    int unit = -1;
    while (size && size % 1024 == 0 && unit < 2) {
        size /= 1024;
        unit++;
    }
    (void)snprintf(out, CELL_MAX, unit < 0 ? "%" PRIu64 : "%" PRIu64 "%c", size, unit < 0 ? 0 : units[unit]);
}

static void put_list(char out[static CELL_MAX], const json_t *list)
{
    size_t at = 0, i;
    const json_t *one;
    json_array_foreach(list, i, one)
    {
        int n = snprintf(out + at, CELL_MAX - at, "%s%s", at ? "," : "", json_string_value(one));
        if (n < 0 || at + (size_t)n >= CELL_MAX)
            return;
        at += (size_t)n;
    }
}

/* What the service sends is shown as text, and nothing of it is taken by the terminal for its own. */
static void printable(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

static void cell(char out[static CELL_MAX], const json_t *object, const struct host_column *column)
{
    const json_t *v = member_of(object, column->member);
    (void)snprintf(out, CELL_MAX, "-");
    if (json_is_integer(v) && column->value == HOST_SIZE)
        put_size(out, (uint64_t)json_integer_value(v));
    else if (json_is_integer(v))
        (void)snprintf(out, CELL_MAX, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_boolean(v))
        (void)snprintf(out, CELL_MAX, "%s", json_is_true(v) ? "yes" : "no");
    else if (json_is_string(v) && *json_string_value(v))
        (void)snprintf(out, CELL_MAX, "%.*s", column->value == HOST_DIGEST ? DIGITS : CELL_MAX - 1,
                       json_string_value(v));
    else if (json_is_array(v) && json_array_size(v))
        put_list(out, v);
    printable(out);
}

static size_t width_of(const json_t *list, const struct host_column *column)
{
    size_t width = strlen(column->title), i;
    const json_t *one;
    char text[CELL_MAX];
    json_array_foreach(list, i, one)
    {
        cell(text, one, column);
        width = strlen(text) > width ? strlen(text) : width;
    }
    return width;
}

static void line(FILE *to, const json_t *object, const struct host_column *column, const size_t *width)
{
    for (size_t i = 0; i < HOST_COLUMNS_MAX && column[i].title; i++) {
        char text[CELL_MAX];
        const bool last = i + 1 == HOST_COLUMNS_MAX || !column[i + 1].title;
        const bool right = column[i].value == HOST_NUMBER || column[i].value == HOST_SIZE;
        (void)snprintf(text, sizeof text, "%s", column[i].title);
        if (object)
            cell(text, object, &column[i]);
        fprintf(to, "%s%*s", i ? "  " : "", right ? (int)width[i] : last ? 0 : -(int)width[i], text);
    }
    fputc('\n', to);
}

void host_table(FILE *to, const json_t *list, const struct host_column *column)
{
    size_t width[HOST_COLUMNS_MAX] = {0}, i;
    const json_t *one;
    for (size_t c = 0; c < HOST_COLUMNS_MAX && column[c].title; c++)
        width[c] = width_of(list, &column[c]);
    line(to, NULL, column, width);
    json_array_foreach(list, i, one) line(to, one, column, width);
}
