/*
 * The page for auditors, /audit and what is below it: HTML that a parser makes of operations' answers. It asks what its reader could
 * ask by the same connection, as him, one question after the other; so it adds no authority, and the decider knows nothing of
 * it. Everything that it shows is somebody else's text until it is escaped.
 */
#ifndef COFRE_HOST_PAGE_H
#define COFRE_HOST_PAGE_H

#include <jansson.h>

#include "vmm/host/interface/message.h"

/* What a browser may do with any of them: nothing but show it with the page's own style, and send its forms back. */
#define PAGE_POLICY                                                                                          \
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
#define PAGE_TYPE "text/html; charset=utf-8"

extern const char page_style[]; /* of PAGE_STYLE_PATH, text/css */
#define PAGE_STYLE_PATH "/audit/style.css"

/* Before a jail is put on: what OpenSSL reads, it reads now. */
int page_prepare(struct cofre_err *err);

bool page_is(const char *path); /* it is one of these, or would be below them */

struct page;

/* query: names and texts, without those that are empty; token: as it came, or NULL. Both are copied. -COFRE_NEGATIVE: there is no such page;
 * -COFRE_MALFORMED: a parameter is wrong. */
int page_new(struct page **out, const char *path, const json_t *query, const char *token,
             struct cofre_err *err);
void page_free(struct page *page);

/* The next thing to ask; *out is filled in but for its id. False: all is there. */
bool page_ask(struct page *page, struct message_request *out);
/* Its answer, of which the JSON is taken. */
void page_take(struct page *page, struct message_answer *answer);
/* Text that the caller frees, NULL: no memory; *status is HTTP's. */
char *page_text(const struct page *page, int *status);
/* A page that says why there is none. */
char *page_refusal(int status, const char *sentence);

#endif
