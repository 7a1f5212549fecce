/* What a message is and what it says, put into its group's counters and histograms. */
#include "gw_swarm_fields.h"
#include "gw_swarm_internal.h"
#include "gw_swarm_sbe.h"

static bool in_window(const gw_swarm_t *s, int64_t stamp_ns) {
    return stamp_ns >= s->window_start_ns && stamp_ns < s->window_end_ns;
}

/* When a record arrived, at the earliest: the kernel tells it of a read's newest byte alone. In doubt a
 * delay is the client's own, so that a server is not blamed for it. */
static int64_t arrived(const gw_swarm_t *s, int64_t sent_ns) {
    int64_t earliest_ns = sent_ns > s->since_ns ? sent_ns : s->since_ns;
    return earliest_ns < s->kernel_ns ? earliest_ns : s->kernel_ns;
}

/* A record whose stamp is in the window. `tick` tells it from others, in every process alike. */
static void deliver(gw_swarm_t *s, gw_swarm_group_t *g, int64_t stamp_ns, int64_t sent_ns, uint64_t tick) {
    GW_SWARM_COUNT(g, delivered, 1);
    if (!GW_SWARM_VALUE(g, measured)) return;
    gw_hdr_t *h = g->histograms;
    gw_hdr_record(&h[GW_SWARM_HISTOGRAM_age], s->now_ns - stamp_ns, 1);
    if (s->kernel_ns) {
        int64_t arrived_ns = arrived(s, sent_ns);
        gw_hdr_record(&h[GW_SWARM_HISTOGRAM_arrival], arrived_ns - stamp_ns, 1);
        gw_hdr_record(&h[GW_SWARM_HISTOGRAM_own], s->now_ns - arrived_ns, 1);
    }
    gw_swarm_ticks_note(&s->ticks, gw_hash_number(s->o.hash_key, tick), s->now_ns);
}

static void stages(gw_swarm_t *s, gw_swarm_group_t *g, const gw_swarm_fields_t *f) {
    gw_hdr_t *h = g->histograms;
    if (!GW_SWARM_VALUE(g, measured) || !f->ts_recv || !f->ts_send) return;
    gw_hdr_record(&h[GW_SWARM_HISTOGRAM_wire], f->ts_recv - f->ts_event, 1);
    gw_hdr_record(&h[GW_SWARM_HISTOGRAM_server], f->ts_send - f->ts_recv, 1);
    gw_hdr_record(&h[GW_SWARM_HISTOGRAM_delivery], s->now_ns - f->ts_send, 1);
}

/* `first_last_span` and `accounted` grow by what one record adds to them, so that no topic has to
 * remember where its span began. */
static void span(gw_swarm_group_t *g, uint64_t records, uint64_t accounted) {
    GW_SWARM_COUNT(g, first_last_span, records);
    GW_SWARM_COUNT(g, accounted, accounted);
}

/* Of the records that one says were skipped since the one before it, those stamped in the window. They are
 * taken as evenly spread, so that a skip across the window's edge counts for its part. */
static uint64_t skipped(const gw_swarm_t *s, const gw_swarm_topic_t *t, const gw_swarm_fields_t *f) {
    int64_t before = t && t->last ? t->last_ns : f->ts_event, after = f->ts_event;
    if (before >= after) return in_window(s, after) ? f->skipped : 0;
    int64_t from = before > s->window_start_ns ? before : s->window_start_ns;
    int64_t to = after < s->window_end_ns ? after : s->window_end_ns;
    if (to <= from) return 0;
    uint64_t part = (uint64_t)(to - from), whole = (uint64_t)(after - before);
    return (uint64_t)(((__uint128_t)f->skipped * part + whole / 2) / whole); /* at most f->skipped */
}

static void remember(gw_swarm_topic_t *t, const gw_swarm_fields_t *f) {
    if (!t) return;
    t->last = f->seq;
    t->last_ns = f->ts_event;
}

