/* Of a part that is a program of its own: "--part NAME", as the supervisor says it, and nothing else. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "vmm/host/cofred/part.h"

int main(int argc, char **argv)
{
    if (argc != 3 || strcmp(argv[1], "--part") != 0) {
        (void)fputs("cofred: this is a part of cofred, which starts it\n", stderr);
        return COFRE_USAGE;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    part_run(argv[2]);
}
