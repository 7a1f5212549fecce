/* Binary frames give what was written into them; cut, damaged or made up, they are refused or read, and no byte is
 * touched that was not given. */
#include "check.h"
#include "gw_sbe_book.h"

#include <math.h>

enum { ROOM = 512 };

typedef struct {
    uint8_t bytes[ROOM];
    size_t size;
} frame_t;

static void put(frame_t *f, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) f->bytes[f->size++] = (uint8_t)(value >> 8 * i);
}

static void head(frame_t *f, unsigned block, unsigned template_id) {
    put(f, block, 2);
    put(f, template_id, 2);
    put(f, GW_SBE_SCHEMA, 2);
    put(f, 0, 2);
}

static void text(frame_t *f, const char *letters) {
    put(f, strlen(letters), 1);
    memcpy(f->bytes + f->size, letters, strlen(letters));
    f->size += strlen(letters);
}

static void record(frame_t *f, unsigned template_id, unsigned block, uint32_t topic, uint8_t flags) {
    head(f, block, template_id);
    for (uint64_t i = 1; i <= 5; i++) put(f, i * 1000, 8); /* seq, three times, skipped */
    put(f, topic, 4);
    put(f, flags, 1);
}

static void decimal(frame_t *f, int64_t high, uint64_t low, int exponent) {
    put(f, low, 8);
    put(f, (uint64_t)high, 8);
    put(f, (uint8_t)exponent, 1);
}

static void trade(frame_t *f, const char *id) {
    record(f, GW_SBE_TRADE, GW_SBE_TRADE_BLOCK, 7, GW_SBE_FLAG_SNAPSHOT);
    put(f, GW_SIDE_SELL, 1);
    decimal(f, 0, 6425010, -2);
    decimal(f, -1, (uint64_t)-15, -3);
    text(f, id);
}

static void quote(frame_t *f) {
    record(f, GW_SBE_BBO, GW_SBE_BBO_BLOCK, 8, GW_SBE_FLAG_NEGATIVE_ZERO << 1);
    decimal(f, 0, 1, 0);
    decimal(f, 0, 0, -2);
    decimal(f, 0, 0, GW_EXPONENT_NONE);
    decimal(f, 0, 0, GW_EXPONENT_NONE);
}

static void topic(frame_t *f, uint32_t number, const char *name) {
    head(f, GW_SBE_TOPIC_BLOCK, GW_SBE_TOPIC);
    put(f, number, 4);
    put(f, GW_TRADE, 1);
    text(f, name);
}

static void level(frame_t *f, int64_t price, int64_t qty, int price_exponent, int qty_exponent) {
    put(f, (uint64_t)price, 8);
    put(f, (uint64_t)qty, 8);
    put(f, (uint8_t)price_exponent, 1);
    put(f, (uint8_t)qty_exponent, 1);
}

/* Two bids, the first one deleted, and an ask of more than 63 bits. */
static void book(frame_t *f) {
    head(f, GW_SBE_BOOK_BLOCK, GW_SBE_BOOK);
    for (uint64_t i = 1; i <= 5; i++) put(f, i * 1000, 8);
    put(f, 11, 4);
    put(f, 0xfedcba98u, 4);
    put(f, 1, 2), put(f, 3, 2), put(f, 3, 2); /* depth, part, parts */
    put(f, GW_SBE_FLAG_CHECKSUM, 1);
    put(f, GW_SBE_LEVEL_BYTES, 2), put(f, 2, 2);
    level(f, 6425010, 0, -2, 0);
    level(f, 64249, 1500, 0, -3);
    put(f, GW_SBE_LEVEL_BYTES, 2), put(f, 1, 2);
    level(f, -5, INT64_MIN, -1, -1);
    put(f, GW_SBE_WIDE_BYTES, 2), put(f, 1, 2);
    put(f, 10, 8), put(f, 1, 8); /* 18446744073709551626 */
    text(f, "12");
    text(f, "");
}

