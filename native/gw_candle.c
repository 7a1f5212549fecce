#include "gw_candle.h"
#include "gw_kind.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECOND INT64_C(1000000000)
static const int64_t lengths[GW_CANDLES] = {SECOND, 60 * SECOND, 300 * SECOND, 900 * SECOND, 3600 * SECOND, 86400 * SECOND};

/* Candles of one interval, by their number: the running one and those that a late trade may still change. */
typedef struct {
    int64_t length, start; /* of the running one */
    uint32_t topic, cells; /* how many */
    gw_candle_cell_t *cell;
    uint8_t kind, begun, dirty;
} series_t;

struct gw_candle_row {
    uint32_t next_free; /* the next row that was given back, plus 1 */
    uint8_t used, begun, dirty, feed;
    uint8_t missing; /* GW_CANDLE_PARTIAL: trades are missing since the newest one; candles that begin lack them */
    uint8_t apart; /* its clock is another one than its feed's: no candle of it is closed by that */
    uint32_t odd; /* trades of another time since the last good one */
    int64_t start, end; /* of the running candle of the shortest interval */
    gw_candle_at_t newest; /* of its trades */
    int64_t update_at;  /* MONOTONIC: before that no running candle is told */
    gw_decimal_t close; /* that one's price */
    gw_candle_cell_t since; /* the trades of that candle that are not merged yet */
    series_t series[GW_CANDLES];
    uint64_t ids[GW_CANDLE_IDS];
    gw_candle_cell_t cells[];
};

int64_t gw_candle_length(uint8_t kind) {
    return kind >= GW_CANDLE && kind < GW_CANDLE + GW_CANDLES ? lengths[kind - GW_CANDLE] : 0;
}

/* The running candle, and as many as GW_CANDLE_LATE_NS reaches back over. */
static uint32_t cells_of(unsigned i) {
    return 1 + (uint32_t)((GW_CANDLE_LATE_NS + lengths[i] - 1) / lengths[i]);
}

size_t gw_candles_row_bytes(unsigned intervals) {
    size_t cells = 0;
    for (unsigned i = 0; i < GW_CANDLES; i++)
        if (intervals >> i & 1) cells += cells_of(i);
    return sizeof(gw_candle_row_t) + cells * sizeof(gw_candle_cell_t);
}

static gw_candle_row_t *row_at(const gw_candles_t *c, uint32_t index) {
    return (gw_candle_row_t *)(void *)(c->rows + (size_t)index * c->row_bytes);
}

static gw_candle_row_t *row_of(const gw_candles_t *c, uint32_t trades) {
    return trades < c->topics_max && c->rows_of[trades] ? row_at(c, c->rows_of[trades] - 1) : NULL;
}

static void lags_forget(gw_candle_lag_t *lag) {
    for (unsigned k = 0; k < GW_CANDLE_LAGS; k++) lag->least[k] = GW_CANDLE_NO_LAG;
    lag->now = GW_CANDLE_NO_LAG;
}

int gw_candles_init(gw_candles_t *c, unsigned intervals, uint32_t instruments_max, uint32_t topics_max, int64_t update_ns,
                    gw_candle_emit_t *emit, void *self) {
    *c = (gw_candles_t){.instruments_max = instruments_max, .topics_max = topics_max, .update_ns = update_ns,
                        .emit = emit, .self = self};
    for (unsigned i = 0; i < GW_CANDLE_FEEDS; i++) lags_forget(&c->lags[i]);
    for (unsigned i = 0; i < GW_CANDLES; i++)
        if (intervals >> i & 1) c->kinds[c->intervals++] = (uint8_t)(GW_CANDLE + i);
    if (!gw_candles_on(c)) return 0;
    c->row_bytes = gw_candles_row_bytes(intervals);
    c->rows = calloc(instruments_max, c->row_bytes);
    c->rows_of = calloc(topics_max, sizeof *c->rows_of);
    if (c->rows && c->rows_of) return 0;
    gw_candles_free(c);
    return -ENOMEM;
}

void gw_candles_free(gw_candles_t *c) {
    free(c->rows);
    free(c->rows_of);
    *c = (gw_candles_t){0};
}

bool gw_candles_begin(gw_candles_t *c, uint32_t trades, const uint32_t *topics) {
    if (trades >= c->topics_max || (!c->free && c->used == c->instruments_max)) {
        c->counts.full++;
        return false;
    }
    const uint32_t index = c->free ? c->free - 1 : c->used++;
    gw_candle_row_t *row = row_at(c, index);
    if (c->free) c->free = row->next_free;
    memset(row, 0, c->row_bytes);
    row->used = 1;
    gw_candle_cell_t *cell = row->cells;
    for (unsigned i = 0; i < c->intervals; i++) {
        const unsigned interval = c->kinds[i] - GW_CANDLE;
        row->series[i] = (series_t){.length = lengths[interval], .topic = topics[interval], .cells = cells_of(interval),
                                    .cell = cell, .kind = c->kinds[i]};
        cell += row->series[i].cells;
    }
    c->rows_of[trades] = index + 1;
    return true;
}

