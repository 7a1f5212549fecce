/* Candles: what each kind of trade and each turn of the clock has them say. */
#include "candle_scene.h"

static void feed(const char *price, const char *qty, const char *id, int64_t ts) {
    feed_at(trade(price, qty, id, ts), ts + LAG);
}

static unsigned seen; /* of `told` */

static void expect(const char *text) {
    if (seen == told_count) fprintf(stderr, "nothing told, not \"%s\"\n", text);
    CHECK(seen < told_count);
    const char *is = words(&told[seen]);
    if (strcmp(is, text)) fprintf(stderr, "told %u is \"%s\", not \"%s\"\n", seen, is, text);
    CHECK(!strcmp(is, text));
    seen++;
}

static void expect_nothing(void) {
    if (seen < told_count) fprintf(stderr, "told %u is \"%s\"\n", seen, words(&told[seen]));
    CHECK_EQUAL(told_count, seen);
}

static void fresh(unsigned intervals, int64_t update_ns) {
    seen = 0;
    begin(intervals, 4, update_ns);
}

static void a_candle_is_closed_by_the_first_trade_of_a_later_one(void) {
    fresh(2, 0);
    feed("10.50", "1", "1", T0 + 5 * S);
    expect("1m 0 10.50 10.50 10.50 10.50 1 1 partial");
    feed("10.7", "0.25", "2", T0 + 6 * S);
    expect("1m 0 10.50 10.7 10.50 10.7 1.25 2 partial");
    feed("9", "0.250", "3", T0 + 59 * S + S - 1);
    expect("1m 0 10.50 10.7 9 9 1.500 3 partial");
    feed("11", "2", "4", T0 + 60 * S);
    expect("1m 0 10.50 10.7 9 9 1.500 3 closed partial");
    expect("1m 60 11 11 11 11 2 1");
    CHECK_EQUAL(told[seen - 1].h.ts_event, T0 + 60 * S);
    CHECK_EQUAL(told[seen - 1].h.ts_recv, T0 + 60 * S + LAG);
    expect_nothing();
    end();
}

static void the_clock_closes_half_a_second_after_the_end_by_the_venues_time(void) {
    fresh(2, 0);
    feed_at(trade("10", "1", "1", T0 + S), T0 + S + LAG);
    feed_at(trade("10", "1", "2", T0 + 2 * S), T0 + 2 * S + 3 * S); /* a slow way: only the least counts */
    seen = told_count;
    turn(T0 + 60 * S + GW_CANDLE_DELAY_NS - 1);
    expect_nothing();
    turn(T0 + 60 * S + GW_CANDLE_DELAY_NS);
    expect("1m 0 10 10 10 10 2 2 closed partial");
    expect_nothing();
    turn(T0 + 120 * S + GW_CANDLE_DELAY_NS);
    expect("1m 60 10 10 10 10 0 0 closed"); /* nothing happened in it */
    CHECK_EQUAL(told[seen - 1].h.ts_event, T0 + 120 * S);
    feed("12", "1", "3", T0 + 121 * S);
    expect("1m 120 12 12 12 12 1 1");
    expect_nothing();
    end();
}

static void candles_without_trades_have_the_price_of_the_one_before(void) {
    fresh(1, 0);
    feed("10.0", "1", "1", T0);
    expect("1s 0 10.0 10.0 10.0 10.0 1 1 partial");
    feed("11", "1", "2", T0 + 3 * S);
    expect("1s 0 10.0 10.0 10.0 10.0 1 1 closed partial");
    expect("1s 1 10.0 10.0 10.0 10.0 0 0 closed");
    expect("1s 2 10.0 10.0 10.0 10.0 0 0 closed");
    expect("1s 3 11 11 11 11 1 1");
    expect_nothing();
    end();
}

