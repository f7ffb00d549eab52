/* One verb of `cofre`: one file, one entry in the table of main.c. */
#ifndef COFRE_CLI_VERB_H
#define COFRE_CLI_VERB_H

struct verb {
    const char *name;
    const char *summary; /* one line, for `cofre --help` */
    /* argv[0] is the verb. Returns the exit code (enum cofre_error, or 0). */
    int (*run)(int argc, char **argv);
};

int verb_measure(int argc, char **argv);
int verb_verify(int argc, char **argv);
int verb_inspect(int argc, char **argv);
int verb_attest(int argc, char **argv);
int verb_connect(int argc, char **argv);
int verb_doctor(int argc, char **argv);
int verb_emulated_root(int argc, char **argv);
int verb_id_block(int argc, char **argv);
int verb_image(int argc, char **argv);
int verb_collateral(int argc, char **argv);
int verb_keys(int argc, char **argv);
int verb_log(int argc, char **argv);
int verb_policy(int argc, char **argv);

#endif
