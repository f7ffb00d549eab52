# For the tests about what launches leave behind (busybox sh): . /lab/stress.sh
# Each family (cofre run, its processes and its back end) runs in a control group below the test's own, so that whoever is left
# of it is seen, whatever its name and parent. Random numbers come from one seed, which is said.
. /lab/lib.sh
groups=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
SECONDS_TO_END=60 # for a family that was hit, on a busy machine
SECONDS_TO_LET_GO=30 # for the kernel, of what nobody holds any more
# passt makes itself a root of its own, which no process can whose root is the kernel's first one (see net_passt).
[ -n "$moved" ] || {
    mkdir -p /tmp/root
    moved=yes exec unshare -m sh -c 'mount --rbind / /tmp/root && cd /tmp/root && mount --move . / && exec chroot . "$0"' "$0"
}
cd "$OUT" || fail "no $OUT"
grep -q ' /sys/kernel/debug ' /proc/mounts || mount -t debugfs debugfs /sys/kernel/debug || fail "no debugfs"
ip link add dummy0 type dummy
ip addr add 10.9.0.2/24 dev dummy0
ip link set dummy0 up
ip route add default via 10.9.0.1

seed=${SEED:-1}
echo "SEED=$seed"
# below N: a random number from 0 to N - 1, as $chosen (in no subshell, where the seed would stay behind).
below() {
    seed=$(((seed * 1103515245 + 12345) & 0x7fffffff))
    chosen=$((seed / 65536 % $1))
}
# one_of WORD...: a random one of them, as $chosen
one_of() {
    below $#
    shift $chosen
    chosen=$1
}
milliseconds() { awk '{ printf "%d\n", $1 * 1000 }' /proc/uptime; }

# What all this machine holds, a line each: NAME VALUE. Memory in KiB.
holdings() {
    echo 3 >/proc/sys/vm/drop_caches # what is a cache only
    echo 1 >/proc/sys/vm/stat_refresh # counts of single processors go into the sum
    sed -n 's/^\(AnonPages\|Shmem\|Slab\|KernelStack\|PageTables\|Percpu\|VmallocUsed\): *\([0-9]*\) kB/\1 \2/p' /proc/meminfo
    awk '{ print "files", $1 }' /proc/sys/fs/file-nr # open ones: of memfd, eventfd, io_uring, KVM and sockets too
    echo "locks $(wc -l </proc/locks)"
    echo "machines $(find /sys/kernel/debug/kvm -mindepth 1 -type d -name '*-*' | wc -l)"
    awk '$1 ~ /^(kvm|kvm_amd|cofre_ud|tun|vhost|vhost_net)$/ { print "uses-of-" $1, $3 }' /proc/modules
    echo "sockets $(grep -c . /proc/net/unix)"
    echo "mounts $(grep -c . /proc/self/mountinfo)"
    echo "interfaces $(grep -c : /proc/net/dev)"
    echo "shared $(find /dev/shm /run/cofre -mindepth 1 | wc -l)"
    # All but the kernel's workers, which come and go, and this shell with what it runs here.
    for stat in /proc/[0-9]*/stat; do
        sed 's/^[0-9]* (\(.*\)) . .*/\1/' "$stat" 2>/dev/null
    done | awk -v me="$(cat /proc/$$/comm)" '!/^(kworker|awk|sed)/ && $0 != me { n++ } END { print "processes", n }'
}

