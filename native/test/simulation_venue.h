/* What happens outside the gateway, in virtual time and by a seed: a venue that numbers its trades and quotes, and the
 * way from it, on which messages are lost, doubled, overtaken, delayed and spoilt. */
#ifndef SIMULATION_VENUE_H
#define SIMULATION_VENUE_H
#include "check.h"
#include "gw_record.h"

#include <string.h>
#include <time.h>

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
#define VENUE_INSTRUMENTS 4u
#define VENUE_TRADES 16384u /* of one instrument, in a run */
#define VENUE_ON_THE_WAY 2048u

static uint64_t sim_state;

static inline uint32_t below(uint32_t n) {
    sim_state ^= sim_state << 13; /* xorshift64: Marsaglia, "Xorshift RNGs" */
    sim_state ^= sim_state >> 7;
    sim_state ^= sim_state << 17;
    return (uint32_t)((sim_state >> 33) % n);
}

static inline bool chance(uint32_t one_in) { return below(one_in) == 0; }

/* --- time: the core's two clocks, linked in the place of the host's (Makefile) -------------------- */

#define SIM_REAL_NS INT64_C(1200000000000000000) /* REALTIME when MONOTONIC is 0; a day's start it is not */
static int64_t sim_now; /* MONOTONIC */

static inline int64_t sim_real(void) { return sim_now + SIM_REAL_NS; }

int __wrap_clock_gettime(clockid_t id, struct timespec *out);
int __wrap_clock_gettime(clockid_t id, struct timespec *out) {
    const int64_t ns = id == CLOCK_REALTIME ? sim_real() : sim_now;
    *out = (struct timespec){.tv_sec = ns / SECOND, .tv_nsec = ns % SECOND};
    return 0;
}

/* --- the venue ------------------------------------------------------------------------------------- */

static const char *const venue_names[VENUE_INSTRUMENTS] = {"AA.SIM", "AB.SIM", "BA.SIM", "BB.VEN"};

#define MESSAGE_CHANGES 8u

typedef struct {
    uint8_t side;
    int16_t price;
    int32_t qty; /* 0: the level is gone */
} change_t;

typedef struct {
    uint8_t kind; /* GW_TRADE, GW_BBO, GW_BOOK */
    uint8_t instrument;
    bool spoilt, whole; /* whole: of a book all of it, which is not in the message */
    uint8_t changes_count; /* of a book */
    uint64_t number; /* of a trade, of a quote, of a book's message: each rises by one */
    int64_t ts, price, qty; /* in hundredths, in thousandths; of a quote the bid */
    int64_t due; /* when it comes */
    change_t changes[MESSAGE_CHANGES];
} message_t;

typedef struct {
    int64_t ts, price, qty;
} venue_trade_t;

typedef struct {
    uint64_t trade, quote; /* the last numbers */
    int64_t price;
    venue_trade_t *trades; /* all that were made, whatever became of their messages */
    uint32_t trades_count;
} instrument_t;

static struct {
    instrument_t instruments[VENUE_INSTRUMENTS];
    message_t way[VENUE_ON_THE_WAY];
    uint32_t on_the_way;
    uint32_t chaos; /* one message in so many for each that can happen to it; 0: none */
    uint64_t lost, doubled, overtaken, delayed, spoilt;
} venue;

static inline void venue_open(uint32_t chaos) {
    memset(&venue, 0, sizeof venue);
    venue.chaos = chaos;
    for (unsigned i = 0; i < VENUE_INSTRUMENTS; i++) {
        instrument_t *x = &venue.instruments[i];
        x->price = 10000 + (int64_t)below(900000);
        x->trade = below(3) ? below(1000000) : 0;
        CHECK((x->trades = malloc(VENUE_TRADES * sizeof *x->trades)) != NULL);
    }
}

static inline void venue_close(void) {
    for (unsigned i = 0; i < VENUE_INSTRUMENTS; i++) free(venue.instruments[i].trades);
}

static inline void way_put(message_t m) {
    CHECK(venue.on_the_way < VENUE_ON_THE_WAY);
    venue.way[venue.on_the_way++] = m;
}

/* The message goes on its way; `safe`: nothing happens to it. */
static inline void venue_send(message_t m, bool safe) {
    const uint32_t chaos = safe ? 0 : venue.chaos;
    m.due = sim_now + MS;
    if (chaos && chance(chaos)) m.due += (int64_t)below(20) * MS, venue.overtaken++;
    if (chaos && chance(chaos)) m.due += (int64_t)below(3000) * MS, venue.delayed++;
    if (chaos && chance(chaos)) {
        venue.doubled++;
        message_t twin = m;
        twin.due += (int64_t)below(100) * MS;
        way_put(twin);
    }
    if (chaos && chance(chaos)) m.spoilt = true, venue.spoilt++;
    if (chaos && chance(chaos)) venue.lost++;
    else way_put(m);
}

static inline void venue_trade(unsigned i, bool safe) {
    instrument_t *x = &venue.instruments[i];
    if (x->trades_count == VENUE_TRADES) return;
    x->price += (int64_t)below(21) - 10;
    if (x->price < 100) x->price = 100;
    const venue_trade_t t = {.ts = sim_real(), .price = x->price, .qty = 1 + below(5000)};
    x->trades[x->trades_count++] = t;
    venue_send((message_t){.kind = GW_TRADE, .instrument = (uint8_t)i, .number = ++x->trade, .ts = t.ts, .price = t.price,
                           .qty = t.qty}, safe);
}

static inline void venue_quote(unsigned i, bool safe) {
    instrument_t *x = &venue.instruments[i];
    venue_send((message_t){.kind = GW_BBO, .instrument = (uint8_t)i, .number = ++x->quote, .ts = sim_real(),
                           .price = x->price - 1 - below(5), .qty = 1 + below(5000)}, safe);
}

/* The venue counts its trades from 1 again; what it has numbered before has come by then. */
static inline void venue_renumber(unsigned i) {
    for (uint32_t k = 0; k < venue.on_the_way; k++)
        if (venue.way[k].instrument == i && venue.way[k].kind == GW_TRADE) return;
    venue.instruments[i].trade = 0;
}

/* The next message that has come; false: none has. */
static inline bool way_take(message_t *out) {
    uint32_t next = venue.on_the_way;
    for (uint32_t i = 0; i < venue.on_the_way; i++)
        if (venue.way[i].due <= sim_now && (next == venue.on_the_way || venue.way[i].due < venue.way[next].due)) next = i;
    if (next == venue.on_the_way) return false;
    *out = venue.way[next];
    venue.on_the_way--;
    memmove(venue.way + next, venue.way + next + 1, (venue.on_the_way - next) * sizeof *venue.way);
    return true;
}

#endif
