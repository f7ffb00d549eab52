/*
 * The process that parsers are forked from: jailed before it has seen anything from outside, and it never sees more than sockets. One
 * parser is always there in advance, in its jail, and waits for a connection: what a process costs is paid while nobody waits for
 * it. It takes one connection, and has no way to another from then on.
 */
#ifndef COFRE_HOST_FRONT_ZYGOTE_H
#define COFRE_HOST_FRONT_ZYGOTE_H

#include "vmm/base/error.h"
#include "vmm/host/front/parser.h"

/* What comes through gate (SOCK_SEQPACKET) for each connection, and the waiting parser takes: one byte, with the parser's ends of the connection and of its pair to
 * the decider. */
#define ZYGOTE_ENDS 2

/* Serves until the gate is gone, which is 0. Everything that this process has open beside 0 to 2 and gate is closed. */
int zygote_run(int gate, const struct parser_limits *limits, struct cofre_err *err);

#endif