/* A record after one before it. False: it is a duplicate. */
static bool chain(gw_swarm_group_t *g, const gw_swarm_fields_t *f, uint64_t last, bool counts) {
    if (f->seq <= last) {
        if (counts) GW_SWARM_COUNT(g, duplicates, 1);
        return false;
    }
    if (!counts) return true;
    uint64_t between = f->seq - last - 1;
    if (between != f->skipped) {
        GW_SWARM_COUNT(g, gap_events, 1);
        GW_SWARM_COUNT(g, gaps, between > f->skipped ? between - f->skipped : 0);
    }
    span(g, between + 1, 1 + (f->skipped < between ? f->skipped : between));
    return true;
}

static void update(gw_swarm_t *s, gw_swarm_client_t *c, gw_swarm_group_t *g, const gw_swarm_fields_t *f) {
    gw_swarm_topic_t *t = gw_swarm_topics_get(&c->topics, s->o.hash_key, f->topic);
    bool counts = in_window(s, f->ts_event);
    if (t && t->last) {
        if (!chain(g, f, t->last, counts)) return;
    } else if (counts) {
        span(g, 1, 1);
    }
    if (f->skipped) GW_SWARM_COUNT(g, conflated, skipped(s, t, f));
    remember(t, f);
    if (s->in_window) GW_SWARM_COUNT(g, received, 1);
    if (!counts) return;
    int64_t sent_ns = f->ts_send ? f->ts_send : f->ts_event;
    deliver(s, g, f->ts_event, sent_ns, f->topic + f->seq * 0x9e3779b97f4a7c15u);
    stages(s, g, f);
}

/* A snapshot is a link of the chain as an update is: it says itself what was skipped before it, and where
 * it may start anew, an ack or an epoch came before it. One that goes back misses nothing. */
static void snapshot(gw_swarm_t *s, gw_swarm_client_t *c, gw_swarm_group_t *g, const gw_swarm_fields_t *f) {
    gw_swarm_topic_t *t = gw_swarm_topics_get(&c->topics, s->o.hash_key, f->topic);
    GW_SWARM_COUNT(g, snapshots, 1);
    if (f->skipped) GW_SWARM_COUNT(g, conflated, skipped(s, t, f));
    if (in_window(s, f->ts_event) && t && t->last && f->seq > t->last) (void)chain(g, f, t->last, true);
    remember(t, f);
}

static void notice(gw_swarm_client_t *c, gw_swarm_group_t *g, const gw_swarm_fields_t *f) {
    switch (f->notice) {
    case GW_SWARM_NOTICE_SLOW:
        GW_SWARM_COUNT(g, slow_notices, 1);
        if (!(c->flags & GW_SWARM_TOLD)) GW_SWARM_COUNT(g, slow_clients, 1);
        c->flags |= GW_SWARM_TOLD;
        break;
    case GW_SWARM_NOTICE_CONFLATION: GW_SWARM_COUNT(g, conflation_notices, 1); break;
    case GW_SWARM_NOTICE_GAP: GW_SWARM_COUNT(g, lost, f->lost); break;
    default: break;
    }
}

static void counted(gw_swarm_t *s, gw_swarm_client_t *c, gw_swarm_group_t *g, const gw_swarm_fields_t *f) {
    if (f->resync) gw_swarm_topics_free(&c->topics);
    switch (f->kind) {
    case GW_SWARM_UPDATE: update(s, c, g, f); break;
    case GW_SWARM_SNAPSHOT: snapshot(s, c, g, f); break;
    case GW_SWARM_HEARTBEAT: GW_SWARM_COUNT(g, heartbeats, 1); break;
    case GW_SWARM_CONTROL:
        GW_SWARM_COUNT(g, control, 1);
        notice(c, g, f);
        break;
    case GW_SWARM_NOTHING: break;
    default: GW_SWARM_COUNT(g, unstamped, 1);
    }
}