/* From a block of exactly the frame's size, so that the sanitizer sees a byte too many. */
static gw_sbe_fault_t read_exact(const uint8_t *bytes, size_t size, gw_sbe_message_t *m) {
    uint8_t *block = malloc(size + (size == 0));
    CHECK(block);
    memcpy(block, bytes, size);
    gw_sbe_fault_t fault = gw_sbe_read(block, size, m);
    char number[GW_DECIMAL_TEXT_MAX];
    volatile double sum = 0;
    volatile char last = 0;
    if (fault == GW_SBE_FINE && m->kind == GW_SBE_BOOK) {
        gw_book_level_t *levels = malloc(gw_sbe_book_count(m) * sizeof *levels + 1);
        CHECK(levels);
        if (m->last_length) last = m->last[m->last_length - 1];
        CHECK(gw_sbe_book_levels(m, levels) <= GW_SBE_LEVEL);
        free(levels);
    } else if (fault == GW_SBE_FINE && m->kind != GW_SBE_TOPIC)
        for (unsigned i = 0; i < (m->kind == GW_SBE_TRADE ? 2u : 4u); i++) {
            CHECK(gw_sbe_decimal_text(&m->decimals[i], number) <= sizeof number);
            sum = sum + gw_sbe_decimal_double(&m->decimals[i]);
        }
    if (fault == GW_SBE_FINE && m->kind != GW_SBE_BBO && m->text_length) last = m->text[m->text_length - 1];
    (void)last;
    free(block);
    return fault;
}

static void check_text(const gw_sbe_decimal_t *d, const char *expected) {
    char number[GW_DECIMAL_TEXT_MAX + 1];
    number[gw_sbe_decimal_text(d, number)] = '\0';
    CHECK_EQUAL(strcmp(number, expected), 0);
}

static void check_head(const gw_sbe_message_t *m, unsigned kind, uint32_t number, unsigned flags) {
    CHECK_EQUAL(m->kind, kind);
    CHECK_EQUAL(m->seq, 1000);
    CHECK_EQUAL(m->ts_event, 2000);
    CHECK_EQUAL(m->ts_recv, 3000);
    CHECK_EQUAL(m->ts_send, 4000);
    CHECK_EQUAL(m->skipped, 5000);
    CHECK_EQUAL(m->topic, number);
    CHECK_EQUAL(m->flags, flags);
}

static void a_trade(void) {
    frame_t f = {0};
    gw_sbe_message_t m;
    trade(&f, "381");
    CHECK_EQUAL(gw_sbe_read(f.bytes, f.size, &m), GW_SBE_FINE);
    check_head(&m, GW_SBE_TRADE, 7, GW_SBE_FLAG_SNAPSHOT);
    CHECK_EQUAL(m.size, f.size);
    CHECK_EQUAL(m.side, GW_SIDE_SELL);
    CHECK_EQUAL(m.text_length, 3);
    CHECK_EQUAL(memcmp(m.text, "381", 3), 0);
    check_text(&m.decimals[0], "64250.10");
    check_text(&m.decimals[1], "-0.015");
}

static void a_quote(void) {
    frame_t f = {0};
    gw_sbe_message_t m;
    quote(&f);
    CHECK_EQUAL(gw_sbe_read(f.bytes, f.size, &m), GW_SBE_FINE);
    check_head(&m, GW_SBE_BBO, 8, GW_SBE_FLAG_NEGATIVE_ZERO << 1);
    CHECK_EQUAL(m.size, f.size);
    check_text(&m.decimals[0], "1");
    check_text(&m.decimals[1], "-0.00");
    check_text(&m.decimals[2], "");
    CHECK(signbit(gw_sbe_decimal_double(&m.decimals[1])));
    CHECK(isnan(gw_sbe_decimal_double(&m.decimals[2])));
}

static void a_book(void) {
    frame_t f = {0};
    gw_sbe_message_t m;
    gw_book_level_t levels[3];
    book(&f);
    CHECK_EQUAL(gw_sbe_read(f.bytes, f.size, &m), GW_SBE_FINE);
    check_head(&m, GW_SBE_BOOK, 11, GW_SBE_FLAG_CHECKSUM);
    CHECK_EQUAL(m.size, f.size);
    CHECK_EQUAL(m.checksum, 0xfedcba98u);
    CHECK_EQUAL(m.depth, 1);
    CHECK_EQUAL(m.part, 3);
    CHECK_EQUAL(m.parts, 3);
    CHECK_EQUAL(m.text_length, 2);
    CHECK_EQUAL(m.last_length, 0);
    CHECK_EQUAL(gw_sbe_book_count(&m), 3);
    CHECK_EQUAL(gw_sbe_book_levels(&m, levels), GW_SBE_FINE);
    CHECK_EQUAL(levels[0].price, 6425010);
    CHECK_EQUAL(levels[0].price_decimals, 2);
    CHECK_EQUAL(levels[0].qty, 0);
    CHECK_EQUAL(levels[1].qty, 15);
    CHECK_EQUAL(levels[1].qty_zeros, 2);
    CHECK_EQUAL(levels[1].qty_decimals, 3);
    CHECK_EQUAL(levels[2].side, GW_BOOK_ASK);
    CHECK_EQUAL(levels[2].price, -5);
    CHECK_EQUAL(levels[2].qty, 10);
    CHECK_EQUAL(levels[2].qty_high, 1);
    CHECK_EQUAL(levels[2].qty_zeros, GW_BOOK_LEVEL_WIDE);
}