static void more_of_them_than_a_batch_may_tell_are_left_out_and_counted(void) {
    fresh(1, 0);
    feed("10", "1", "1", T0);
    feed("11", "1", "2", T0 + 1000 * S);
    CHECK_EQUAL(told_count, 1 + 1 + GW_CANDLE_EMPTIES + 1);
    CHECK_EQUAL(candles.counts.left_out, 1000 - 1 - GW_CANDLE_EMPTIES);
    /* The clock passes over what is too far behind. */
    const unsigned before = told_count;
    turn(T0 + 5000 * S);
    CHECK_EQUAL(told_count, before + 1);
    feed("12", "1", "3", T0 + 5001 * S);
    seen = told_count - 1;
    expect("1s 5001 12 12 12 12 1 1");
    end();
}

static void a_late_trade_has_its_candle_told_again(void) {
    fresh(3, 0);
    feed("10", "1", "1", T0 + 57 * S);
    feed("12", "1", "5", T0 + 61 * S);
    seen = told_count;
    feed_at(trade("9", "1", "2", T0 + 58 * S), T0 + 61 * S + LAG);
    expect("1s 58 9 9 9 9 1 1 closed revised");
    expect("1m 0 10 10 9 9 2 2 closed revised partial");
    expect_nothing();
    /* Earlier than the first one: the open is another. In the running minute only the second is told again. */
    feed_at(trade("8", "1", "3", T0 + 60 * S), T0 + 61 * S + LAG);
    expect("1s 60 8 8 8 8 1 1 closed revised");
    expect("1m 60 8 12 8 12 2 2");
    expect_nothing();
    feed_at(trade("7", "1", "4", T0 + 51 * S - 1), T0 + 61 * S + LAG);
    expect_nothing();
    CHECK_EQUAL(candles.counts.late, 1);
    feed_at(trade("7", "1", "6", T0 + 57 * S), T0 + 61 * S + LAG); /* as early as the first: it comes behind it */
    expect("1s 57 10 10 7 7 2 2 closed revised partial");
    expect("1m 0 10 10 7 9 3 3 closed revised partial");
    expect_nothing();
    end();
}

static void what_comes_late_is_not_the_price_of_candles_without_trades(void) {
    fresh(1, 0);
    feed("10", "1", "7", T0 + S / 2);
    feed_at(trade("9", "1", "6", T0 + S / 2), T0 + S / 2 + LAG); /* before the other, by its number */
    feed_at(trade("8", "1", "5", T0), T0 + S / 2 + LAG);
    turn(T0 + 2 * S + GW_CANDLE_DELAY_NS);
    seen = told_count - 2;
    expect("1s 0 8 10 8 10 3 3 closed partial");
    expect("1s 1 10 10 10 10 0 0 closed");
    end();
}

static void a_trade_whose_id_came_before_is_no_other(void) {
    fresh(2, 0);
    feed("10", "1", "17", T0 + S);
    feed("10", "1", "17", T0 + S);
    feed("10", "1", "deadbeef-0000-0000-0000-000000000000-and-more-than-inline", T0 + 2 * S);
    feed("10", "1", "deadbeef-0000-0000-0000-000000000000-and-more-than-inline", T0 + 2 * S);
    feed("10", "1", "deadbeef-0000-0000-0000-000000000000-and-more-than-inlinf", T0 + 2 * S);
    feed("10", "1", "", T0 + 3 * S); /* without an id none is known */
    feed("10", "1", "", T0 + 3 * S);
    CHECK_EQUAL(candles.counts.duplicates, 2);
    seen = told_count - 1;
    expect("1m 0 10 10 10 10 5 5 partial");
    end();
}

static void ids_of_before_a_reset_are_of_other_trades(void) {
    fresh(2, 0);
    feed("10", "1", "1", T0 + S);
    gw_record_t r = trade("11", "1", "1", T0 + 2 * S);
    r.h.gap = GW_GAP_RESET;
    feed_at(r, T0 + 2 * S + LAG);
    CHECK_EQUAL(candles.counts.duplicates, 0);
    seen = told_count - 1;
    expect("1m 0 10 11 10 11 2 2 partial");
    end();
}