void gw_candles_end(gw_candles_t *c, uint32_t trades) {
    gw_candle_row_t *row = row_of(c, trades);
    if (!row) return;
    row->used = 0;
    row->next_free = c->free;
    c->free = c->rows_of[trades];
    c->rows_of[trades] = 0;
}

/* --- telling --------------------------------------------------------------------------------------------------- */

/* The place of the candle that begins then; another one may have it. */
static gw_candle_cell_t *cell_at(const series_t *s, int64_t start) {
    return &s->cell[(uint64_t)(start / s->length) % s->cells];
}

static void tell(gw_candles_t *c, const series_t *s, const gw_candle_cell_t *cell) {
    /* Made here and now: how old the trades are, their own records say. */
    gw_record_t record = {.h = {.kind = s->kind, .topic = s->topic,
                                .ts_event = cell->trades ? cell->last.ts : cell->start + s->length,
                                .ts_recv = c->real_ns, .ts_publish = c->mono_ns}};
    gw_candle_cell_fill(cell, &record);
    c->emit(c->self, &record);
    c->counts.told++;
    c->counts.revised += (cell->flags & GW_CANDLE_REVISED) != 0;
}

/* What came since then goes into the running candle of each interval. */
static void settle(gw_candles_t *c, gw_candle_row_t *row) {
    if (!row->since.trades && !row->since.flags) return;
    for (unsigned i = 0; i < c->intervals; i++) {
        series_t *s = &row->series[i];
        gw_candle_cell_t *cell = cell_at(s, s->start);
        if (!gw_candle_cell_merge(cell, &row->since)) {
            cell->flags |= GW_CANDLE_PARTIAL;
            c->counts.unfit += row->since.trades;
        }
        s->dirty = 1;
    }
    row->since.trades = 0;
    row->since.flags = 0;
}

static void tell_running(gw_candles_t *c, gw_candle_row_t *row) {
    settle(c, row);
    for (unsigned i = 0; i < c->intervals; i++) {
        series_t *s = &row->series[i];
        const gw_candle_cell_t *cell = cell_at(s, s->start);
        if (s->dirty && cell->trades) tell(c, s, cell);
        s->dirty = 0;
    }
    row->dirty = 0;
    row->update_at = c->mono_ns + c->update_ns;
}

/* --- closing --------------------------------------------------------------------------------------------------- */

static void open_at(series_t *s, int64_t start, uint8_t flags) {
    *cell_at(s, start) = (gw_candle_cell_t){.start = start, .flags = flags};
    s->start = start;
    s->dirty = 0;
}

/* Closes the running candle and opens the next one. */
static void close_running(gw_candles_t *c, const gw_candle_row_t *row, series_t *s) {
    gw_candle_cell_t *cell = cell_at(s, s->start);
    if (!cell->trades) gw_candle_cell_empty(cell, &row->close);
    cell->flags |= GW_CANDLE_CLOSED;
    tell(c, s, cell);
    open_at(s, s->start + s->length, row->missing);
}

/* The running candle of the interval is to be the one of `start`, a candle's start of the shortest. */
static void advance_series(gw_candles_t *c, gw_candle_row_t *row, series_t *s, int64_t start) {
    const int64_t to = start - start % s->length;
    if (s->start == to) return;
    close_running(c, row, s);
    for (; s->start < to && c->empties_left > 0; c->empties_left--) close_running(c, row, s);
    if (s->start == to) return;
    c->counts.left_out += (uint64_t)((to - s->start) / s->length);
    open_at(s, to, row->missing);
}

static void advance(gw_candles_t *c, gw_candle_row_t *row, int64_t start) {
    settle(c, row);
    for (unsigned i = 0; i < c->intervals; i++) advance_series(c, row, &row->series[i], start);
    row->start = start;
    row->end = start + row->series[0].length;
}

/* The instrument's first trade, or the first one of another time: what came before it in its candles is not known. */
static void begin_at(gw_candles_t *c, gw_candle_row_t *row, int64_t ts) {
    for (unsigned i = 0; i < c->intervals; i++) {
        series_t *s = &row->series[i];
        memset(s->cell, 0, s->cells * sizeof *s->cell);
        open_at(s, ts - ts % s->length, GW_CANDLE_PARTIAL);
    }
    memset(row->ids, 0, sizeof row->ids);
    row->since = (gw_candle_cell_t){0};
    row->newest = (gw_candle_at_t){.ts = ts};
    row->start = row->series[0].start;
    row->end = row->start + row->series[0].length;
    row->begun = 1;
    row->odd = 0;
    row->dirty = row->missing = 0;
}

