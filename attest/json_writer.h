/* Text of JSON, without white space, by yajl: it takes a quarter of the time that jansson takes. What cannot be written makes the whole bad, so
 * who puts members need not ask after each. Texts are UTF-8, or should be. */
#ifndef COFRE_ATTEST_JSON_WRITER_H
#define COFRE_ATTEST_JSON_WRITER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct yajl_gen_t;
struct json_writer {
    struct yajl_gen_t *gen;
    bool bad;
};
#define CLEAN_WRITER __attribute__((cleanup(writer_free))) struct json_writer

/* Bad without memory: nothing is to be put then. */
struct json_writer writer_new(void);
void writer_free(struct json_writer *w);

void writer_open_object(struct json_writer *w);
void writer_close_object(struct json_writer *w);
void writer_open_list(struct json_writer *w);
void writer_close_list(struct json_writer *w);

/* A member's name, or an item. */
void writer_text(struct json_writer *w, const char *text);
/* Members; NULL is null, but of a value it makes the whole bad. */
void writer_pair(struct json_writer *w, const char *name, const char *text);
void writer_number(struct json_writer *w, const char *name, int64_t number);
void writer_truth(struct json_writer *w, const char *name, bool truth);
void writer_value(struct json_writer *w, const char *name, const json_t *value);

/* All of it, once it is whole; the caller frees it. NULL where a text was no UTF-8, or without memory. */
char *writer_take(const struct json_writer *w);

#endif
