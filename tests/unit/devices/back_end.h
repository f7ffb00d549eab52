/*
 * A vhost-user back end for tests: answers as the protocol wants, remembers what it was told, serves rings by a function of
 * its owner's, and does one thing wrong where it is told to. It is a thread in unit tests, a process in the lab.
 */
#ifndef COFRE_TESTS_BACK_END_H
#define COFRE_TESTS_BACK_END_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/devices/memory.h"
#include "vmm/devices/queue.h"

#define BACK_END_QUEUES   8
#define BACK_END_MESSAGES 128

/* The protocol's numbers, said here once more so that the tests do not take the product's word for them. */
enum back_end_request {
    BE_GET_FEATURES = 1,
    BE_SET_FEATURES = 2,
    BE_SET_OWNER = 3,
    BE_SET_MEM_TABLE = 5,
    BE_SET_VRING_NUM = 8,
    BE_SET_VRING_ADDR = 9,
    BE_SET_VRING_BASE = 10,
    BE_GET_VRING_BASE = 11,
    BE_SET_VRING_KICK = 12,
    BE_SET_VRING_CALL = 13,
    BE_SET_VRING_ERR = 14,
    BE_GET_PROTOCOL_FEATURES = 15,
    BE_SET_PROTOCOL_FEATURES = 16,
    BE_GET_QUEUE_NUM = 17,
    BE_SET_VRING_ENABLE = 18,
    BE_GET_CONFIG = 24,
};
#define BE_PROTOCOL_FEATURES (1ull << 30) /* among the device's features */
#define BE_PACKED            (1ull << 34)
#define BE_MQ                (1ull << 0)
#define BE_REPLY_ACK         (1ull << 3)
#define BE_HAS_CONFIG        (1ull << 9)

/* What it does wrong when the request of fault_at comes. */
enum back_end_fault {
    FAULT_NONE,
    FAULT_OTHER_REQUEST,
    FAULT_VERSION,
    FAULT_NO_REPLY_FLAG,
    FAULT_EXTRA_FLAG,
    FAULT_EMPTY,
    FAULT_SHORT,
    FAULT_LONG,
    FAULT_HUGE,
    FAULT_DESCRIPTOR, /* the answer brings one */
    FAULT_TRUNCATED,  /* half an answer, then the end */
    FAULT_HALF,       /* half an answer, then silence */
    FAULT_SILENT,
    FAULT_CLOSES,
    FAULT_REFUSES,      /* where the answer is an acknowledgement */
    FAULT_OTHER_OFFSET, /* of a configuration */
    FAULT_OTHER_SIZE,   /* of a configuration, inside a message of the right size */
    FAULT_OTHER_RING,
    FAULT_TWICE, /* the right answer, and once more */
};

struct back_end_ring {
    uint32_t num, base;
    uint64_t desc, used, avail; /* guest addresses */
    int kick, call, error;      /* -1: none */
    bool enabled, started;
    struct virtqueue queue;
};

struct back_end {
    /* How it behaves. */
    uint64_t features, protocol, queues;
    uint8_t config[256];
    enum back_end_fault fault;
    uint32_t fault_at;
    int hush; /* an eventfd that is rung when the fault is that no more of an answer comes; -1: none */
    /* Called in its thread where a started ring was kicked; may be NULL. */
    void (*serve)(struct back_end *be, unsigned index);

    /* What it was told, the first BACK_END_MESSAGES times. Read these after back_end_stop, or after an answer that shows that they are there. */
    uint32_t order[BACK_END_MESSAGES];
    uint32_t flags[BACK_END_MESSAGES];
    uint64_t value[BACK_END_MESSAGES]; /* the first 8 bytes of the payload */
    unsigned descriptors[BACK_END_MESSAGES];
    unsigned count;
    uint64_t driver_features;
    uint64_t user[GUEST_REGIONS_MAX]; /* user address of each region */
    uint64_t offset[GUEST_REGIONS_MAX];
    struct guest_memory mem;
    struct back_end_ring ring[BACK_END_QUEUES];
    bool end; /* closes the connection after this message */

    int fd;
    pthread_t thread;
};

/* A behaviour that is right: all features but packed rings, two queues. */
void back_end_init(struct back_end *be);
/* Serves one connection until it ends, in this thread; fd becomes its own. */
void back_end_run(struct back_end *be, int fd);
/* The same in a thread of its own, at the end of a socket pair; returns the front end's. */
int back_end_start(struct back_end *be);
/* In a thread that accepts one connection at a listening socket. */
void back_end_start_at(struct back_end *be, int listener);
/* Waits for its thread, which ends with the connection. */
void back_end_join(struct back_end *be);

/* For serve: gives a request back and tells the driver. */
void back_end_done(struct back_end *be, unsigned index, const struct queue_chain *chain, uint32_t written);

#endif
