#include "vmm/agent/help.h"

#include <stdio.h>

#include "vmm/base/error.h"

static const char help[] =
    "usage: cofre-agent [--port N]\n"
    "       cofre-agent --replay\n"
    "       cofre-agent channel --listen ADDRESS|--dial ADDRESS --to ADDRESS\n"
    "       cofre-agent result --from URL [--relay ADDRESS] --ca F --policy NAME [--token-file F] [--key F] "
    "[--out F]\n"
    "       cofre-agent key --from URL [--relay ADDRESS] --ca F --policy NAME --name KEY [--version N] "
    "[--token-file F] [--fd "
    "N]\n"
    "\n"
    "Answers requests for attestation evidence on vsock port N (4050 unless given) until it is\n"
    "ended by SIGTERM. It asks the kernel through configfs-tsm, or /dev/sev-guest where the\n"
    "kernel is older, and holds no secret. docs/agent.md has the protocol.\n"
    "\n"
    "  --port N          another vsock port\n"
    "  --replay          instead: whether this TDX guest's event log (CCEL) replays to its RTMRs;\n"
    "                    exit code 1 where it does not\n"
    "  --help            this text\n"
    "\n"
    "cofre-agent channel ends attested TLS in this guest (cofre connect is the other end).\n"
    "Addresses are like 192.0.2.1:4433, [::1]:4433, vsock:4433 to listen and vsock:2:4433 to dial.\n"
    "\n"
    "  --listen ADDRESS  takes connections there, each in a process of its own, until SIGTERM\n"
    "  --dial ADDRESS    instead: makes one, to a verifier who waits (cofre connect --listen)\n"
    "  --to ADDRESS      a service in this guest: what comes over a channel goes there\n"
    "\n"
    "cofre-agent result asks a cofre-trust for its result on this guest, over a connection to which\n"
    "the evidence is bound. Exit code 1 where the policy is not satisfied.\n"
    "\n"
    "  --from URL        the service, https://HOST[:PORT]\n"
    "  --relay ADDRESS   how it is reached, where not by the network: vsock:2:PORT\n"
    "  --ca F            who vouches for the service's certificate, PEM\n"
    "  --policy NAME     the service's policy that is to judge\n"
    "  --token-file F    a credential of the service's, where it wants one\n"
    "  --key F           the guest's key, PEM, which the result will name; made where there is no\n"
    "                    such file. Without it the key is gone with the connection\n"
    "  --out F           where the result (JWT) goes; default -, standard output\n"
    "\n"
    "cofre-agent key asks a cofre-trust for a key that is this guest's to have, on evidence that is made\n"
    "for it, and writes it to a descriptor: a pipe, or a file of a tmpfs, and no other file. The\n"
    "options above that it has mean the same.\n"
    "\n"
    "  --name KEY        the key\n"
    "  --version N       an older version of it; the current one unless given\n"
    "  --fd N            where its bytes go; default 1, standard output\n"
    "\n"
    "example: cofre-agent &\n";

int agent_help(bool asked_for)
{
    fputs(help, asked_for ? stdout : stderr);
    return asked_for ? 0 : COFRE_USAGE;
}
