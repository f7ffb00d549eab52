# For lab tests (busybox sh): . /lab/lib.sh
# A test runs in a folder of its own, $OUT, which is copied out; /lab/vmlinuz and /lab/guest.cpio are the stock guest.

fail() { echo "FAIL: $*"; exit 1; }
skip() { echo "$*"; exit 77; }

# expect FILE PATTERN: the file has a line with the extended pattern.
expect() { grep -qE -- "$2" "$1" || fail "$1 has no line with: $2"; }
refuse() { ! grep -qE -- "$2" "$1" || fail "$1 has a line with: $2"; }
