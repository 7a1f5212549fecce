/* Rows of the encoder. Stamps and numbers change from record to record, as live ones do. */
#include "../../native/test/trade_program.h"
#include "gw_template.h"
#include "micro.h"

#include <stdlib.h>

enum { RECORDS = 512 };

static gw_record_t records[RECORDS];
static gw_template_t *trade;
static char *out;

static void records_fill(void) {
    if (gw_template_load(TRADE_PROGRAM, TRADE_PROGRAM_SIZE, &trade) != 0) abort();
    out = malloc(gw_template_size_max(trade, GW_INSTRUMENT_MAX));
    if (out == NULL) abort();
    for (int i = 0; i < RECORDS; i++) {
        gw_record_t *r = &records[i];
        r->h = (gw_header_t){.kind = GW_TRADE, .topic_seq = 1 + (uint64_t)i * 40,
                             .ts_event = 1714979289123000000 + i * 1000003,
                             .ts_recv = 1714979289123350123 + i * 1000003};
        r->u.trade = (gw_trade_t){.price = 6425010 + i * 7, .price_exponent = -2, .price_digits = 7,
                                  .qty = 1500000 + i * 1001, .qty_exponent = -8, .qty_digits = 9,
                                  .side = i % 3 ? GW_SIDE_BUY : GW_SIDE_SELL};
        r->u.trade.id_length = (uint8_t)snprintf(r->u.trade.id, GW_ID_MAX, "%d", 381000000 + i * 37);
    }
}

static void trade_encode(uint64_t ops) {
    static const char symbol[] = "BTCUSDT.BINANCE";
    for (uint64_t i = 0; i < ops; i++) {
        const gw_record_t *r = &records[i % RECORDS];
        gw_encode_t in = {r, symbol, sizeof symbol - 1, .ts_send = r->h.ts_recv + 12345};
        gw_template_encode(trade, &in, out);
        micro_keep(out);
    }
}

const micro_row_t micro_encode_rows[] = {
    {.name = "encode_trade_json", .what = "encode a trade as JSON (about 240 bytes)", .ops = 50000,
     .setup = records_fill, .run = trade_encode},
    {0},
};