/* What is written of a book's rows is read as the levels that they were. */
static void levels_there_and_back(void) {
    gw_book_level_t level[3] = {{.side = GW_BOOK_BID, .price = 6425010, .price_decimals = 2},
                                {.side = GW_BOOK_ASK, .price = -77, .price_decimals = 1, .qty = 15, .qty_zeros = 20,
                                 .qty_decimals = 3},
                                {.side = GW_BOOK_ASK, .price = 1, .qty = INT64_MAX, .qty_decimals = 127}};
    gw_book_level_t back[3];
    gw_book_row_t rows[3];
    char bytes[ROOM], *at = bytes;
    for (int i = 0; i < 3; i++) gw_book_level_row(&level[i], &rows[i]);
    at = gw_sbe_book_group(rows, 1, 2, at);
    rows[1].key *= 10; /* a scale of 2, whatever the level's decimals */
    rows[2].key *= 100;
    at = gw_sbe_book_group(rows + 1, 2, 2, at);
    at = gw_sbe_book_wides(rows, 3, at);
    CHECK_EQUAL(at - bytes, 3 * 4 + 3 * GW_SBE_LEVEL_BYTES + GW_SBE_WIDE_BYTES);
    const uint8_t *groups = (const uint8_t *)bytes;
    const gw_sbe_message_t m = {.groups = {{groups + 4, 18, 1}, {groups + 26, 18, 2}, {groups + 66, 16, 1}}};
    CHECK_EQUAL(gw_sbe_book_levels(&m, back), GW_SBE_FINE);
    for (int i = 0; i < 3; i++) CHECK_EQUAL(memcmp(&level[i], &back[i], sizeof level[i]), 0);
}

static void an_announcement(void) {
    frame_t f = {0};
    gw_sbe_message_t m;
    topic(&f, 0xfedcba98u, "A.X");
    trade(&f, "");
    CHECK_EQUAL(gw_sbe_read(f.bytes, f.size, &m), GW_SBE_FINE);
    CHECK_EQUAL(m.kind, GW_SBE_TOPIC);
    CHECK_EQUAL(m.topic, 0xfedcba98u);
    CHECK_EQUAL(m.channel, GW_TRADE);
    CHECK_EQUAL(m.text_length, 3);
    CHECK_EQUAL(m.size, 8 + 5 + 4);
    CHECK_EQUAL(gw_sbe_read(f.bytes + m.size, f.size - m.size, &m), GW_SBE_FINE);
    CHECK_EQUAL(m.kind, GW_SBE_TRADE);
    CHECK_EQUAL(m.text_length, 0);
}