# How much more a line may have afterwards, after so many launches. Whatever is a count may not have grown at all.
#   Shmem        the logs here, which are deleted; a guest's memory is 128 MiB
#   AnonPages    this shell; a process of cofre run has some 10 MiB
#   KernelStack  nothing: 16 KiB a thread; PageTables, VmallocUsed: this shell's, and caches of stacks (two a processor)
#   Percpu       pages of 16 KiB (a page a processor), and control groups that the kernel has not let go; a machine has some 3 KiB of it
#   files        each processor may hold back a count of 32, so that a guest's own do not show; what 14 leave would
#   Slab         half of what a guest that runs has of it ($slab, see_one), for each launch; and 512 KiB for caches, which grow by
#                whole pages and are not always given back
allowed() {
    case $1 in
    Shmem) echo 128 ;;
    AnonPages) echo 512 ;;
    KernelStack) echo 64 ;;
    PageTables) echo 128 ;;
    Percpu) echo $((64 + $2)) ;;
    VmallocUsed) echo 256 ;;
    Slab) echo $((512 + slab * $2 / 2)) ;;
    files) echo 96 ;;
    *) echo 0 ;;
    esac
}
# left_nothing LAUNCHES: what is held now is what was held when the file "before" was written. The kernel takes back some of it
# later (RCU), so it is asked again for a while.
left_nothing() {
    local end=$(($(milliseconds) + SECONDS_TO_LET_GO * 1000)) grown=yes
    while [ -n "$grown" ] && [ "$(milliseconds)" -lt $end ]; do
        holdings >now
        grown=$(while read -r name value; do
            old=$(sed -n "s/^$name //p" before)
            [ "$value" -le $((old + $(allowed "$name" "$1"))) ] || echo "$name grew from $old to $value;"
        done <now)
        [ -z "$grown" ] || usleep 100000
    done
    [ -z "$grown" ] || show_left
    [ -z "$grown" ] || fail "after $1 launches: $grown"
    echo "before and after $1 launches:"
    while read -r name value; do echo "  $name $(sed -n "s/^$name //p" before) $value"; done <now
}
show_left() {
    ps -o pid,ppid,stat,args 2>/dev/null || ps
    cat /proc/locks
    find /dev/shm /run/cofre -mindepth 1
}

# family NAME KIND GUEST OPTION...: a launch in the background, as $family; back ends are of its group. Kinds: none, snp, tdx, and
# none with a back end: disk, passt. Guests: off, wait (both the payload), linux.
family() {
    local name=$1 kind=$2 guest=$3 tee=$2 group=$groups/$1
    shift 3
    mkdir -p "$group"
    truncate -s 1M "$name.img"
    case $kind in
    disk | passt) tee=none ;;
    esac
    [ "$tee" = none ] || set -- "$@" --emulated
    [ "$kind" != passt ] || set -- "$@" --net passt
    [ "$kind" != disk ] || {
        back_end "$name"
        set -- "$@" --vhost-user "block,socket=$PWD/$name.sock"
    }
    case $guest in
    linux) set -- "$@" --kernel /lab/vmlinuz --initrd /lab/guest.cpio --cmdline "$serving_cmdline" --memory 256M ;;
    *) set -- "$@" --kernel /lab/poweroff.bzimage --cmdline "$guest" --memory 128M ;;
    esac
    (
        echo 0 >"$group/cgroup.procs"
        exec cofre run --tee "$tee" --name "$name" --console none --vsock-cid 3 --disk "$name.img" --json "$@" >"$name.json" 2>"$name.log"
    ) &
    family=$!
}
back_end() {
    rm -f "$1.sock"
    (
        echo 0 >"$groups/$1/cgroup.procs"
        exec qemu-storage-daemon --blockdev "file,node-name=f,filename=$PWD/back.img" \
            --export "vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path=$PWD/$1.sock" >/dev/null 2>&1
    ) &
    until [ -S "$1.sock" ]; do
        kill -0 $! 2>/dev/null || fail "$1: its back end did not start"
        usleep 10000
    done
}

members() { cat "$groups/$1/cgroup.procs"; }
# gone NAME: nobody of that family is left; its back end is told to end, as whoever started it would.
gone() {
    local end=$(($(milliseconds) + SECONDS_TO_END * 1000)) pid
    while grep -q 'populated 1' "$groups/$1/cgroup.events"; do
        for pid in $(members "$1"); do
            [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != qemu-storage-da ] || [ "$(members "$1" | wc -l)" != 1 ] || kill "$pid"
        done
        [ "$(milliseconds)" -lt $end ] || {
            for pid in $(members "$1"); do echo "left: $pid $(tr '\0' ' ' <"/proc/$pid/cmdline"), $(sed -n 's/^State:\s*//p' "/proc/$pid/status")"; done
            fail "$1: a process is left"
        }
        usleep 20000
    done
    rmdir "$groups/$1"
}

