#include "gw_condition.h"
#include "gw_candle_cell.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TENTH_NS INT64_C(100000000)
#define MARKET_KINDS 3u
static const uint8_t market[MARKET_KINDS] = {GW_TRADE, GW_BBO, GW_BOOK}; /* what the pace goes by */

unsigned gw_condition_state(gw_condition_t condition) {
    static const uint8_t states[GW_CONDITIONS] = {
        [GW_CONDITION_OK] = GW_HEALTH_OK,
        [GW_CONDITION_QUIET] = GW_HEALTH_QUIET,
        [GW_CONDITION_BOOK_SILENT] = GW_HEALTH_SUSPECT,
        [GW_CONDITION_TOP_DIFFERS] = GW_HEALTH_SUSPECT,
        [GW_CONDITION_REFUSED] = GW_HEALTH_SUSPECT,
        [GW_CONDITION_RESYNC] = GW_HEALTH_RESYNC,
        [GW_CONDITION_CROSSED] = GW_HEALTH_CROSSED,
        [GW_CONDITION_LOST] = GW_HEALTH_GAP,
        [GW_CONDITION_GAP] = GW_HEALTH_GAP,
        [GW_CONDITION_HEARTBEAT] = GW_HEALTH_STALE,
        [GW_CONDITION_DOWN] = GW_HEALTH_STALE,
    };
    return states[condition];
}

int gw_conditions_init(gw_conditions_t *c, uint32_t topics_max) {
    *c = (gw_conditions_t){.topics_max = topics_max};
    c->rows = calloc(topics_max, sizeof *c->rows);
    c->rows_of = calloc(topics_max, sizeof *c->rows_of);
    c->left = calloc(topics_max, sizeof *c->left);
    if (c->rows && c->rows_of && c->left) return 0;
    gw_conditions_free(c);
    return -ENOMEM;
}

void gw_conditions_free(gw_conditions_t *c) {
    free(c->rows);
    free(c->rows_of);
    free(c->left);
    *c = (gw_conditions_t){0};
}

void gw_conditions_begin(gw_conditions_t *c, uint32_t topic, uint8_t kind, uint32_t like, uint8_t feed) {
    if (topic >= c->topics_max || kind >= GW_CONDITION_KINDS || c->rows_of[topic]) return;
    uint32_t row = like && like <= c->topics_max ? c->rows_of[like - 1] : 0;
    if (!row) {
        row = 1 + (c->left_count ? c->left[--c->left_count] : c->made++);
        c->rows[row - 1] = (gw_condition_row_t){.feed = feed};
        c->counts[GW_HEALTH_OK]++;
    }
    gw_condition_row_t *r = &c->rows[row - 1];
    c->rows_of[topic] = row;
    r->topics[kind] = topic + 1;
    if (kind <= GW_BOOK) r->seqs[kind] = 0;
    if (kind == GW_BOOK) r->crossed_ns = 0; /* the quote's */
    if (kind != GW_HEALTH) r->feed = feed;
}

void gw_conditions_from(gw_conditions_t *c, uint32_t topic, uint8_t kind, uint64_t seq) {
    if (topic < c->topics_max && kind <= GW_BOOK && c->rows_of[topic]) c->rows[c->rows_of[topic] - 1].seqs[kind] = seq;
}

void gw_conditions_end(gw_conditions_t *c, uint32_t topic, uint8_t kind) {
    gw_condition_row_t *r = gw_conditions_row(c, topic);
    if (!r || kind >= GW_CONDITION_KINDS) return;
    c->rows_of[topic] = 0;
    r->topics[kind] = 0;
    if (kind == GW_BOOK) r->doubt = r->differs = r->silent = 0;
    if (kind == GW_BOOK || kind == GW_BBO) r->crossed_ns = 0;
    for (unsigned k = 0; k < GW_CONDITION_KINDS; k++)
        if (r->topics[k]) return;
    c->counts[gw_condition_state(r->told)]--;
    c->left[c->left_count++] = (uint32_t)(r - c->rows);
    r->feed = UINT8_MAX; /* nobody's: it is not looked at */
}

