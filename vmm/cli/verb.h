/* The verbs of cofre-tool: one file, one entry in the table of tool.c and one in that of main.c, where its summary is. */
#ifndef COFRE_CLI_VERB_H
#define COFRE_CLI_VERB_H

/* argv[0] is the verb. Each returns the exit code (enum cofre_error, or 0). */
int verb_measure(int argc, char **argv);
int verb_verify(int argc, char **argv);
int verb_inspect(int argc, char **argv);
int verb_attest(int argc, char **argv);
int verb_connect(int argc, char **argv);
int verb_doctor(int argc, char **argv);
int verb_emulate(int argc, char **argv);
int verb_emulated_root(int argc, char **argv);
int verb_id_block(int argc, char **argv);
int verb_image(int argc, char **argv);
int verb_collateral(int argc, char **argv);
int verb_keys(int argc, char **argv);
int verb_log(int argc, char **argv);
int verb_audit(int argc, char **argv);
int verb_policy(int argc, char **argv);
int verb_quote(int argc, char **argv);
/* guest, tenant, role, grant, constraint, approval, host, and what cofre image has of them: argv[0] says which. */
int verb_host(int argc, char **argv);

#endif