static void tickgate(gw_swarm_t *s, gw_swarm_client_t *c, gw_swarm_group_t *g, const char *bytes, size_t n) {
    gw_swarm_fields_t f;
    if (!gw_swarm_fields_fast(bytes, n, &f)) gw_swarm_fields_scan(bytes, n, &f);
    counted(s, c, g, &f);
    if (!f.failed) return;
    GW_SWARM_COUNT(g, errors, 1);
    gw_swarm_refusals_reply(&s->refused_rows, bytes, n);
}

/* The stamp of a message of another protocol; 0: it has none. */
static int64_t foreign_stamp(const gw_swarm_t *s, const char *bytes, size_t n) {
    if (s->o.stamp == GW_SWARM_STAMP_JSON) return gw_swarm_json_time(gw_swarm_path_find(&s->path, bytes, n));
    if (n < 8 || s->o.stamp_offset > n - 8) return 0;
    uint64_t ns = gw_swarm_load8(bytes + s->o.stamp_offset);
    return ns <= INT64_MAX ? (int64_t)ns : 0;
}

/* A record of another protocol. */
static void foreign(gw_swarm_t *s, gw_swarm_group_t *g, int64_t stamp_ns) {
    if (s->in_window) GW_SWARM_COUNT(g, received, 1);
    if (in_window(s, stamp_ns)) deliver(s, g, stamp_ns, stamp_ns, (uint64_t)stamp_ns);
}

/* Every number behind the text is a record's stamp; false: there is none. */
static bool stamps_after(gw_swarm_t *s, gw_swarm_group_t *g, const char *bytes, size_t n) {
    gw_swarm_text_t text = s->o.stamp_path;
    const char *at = bytes, *end = bytes + n;
    bool found = false;
    while ((at = memmem(at, (size_t)(end - at), text.bytes, text.length))) {
        at += text.length;
        while (at < end && (*at == ' ' || *at == '"')) at++;
        gw_swarm_span_t number = {at, at};
        while (number.end < end && ((*number.end >= '0' && *number.end <= '9') || *number.end == '.'))
            number.end++;
        int64_t stamp_ns = number.end > at ? gw_swarm_json_time(number) : 0;
        if (!stamp_ns) continue;
        foreign(s, g, stamp_ns);
        found = true;
    }
    return found;
}

static gw_swarm_group_t *came(gw_swarm_t *s, gw_swarm_client_t *c, size_t n) {
    gw_swarm_group_t *g = gw_swarm_group(s, c);
    GW_SWARM_COUNT(g, frames, 1);
    GW_SWARM_COUNT(g, bytes, n);
    if (s->in_window) GW_SWARM_COUNT(g, window_frames, 1);
    return g;
}

void gw_swarm_message(gw_swarm_t *s, gw_swarm_client_t *c, const char *bytes, size_t n) {
    gw_swarm_group_t *g = came(s, c, n);
    if (s->o.stamp == GW_SWARM_STAMP_TICKGATE) {
        tickgate(s, c, g, bytes, n);
        return;
    }
    if (s->o.stamp == GW_SWARM_STAMP_AFTER) {
        if (!stamps_after(s, g, bytes, n)) GW_SWARM_COUNT(g, unstamped, 1);
        return;
    }
    int64_t stamp_ns = foreign_stamp(s, bytes, n);
    if (stamp_ns) foreign(s, g, stamp_ns);
    else GW_SWARM_COUNT(g, unstamped, 1);
}

/* Our own server's may hold several messages; an empty one holds none that could be read. */
void gw_swarm_binary(gw_swarm_t *s, gw_swarm_client_t *c, const char *bytes, size_t n) {
    if (s->o.stamp != GW_SWARM_STAMP_TICKGATE) {
        gw_swarm_message(s, c, bytes, n);
        return;
    }
    gw_swarm_group_t *g = came(s, c, n);
    const uint8_t *at = (const uint8_t *)bytes;
    for (size_t used = 0, size = 1; size && (used < n || !n); used += size) {
        gw_swarm_fields_t f;
        size = gw_swarm_sbe_read(at + used, n - used, &c->numbers, s->o.hash_key, &f);
        counted(s, c, g, &f);
    }
}
