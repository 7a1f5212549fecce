#include "gw_intake.h"
#include "gw_clock.h"
#include "gw_line.h"

#include <stdbool.h>

#define SYMBOLS_FIRST 64u /* entries; the table grows */

int gw_intake_init(gw_intake_t *in, gw_publisher_t *publisher, uint32_t feed, int64_t quiet_ns,
                   int64_t interval_ns) {
    memset(in, 0, sizeof *in);
    in->publisher = publisher;
    in->feed = feed;
    in->quiet_ns = quiet_ns;
    in->interval_ns = interval_ns;
    return gw_symbols_init(&in->symbols, SYMBOLS_FIRST);
}

void gw_intake_free(gw_intake_t *in) { gw_symbols_free(&in->symbols); }

/* Makes the next of `records` from a usual line; it counts only when the caller says so. */
static gw_line_form_t line_take(gw_intake_t *in, const gw_udp_t *u, gw_text_t text) {
    gw_line_t line;
    gw_line_form_t form = gw_line_parse(text.at, text.length, &line);
    if (form != GW_LINE_USUAL) return form;
    int64_t topic = gw_symbols_find(&in->symbols, line.kind, line.symbol);
    gw_record_t *record = &in->records[in->filled];
    int field;
    if (topic < 0 || gw_record_fill(record, line.kind, line.texts, &field) != GW_FINE)
        return GW_LINE_OTHER;
    record->h.topic = (uint32_t)topic;
    record->h.ts_event = line.ts;
    int64_t age_ns = gw_udp_line_age(u);
    gw_record_received(record, u->ts_read - age_ns, u->mono_read - age_ns);
    return GW_LINE_USUAL;
}

static void records_publish(gw_intake_t *in) {
    const gw_receipt_t receipt = {.feed = in->feed, .wire = true};
    gw_publisher_publish(in->publisher, in->records, in->filled, &receipt);
    gw_stats_t *stats = in->publisher->stats;
    if (stats != NULL) {
        int64_t ts_recv = in->records[in->filled - 1].h.ts_recv;
        GW_STORE_RELAXED(&stats->feed_last_ns[in->feed], (uint64_t)ts_recv);
        gw_hdr_add(&stats->feed_records[in->feed], in->filled);
    }
    in->filled = 0;
}

/* Publishes from where the batch stands to its end, or to the end of the first run of lines that
 * are the caller's: how many those are. */
static int lines_take(gw_intake_t *in, gw_udp_t *u) {
    gw_udp_place_t before = u->place;
    gw_text_t line;
    uint32_t rest = 0;
    bool published = false;
    for (; rest < GW_INTAKE_REST_MAX && gw_udp_line(u, &line); before = u->place) {
        gw_line_form_t form = line_take(in, u, line);
        if (form == GW_LINE_OTHER) {
            in->rest_ages_ns[rest] = gw_udp_line_age(u);
            in->rest[rest++] = line;
        }
        if (form != GW_LINE_USUAL) continue;
        if (rest > 0) {
            u->place = before; /* it follows the caller's */
            break;
        }
        if (++in->filled < GW_PUBLISH_MAX) continue;
        records_publish(in);
        published = true;
    }
    if (in->filled > 0) {
        records_publish(in);
        published = true;
    }
    if (published) gw_publisher_ring(in->publisher);
    return (int)rest;
}

static void pause_until(int64_t ns) {
    struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    /* A signal only ends the pause early, which costs a smaller batch. */
    if (gw_monotonic_ns() < ns) (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static int batch_receive(gw_intake_t *in, gw_udp_t *u, int64_t until_ns) {
    if (in->resume_ns > 0) pause_until(in->resume_ns);
    in->resume_ns = 0;
    int64_t asked_ns = gw_monotonic_ns();
    int64_t left_ns = until_ns > asked_ns ? until_ns - asked_ns : 0;
    int count = gw_udp_receive(u, (int)((left_ns + 999999) / 1000000));
    if (count > 0 && u->mono_read - asked_ns < in->quiet_ns)
        in->resume_ns = u->mono_read + in->interval_ns;
    return count;
}

int gw_intake_receive(gw_intake_t *in, gw_udp_t *u, int timeout_ms) {
    int64_t until_ns = gw_monotonic_ns() + (int64_t)timeout_ms * 1000000;
    uint64_t losses = u->dropped + u->oversized;
    int rest = lines_take(in, u);
    while (rest == 0) {
        int count = batch_receive(in, u, until_ns);
        if (count <= 0) return count;
        rest = lines_take(in, u);
        if (u->dropped + u->oversized != losses || u->mono_read >= until_ns || gw_udp_woken(u))
            break;
    }
    return rest;
}
