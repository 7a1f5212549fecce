/* Binary frames to a client: one by one as many at once, with the levels of books; the same messages either way. The first
 * byte says into how many frames the rest is cut. */
#include "check.h"
#include "gw_sbe_book.h"

enum { FRAMES_MAX = 4, MESSAGES_MAX = 1 << 10 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void levels(const gw_sbe_message_t *m) {
    uint32_t count = gw_sbe_book_count(m);
    gw_book_level_t *made = malloc(count ? count * sizeof *made : 1);
    CHECK(made != NULL);
    gw_sbe_fault_t fault = gw_sbe_book_levels(m, made);
    CHECK(fault == GW_SBE_FINE || strlen(gw_sbe_fault_text(fault)) > 0);
    free(made);
}

/* Reads a frame; its trades, quotes and candles. */
static gw_sbe_fault_t one_by_one(const uint8_t *at, size_t size, size_t *rows) {
    for (unsigned n = 0; size && n < MESSAGES_MAX; n++) {
        gw_sbe_message_t m;
        gw_sbe_fault_t fault = gw_sbe_read(at, size, &m);
        if (fault) return fault;
        CHECK(m.size >= GW_SBE_HEADER && m.size <= size);
        bool has_text = m.kind == GW_SBE_TRADE || m.kind == GW_SBE_BOOK || m.kind == GW_SBE_TOPIC;
        CHECK(!has_text || ((const uint8_t *)m.text >= at && (const uint8_t *)m.text + m.text_length <= at + m.size));
        char text[GW_DECIMAL_TEXT_MAX];
        unsigned decimals = m.kind == GW_SBE_TRADE ? 2 : m.kind == GW_SBE_BBO ? 4 : m.kind == GW_SBE_CANDLE ? 5 : 0;
        for (unsigned i = 0; i < decimals; i++) {
            size_t length = gw_sbe_decimal_text(&m.decimals[i], text);
            CHECK(length <= sizeof text && (length > 0) == (m.decimals[i].exponent != GW_EXPONENT_NONE));
            (void)gw_sbe_decimal_double(&m.decimals[i]);
        }
        if (m.kind == GW_SBE_BOOK) levels(&m);
        *rows += decimals > 0;
        at += m.size;
        size -= m.size;
    }
    return GW_SBE_FINE;
}

static void at_once(const gw_sbe_frame_t *frames, size_t count, size_t rows, gw_sbe_fault_t fault) {
    uint8_t marks[FRAMES_MAX] = {0};
    gw_sbe_batch_t b = {.marks = marks};
    gw_sbe_fault_t found = gw_sbe_batch(frames, count, &b);
    if (found) return;
    gw_sbe_batch_t room = {.marks = marks,
                           .trades = calloc(b.trades_count + 1, sizeof *room.trades),
                           .quotes = calloc(b.quotes_count + 1, sizeof *room.quotes),
                           .candles = calloc(b.candles_count + 1, sizeof *room.candles)};
    CHECK(room.trades && room.quotes && room.candles);
    CHECK_EQUAL(gw_sbe_batch(frames, count, &room), GW_SBE_FINE);
    CHECK_EQUAL(room.trades_count, b.trades_count);
    CHECK_EQUAL(room.quotes_count, b.quotes_count);
    CHECK_EQUAL(room.candles_count, b.candles_count);
    int others = 0;
    for (size_t i = 0; i < count; i++) others |= marks[i] & GW_SBE_MARK_OTHER;
    if (!others && !fault) CHECK_EQUAL(b.trades_count + b.quotes_count + b.candles_count, rows);
    free(room.trades);
    free(room.quotes);
    free(room.candles);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size) return 0;
    size_t count = 1 + data[0] % FRAMES_MAX, each = (size - 1) / count, rows = 0;
    gw_sbe_frame_t frames[FRAMES_MAX];
    gw_sbe_fault_t fault = GW_SBE_FINE;
    for (size_t i = 0; i < count; i++) {
        frames[i] = (gw_sbe_frame_t){data + 1 + i * each, i + 1 < count ? each : size - 1 - i * each};
        gw_sbe_fault_t found = one_by_one(frames[i].at, frames[i].size, &rows);
        if (!fault) fault = found;
    }
    at_once(frames, count, rows, fault);
    return 0;
}
