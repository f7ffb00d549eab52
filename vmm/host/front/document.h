/* The interface's OpenAPI 3.1 document, made from the table of operations. */
#ifndef COFRE_HOST_FRONT_DOCUMENT_H
#define COFRE_HOST_FRONT_DOCUMENT_H

/* JSON text, free() it; NULL: no memory. */
char *document_text(void);

#endif
