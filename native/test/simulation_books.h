/* Order books, from the venue's to the publisher's: a venue that numbers its messages and sends the whole book when it is
 * asked; a feed that follows the numbers, doubts its book where one is missing, and asks; and what the book is at each seq,
 * by the simplest computation. */
#ifndef SIMULATION_BOOKS_H
#define SIMULATION_BOOKS_H
#include "simulation_venue.h"
#include "plane_book.h"

#define LADDER 256 /* prices of an instrument, in hundredths */
#define LADDER_BASE 10000
#define HELD_MAX 256u

typedef struct {
    int32_t qty[2][LADDER]; /* by price; 0: no level */
} ladder_t;

typedef struct {
    ladder_t book, sent; /* sent: the state under way, if it is */
    int middle;
    uint64_t number, sent_number;
    bool is_sent;
} venue_book_t;

/* Of one seq. */
typedef struct {
    uint64_t hash[GW_BOOK_DEPTHS];
    bool bad;
} book_truth_t;

typedef struct {
    ladder_t book;
    bool synced;
    int64_t asked_ns; /* when the venue was asked for the whole; 0: it was not */
    uint64_t last;
    message_t held[HELD_MAX]; /* since it was asked */
    uint32_t held_count;
} feed_book_t;

static venue_book_t venue_books[VENUE_INSTRUMENTS];

/* --- the venue ------------------------------------------------------------------------------------- */

static inline void venue_change(message_t *m, venue_book_t *v, unsigned side, int price, int32_t qty) {
    if (price < 0 || price >= LADDER || m->changes_count == MESSAGE_CHANGES) return;
    for (uint8_t i = 0; i < m->changes_count; i++)
        if (m->changes[i].side == side && m->changes[i].price == price) return; /* of each once */
    m->changes[m->changes_count++] = (change_t){.side = (uint8_t)side, .price = (int16_t)price, .qty = qty};
    v->book.qty[side][price] = qty;
}

static inline void venue_book(unsigned i) {
    venue_book_t *v = &venue_books[i];
    message_t m = {.kind = GW_BOOK, .instrument = (uint8_t)i, .number = ++v->number, .ts = sim_real()};
    if (!v->middle) v->middle = LADDER / 2;
    const int step = chance(6) ? chance(2) ? 1 : -1 : 0;
    if (v->middle + step > 40 && v->middle + step < LADDER - 40) v->middle += step;
    if (step && v->book.qty[step > 0][v->middle]) venue_change(&m, v, step > 0, v->middle, 0); /* so that it is never crossed */
    for (uint32_t n = 1 + below(chance(10) ? MESSAGE_CHANGES : 4); n > 0; n--) {
        const unsigned side = below(2);
        const int off = 1 + (int)below(chance(3) ? 100 : 12), price = side ? v->middle + off : v->middle - off;
        venue_change(&m, v, side, price, chance(3) ? 0 : 1 + (int32_t)below(500));
    }
    venue_send(m, false);
}

/* It is asked for the whole book, which may get lost as well. */
static inline void venue_ask(unsigned i) {
    venue_book_t *v = &venue_books[i];
    if (v->is_sent) return;
    v->sent = v->book;
    v->sent_number = v->number;
    if (venue.chaos && chance(venue.chaos)) return;
    v->is_sent = true;
    way_put((message_t){.kind = GW_BOOK, .instrument = (uint8_t)i, .number = v->sent_number, .ts = sim_real(), .whole = true,
                        .due = sim_now + 30 * MS + (int64_t)below(500) * MS});
}

/* --- what is right --------------------------------------------------------------------------------- */

static inline int ladder_price(unsigned side, int i) { return side ? i : LADDER - 1 - i; }

static inline book_truth_t ladder_truth(const ladder_t *l) {
    uint64_t hash[2][GW_BOOK_DEPTHS];
    book_truth_t truth;
    for (unsigned side = 0; side < 2; side++) {
        uint64_t h = 1469598103934665603u;
        unsigned next = 0;
        uint32_t n = 0;
        for (int i = 0; i < LADDER; i++) {
            const int price = ladder_price(side, i);
            const int32_t qty = l->qty[side][price];
            char text[32];
            if (!qty) continue;
            h = mix(h, text, (size_t)sprintf(text, "%d.%02d", (LADDER_BASE + price) / 100, (LADDER_BASE + price) % 100));
            h = mix(h, text, (size_t)sprintf(text, "%d", qty));
            if (++n == gw_book_depths[next]) hash[side][next++] = h;
        }
        while (next < GW_BOOK_DEPTHS) hash[side][next++] = h;
    }
    for (unsigned i = 0; i < GW_BOOK_DEPTHS; i++) truth.hash[i] = hash[0][i] * 31 + hash[1][i];
    return truth;
}

static inline gw_book_level_t ladder_level(unsigned side, int price, int32_t qty) {
    return (gw_book_level_t){.side = (uint8_t)side, .price = LADDER_BASE + price, .qty = qty, .price_decimals = 2};
}

static inline uint32_t ladder_levels(const ladder_t *l, gw_book_level_t *out) {
    uint32_t n = 0;
    for (unsigned side = 0; side < 2; side++)
        for (int i = 0; i < LADDER; i++)
            if (l->qty[side][i]) out[n++] = ladder_level(side, i, l->qty[side][i]);
    return n;
}

/* --- a client's ------------------------------------------------------------------------------------ */

#define SHOWN_MAX (2 * LADDER)

static inline void shown_open(book_client_t *b) {
    for (int i = 0; i < 2; i++) CHECK((b->side[i] = malloc(SHOWN_MAX * sizeof(shown_t))) != NULL);
}

/* A frame's levels; the books are too small for parts. */
static inline void shown_frame(book_client_t *b, const char *text, bool snapshot) {
    const char *bids = strstr(text, "\"bids\":[");
    CHECK(bids && (snapshot || b->seq) && !strstr(text, "\"part\":"));
    CHECK_EQUAL(number_after(text, "\"depth\":"), gw_book_depths[b->variant]);
    if (snapshot) b->count[0] = b->count[1] = 0;
    const char *at = levels_read(b, bids + 8, 0);
    CHECK(!strncmp(at, ",\"asks\":[", 9));
    levels_read(b, at + 9, 1);
    shown_cut(b, 0);
    shown_cut(b, 1);
    CHECK(strstr(text, "\"checksum\":"));
    CHECK_EQUAL(number_after(text, "\"checksum\":"), shown_sum(b));
}

#endif
