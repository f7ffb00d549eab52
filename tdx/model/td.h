/* A TD as the module in software keeps it: TDCS' part that is measured, reported and read. */
#ifndef COFRE_TDX_MODEL_TD_H
#define COFRE_TDX_MODEL_TD_H

#include <pthread.h>

#include "tdx/model/module.h"
#include "tdx/model/platform.h"
#include "tdx/mrtd.h"

#define LOG_ROOM "tdx"
#include "vmm/base/log.h"

/* OP_STATE, without migration. */
enum tdx_op_state { TDX_OP_UNINITIALIZED, TDX_OP_INITIALIZED, TDX_OP_RUNNABLE };

struct tdx_td {
    pthread_mutex_t lock;
    const struct tdx_platform *platform;
    enum tdx_op_state state;
    struct tdx_td_params params;
    unsigned vcpus;
    struct tdx_mrtd *measuring;
    struct tdx_td_info info; /* what reports say; mrtd after TDH.MR.FINALIZE */
    uint64_t notify_enables, td_ctls;
};

/* CONFIG_FLAGS (348551, section 3.4.2): GPAW is 52; RBP is not the guest's to pass on, as KVM always asks. */
#define TDX_CONFIG_FLAGS_GPAW       (1ull << 0)
#define TDX_CONFIG_FLAGS_NO_RBP_MOD (1ull << 2)

/* TD_CTLS */
#define TDX_TD_CTLS_PENDING_VE_DISABLE (1ull << 0)

/* Logs why, and returns the status. */
tdx_status tdx_refuse(tdx_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline void tdx_td_unlock(pthread_mutex_t **lock)
{
    pthread_mutex_unlock(*lock);
}
#define TDX_TD_LOCKED(td)                                                                                    \
    __attribute__((cleanup(tdx_td_unlock))) pthread_mutex_t *locked_ = &(td)->lock;                          \
    pthread_mutex_lock(locked_)

/* Whether the TD is in that state; a refusal otherwise. */
tdx_status tdx_td_in(const struct tdx_td *td, enum tdx_op_state state, const char *call);

#endif