void gw_condition_doubt(gw_condition_row_t *row, gw_condition_t doubt, gw_text_t reason, int64_t real_ns) {
    if (doubt != GW_CONDITION_OK && doubt <= row->doubt) return; /* the worst stays, with its first reason */
    row->doubt = (uint8_t)doubt;
    row->since_real = real_ns;
    row->reason_length = (uint8_t)gw_reason_copy(reason, row->reason);
}

void gw_condition_lose(gw_condition_row_t *row, uint32_t lost, int64_t mono_ns) {
    row->lost = lost;
    row->lost_ns = mono_ns;
}

void gw_condition_crosses(gw_condition_row_t *row, bool crosses, int64_t mono_ns) {
    if (!crosses) row->crossed_ns = 0;
    else if (!row->crossed_ns) row->crossed_ns = mono_ns;
}

bool gw_condition_trading(const gw_condition_row_t *row, const gw_segment_t *s) {
    gw_record_t status;
    const bool known = row->topics[GW_STATUS] && gw_table_read(s, row->topics[GW_STATUS] - 1, &status, NULL) == 1;
    return !known || (status.u.health.state_length == 7 && !memcmp(status.u.health.state, "trading", 7));
}

gw_condition_t gw_condition_now(const gw_conditions_t *c, const gw_condition_row_t *row, bool refused, int64_t mono_ns) {
    if (c->down >> row->feed % GW_CONDITION_FEEDS & 1) return GW_CONDITION_DOWN;
    if (c->feeds[row->feed % GW_CONDITION_FEEDS].late) return GW_CONDITION_HEARTBEAT;
    const bool lost = row->lost_ns && mono_ns - row->lost_ns < GW_CONDITION_GAP_NS;
    if (row->doubt == GW_CONDITION_GAP || (row->doubt && !lost)) return (gw_condition_t)row->doubt;
    if (lost) return GW_CONDITION_LOST;
    if (row->crossed) return GW_CONDITION_CROSSED;
    if (refused) return GW_CONDITION_REFUSED;
    if (row->differs) return GW_CONDITION_TOP_DIFFERS;
    if (row->silent) return GW_CONDITION_BOOK_SILENT;
    return row->quiet ? GW_CONDITION_QUIET : GW_CONDITION_OK;
}

/* --- the pace ------------------------------------------------------------------------------------ */

static unsigned place_of(int64_t pause_ns) {
    const uint64_t looks = pause_ns > 0 ? (uint64_t)pause_ns / (uint64_t)GW_CONDITION_LOOK_NS : 0;
    if (looks == 0) return 0;
    const unsigned octave = 63u - (unsigned)__builtin_clzll(looks);
    const unsigned quarter = (unsigned)(octave >= 2 ? looks >> (octave - 2) : looks << (2 - octave)) & 3;
    const unsigned place = 1 + 4 * octave + quarter;
    return place < GW_CONDITION_PAUSES ? place : GW_CONDITION_PAUSES - 1;
}

/* The longest that a pause of this place is. */
static int64_t pause_of(unsigned place) {
    if (place == 0) return GW_CONDITION_LOOK_NS;
    const unsigned octave = (place - 1) / 4, quarter = (place - 1) % 4;
    return (GW_CONDITION_LOOK_NS << octave) / 4 * (5 + (int64_t)quarter);
}

static void pauses_add(gw_condition_row_t *r, unsigned place, uint64_t count) {
    const uint16_t more = (uint16_t)(count < GW_CONDITION_FADE ? count : GW_CONDITION_FADE);
    r->pauses[place] = (uint16_t)(r->pauses[place] + more);
    r->pauses_count = (uint16_t)(r->pauses_count + more);
    if (r->pauses_count < GW_CONDITION_FADE) return;
    r->pauses_count = 0;
    for (unsigned i = 0; i < GW_CONDITION_PAUSES; i++) r->pauses_count = (uint16_t)(r->pauses_count + (r->pauses[i] /= 2));
}