static void trades_need_no_order(void) {
    fresh(2, 0);
    feed("12", "1", "102", T0 + 5 * S); /* newest first, two of one time */
    feed("11", "1", "101", T0 + 5 * S);
    feed_at(trade("10", "1", "100", T0 + 4 * S), T0 + 5 * S + LAG);
    seen = told_count - 1;
    expect("1m 0 10 12 10 12 3 3 partial");
    end();
}

static void what_a_gap_touches_behind_candles_that_are_left_out(void) {
    fresh(1, 0);
    feed("10", "1", "1", T0);
    gw_record_t r = trade("11", "1", "9", T0 + 1000 * S + S / 2);
    r.h.gap = GW_GAP_FEED;
    feed_at(r, T0 + 1000 * S + S / 2 + LAG);
    CHECK_EQUAL(candles.counts.left_out, 1000 - 1 - GW_CANDLE_EMPTIES);
    seen = told_count - 2;
    CHECK(told[seen].u.candle.flags & GW_CANDLE_PARTIAL && told[seen].u.candle.flags & GW_CANDLE_CLOSED);
    seen++;
    expect("1s 1000 11 11 11 11 1 1 partial"); /* what is missing may have been in its first half */
    feed("11", "1", "10", T0 + 1001 * S);
    expect("1s 1000 11 11 11 11 1 1 closed partial");
    expect("1s 1001 11 11 11 11 1 1"); /* nothing is missing behind the trade that showed it */
    expect_nothing();
    end();
}

static void what_a_gap_touches_is_not_complete(void) {
    fresh(2, 0);
    feed("10", "1", "1", T0 + 59 * S);
    feed("10", "1", "2", T0 + 61 * S);
    turn(T0 + 121 * S);
    seen = told_count;
    gw_record_t r = trade("11", "1", "9", T0 + 122 * S);
    r.h.gap = GW_GAP_FEED;
    feed_at(r, T0 + 122 * S + LAG);
    expect("1m 60 10 10 10 10 1 1 closed revised partial"); /* what is missing may have been in it */
    expect("1m 120 11 11 11 11 1 1 partial");
    expect_nothing();
    turn(T0 + 181 * S);
    expect("1m 120 11 11 11 11 1 1 closed partial");
    feed("11", "1", "10", T0 + 182 * S);
    expect("1m 180 11 11 11 11 1 1");
    gw_candles_refused(&candles, 0);
    turn(T0 + 183 * S);
    expect("1m 180 11 11 11 11 1 1 partial");
    feed("12", "1", "11", T0 + 241 * S); /* what was refused may have been of either */
    expect("1m 180 11 11 11 11 1 1 closed partial");
    expect("1m 240 12 12 12 12 1 1 partial");
    feed("12", "1", "12", T0 + 301 * S);
    expect("1m 240 12 12 12 12 1 1 closed partial");
    expect("1m 300 12 12 12 12 1 1");
    r = trade("13", "1", "20", T0 + 425 * S); /* a gap over several that nothing has closed */
    r.h.gap = GW_GAP_RESET;
    feed_at(r, T0 + 425 * S + LAG);
    expect("1m 300 12 12 12 12 1 1 closed partial");
    expect("1m 360 12 12 12 12 0 0 closed partial");
    expect("1m 420 13 13 13 13 1 1 partial");
    expect_nothing();
    end();
}

static void what_is_no_markets_is_left_out(void) {
    fresh(2, 0);
    gw_record_t r = trade("10", "1", "1", T0);
    r.h.flags = GW_FLAG_UNPRINTED;
    feed_at(r, T0 + LAG);
    expect_nothing();
    CHECK_EQUAL(candles.counts.unprinted, 1);
    end();
}

