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