int64_t gw_condition_patience_ns(const gw_condition_row_t *row) {
    const unsigned longer = row->pauses_count / 100; /* than the pace */
    unsigned place = GW_CONDITION_PAUSES, beyond = 0;
    while (place > 1 && beyond + row->pauses[place - 1] <= longer) beyond += row->pauses[--place];
    const int64_t least = row->pauses_count < GW_CONDITION_PAUSES_MIN ? GW_CONDITION_UNKNOWN_NS : GW_CONDITION_QUIET_NS;
    const int64_t patience = pause_of(place - 1) * GW_CONDITION_PACES;
    return patience > least ? patience : least;
}

/* --- looks --------------------------------------------------------------------------------------- */

/* `came` records in all: the last of them is what `last` is. */
static void paces_take(gw_condition_row_t *r, uint64_t came, const gw_header_t *last, int64_t mono_ns) {
    const int64_t at = last->ts_publish < mono_ns ? last->ts_publish : mono_ns;
    if (r->last_ns && at >= r->last_ns) {
        int64_t span = at - r->last_ns, pause = span;
        if (came > 1) {
            const int64_t before = r->looked_ns - r->last_ns, share = span / (int64_t)(came < INT32_MAX ? came : INT32_MAX);
            pause = before > share ? before : share;
            pauses_add(r, 0, came - 1);
        }
        pauses_add(r, place_of(pause), 1);
    }
    r->last_ns = at;
    r->last_real = last->ts_recv;
    r->quiet = 0;
}

/* Whether records say something of the pace: at full speed a replay waits for its readers. */
static bool paced(const gw_header_t *h) { return (h->flags & GW_FLAG_PACED) != 0; }

static gw_decimal_t price_of(const gw_record_t *r, unsigned index) {
    const gw_bbo_t *q = &r->u.bbo;
    gw_decimal_t d = {.mantissa = q->mantissa[index], .exponent = q->exponent[index], .digits = q->digits[index]};
    if (d.digits & GW_DIGITS_WIDE) d.high = r->tail.high[index], d.width = r->tail.width[index];
    return d;
}

static bool quote_crossed(const gw_record_t *r) {
    if (r->u.bbo.extra & GW_EXTRA_NO_SIDE) return false;
    const gw_decimal_t bid = price_of(r, GW_BID), ask = price_of(r, GW_ASK);
    return gw_decimal_compare(&bid, &ask) >= 0;
}

/* The books' messages say when they cross; quotes are seen at looks, so that what lasts less than one may be missed. A
 * replay at full speed is in no time. */
static void crossed_look(gw_condition_row_t *r, const gw_segment_t *s, int64_t mono_ns) {
    if (r->crossed_ns && !gw_condition_trading(r, s)) r->crossed_ns = mono_ns;
    r->crossed = r->crossed_ns && r->last_ns && mono_ns - r->crossed_ns > GW_CONDITION_CROSSED_NS;
}