static void a_clock_that_was_set_begins_anew(void) {
    fresh(2, 0);
    feed("10", "1", "1", T0 + 3600 * S);
    for (unsigned i = 0; i < GW_CANDLE_ODD_RUN - 1; i++) feed_at(trade("11", "1", "", T0 + 60 * S), T0 + 3600 * S);
    CHECK_EQUAL(candles.counts.late, GW_CANDLE_ODD_RUN - 1);
    seen = told_count;
    feed_at(trade("11", "1", "", T0 + 61 * S), T0 + 3601 * S);
    expect("1m 60 11 11 11 11 1 1 partial");
    CHECK_EQUAL(candles.counts.restarts, 1);
    turn(T0 + 3660 * S); /* the clock is its feed's, not its own */
    expect_nothing();
    /* One that is far ahead, or beyond all times, does not move the clock. */
    feed_at(trade("12", "1", "", T0 + 7200 * S), T0 + 3600 * S);
    feed_at(trade("12", "1", "", INT64_MAX), T0 + 3600 * S);
    CHECK(candles.counts.ahead >= 1);
    for (unsigned i = 0; i < 2 * GW_CANDLE_ODD_RUN; i++) feed_at(trade("12", "1", "", INT64_MAX), T0 + 3600 * S);
    turn(T0 + 3661 * S);
    end();
    /* What is played again begins again with the first trade that has jumped back. */
    fresh(2, 0);
    gw_record_t r = trade("10", "1", "1", T0 + 3600 * S);
    gw_candles_now(&candles, T0, T0);
    gw_candles_trade(&candles, &r, 0, false);
    r = trade("11", "1", "2", T0);
    gw_candles_trade(&candles, &r, 0, false);
    expect("1m 3600 10 10 10 10 1 1 partial");
    expect("1m 0 11 11 11 11 1 1 partial");
    end();
}

static void old_trades_at_first_do_not_make_live_ones_look_early(void) {
    fresh(2, 0);
    feed_at(trade("10", "1", "1", T0), T0 + 3600 * S);
    feed_at(trade("11", "1", "2", T0 + 3600 * S), T0 + 3600 * S + LAG);
    seen = told_count - 1;
    expect("1m 3600 11 11 11 11 1 1");
    CHECK_EQUAL(candles.counts.ahead, 0);
    turn(T0 + 3660 * S + GW_CANDLE_DELAY_NS);
    expect("1m 3600 11 11 11 11 1 1 closed");
    end();
}

static void running_candles_are_told_no_oftener_than_asked(void) {
    fresh(2, S / 4);
    feed("10", "1", "1", T0 + S);
    expect("1m 0 10 10 10 10 1 1 partial");
    feed("11", "1", "2", T0 + S + S / 5);
    turn(T0 + S + S / 5);
    expect_nothing();
    turn(T0 + S + S / 4);
    expect("1m 0 10 11 10 11 2 2 partial");
    turn(T0 + 2 * S); /* nothing new */
    expect_nothing();
    feed("12", "1", "3", T0 + 2 * S); /* after a pause at once */
    expect("1m 0 10 12 10 12 3 3 partial");
    end();
}

static void digits_are_exact_however_many(void) {
    fresh(2, 0);
    feed("0.00000000000000000000000000000000000001", "99999999999999999999999999999999999999", "1", T0);
    expect("1m 0 0.00000000000000000000000000000000000001 0.00000000000000000000000000000000000001 "
           "0.00000000000000000000000000000000000001 0.00000000000000000000000000000000000001 "
           "99999999999999999999999999999999999999 1 partial");
    /* Its volume has no digit left: the trade is left out, and the candle says that it is not whole. */
    feed("5", "1", "2", T0 + S);
    CHECK_EQUAL(candles.counts.unfit, 1);
    end();
    fresh(2, 0);
    /* 2^90, which times 10^38 is a multiple of 2^128 */
    feed("1237940039285380274899124224", "1", "1", T0);
    feed("0.00000000000000000000000000000000000001", "1", "2", T0 + S);
    feed("2.50", "1", "3", T0 + 2 * S);
    seen = told_count - 1;
    expect("1m 0 1237940039285380274899124224 1237940039285380274899124224 "
           "0.00000000000000000000000000000000000001 2.50 3 3 partial");
    end();
    fresh(2, 0);
    feed("1.10", "123456789012345678.9", "1", T0);
    feed("1.1", "-0.000000001", "2", T0 + S);
    feed("-1.2", "1", "3", T0 + 2 * S);
    seen = told_count - 1;
    expect("1m 0 1.10 1.10 -1.2 -1.2 123456789012345679.899999999 3 partial");
    end();
}