static void numbers(void) {
    static const struct {
        int64_t high;
        uint64_t low;
        int exponent;
        const char *text;
        double number;
    } cases[] = {
        {0, 0, 0, "0", 0.0},
        {0, 0, 5, "0", 0.0},
        {0, 0, -3, "0.000", 0.0},
        {0, 12, -1, "1.2", 1.2},
        {0, 12, -2, "0.12", 0.12},
        {0, 12, 3, "12000", 12000.0},
        {1, 0, 0, "18446744073709551616", 18446744073709551616.0},
        {-1, 0, 0, "-18446744073709551616", -18446744073709551616.0},
        {-1, UINT64_MAX, -1, "-0.1", -0.1},
        {0, 9007199254740993u, 0, "9007199254740993", 9007199254740992.0},
        {0, 9007199254740993u, -22, "0.0000009007199254740993", 0.0000009007199254740993},
        {0, 123456789012345678u, -9, "123456789.012345678", 123456789.012345678},
        /* 38 nines */
        {5421010862427522170, 687399551400673279u, 0, "99999999999999999999999999999999999999", 1e38},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gw_sbe_decimal_t d = {cases[i].low, cases[i].high, (int8_t)cases[i].exponent, false};
        check_text(&d, cases[i].text);
        CHECK(gw_sbe_decimal_double(&d) == cases[i].number);
    }
    gw_sbe_decimal_t longest = {687399551400673279u, 5421010862427522170, -127, false};
    char number[GW_DECIMAL_TEXT_MAX];
    CHECK_EQUAL(gw_sbe_decimal_text(&longest, number), 129);
    CHECK(gw_sbe_decimal_double(&longest) == 1e-89);
    longest.exponent = 100;
    CHECK_EQUAL(gw_sbe_decimal_text(&longest, number), 138);
    CHECK(gw_sbe_decimal_double(&longest) == 1e138);
}

