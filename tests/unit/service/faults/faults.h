/*
 * A disk that fails, and a process that is killed at a call of its choosing: what a preloaded library (preload.c) and the test that
 * steers it (power.c) share, in a file that both map.
 *
 * The library sees the calls that write, sync, cut and rename files of one folder. What a file has on the disk is kept beside it, in
 * a shadow: a sync brings what was written since into it, and nothing else does. So when the power is cut, of the file is there
 * what the shadow has, and of each sector that differs either.
 */
#ifndef TESTS_UNIT_SERVICE_FAULTS_FAULTS_H
#define TESTS_UNIT_SERVICE_FAULTS_FAULTS_H

#include <stdatomic.h>

enum fault_call { FAULT_WRITE, FAULT_SYNC, FAULT_CUT, FAULT_RENAME, FAULT_CALLS };
enum fault_action {
    FAULT_NONE,
    FAULT_KILL_BEFORE,
    FAULT_KILL_WITHIN, /* half of a write, or of what a sync brings to the disk */
    FAULT_KILL_AFTER,
    FAULT_EIO /* of a sync: what it was to bring stays behind, also when a later one succeeds. Once. */
};

struct faults {
    atomic_int action; /* enum fault_action; set last */
    atomic_int call;   /* at which; FAULT_CALLS: any */
    atomic_int left;   /* of those calls, until it strikes */
    char suffix[16];   /* of the file's name; "": any file */
    atomic_uint seen[FAULT_CALLS];
    atomic_uint struck;
};

/* The environment. */
#define FAULTS_FOLDER "COFRE_FAULTS_FOLDER" /* whose files "db*", "root*" and "backup*" are seen */
#define FAULTS_SHADOW                                                                                        \
    "COFRE_FAULTS_SHADOW" /* a folder: "control", a shadow for each inode, "old-NAME" until a rename is synced */
/* "A|B": what the program says to SQLite has B in place of A, which makes it a broken program. */
#define FAULTS_BREAK "COFRE_FAULTS_BREAK"

#endif
