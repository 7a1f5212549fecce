/* What one trade and one quote cost as JSON and as a binary frame. Stamps and numbers change from record to record, as live ones do. */
#include "micro.h"

#include "../../native/test/bbo_program.h"
#include "../../native/test/sbe_programs.h"
#include "../../native/test/trade_program.h"
#include "gw_template.h"

#include <stdlib.h>
#include <string.h>

enum { RECORDS = 512 };

static const char symbol[] = "BTCUSDT.BINANCE";
static gw_record_t records[RECORDS];
static gw_template_t *template;
static char *out;

static void load(const uint8_t *program, size_t size) {
    if (gw_template_load(program, size, &template) != 0) abort();
    out = malloc(gw_template_size_max(template, GW_INSTRUMENT_MAX));
    if (out == NULL) abort();
}

static void trade_fill(void) {
    for (int i = 0; i < RECORDS; i++) {
        gw_record_t *r = &records[i];
        char id[16];
        int length = snprintf(id, sizeof id, "%d", 381000000 + i * 37);
        r->h.kind = GW_TRADE;
        r->h.topic_seq = 1 + (uint64_t)i * 40;
        r->h.ts_event = 1714979289123000000 + i * 1000003;
        r->h.ts_recv = r->h.ts_event + 350123;
        r->u.trade = (gw_trade_t){.price = 6425010 + i * 7, .price_exponent = -2, .price_digits = 7,
                                  .qty = 1500000 + i * 1001, .qty_exponent = -8, .qty_digits = 9,
                                  .side = i % 3 ? GW_SIDE_BUY : GW_SIDE_SELL, .id_length = (uint8_t)length};
        memcpy(r->u.trade.id, id, (size_t)length);
    }
}

static gw_text_t decimal(char *at, int size, int whole, int thousandths) {
    return (gw_text_t){at, (size_t)snprintf(at, (size_t)size, "%d.%03d", whole, thousandths)};
}

static void bbo_fill(void) {
    for (int i = 0; i < RECORDS; i++) {
        gw_record_t *r = &records[i];
        char texts[4][32];
        int field;
        const gw_text_t sides[4] = {
            decimal(texts[0], 32, 64250 + i, i % 1000), decimal(texts[1], 32, i % 9, i * 7 % 1000),
            decimal(texts[2], 32, 64251 + i, i % 1000), decimal(texts[3], 32, i % 7, i * 11 % 1000)};
        if (gw_record_fill(r, GW_BBO, sides, &field)) abort();
        r->h.topic_seq = 1 + (uint64_t)i * 40;
        r->h.ts_event = 1714979289123000000 + i * 1000003;
        r->h.ts_recv = r->h.ts_event + 350123;
    }
}

static void trade_setup(void) {
    load(TRADE_PROGRAM, TRADE_PROGRAM_SIZE);
    trade_fill();
}

static void bbo_setup(void) {
    load(BBO_PROGRAM, BBO_PROGRAM_SIZE);
    bbo_fill();
}

static void sbe_trade_setup(void) {
    load((const uint8_t *)sbe_trade_program, sizeof sbe_trade_program - 1);
    trade_fill();
}

static void sbe_bbo_setup(void) {
    load((const uint8_t *)sbe_bbo_program, sizeof sbe_bbo_program - 1);
    bbo_fill();
}

static void encode_run(uint64_t ops) {
    for (uint64_t i = 0; i < ops; i++) {
        const gw_record_t *r = &records[i % RECORDS];
        gw_encode_t in = {.record = r, .symbol = symbol, .symbol_length = sizeof symbol - 1, .topic = 7,
                          .ts_send = r->h.ts_recv + 12345};
        micro_keep((const void *)gw_template_encode(template, &in, out));
    }
}

const micro_row_t micro_encode_rows[] = {
    {"encode_trade_json", "a trade as JSON", 1 << 16, trade_setup, encode_run, NULL},
    {"encode_bbo_json", "a quote as JSON", 1 << 16, bbo_setup, encode_run, NULL},
    {"encode_trade_sbe", "a trade as a binary frame", 1 << 16, sbe_trade_setup, encode_run, NULL},
    {"encode_bbo_sbe", "a quote as a binary frame", 1 << 16, sbe_bbo_setup, encode_run, NULL},
    {0},
};
