# For lab tests (busybox sh): . /lab/lib.sh
# A test runs in a folder of its own, $OUT, which is copied out; /lab/vmlinuz and /lab/guest.cpio are the stock guest.

fail() { echo "FAIL: $*"; exit 1; }
skip() { echo "$*"; exit 77; }

# expect FILE PATTERN: the file has a line with the extended pattern.
expect() { tr -d '\r' <"$1" | grep -qE -- "$2" || fail "$1 has no line with: $2"; }
refuse() { ! tr -d '\r' <"$1" | grep -qE -- "$2" || fail "$1 has a line with: $2"; }

# at_once FUNCTION WORD...: the function with each of the words, at the same time: the lab has two CPUs for tests.
at_once() {
    local what=$1 word all='' one
    shift
    for word in "$@"; do
        ("$what" "$word") &
        all="$all $!"
    done
    for one in $all; do
        wait "$one" || exit 1
    done
}

# guest NAME OPTION...: cofre run with the stock guest; leaves NAME.console, NAME.json (the result) and NAME.log (its
# progress), and gives its exit code. A --cmdline among the options replaces the one here.
guest() {
    local name=$1
    shift
    cofre run --kernel /lab/vmlinuz --initrd /lab/guest.cpio --cmdline "console=hvc0 quiet" --name "$name" \
        --console "$name.console" --json "$@" >"$name.json" 2>"$name.log"
}
snp() {
    local name=$1
    shift
    guest "$name" --tee snp --emulated "$@"
}
tdx() {
    local name=$1
    shift
    guest "$name" --tee tdx --emulated "$@"
}

# member FILE NAME: the text of a member of a JSON object, wherever it stands.
member() { sed -n "s/.*\"$2\": *\"\([^\"]*\)\".*/\1/p" "$1" | head -n 1; }

# booted NAME TEE CPUS: the guest of that name came up whole and ended well, as it was predicted to be.
booted() {
    local features predicted given
    case $2 in
    snp) features='AMD SEV SEV-ES SEV-SNP' ;;
    tdx) features='Intel TDX' ;;
    esac
    expect "$1.console" "guest: Memory Encryption Features active: $features\$"
    expect "$1.console" "guest: cpus online $3\$"
    expect "$1.console" 'guest: done'
    predicted=$(member "$1.json" predicted)
    given=$(member "$1.json" given)
    [ ${#predicted} = 96 ] || fail "no predicted measurement in $1.json"
    [ "$predicted" = "$given" ] || fail "predicted $predicted, given $given"
}

serving_cmdline="console=hvc0 quiet cofre.serve"
# serving_digest TEE OPTION...: what serving NAME TEE OPTION... will measure.
serving_digest() {
    local tee=$1
    shift
    cofre measure --tee "$tee" --kernel /lab/vmlinuz --initrd /lab/guest.cpio --cmdline "$serving_cmdline" --memory 512M "$@"
}
# serving NAME TEE OPTION...: a guest in the background whose agent is ready; stop NAME ends it.
serving() {
    local name=$1 tee=$2 emulated=--emulated
    shift 2
    [ "$tee" != none ] || emulated=
    cofre run --tee "$tee" $emulated --kernel /lab/vmlinuz --initrd /lab/guest.cpio \
        --cmdline "$serving_cmdline" --memory 512M --vsock-cid 42 --name "$name" \
        --console "$name.console" --json "$@" >"$name.json" 2>"$name.log" &
    serving_pid=$!
    await "$name" '^cofre-agent: ready'
}
# await NAME PATTERN: such a guest has said that on its console.
await() {
    until grep -qs "$2" "$1.console"; do
        kill -0 $serving_pid 2>/dev/null || fail "$1 ended before it said $2: $(tail -n 1 "$1.log")"
        usleep 100000
    done
}
stop() {
    kill -TERM $serving_pid
    wait $serving_pid || fail "$1 did not stop well: exit $?"
}

# guest_of PID: the process of a cofre run that is not its door.
guest_of() {
    local child
    # shellcheck disable=SC2013 # words
    for child in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do
        [ "$(cat "/proc/$child/comm" 2>/dev/null)" = door ] || echo "$child"
    done
}

# serve MIB: a web server on all addresses, port 8000, with data of that size, a multiple of 8, and its digest in
# data.sha256. (Numbered copies of 8 random MiB: the lab's CPU makes 4 MiB of random bytes a second.)
serve() {
    local i=0
    mkdir -p /tmp/served
    head -c 8388600 /dev/urandom >/tmp/random
    while [ $i -lt $(($1 / 8)) ]; do
        i=$((i + 1))
        printf '%07d\n' $i
        cat /tmp/random
    done >/tmp/served/data
    openssl sha256 -r /tmp/served/data | cut -d ' ' -f 1 >data.sha256
    httpd -p 8000 -h /tmp/served
}
# tap NAME ADDRESS/N [multi_queue]: a tap interface of the test's own network. (busybox has an ip of its own.)
tap() {
    /usr/sbin/ip tuntap add dev "$1" mode tap ${3:+"$3"} || fail "no tap interface $1"
    ip addr add "$2" dev "$1"
    ip link set "$1" up
}
# net_cmdline WORDS...: a command line for the guest on /lab/net.img.
net_cmdline() { echo "console=hvc0 quiet net.get=http://$*"; }
# fetched NAME: the guest of that name downloaded what is served, byte for byte.
fetched() {
    expect "$1.console" "net: got $(cat data.sha256)\$"
}
