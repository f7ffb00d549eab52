# For benchmarks in the lab (busybox sh): . /lab/bench.sh. /lab/lib.sh comes with it.
. /lab/lib.sh

# Who is measured: ours without a TEE and with the emulated ones, and whom the lab has of the others.
ours() { echo plain snp tdx; }
others() {
    echo microvm q35
    ! command -v lkvm >/dev/null || echo kvmtool
}

# name VMM: in words, for a row. cli is plain by `cofre run`, which becomes cofre-vmm.
name() {
    case $1 in
    plain) echo "cofre" ;;
    cli) echo "cofre, by \`cofre run\`" ;;
    snp | tdx) echo "cofre, $1" ;;
    microvm | q35) echo "QEMU 10, $1" ;;
    *) echo "$1" ;;
    esac
}

# boot VMM MEMORY WORD...: runs the words, and after them the command with which that VMM boots the stock guest with one vCPU and
# that memory (512M), its serial port on standard output. All get the same kernel, initial RAM disk and command line; $words, if set,
# are added to the latter, and $devices to the VMM's own.
boot() {
    local vmm=$1 memory=$2 cmdline="console=ttyS0 quiet${words:+ $words}"
    shift 2
    # shellcheck disable=SC2086 # words
    case $vmm in
    cli) "$@" cofre run --tee none --kernel /lab/vmlinuz --initrd /lab/guest.cpio --cmdline "$cmdline" --memory "$memory" $devices ;;
    plain) "$@" cofre-vmm --tee none --kernel /lab/vmlinuz --initrd /lab/guest.cpio --cmdline "$cmdline" --memory "$memory" $devices ;;
    snp | tdx) "$@" cofre-vmm --tee "$vmm" --emulated --kernel /lab/vmlinuz --initrd /lab/guest.cpio --cmdline "$cmdline" \
        --memory "$memory" $devices ;;
    microvm | q35)
        local machine=q35
        [ "$vmm" = q35 ] || machine="microvm,x-option-roms=off -bios qboot.rom"
        "$@" qemu-system-x86_64 -accel kvm -cpu host -M $machine -m "$memory" -nodefaults -no-user-config -no-reboot \
            -display none -serial stdio -kernel /lab/vmlinuz -initrd /lab/guest.cpio -append "$cmdline" $devices
        ;;
    kvmtool) "$@" lkvm run --mem "$memory" --cpus 1 --network mode=none --console serial --kernel /lab/vmlinuz \
        --initrd /lab/guest.cpio --params "$cmdline" ;;
    *) fail "no VMM $vmm" ;;
    esac
}

# once NAME COMMAND...: what the command leaves in files NAME.*. A lab that had to be stopped hands them on to the one that is booted
# after it (tests/lab/run), which does not do it again.
once() {
    local name=$1
    shift
    [ ! -e "$name.done" ] || return 0
    "$@"
    : >"$name.done"
    (cd "$OUT/.." && tar -c "${OUT##*/}/$name".*) >&4
}

# observe FILE VMM MEMORY METER...: boots until what meter's words say, and leaves what it cost in the file. Where one of the others
# does not get there it is left out: there is no file, its last words are in the log, and row takes no notice of it.
observe() {
    local file=$1 vmm=$2 memory=$3
    shift 3
    # (What is traced dies with meter.)
    boot "$vmm" "$memory" timeout -s KILL 60 meter "$@" -- >"$file" 2>"$file.log" || {
        rm -f "$file"
        echo "$vmm did not get there ($*): $(tail -n 3 "$file.log")"
        case " $(ours) cli " in *" $vmm "*) fail "$vmm" ;; esac
    }
}

# Where counts tell the same as time they are the better figures.

events=/sys/kernel/tracing/events/kvm
# What the kernel counts, and by which of its fields.
counts="kvm_exit:exit_reason kvm_userspace_exit:reason kvm_pio:port kvm_mmio:gpa"

# kvm_counts: the kernel can count KVM's events; else there is nothing to do here.
kvm_counts() {
    mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null || true
    [ -d $events ] || skip "this kernel has no trace events of KVM"
}
# counting on|off
counting() {
    local count sign=''
    [ "$1" = on ] || sign='!'
    for count in $counts; do
        echo "${sign}hist:keys=${count#*:}:size=8192" >"$events/${count%:*}/trigger" || fail "no count of $count"
    done
}
# counted EVENT: lines "VALUE COUNT", the values decimal.
counted() { sed -n 's/^{ [a-z_]*: *\([0-9]*\) } hitcount: *\([0-9]*\)$/\1 \2/p' "$events/$1/hist"; }