/* --- trades ---------------------------------------------------------------------------------------------------- */

/* Whether the id came before, among the last ones; it has now. */
static bool id_known(gw_candle_row_t *row, uint64_t id) {
    if (!id) return false;
    uint64_t *set = &row->ids[(id >> 32) % (GW_CANDLE_IDS / GW_CANDLE_WAYS) * GW_CANDLE_WAYS];
    for (unsigned i = 0; i < GW_CANDLE_WAYS; i++)
        if (set[i] == id) return true;
    for (unsigned i = GW_CANDLE_WAYS - 1; i > 0; i--) set[i] = set[i - 1];
    set[0] = id;
    return false;
}

/* Some trades before this one are missing: the candles of that time lack them, and those up to it. */
static void mark_partial(gw_candles_t *c, gw_candle_row_t *row) {
    row->missing = GW_CANDLE_PARTIAL;
    settle(c, row);
    for (unsigned i = 0; i < c->intervals; i++) {
        series_t *s = &row->series[i];
        for (uint32_t k = 0; k < s->cells; k++) {
            gw_candle_cell_t *cell = &s->cell[k];
            if (cell->start + s->length <= row->newest.ts || cell->start > s->start || !(cell->start || cell->flags)) continue;
            if (cell->flags & GW_CANDLE_PARTIAL) continue;
            cell->flags |= GW_CANDLE_PARTIAL;
            if (!(cell->flags & GW_CANDLE_CLOSED)) continue;
            cell->flags |= GW_CANDLE_REVISED;
            tell(c, s, cell);
        }
    }
}

/* A trade of before the running candle of the shortest interval. */
static void late(gw_candles_t *c, gw_candle_row_t *row, const gw_candle_trade_t *trade) {
    settle(c, row);
    for (unsigned i = 0; i < c->intervals; i++) {
        series_t *s = &row->series[i];
        const int64_t start = trade->at.ts - trade->at.ts % s->length;
        gw_candle_cell_t *cell = cell_at(s, start);
        if (cell->start != start || !(cell->flags & GW_CANDLE_CLOSED || start == s->start)) continue; /* never told */
        if (!gw_candle_cell_add(cell, trade)) {
            cell->flags |= GW_CANDLE_PARTIAL;
            c->counts.unfit++;
        }
        s->dirty |= start == s->start;
        if (!(cell->flags & GW_CANDLE_CLOSED)) continue;
        cell->flags |= GW_CANDLE_REVISED;
        tell(c, s, cell);
    }
}

static void lag_sample(gw_candles_t *c, uint32_t feed, int64_t lag_ns) {
    gw_candle_lag_t *lag = &c->lags[feed];
    if (lag_ns >= lag->least[c->lags_at]) return;
    lag->least[c->lags_at] = lag_ns;
    if (lag_ns < lag->now) lag->now = lag_ns;
}

/* Lags are of times below GW_CANDLE_TS_END, so that no sum or difference of two overflows. */
static int64_t venue_now(const gw_candles_t *c, uint32_t feed) {
    return c->lags[feed].now == GW_CANDLE_NO_LAG ? INT64_MIN : c->real_ns - c->lags[feed].now;
}

/* What was known before is of another time. Of a live feed that is this instrument's own matter; what is played again
 * is at that time altogether. */
static void restart(gw_candles_t *c, gw_candle_row_t *row, int64_t ts, bool wire) {
    c->counts.restarts++;
    row->apart = wire;
    if (!wire) lags_forget(&c->lags[row->feed]);
    begin_at(c, row, ts);
}

/* Whether the trade is of a time at which the instrument is. Too many in a row that are not: it is at theirs. */
static bool timely(gw_candles_t *c, gw_candle_row_t *row, const gw_record_t *record, bool wire) {
    const int64_t ts = record->h.ts_event, venue = venue_now(c, row->feed);
    const int64_t newest = row->newest.ts > row->start ? row->newest.ts : row->start;
    const bool known = wire && venue != INT64_MIN;
    if (row->apart && known && ts <= venue + GW_CANDLE_LATE_NS && ts >= venue - GW_CANDLE_LATE_NS) row->apart = 0;
    /* By our clock, too: what a venue sends at first may be old, and make its clock look slow. */
    const int64_t now = venue > c->real_ns ? venue : c->real_ns;
    const bool ahead = ts >= GW_CANDLE_TS_END || (known && !row->apart && ts - GW_CANDLE_LATE_NS > now);
    const bool old = row->begun && ts < newest - GW_CANDLE_LATE_NS;
    if (!old && !ahead) {
        if (!row->begun) begin_at(c, row, ts);
        row->odd = 0;
        return true;
    }
    const bool jumped = old && (record->h.gap == GW_GAP_RESET || (!wire && ts < newest - GW_CANDLE_JUMP_NS));
    if (ts < GW_CANDLE_TS_END && (++row->odd >= GW_CANDLE_ODD_RUN || jumped)) {
        restart(c, row, ts, wire);
        return true;
    }
    c->counts.late += old;
    c->counts.ahead += !old;
    return false;
}

