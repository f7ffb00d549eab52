/* Between the files of this room. */
#ifndef COFRE_HOST_PAGE_PARTS_H
#define COFRE_HOST_PAGE_PARTS_H

#include <stdio.h>

#include "attest/log/entry.h"
#include "attest/log/head.h"
#include "attest/log/proof.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/host/page/page.h"

/* html.c: what goes into HTML. Nothing but printable ASCII leaves as it came; all else is seen as bytes, so that no name looks like
 * another's and none turns the line around. */
void html_text(FILE *to, const char *text);
void html_url(FILE *to, const char *text); /* a value in a query; for an attribute */
void html_time(FILE *to, int64_t time);
void html_hex(FILE *to, const void *data, size_t len); /* in groups, so that it wraps */

/* What was asked, and what came. */
enum page_question { ASK_SESSION, ASK_TENANTS, ASK_FIRST, ASK_SECOND, ASK_THIRD, PAGE_QUESTIONS };
struct page_answer {
    bool asked;
    int status; /* 0: none yet */
    json_t *json;
    char text[1024]; /* why not */
};

struct page {
    const struct page_kind *kind;
    json_t *query;
    char *token;
    uint64_t number; /* of /audit/entries/N */
    enum page_question next;
    struct page_answer answer[PAGE_QUESTIONS];
    char tenant[SCHEMA_NAME_MAX + 1]; /* whose; "": the host's, and all */
};

struct page_kind {
    const char *path, *title;
    const char *const *parameters; /* ended by NULL; tenant is one of all */
    /* ASK_FIRST and what follows: false where it is not asked. Operation and query are set by it. */
    bool (*ask)(const struct page *page, enum page_question question, struct message_request *out);
    void (*write)(FILE *to, const struct page *page);
    bool of_tenant; /* there is none of the host: without a name it is of the first tenant */
};
extern const struct page_kind page_overview, page_guests, page_launches, page_operations, page_health,
    page_entry;

const char *page_parameter(const struct page *page, const char *name); /* NULL: it is not there */
/* Whether some role lets the reader do it on the host, as far as the session says; cofred decides. */
bool page_may_on_host(const struct page *page, const char *operation);
/* The question's operation, with an empty query where it has one. */
void page_about(struct message_request *out, enum operation_number operation);
void page_put(struct message_request *out, const char *name, const char *text);
/* What was asked and is not there: its reason is written. */
bool page_has(FILE *to, const struct page *page, enum page_question question);

/* frame.c: all around. */
void frame_begin(FILE *to, const struct page *page, const char *title);
void frame_end(FILE *to);
/* A link to a page of the same tenant, and as the page's own parameters have it, but for one. */
void frame_link(FILE *to, const struct page *page, const char *name, const char *value, const char *text);
/* A labelled choice of the tenants that the reader may see. */
void frame_tenants(FILE *to, const struct page *page);
void frame_input(FILE *to, const struct page *page, const char *type, const char *name, const char *label);

/* health.c: what a head of audit.head says, read and not verified: the page's word. */
bool health_head(struct log_head *out, const json_t *shown);
void health_path(struct log_path *out, const json_t *path);

/* row.c: an entry of the log, from its bytes, as audit.entries has it. */
struct row {
    uint64_t number;
    bool removed, unknown; /* its hash is left; its bytes are no entry that is known here */
    struct log_hash leaf;  /* of its bytes, or what is left of it */
    struct log_entry e;
};
bool row_read(struct row *out, const json_t *shown);
bool row_differs(const struct log_entry *e);
const char *row_outcome(const struct log_entry *e);
void row_launches(FILE *to, const struct page *page, const json_t *entries, const char *caption);
void row_operations(FILE *to, const struct page *page, const json_t *entries, const char *caption);
void row_measurement(FILE *to, const struct log_measurement *m, const struct log_measurement *other);
void row_link(FILE *to, const struct page *page, uint64_t number);

#endif