# conversions TEE MEMORY NAME: page conversions on the way to init, which are calls of the VMM's that its log has: lines
# "CALLS|PAGES|CAUSE" in NAME.conversions. (The log has a file of its own: its lines would come between the guest's letters.)
conversions() {
    boot "$1" "$2" env COFRE_LOG=kvm=debug timeout -s KILL 60 meter text "guest: started" -- sh -c 'exec "$@" 2>"$0"' "$3.trace" \
        >"$3-calls.json" 2>"$3-calls.out" || fail "$3 did not get there: $(tail -n 3 "$3-calls.out")"
    awk '
        /Linux entered/ { linux = 1 }
        match($0, /KVM_EXIT_[A-Z_]*/) { why = substr($0, RSTART, RLENGTH) }
        /KVM_SET_MEMORY_ATTRIBUTES.* bytes (private|shared)/ {
            sub(/.*KVM_SET_MEMORY_ATTRIBUTES.*, /, "")
            sub(/\).*/, "")
            cause = !why ? "the launch" : (linux ? "Linux" : "the shim") (why == "KVM_EXIT_HYPERCALL" ? " asks" : " touches")
            cause = cause ", " ($1 > 4096 ? "many pages" : "one page") " to " $3
            calls[cause]++
            pages[cause] += $1 / 4096
        }
        END { for (cause in calls) print calls[cause] "|" pages[cause] "|" cause }' "$3.trace" | sort -t '|' -k 3 >"$3.conversions"
    gzip -f "$3.trace"
}

# seen FILE EXPRESSION: of what meter left there, for jq; nothing where it left nothing.
seen() { [ ! -s "$1" ] || jq -r "$2" "$1"; }

# row FIGURE OF VALUE UNIT [BESIDE VALUE [ratio|value at_most|at_least NUMBER]]: one figure, and what was measured beside it. It
# goes into the file "figures", from which tests/bench/table makes its table: the ratio is value to value.
row() {
    [ -n "$3" ] && { [ -z "${5:-}" ] || [ -n "$6" ]; } || return 0
    jq -cn --arg figure "$1" --arg of "$2" --arg value "$3" --arg unit "$4" --arg beside "${5:-}" --arg other "${6:-}" \
        --arg what "${7:-}" --arg bound "${8:-}" --arg aim "${9:-}" '
        {$figure, $of, value: ($value | tonumber), $unit}
        + if $beside == "" then {} else {$beside, beside_value: ($other | tonumber)} end
        + if $what == "" then {} else {aim: {of: $what, ($bound): ($aim | tonumber)}} end' >>figures || fail "no row: $*"
}

# paired FIGURE OF UNIT BESIDE [ratio|value at_most|at_least NUMBER]: one figure of several rounds, in each of which both ran one after
# the other; a line "VALUE OTHER" of standard input is one. What each had is their median, and so is the ratio, which is of values of
# the same round: where time is what a busy machine makes of it, it makes the same of both. Beside it stand the two ratios between
# which half of the rounds lie; of fewer than four rounds, all.
paired() {
    jq -Rcn --arg figure "$1" --arg of "$2" --arg unit "$3" --arg beside "$4" --arg what "${5:-}" --arg bound "${6:-}" --arg aim "${7:-}" '
        def median: sort | (.[(length - 1) / 2 | floor] + .[length / 2 | floor]) / 2;
        [inputs | split(" ") | map(tonumber)] as $rounds
        | ($rounds | map(select(.[1] > 0) | .[0] / .[1]) | sort) as $ratios
        | ($ratios | length / 4 | floor) as $aside
        | {$figure, $of, value: ($rounds | map(.[0]) | median), $unit, $beside, beside_value: ($rounds | map(.[1]) | median)}
        + if ($ratios | length) < ($rounds | length) then {} else {ratio: {median: ($ratios | median), low: $ratios[$aside], high: $ratios[-1 - $aside]}} end
        + if $what == "" then {} else {aim: {of: $what, ($bound): ($aim | tonumber)}} end' >>figures || fail "no row: $*"
}