static void add(gw_candles_t *c, gw_candle_row_t *row, const gw_candle_trade_t *trade) {
    if (__builtin_expect(trade->at.ts < row->start, 0)) {
        late(c, row, trade);
    } else {
        if (trade->at.ts >= row->end) advance(c, row, trade->at.ts - trade->at.ts % row->series[0].length);
        if (!gw_candle_cell_add(&row->since, trade)) {
            row->since.flags |= GW_CANDLE_PARTIAL;
            c->counts.unfit++;
        }
    }
    row->missing = 0;
    if (!gw_candle_before(&trade->at, &row->newest)) {
        row->newest = trade->at;
        row->close = trade->price;
    }
    row->dirty = 1;
    if (c->mono_ns >= row->update_at) tell_running(c, row);
}

void gw_candles_trade(gw_candles_t *c, const gw_record_t *record, uint32_t feed, bool wire) {
    gw_candle_row_t *row = row_of(c, record->h.topic);
    gw_candle_trade_t trade;
    if (!row || feed >= GW_CANDLE_FEEDS) return;
    row->feed = (uint8_t)feed;
    if (record->h.gap != GW_GAP_NONE && row->begun) mark_partial(c, row);
    if (record->h.gap == GW_GAP_RESET) memset(row->ids, 0, sizeof row->ids); /* the same ones are of other trades now */
    if (record->h.flags & GW_FLAG_UNPRINTED) {
        c->counts.unprinted++;
        return;
    }
    if (!timely(c, row, record, wire)) return;
    if (!row->apart && record->h.ts_recv >= 0) lag_sample(c, feed, record->h.ts_recv - record->h.ts_event);
    gw_candle_trade_read(record, &trade);
    if (id_known(row, trade.id)) {
        c->counts.duplicates++;
        return;
    }
    add(c, row, &trade);
}

void gw_candles_refused(gw_candles_t *c, uint32_t trades) {
    gw_candle_row_t *row = gw_candles_on(c) ? row_of(c, trades) : NULL;
    if (!row || !row->begun) return;
    row->missing = GW_CANDLE_PARTIAL;
    row->since.flags |= GW_CANDLE_PARTIAL;
    row->dirty = 1;
}

/* --- the clock ------------------------------------------------------------------------------------------------- */

/* A span is over: the oldest one is forgotten. A feed that is silent keeps what it had. */
static void lags_turn(gw_candles_t *c) {
    if (c->mono_ns - c->lags_ns < GW_CANDLE_LAG_NS) return;
    c->lags_ns = c->mono_ns;
    c->lags_at = (c->lags_at + 1) % GW_CANDLE_LAGS;
    for (unsigned i = 0; i < GW_CANDLE_FEEDS; i++) {
        gw_candle_lag_t *lag = &c->lags[i];
        int64_t least = GW_CANDLE_NO_LAG;
        lag->least[c->lags_at] = GW_CANDLE_NO_LAG;
        for (unsigned k = 0; k < GW_CANDLE_LAGS; k++)
            if (lag->least[k] < least) least = lag->least[k];
        if (least != GW_CANDLE_NO_LAG) lag->now = least;
    }
}

/* One candle of the shortest interval further, or past all that nobody would read; false: nothing is due. */
static bool close_due(gw_candles_t *c, gw_candle_row_t *row) {
    const int64_t venue = venue_now(c, row->feed), length = row->series[0].length;
    if (row->apart || venue == INT64_MIN || row->end > venue - GW_CANDLE_DELAY_NS) return false;
    const int64_t newest = venue - GW_CANDLE_DELAY_NS, start = newest - newest % length;
    c->empties_left = 0;
    if ((start - row->start) / length > GW_CANDLE_BEHIND) advance(c, row, start);
    else advance(c, row, row->end);
    return true;
}

bool gw_candles_step(gw_candles_t *c) {
    lags_turn(c);
    uint32_t told = 0;
    for (uint32_t looks = 0; looks < GW_CANDLE_LOOKS && c->cursor < c->used; looks++, c->cursor++) {
        gw_candle_row_t *row = row_at(c, c->cursor);
        if (!row->used || !row->begun) continue;
        while (told < GW_CANDLE_TOLD && close_due(c, row)) told++;
        if (told == GW_CANDLE_TOLD) return true;
        if (!row->dirty || c->mono_ns < row->update_at) continue;
        tell_running(c, row);
        told++;
    }
    if (c->cursor < c->used) return true;
    c->cursor = 0;
    return false;
}
