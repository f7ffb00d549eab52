#include "vmm/host/hands/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/bytes.h"
#include "vmm/base/cleanup.h"
#include "vmm/host/hands/flat.h"

#define MAGIC   0x43484e44u /* "CHND" */
#define VERSION 2           /* of struct record: guests outlive an upgrade in which messages change */

struct file {
    uint32_t magic, version;
    struct record record;
};

int record_write(int place, const struct record *record, struct cofre_err *err)
{
    struct file file;
    memset(&file, 0, sizeof file); /* padding too */
    file.magic = MAGIC;
    file.version = VERSION;
    file.record = *record;
    CLEAN_FD fd = openat(place, "record.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || write(fd, &file, sizeof file) != (ssize_t)sizeof file ||
        renameat(place, "record.new", place, "record") < 0)
        return cofre_fail(err, COFRE_FAILED, "guest %u: its record: %s", record->guest, strerror(errno));
    return 0;
}

int record_read(struct record *out, int place, uint32_t guest, struct cofre_err *err)
{
    struct file file;
    char more;
    CLEAN_FD fd = openat(place, "record", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return cofre_fail(err, COFRE_LACKING, "guest %u: its record: %s", guest, strerror(errno));
    bool whole = read(fd, &file, sizeof file) == (ssize_t)sizeof file && read(fd, &more, 1) == 0;
    if (!whole || file.magic != MAGIC || file.version != VERSION || file.record.guest != guest ||
        file.record.devices > HANDS_DISKS_MAX || file.record.user == 0)
        return cofre_fail(err, COFRE_MALFORMED, "guest %u: its record is none of this version", guest);
    *out = file.record;
    return 0;
}

/* The second field is the program's name in parentheses, and may have any character. */
uint64_t process_started(pid_t pid)
{
    char name[32], text[1024];
    snprintf(name, sizeof name, "/proc/%d/stat", pid);
    if (pid <= 0 || flat_read(AT_FDCWD, name, text, sizeof text, NULL))
        return 0;
    char *rest = strrchr(text, ')');
    for (unsigned field = 2; rest && field < 22; field++) {
        rest = strchr(rest, ' ');
        rest = rest ? rest + 1 : NULL;
    }
    return rest ? strtoull(rest, NULL, 10) : 0;
}

int boot_id(uint8_t out[16], struct cofre_err *err)
{
    char text[64], digits[33];
    unsigned used = 0;
    int rc = flat_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", text, sizeof text, err);
    for (const char *at = text; rc == 0 && *at && *at != '\n' && used < 32; at++)
        if (*at != '-')
            digits[used++] = *at;
    digits[used] = 0;
    if (rc == 0 && !hex_decode(out, 16, digits))
        rc = cofre_fail(err, COFRE_FAILED, "the kernel's boot_id is none: %s", text);
    return rc;
}
