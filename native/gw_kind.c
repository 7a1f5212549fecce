#include "gw_kind.h"

#define AT(member) ((uint8_t)offsetof(gw_record_t, u.member))
#define DECIMAL_TRADE(i, f) \
    {.name = #f, .type = GW_FIELD_DECIMAL, .decimal = i, \
     .at = AT(trade.f), .exponent = AT(trade.f##_exponent), .digits = AT(trade.f##_digits)}
#define DECIMAL_BBO(i, f, other, bit) \
    {.name = #f, .type = GW_FIELD_DECIMAL, .with = other, .decimal = i, \
     .at = AT(bbo.mantissa[i]), .exponent = AT(bbo.exponent[i]), .digits = AT(bbo.digits[i]), .none = bit}
#define WORDS_NAMED(text, f, most) \
    {.name = text, .type = GW_FIELD_WORDS, .at = AT(health.f), .digits = AT(health.f##_length), .room = most}
#define WORDS(f, most) WORDS_NAMED(#f, f, most)

#define DECIMAL_CANDLE(i, f, length) \
    {.name = #f, .type = GW_FIELD_DECIMAL, .decimal = i, \
     .at = AT(candle.mantissa[i]), .exponent = AT(candle.exponent[i]), .digits = AT(candle.length)}
#define DECIMAL_INSTRUMENT(i, f, bit) \
    {.name = #f, .type = GW_FIELD_DECIMAL, .with = i, .decimal = i, .at = AT(instrument.mantissa[i]), \
     .exponent = AT(instrument.exponent[i]), .digits = AT(instrument.digits[i]), .none = bit}
#define NUMBER_INSTRUMENT(text, f, may_lack) \
    {.name = text, .type = GW_FIELD_NUMBER, .at = AT(instrument.f), .none = may_lack, .room = 4}
#define WORDS_INSTRUMENT(f, place, most) \
    {.name = #f, .type = GW_FIELD_WORDS, .at = (uint8_t)offsetof(gw_record_t, place), \
     .digits = AT(instrument.f##_length), .room = most}
#define FLAG_CANDLE(f, bit) {.name = f, .type = GW_FIELD_FLAG, .at = AT(candle.flags), .none = bit}
#define CANDLE(text) \
    {.name = "candle", \
     .interval = text, \
     .fields = {{.name = "start", .type = GW_FIELD_NUMBER, .at = AT(candle.start), .room = 8}, \
                DECIMAL_CANDLE(GW_OPEN, open, digits[GW_OPEN]), DECIMAL_CANDLE(GW_HIGH, high, digits[GW_HIGH]), \
                DECIMAL_CANDLE(GW_LOW, low, digits[GW_LOW]), DECIMAL_CANDLE(GW_CLOSE, close, digits[GW_CLOSE]), \
                DECIMAL_CANDLE(GW_VOLUME, volume, volume_digits), \
                {.name = "trades", .type = GW_FIELD_NUMBER, .at = AT(candle.trades), .room = 4}, \
                FLAG_CANDLE("closed", GW_CANDLE_CLOSED), FLAG_CANDLE("revised", GW_CANDLE_REVISED), \
                FLAG_CANDLE("partial", GW_CANDLE_PARTIAL)}, \
     .fields_count = 10, \
     .decimals_count = GW_CANDLE_DECIMALS, \
     .cells_max = GW_RECORD_CELLS_TAIL, \
     .state = GW_STATE_COPY}

const gw_kind_t gw_kinds[GW_CHANNELS] = {
    [GW_TRADE] = {
        .name = "trade",
        .fields = {DECIMAL_TRADE(0, price), DECIMAL_TRADE(1, qty),
                   {.name = "side", .type = GW_FIELD_SIDE, .at = AT(trade.side)},
                   {.name = "id", .type = GW_FIELD_ID, .at = AT(trade.id), .digits = AT(trade.id_length)}},
        .fields_count = 4,
        .decimals_count = 2,
        .cells_max = GW_RECORD_CELLS_TAIL,
        .state = GW_STATE_COPY,
        .fed = 1,
    },
    [GW_BBO] = {
        .name = "bbo",
        .fields = {DECIMAL_BBO(GW_BID, bid, GW_BID_QTY, GW_EXTRA_NO_BID),
                   DECIMAL_BBO(GW_BID_QTY, bid_qty, GW_BID, GW_EXTRA_NO_BID),
                   DECIMAL_BBO(GW_ASK, ask, GW_ASK_QTY, GW_EXTRA_NO_ASK),
                   DECIMAL_BBO(GW_ASK_QTY, ask_qty, GW_ASK, GW_EXTRA_NO_ASK)},
        .fields_count = 4,
        .decimals_count = 4,
        .cells_max = GW_RECORD_CELLS_TAIL,
        .state = GW_STATE_COPY,
        .fed = 1,
    },
    [GW_BOOK] = {
        .name = "book",
        .cells_max = GW_RECORD_CELLS_MAX,
        .state = GW_STATE_BOOK,
        .fed = 1,
    },
    [GW_INSTRUMENT] = {
        .name = "instrument",
        .fields = {DECIMAL_INSTRUMENT(GW_TICK, tick, GW_EXTRA_NO_TICK), DECIMAL_INSTRUMENT(GW_LOT, lot, GW_EXTRA_NO_LOT),
                   NUMBER_INSTRUMENT("pdigits", price_digits, 1), NUMBER_INSTRUMENT("qdigits", qty_digits, 1),
                   WORDS_INSTRUMENT(base, u.instrument.base, GW_ASSET_MAX),
                   WORDS_INSTRUMENT(quote, instrument_more.quote, GW_ASSET_MAX),
                   {.name = "derived", .type = GW_FIELD_FLAG, .at = AT(instrument.flags), .none = GW_INSTRUMENT_DERIVED},
                   NUMBER_INSTRUMENT("delay_s", delay_s, 0),
                   WORDS_INSTRUMENT(status, u.instrument.status, GW_STATE_MAX),
                   WORDS_INSTRUMENT(own, instrument_more.own, GW_SYMBOL_OWN_MAX)},
        .fields_count = 10,
        .decimals_count = GW_INSTRUMENT_DECIMALS,
        .cells_max = GW_RECORD_CELLS_TAIL,
        .tailed = 1,
        .state = GW_STATE_COPY,
        .fed = 1,
    },
    [GW_STATUS] = {
        .name = "status",
        .fields = {WORDS_NAMED("status", state, GW_STATE_MAX), WORDS(reason, GW_REASON_MAX)},
        .fields_count = 2,
        .cells_max = GW_RECORD_CELLS,
        .state = GW_STATE_COPY,
        .fed = 1,
    },
    [GW_HEALTH] = {
        .name = "health",
        .fields = {WORDS(state, GW_STATE_MAX), WORDS(reason, GW_REASON_MAX)},
        .fields_count = 2,
        .cells_max = GW_RECORD_CELLS,
        .state = GW_STATE_COPY,
    },
    [GW_CANDLE] = CANDLE("1s"),
    [GW_CANDLE + 1] = CANDLE("1m"),
    [GW_CANDLE + 2] = CANDLE("5m"),
    [GW_CANDLE + 3] = CANDLE("15m"),
    [GW_CANDLE + 4] = CANDLE("1h"),
    [GW_CANDLE + 5] = CANDLE("1d"),
#ifdef GW_TEST_KINDS
    [GW_TEST] = {
        .name = "test",
        .fields = {{.name = "text", .type = GW_FIELD_TEXT, .at = GW_CELL + offsetof(gw_test_t, text),
                    .digits = GW_CELL + offsetof(gw_test_t, length), .room = 3000}},
        .fields_count = 1,
        .cells_max = GW_RECORD_CELLS_MAX,
        .state = GW_STATE_COPY,
    },
#endif
};
_Static_assert(sizeof(gw_record_t) <= UINT8_MAX, "a field's place fits a byte");
