/* The statistics page of one process: named arrays of counters and the stage histograms, in shared
 * memory. Each array has one writing thread (named here); the ops listener reads without locks. */
#ifndef GW_STATS_H
#define GW_STATS_H
#include "gw_hdr.h"
#include "gw_record.h"

enum { GW_STAGE_WIRE, GW_STAGE_INGEST, GW_STAGE_RING, GW_STAGE_FANOUT, GW_STAGE_TOTAL, GW_STAGES };
#define GW_CLASSES 4u /* of subscriptions: 0 is served first (PROTOCOL.md section 2) */
/* `total` is kept apart for each class, from GW_STAGE_TOTAL on; the stage is their sum. */
#define GW_HISTOGRAMS (GW_STAGES - 1u + GW_CLASSES)
#define GW_LEVELS 4u       /* of one connection: gw_level.c */
#define GW_PAUSED UINT64_MAX
#define GW_TENANTS_MAX 16u /* each has rows in /metrics */
#define GW_CANDLE_COUNTS 8 /* CANDLES of gateway/model/outcomes.py, in the same order */
#define GW_REFUSALS 16u    /* room for REFUSALS of gateway/model/outcomes.py, of each feed */
/* Steps of the plane whose budget may be used up: what is left is done in later turns. Their names in /metrics are
 * in gateway/model/outcomes.py, in the same order. */
enum { GW_STEP_JOBS, GW_STEP_COMMANDS, GW_STEP_COVER, GW_STEP_EPOCH, GW_STEP_LAP, GW_STEP_RECORDS, GW_STEP_VISITS,
       GW_STEP_SOCKETS, GW_STEP_ROUNDS, GW_STEP_REPLAY, GW_STEPS };

/* What a client was not told, its control queue being too full: `gap` notices by their reason, that its own
 * slowness costs it another level, and that it has had what it missed. Names in gateway/model/outcomes.py, in the same order. */
enum { GW_LEFT_REFUSED, GW_LEFT_FEED, GW_LEFT_RESET, GW_LEFT_SLOW, GW_LEFT_REPLAYED, GW_LEFT_OUT };

/* What came of a link's replay: it had all; it had all, and nobody had asked for it; the ring had no longer all; it ended
 * before; and of a `from` that could not be served. Names in gateway/model/outcomes.py, in the same order. */
enum { GW_REPLAY_COMPLETED, GW_REPLAY_CAUGHT_UP, GW_REPLAY_LAPPED, GW_REPLAY_ENDED, GW_REPLAY_INSUFFICIENT, GW_REPLAYS };

/* X(name, length). Per channel where the length is GW_CHANNELS. */
#define GW_STATS_PLANE(X)                                                                          \
    X(routed, GW_CHANNELS) X(delivered, GW_CHANNELS) X(conflated, GW_CHANNELS)                     \
    X(filtered, GW_CHANNELS) X(dropped_lapped, GW_CHANNELS) X(dropped_closed, GW_CHANNELS)         \
    X(dropped_unsubscribed, GW_CHANNELS) X(dropped_slow, GW_CHANNELS)                              \
    X(dropped_epoch, GW_CHANNELS) X(pending, GW_CHANNELS) X(snapshots, GW_CHANNELS)                \
    X(sends, 1) X(sends_short, 1) X(sent_bytes, 1) X(heartbeats, 1) X(links, 1) X(clients, 1)      \
    X(clients_blocked, 1) X(records_taken, 1) X(ring_lag_records, 1) X(ring_lapped, 1)             \
    X(torn_reads, 1) X(wrong_kinds, 1) X(feed_gap_records, 1) X(commands, 1) X(wakeups, 1)         \
    X(epochs, 1) X(plane_alive_ns, 1)                                                                           \
    X(class_conflated, GW_CLASSES) X(class_dropped, GW_CLASSES) /* of what is counted above */     \
    X(class_links, GW_CLASSES)                                                                     \
    X(ladder_step, 1) X(ladder_highest, 1) X(ladder_up, 1) X(ladder_down, 1)                       \
    X(conflation_interval_ns, GW_CLASSES)                                                          \
    X(overload_since_ns, 1) X(infeasible, 1) X(levels, GW_LEVELS) X(level_down, 1) X(level_up, 1)  \
    X(ring_age_ns, 1) X(plane_busy_ppm, 1) X(delivery_cost_ns, 1) X(write_cost_ns, 1)              \
    X(audience_max, 1) X(fan_out_ns, 1) X(delivered_per_s, 1) X(sweep_ns, 1) X(sweep_clients, 1)   \
    X(write_fixed_ns, 1) X(write_each_ps, 1)                                                       \
    X(plane_stalls, 1) X(plane_stall_ns, 1) X(steps_resumed, GW_STEPS) X(topics_waiting, 1)        \
    X(limits_met, 1) X(notices_left_out, GW_LEFT_OUT) X(forbidden, 1)                              \
    X(replays, GW_REPLAYS) X(replayed, GW_CHANNELS) X(books_copied, 1) X(books_missing, 1)         \
    X(tenant_clients, GW_TENANTS_MAX) X(tenant_sends, GW_TENANTS_MAX) X(tenant_bytes, GW_TENANTS_MAX)
