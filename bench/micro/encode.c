/* What one trade costs as JSON: `encode_trade_json <ns>`, the lowest of several rounds, as anything above
 * it is the machine doing something else. Stamps and numbers change from record to record, as live ones do. */
#include <stdio.h>
#include <stdlib.h>

#include "gw_clock.h"
#include "gw_template.h"
#include "../../native/test/trade_program.h"

enum { RECORDS = 512, ROUNDS = 40, PASSES = 40 };

static gw_record_t records[RECORDS];

static void fill_records(void) {
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
        for (int k = 0; k < length; k++) r->u.trade.id[k] = id[k];
    }
}

static size_t encode_all(const gw_template_t *t, char *out) {
    static const char symbol[] = "BTCUSDT.BINANCE";
    size_t bytes = 0;
    for (int i = 0; i < RECORDS; i++) {
        gw_encode_t in = {.record = &records[i], .symbol = symbol, .symbol_length = sizeof symbol - 1,
                          .ts_send = records[i].h.ts_recv + 12345};
        bytes += gw_template_encode(t, &in, out);
    }
    return bytes;
}

int main(void) {
    gw_template_t *t;
    if (gw_template_load(TRADE_PROGRAM, TRADE_PROGRAM_SIZE, &t) != 0) return 1;
    fill_records();
    char *out = malloc(gw_template_size_max(t, GW_INSTRUMENT_MAX));
    if (out == NULL) return 1;
    int64_t best = INT64_MAX;
    size_t bytes = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start = gw_monotonic_ns();
        for (int pass = 0; pass < PASSES; pass++) bytes += encode_all(t, out);
        int64_t took = gw_monotonic_ns() - start;
        if (took < best) best = took;
    }
    printf("encode_trade_json %.1f\n", (double)best / (PASSES * RECORDS));
    free(out);
    gw_template_free(t);
    return bytes == 0;
}