static void limits_of_a_decimal(void) {
    static const struct {
        int64_t high;
        uint64_t low;
        gw_sbe_fault_t fault;
    } cases[] = {
        {5421010862427522170, 687399551400673279u, GW_SBE_FINE}, /* 10^38 - 1, and one more */
        {5421010862427522170, 687399551400673280u, GW_SBE_DIGITS},
        {-5421010862427522171, 17759344522308878337u, GW_SBE_FINE},
        {-5421010862427522171, 17759344522308878336u, GW_SBE_DIGITS},
        {INT64_MIN, 0, GW_SBE_DIGITS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        frame_t f = {0};
        gw_sbe_message_t m;
        record(&f, GW_SBE_BBO, GW_SBE_BBO_BLOCK, 8, GW_SBE_FLAG_NEGATIVE_ZERO << 1);
        decimal(&f, 0, 1, 0);
        decimal(&f, cases[i].high, cases[i].low, 0);
        decimal(&f, 0, 1, 0);
        decimal(&f, 0, 1, 0);
        CHECK_EQUAL(read_exact(f.bytes, f.size, &m), cases[i].fault);
        if (cases[i].fault == GW_SBE_FINE) CHECK(!m.decimals[1].negative_zero);
    }
}

static void every_truncation(void) {
    frame_t frames[4] = {0};
    trade(&frames[0], "3810000037");
    quote(&frames[1]);
    topic(&frames[2], 1, "BTCUSDT.BINANCE");
    book(&frames[3]);
    for (int i = 0; i < 4; i++)
        for (size_t size = 0; size <= frames[i].size; size++) {
            gw_sbe_message_t m;
            gw_sbe_fault_t expected = size == frames[i].size ? GW_SBE_FINE : GW_SBE_CUT;
            CHECK_EQUAL(read_exact(frames[i].bytes, size, &m), expected);
        }
}

static void faults(void) {
    static const struct {
        size_t at;
        uint8_t value;
        gw_sbe_fault_t fault;
    } cases[] = {
        {0, GW_SBE_TRADE_BLOCK - 1, GW_SBE_BLOCK}, {1, 1, GW_SBE_CUT},    {2, 60, GW_SBE_OTHER},
        {4, 2, GW_SBE_FOREIGN},                    {6, 9, GW_SBE_FINE},   {53, 3, GW_SBE_SIDE},
        {53, 255, GW_SBE_FINE},                    {53, 0, GW_SBE_SIDE},  {69, 0x7f, GW_SBE_DIGITS},
        {69, 0x80, GW_SBE_DIGITS},                 {70, 127, GW_SBE_NONE}, {87, 127, GW_SBE_NONE},
        {70, 101, GW_SBE_EXPONENT},                {70, 0x80, GW_SBE_EXPONENT},
        {70, 100, GW_SBE_FINE},                    {70, 0x81, GW_SBE_FINE},
        {88, 255, GW_SBE_CUT},                     {89, 0x1f, GW_SBE_ID}, {89, 0x7f, GW_SBE_ID},
        {89, 0xe9, GW_SBE_ID},                     {89, ' ', GW_SBE_FINE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        frame_t f = {0};
        gw_sbe_message_t m;
        trade(&f, "381");
        f.bytes[cases[i].at] = cases[i].value;
        CHECK_EQUAL(read_exact(f.bytes, f.size, &m), cases[i].fault);
        CHECK(strlen(gw_sbe_fault_text(cases[i].fault)) > 3);
    }
    CHECK_EQUAL(strcmp(gw_sbe_fault_text(GW_SBE_FAULTS), "well"), 0);
}

static void texts_at_their_limits(void) {
    char letters[GW_INSTRUMENT_MAX + 2];
    for (size_t length = 0; length <= GW_INSTRUMENT_MAX + 1; length++) {
        frame_t named = {0}, traded = {0};
        gw_sbe_message_t m;
        memset(letters, 'a', length);
        letters[length] = '\0';
        topic(&named, 1, letters);
        trade(&traded, letters);
        CHECK_EQUAL(read_exact(named.bytes, named.size, &m),
                    length >= 1 && length <= GW_INSTRUMENT_MAX ? GW_SBE_FINE : GW_SBE_NAME);
        CHECK_EQUAL(read_exact(traded.bytes, traded.size, &m), length <= GW_ID_MAX ? GW_SBE_FINE : GW_SBE_ID);
    }
}

static void a_newer_version(void) {
    frame_t f = {0};
    gw_sbe_message_t m;
    quote(&f);
    f.bytes[0] += 3;
    put(&f, 0xabcdef, 3);
    trade(&f, "1");
    CHECK_EQUAL(gw_sbe_read(f.bytes, f.size, &m), GW_SBE_FINE);
    CHECK_EQUAL(m.size, GW_SBE_HEADER + GW_SBE_BBO_BLOCK + 3);
}

/* --- many frames ------------------------------------------------------------------------------------- */

static uint64_t seed = 1;

/* xorshift64*. Source: Vigna, "An experimental exploration of Marsaglia's xorshift generators". */
static uint64_t draw(uint64_t below) {
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (seed * 0x2545f4914f6cdd1dull >> 32) % below;
}

static void batch(void) {
    frame_t f[5] = {0};
    gw_sbe_frame_t frames[5];
    uint8_t marks[5];
    topic(&f[0], 7, "A.X");
    trade(&f[0], "1");
    quote(&f[1]);
    head(&f[2], 0, 60);
    trade(&f[3], "");
    topic(&f[4], 8, "B.X");
    for (int i = 0; i < 5; i++) frames[i] = (gw_sbe_frame_t){f[i].bytes, f[i].size};
    gw_sbe_batch_t b = {.marks = marks};
    CHECK_EQUAL(gw_sbe_batch(frames, 5, &b), GW_SBE_FINE);
    CHECK_EQUAL(b.trades_count, 2);
    CHECK_EQUAL(b.quotes_count, 1);
    b.trades = malloc(2 * sizeof *b.trades);
    b.quotes = malloc(1 * sizeof *b.quotes);
    CHECK(b.trades && b.quotes);
    CHECK_EQUAL(gw_sbe_batch(frames, 5, &b), GW_SBE_FINE);
    static const uint8_t expected[5] = {GW_SBE_MARK_TOPIC, 0, GW_SBE_MARK_OTHER, 0, GW_SBE_MARK_TOPIC};
    CHECK_EQUAL(memcmp(marks, expected, sizeof expected), 0);
    CHECK_EQUAL(b.trades[1].topic, 7);
    CHECK_EQUAL(b.trades[1].seq, 1000);
    CHECK_EQUAL(b.trades[1].skipped, 5000);
    CHECK_EQUAL(b.trades[1].side, GW_SIDE_SELL);
    CHECK_EQUAL(b.trades[1].mantissa[0].low, 6425010);
    CHECK_EQUAL(b.trades[1].mantissa[1].high, -1);
    CHECK_EQUAL(b.trades[1].exponent[1], -3);
    CHECK(b.trades[1].number[0] == 64250.10 && b.trades[1].number[1] == -0.015);
    CHECK_EQUAL(b.quotes[0].topic, 8);
    CHECK_EQUAL(b.quotes[0].exponent[3], GW_EXPONENT_NONE);
    CHECK(b.quotes[0].number[0] == 1.0 && isnan(b.quotes[0].number[2]));
    frames[3].size--;
    CHECK_EQUAL(gw_sbe_batch(frames, 5, &b), GW_SBE_CUT);
    CHECK_EQUAL(b.frame, 3);
    free(b.trades);
    free(b.quotes);
}

static void a_batch_of_books(void) {
    frame_t f[3] = {0};
    gw_sbe_frame_t frames[3];
    uint8_t marks[3];
    topic(&f[0], 11, "A.X");
    book(&f[0]);
    trade(&f[1], "1");
    book(&f[2]);
    for (int i = 0; i < 3; i++) frames[i] = (gw_sbe_frame_t){f[i].bytes, f[i].size};
    gw_sbe_batch_t b = {.marks = marks};
    CHECK_EQUAL(gw_sbe_batch(frames, 3, &b), GW_SBE_FINE);
    CHECK(b.trades_count == 1 && b.books_count == 2 && b.levels_count == 6);
    gw_sbe_trade_row_t one;
    gw_sbe_book_row_t *books = b.books = malloc(2 * sizeof *b.books);
    gw_sbe_level_row_t *levels = b.levels = malloc(6 * sizeof *b.levels);
    CHECK(books && levels);
    b.trades = &one;
    CHECK_EQUAL(gw_sbe_batch(frames, 3, &b), GW_SBE_FINE);
    CHECK(marks[0] == GW_SBE_MARK_TOPIC && !marks[1] && !marks[2]);
    for (unsigned i = 0; i < 2; i++) {
        CHECK(books[i].seq == 1000 && books[i].skipped == 5000 && books[i].topic == 11 && books[i].first == 3 * i);
        CHECK(books[i].frame == 2 * i && books[i].bids == 2 && books[i].asks == 1 && books[i].checksum == 0xfedcba98u);
        CHECK(books[i].depth == 1 && books[i].part == 3 && books[i].parts == 3 && books[i].flags == GW_SBE_FLAG_CHECKSUM);
    }
    CHECK(levels[0].number[0] == 64250.10 && levels[0].number[1] == 0 && levels[0].exponent[0] == -2);
    CHECK(levels[4].mantissa[1].low == 1500 && levels[4].exponent[1] == -3 && levels[4].side == GW_SIDE_BUY);
    CHECK(levels[4].number[1] == 1.5 && levels[4].book == 1 && levels[1].book == 0);
    CHECK(levels[5].mantissa[0].low == (uint64_t)-5 && levels[5].mantissa[0].high == -1 && levels[5].number[0] == -0.5);
    CHECK(levels[5].mantissa[1].low == 10 && levels[5].mantissa[1].high == 1 && levels[5].side == GW_SIDE_SELL);
    CHECK(levels[5].number[1] == 1844674407370955162.6);
    f[2].bytes[GW_SBE_HEADER + GW_SBE_BOOK_BLOCK + 4 + 15] = 0x81; /* a quantity below zero */
    CHECK_EQUAL(gw_sbe_batch(frames, 3, &(gw_sbe_batch_t){.marks = marks}), GW_SBE_LEVEL);
    free(books);
    free(levels);
}

static void damaged_frames(void) {
    for (int round = 0; round < 200000; round++) {
        frame_t f = {0};
        gw_sbe_message_t m;
        unsigned kind = (unsigned)draw(5);
        if (kind == 0) trade(&f, "3810000037");
        else if (kind == 1) quote(&f);
        else if (kind == 2) topic(&f, 1, "BTCUSDT.BINANCE");
        else if (kind == 3) book(&f);
        else for (unsigned n = (unsigned)draw(160); n; n--) put(&f, draw(256), 1);
        for (uint64_t flips = draw(4); flips && f.size; flips--) f.bytes[draw(f.size)] = (uint8_t)draw(256);
        size_t size = (size_t)draw(f.size + 1);
        gw_sbe_fault_t fault = read_exact(f.bytes, draw(2) ? f.size : size, &m);
        CHECK(fault < GW_SBE_FAULTS);
        if (fault == GW_SBE_FINE) CHECK(m.size <= f.size);
    }
}

int main(void) {
    RUN(a_trade);
    RUN(a_quote);
    RUN(a_book);
    RUN(levels_there_and_back);
    RUN(an_announcement);
    RUN(numbers);
    RUN(limits_of_a_decimal);
    RUN(every_truncation);
    RUN(faults);
    RUN(texts_at_their_limits);
    RUN(a_newer_version);
    RUN(batch);
    RUN(a_batch_of_books);
    RUN(damaged_frames);
    return 0;
}
