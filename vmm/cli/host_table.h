/* Tables for people: a list of objects, a line each, columns as wide as what is in them. */
#ifndef COFRE_CLI_HOST_TABLE_H
#define COFRE_CLI_HOST_TABLE_H

#include <jansson.h>
#include <stdio.h>

enum host_value { HOST_TEXT, HOST_NUMBER, HOST_SIZE, HOST_LIST, HOST_DIGEST };

#define HOST_COLUMNS_MAX 8

struct host_column {
    const char *title;
    const char *member; /* "limits.memory": one within another */
    enum host_value value;
};

/* columns end with one without a title. */
void host_table(FILE *to, const json_t *list, const struct host_column *column);

#endif