# hit NAME PARENT WHOM SIGNAL DELAY GUEST: after so many milliseconds one process of the family gets the signal: the parent, or the nth of
# the others. A guest that then still waits is stopped by its parent.
hit() {
    local victim=$2 who=parent
    usleep $(($5 * 1000))
    if [ "$3" != parent ]; then
        victim=$(members "$1" | grep -vx "$2" | awk -v n="$3" '{ pid[NR] = $1 } END { if (NR) print pid[n % NR + 1] }')
        who=$(cat "/proc/$victim/comm" 2>/dev/null)
    fi
    [ -z "$victim" ] || kill -"$4" "$victim" 2>/dev/null
    echo "$1: $4 to ${who:-nobody} after $5 ms, at: $(tail -n 1 "$1.log" | cut -c 1-70)"
    [ "$6" = off ] || [ "$victim" = "$2" ] || kill -TERM "$2" 2>/dev/null
    (gone "$1") || return 1
    # A parent that is killed leaves its run directory to the next of its name.
    [ ! -e "/run/cofre/$1" ] || [ "$4 $victim" = "KILL $2" ] || fail "$1: left $(ls -d "/run/cofre/$1"/*)"
}

# calm NAME KIND: a launch that nobody disturbs, and its shutdown. $took has its milliseconds.
calm() {
    took=$(milliseconds)
    family "$1" "$2" off
    wait $family || fail "$1, $2: exit $?: $(tail -n 1 "$1.log")"
    took=$(($(milliseconds) - took))
    expect "$1.json" '"ended": "power-off"'
    (gone "$1") || exit 1
    [ ! -e "/run/cofre/$1" ] || fail "$1: left $(ls -d "/run/cofre/$1"/*)"
}
# warm_up KIND...: one launch of each, so that what is made once is made; its time is in took_KIND. Then "before" is written.
warm_up() {
    truncate -s 1M back.img
    for kind; do
        calm f1 "$kind"
        eval "took_$kind=$took"
        echo "$kind: $took ms"
    done
    holdings >before
    see_one
}
# What is looked at shows a guest that runs, so that it would show one that is left.
see_one() {
    rm f1.log # of the launch before: it would say that this one runs
    family f1 none wait
    until grep -qs 'Linux entered' f1.log; do
        kill -0 $family || fail "f1 ended: $(tail -n 1 f1.log)"
        usleep 50000
    done
    holdings >now
    kill -TERM $family
    echo "a guest that runs:"
    for name in AnonPages Shmem KernelStack locks machines uses-of-kvm_amd sockets shared processes; do
        more=$(($(sed -n "s/^$name //p" now) - $(sed -n "s/^$name //p" before)))
        echo "  $name +$more"
        [ $more -gt 0 ] || fail "a guest that runs is not seen in $name: $(cat now)"
    done
    slab=$(($(sed -n 's/^Slab //p' now) - $(sed -n 's/^Slab //p' before)))
    [ $slab -ge 64 ] || slab=64 # caches had room for it
    wait $family
    (gone f1) || exit 1
}
# storm FAMILIES KIND...: so many at once, of these kinds by turns, each hit at a random moment of its launch or life. Names are
# used again by the next storm, whose families so come after killed ones.
storm() {
    local count=$1 i=0 hits='' all='' kind guest whom signal hitter
    shift
    while [ $i -lt "$count" ]; do
        i=$((i + 1))
        kind=$1
        shift
        set -- "$@" "$kind"
        one_of off wait wait && guest=$chosen
        [ "$kind" != "${linux:-}" ] || guest=linux
        one_of parent parent 0 1 2 3 && whom=$chosen
        one_of KILL KILL TERM && signal=$chosen
        # Several at once are slower, and some live for a while.
        eval "below \$((took_$kind * (count * 3 + 4) / 4))"
        [ $guest != linux ] || below 15000
        family "f$i" "$kind" $guest
        all="$all $family"
        hit "f$i" $family $whom $signal $chosen $guest &
        hits="$hits $!"
    done
    for hitter in $hits; do
        wait "$hitter" || fail "see above"
    done
    # shellcheck disable=SC2086 # one word a process
    wait $all
    rm -f ./*.log ./*.json
}
# storm_with_linux KIND FAMILIES KIND...: the same, and guests of the first kind are Debian's Linux.
storm_with_linux() {
    linux=$1
    shift
    storm "$@"
    linux=
}
