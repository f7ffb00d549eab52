/* Errors: a function that can fail returns 0 or a negative enum cofre_error, and writes one sentence. */
#ifndef COFRE_BASE_ERROR_H
#define COFRE_BASE_ERROR_H

/* The values are the programs' exit codes, so that a failure deep inside ends the process with the right one.
 */
enum cofre_error {
    COFRE_NEGATIVE = 1,  /* the verdict, or a comparison that was asked for, is negative */
    COFRE_USAGE = 2,     /* wrong use of the command line or of a policy */
    COFRE_MALFORMED = 3, /* input that is not what it should be */
    COFRE_LACKING = 4,   /* the host lacks something; the sentence says what and how to get it */
    COFRE_FAILED = 5,    /* any other failure */
};

/* The sentence names the object and the reason, is one line without control characters, whoever's words it quotes, and is
 * always terminated. */
struct cofre_err {
    char text[1024];
};

/* Writes the sentence and returns -code. err may be NULL when the caller needs only the code. */
int cofre_fail(struct cofre_err *err, enum cofre_error code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the sentence that is already there, and returns rc: "return cofre_within(err, rc,
 * ...)". */
int cofre_within(struct cofre_err *err, int rc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