static void rows_are_given_back(void) {
    static const uint32_t topics[GW_CANDLES] = {0};
    begin(ALL, 2, 0);
    CHECK(gw_candles_begin(&candles, 1, topics));
    CHECK(!gw_candles_begin(&candles, 2, topics));
    CHECK_EQUAL(candles.counts.full, 1);
    gw_candles_end(&candles, 0);
    gw_candles_end(&candles, 0);
    CHECK(gw_candles_begin(&candles, 2, topics));
    gw_candles_end(&candles, 15);
    feed("1", "1", "1", T0); /* of topic 0, which has none now */
    CHECK_EQUAL(told_count, 0);
    CHECK(!gw_candles_begin(&candles, 16, topics));
    end();
}

static void a_step_does_no_more_than_its_budget(void) {
    const uint32_t instruments = 3000;
    told_count = 0;
    CHECK_EQUAL(gw_candles_init(&candles, ALL, instruments, instruments, 0, take, &told_count), 0);
    static const uint32_t topics[GW_CANDLES] = {100, 101, 102, 103, 104, 105};
    for (uint32_t i = 0; i < instruments; i++) {
        CHECK(gw_candles_begin(&candles, i, topics));
        gw_record_t r = trade("1", "1", "1", T0 + 86399 * S);
        r.h.topic = i;
        feed_at(r, T0 + 86399 * S + LAG);
    }
    told_count = 0;
    unsigned steps = 0, most = 0;
    for (bool left = true; left; steps++) {
        const unsigned before = told_count;
        gw_candles_now(&candles, T0 + 86401 * S, T0 + 86401 * S);
        left = gw_candles_step(&candles);
        if (told_count - before > most) most = told_count - before;
    }
    CHECK_EQUAL(told_count, instruments * GW_CANDLES); /* the day's end closes all */
    CHECK(most <= GW_CANDLE_TOLD * GW_CANDLES);
    CHECK(steps >= instruments / GW_CANDLE_TOLD);
    end();
}

int main(void) {
    RUN(a_candle_is_closed_by_the_first_trade_of_a_later_one);
    RUN(the_clock_closes_half_a_second_after_the_end_by_the_venues_time);
    RUN(candles_without_trades_have_the_price_of_the_one_before);
    RUN(more_of_them_than_a_batch_may_tell_are_left_out_and_counted);
    RUN(a_late_trade_has_its_candle_told_again);
    RUN(what_comes_late_is_not_the_price_of_candles_without_trades);
    RUN(a_trade_whose_id_came_before_is_no_other);
    RUN(ids_of_before_a_reset_are_of_other_trades);
    RUN(trades_need_no_order);
    RUN(what_a_gap_touches_behind_candles_that_are_left_out);
    RUN(what_a_gap_touches_is_not_complete);
    RUN(what_is_no_markets_is_left_out);
    RUN(a_clock_that_was_set_begins_anew);
    RUN(old_trades_at_first_do_not_make_live_ones_look_early);
    RUN(running_candles_are_told_no_oftener_than_asked);
    RUN(digits_are_exact_however_many);
    RUN(rows_are_given_back);
    RUN(a_step_does_no_more_than_its_budget);
    return 0;
}
