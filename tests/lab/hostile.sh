# For the tests with a guest that is a hostile driver (busybox sh): . /lab/hostile.sh
. /lab/lib.sh
seed=${SEED:-1}
echo "SEED=$seed"
DESCRIPTORS_MORE=32 # that a guest's process may come to have: an eventfd for each queue that another serves

# wire N: a tap interface of the Nth guest, whose card has the address 02:00:00:00:00:0N.
wire() {
    tap "tap$1" "10.$1.0.1/24"
    /usr/sbin/ip neigh add "10.$1.0.2" lladdr "02:00:00:00:00:0$1" dev "tap$1"
}

# held_while_running NAME PID: how many descriptors the guest's process has, when the guest starts and at most.
held_while_running() {
    local process now
    first='' most=0
    while kill -0 "$2" 2>/dev/null; do
        process=$(guest_of "$2")
        if grep -qs 'Linux entered' "$1.log" && [ -d "/proc/${process:-none}/fd" ]; then
            now=$(find "/proc/$process/fd" -mindepth 1 2>/dev/null | wc -l)
            first=${first:-$now}
            [ "$now" -le $most ] || most=$now
        fi
        usleep 200000
    done
}

# hostile NAME LETTERS FAULTS OPTION...: that guest, and what must hold of any. Letters: tests/lab/hostile/main.c.
hostile() {
    local name=$1 letters=$2 faults=$3 vmm first most
    shift 3
    cofre run --kernel /lab/hostile.bzimage --memory 128M --cmdline "hostile=$letters,$seed,$faults" --name "$name" \
        --console "$name.console" --json "$@" >"$name.json" 2>"$name.log" &
    vmm=$!
    held_while_running "$name" $vmm
    wait $vmm || fail "$name: cofre run: exit $?: $(tail -n 1 "$name.log")"
    grep -a '^hostile: ' "$name.console" | sed "s/^hostile/$name/"
    refuse "$name.console" 'hostile: WRONG' # neither dead nor right
    expect "$name.console" 'hostile: done'
    expect "$name.json" '"ended": "power-off"'
    echo "$name: descriptors: $first at the start, $most at most"
    [ -n "$first" ] && [ "$most" -le $((first + DESCRIPTORS_MORE)) ] || fail "$name: $first descriptors have become $most"
}

# nobody_left NAME...: of these guests, or of what served them.
nobody_left() {
    local pid comm name
    for pid in $(cat "/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/cgroup.procs"); do
        comm=$(cat "/proc/$pid/comm" 2>/dev/null)
        case $comm in
        cofre* | door | virtiofsd | qemu-storage-da) fail "a process is left: $comm, $(tr '\0' ' ' <"/proc/$pid/cmdline")" ;;
        esac
    done
    for name; do
        [ ! -e "/run/cofre/$name" ] || fail "$name: left $(ls -d "/run/cofre/$name"/*)"
    done
}
