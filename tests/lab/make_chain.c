/* Makes the emulated platform's chip and certificates in a directory, where they are missing, and writes the root's
 * path. So RSA keys are made once, by the machine outside and not by the lab's slow CPU. */
#include <stdio.h>

#include "sev/model/psp.h"

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_chain DIR\n");
        return COFRE_USAGE;
    }
    struct cofre_err err = {0};
    struct psp *psp;
    int rc = psp_open(&psp, argv[1], &(struct psp_options){0}, &err);
    if (rc) {
        fprintf(stderr, "make_chain: %s\n", err.text);
        return -rc;
    }
    psp_close(psp);
    printf("%s/ark.pem\n", argv[1]);
    return 0;
}