void gw_condition_look(gw_conditions_t *c, gw_condition_row_t *r, const gw_writer_t *w, int64_t mono_ns) {
    uint64_t came = 0;
    gw_header_t last = {.ts_publish = INT64_MIN};
    bool of_book = false;
    for (unsigned k = 0; k < MARKET_KINDS; k++) {
        const uint8_t kind = market[k];
        const uint32_t topic = r->topics[kind] - 1;
        if (!r->topics[kind] || w->chains[topic].seq == r->seqs[kind]) continue;
        gw_record_t record = {.h = {.ts_publish = 0}};
        const int read = gw_table_read(&w->segment, topic, &record, NULL); /* of a longer one the header, which is enough */
        if (kind == GW_BBO && read == 1 && !r->topics[GW_BOOK])
            gw_condition_crosses(r, quote_crossed(&record), record.h.ts_publish);
        came += w->chains[topic].seq - r->seqs[kind];
        r->seqs[kind] = w->chains[topic].seq;
        of_book |= kind == GW_BOOK;
        if (record.h.ts_publish > last.ts_publish) last = record.h;
    }
    if (came > 0) paces_take(r, came, &last, mono_ns);
    if (came > 0 && paced(&last)) r->last_ns = 0; /* nothing is known of its silence */
    if (of_book || !r->topics[GW_BOOK]) {
        r->trades_at = r->seqs[GW_TRADE];
        r->book_ns = mono_ns;
    }
    gw_condition_feed_t *feed = &c->feeds[r->feed % GW_CONDITION_FEEDS];
    if (r->last_ns > feed->heard_ns) feed->heard_ns = r->last_ns;
    r->silent = r->seqs[GW_BOOK] && r->seqs[GW_TRADE] - r->trades_at >= GW_CONDITION_TRADES && r->last_ns &&
                r->last_ns - r->book_ns >= GW_CONDITION_QUIET_NS;
    crossed_look(r, &w->segment, mono_ns);
    const int64_t silence = r->last_ns ? mono_ns - r->last_ns : 0;
    r->quiet = silence > GW_CONDITION_QUIET_NS && silence > gw_condition_patience_ns(r);
    r->looked_ns = mono_ns;
}

void gw_conditions_round(gw_conditions_t *c, int64_t mono_ns) {
    for (unsigned i = 0; i < GW_CONDITION_FEEDS; i++) {
        gw_condition_feed_t *f = &c->feeds[i];
        /* Missing twice: the second one, too, is overdue by a quarter. What else came is known since the last look. */
        f->late = f->interval_ns > 0 && mono_ns - f->heard_ns > f->interval_ns * 9 / 4 + GW_CONDITION_LOOK_NS;
    }
}

/* --- words --------------------------------------------------------------------------------------- */

size_t gw_condition_reason(const gw_condition_row_t *row, gw_condition_t condition, char *out) {
    static const char *const fixed[GW_CONDITIONS] = {
        [GW_CONDITION_TOP_DIFFERS] = "the quote is not the top of the book",
        [GW_CONDITION_HEARTBEAT] = "the feed's heartbeat is missing",
        [GW_CONDITION_DOWN] = "the feed is not connected",
    };
    char text[128] = "";
    if (condition == GW_CONDITION_CROSSED && row->doubt != GW_CONDITION_CROSSED)
        return gw_reason_copy(gw_text_of(row->topics[GW_BOOK] ? "its best bid is not below its best ask"
                                                              : "the quote's bid is not below its ask"), out);
    if (fixed[condition]) return gw_reason_copy(gw_text_of(fixed[condition]), out);
    if (condition == GW_CONDITION_LOST)
        snprintf(text, sizeof text, row->lost ? "%u trades are missing" : "trades are missing", row->lost);
    else if (condition == GW_CONDITION_BOOK_SILENT)
        snprintf(text, sizeof text, "%llu trades, and the book is silent",
                 (unsigned long long)(row->seqs[GW_TRADE] - row->trades_at));
    else if (condition == GW_CONDITION_QUIET) {
        const int64_t tenths = gw_condition_patience_ns(row) / TENTH_NS;
        snprintf(text, sizeof text, "silent for longer than %lld.%lld s", (long long)(tenths / 10), (long long)(tenths % 10));
    } else if (condition == GW_CONDITION_RESYNC || condition == GW_CONDITION_CROSSED || condition == GW_CONDITION_GAP)
        return gw_reason_copy((gw_text_t){row->reason, row->reason_length}, out);
    return gw_reason_copy(gw_text_of(text), out);
}
