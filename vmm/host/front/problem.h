/* Problem details (RFC 9457), as all of Cofre's services give them. */
#ifndef COFRE_HOST_FRONT_PROBLEM_H
#define COFRE_HOST_FRONT_PROBLEM_H

#define PROBLEM_TYPE "application/problem+json"

/* JSON text, free() it; NULL: no memory. A sentence that is not UTF-8 is left out. */
char *problem_text(int status, const char *code, const char *sentence);

#endif