#define GW_STATS_LOOP(X)                                                                           \
    X(connections, 1) X(subscriptions, 1) X(accepted, 1) X(handshakes, 32) X(tls_handshakes, 8)    \
    X(closes, 64) X(requests, 64) X(subscribe_rejected, 16) X(admission_refused, 16)               \
    X(control_frames, 1) X(close_timeouts, 1) X(accept_errors, 16) X(auth, 32) X(log_dropped, 1)   \
    X(loop_lag_ns, 1) X(loop_lag_max_ns, 1) X(audit_lines, 1) X(audit_lost, 1)                     \
    X(loop_alive_ns, 1) X(gc_pauses, 3) X(gc_pause_ns, 1) X(gc_pause_max_ns, 1)                    \
    X(stalls, 8) X(stall_ns, 8) X(run_delay_ns, 1) X(cpu_ns, 1)
#define GW_STATS_FEED(X)                                                                           \
    X(published, GW_CHANNELS) X(feed_up, 64) X(feed_gaps, 64) X(feed_lost, 64)                     \
    X(feed_duplicates, 64) X(feed_decode_errors, 64) X(feed_records, 64) X(feed_reconnects, 64)    \
    X(feed_late, 64) X(feed_resets, 64) X(feed_last_ns, 64) X(clock_anomalies, 64)                 \
    X(stamp_anomalies, 64) X(feed_refused, 64 * GW_REFUSALS) X(instruments, 1)                     \
    X(instrument_health, GW_HEALTH_STATES) X(topics_live, 1) X(topics_retired, 1) X(topics_max, 1) X(candles_revised, 1) X(candle_trades, GW_CANDLE_COUNTS)
#define GW_STATS_ALL(X) GW_STATS_PLANE(X) GW_STATS_LOOP(X) GW_STATS_FEED(X)

#define GW_STATS_MEMBER(name, length) uint64_t name[length];
typedef struct {
    uint64_t magic, pid, start_ns, reserved[5];
    GW_STATS_PLANE(GW_STATS_MEMBER)
    uint64_t pad0[8];
    GW_STATS_LOOP(GW_STATS_MEMBER)
    uint64_t pad1[8];
    GW_STATS_FEED(GW_STATS_MEMBER)
    uint64_t pad2[8];
    gw_hdr_t stage[GW_HISTOGRAMS];
} gw_stats_t;
#undef GW_STATS_MEMBER
#define GW_STATS_MAGIC 0x3153544154535747ull

typedef struct {
    const char *name;
    uint32_t offset, length; /* in 8-byte words from the page's start */
} gw_stat_info_t;
extern const gw_stat_info_t gw_stat_infos[];
extern const uint32_t gw_stat_infos_count;

#endif
