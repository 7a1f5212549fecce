/* The scanner takes members as they come. The fast reader compares what must stand between the fields
 * with what does, and reads digits eight at a time; whatever it does not expect is the scanner's. */
#include "gw_swarm_fields.h"

#define HASH_SEED 0x9ae16a3b2f90404full

static uint64_t hash_word(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 32;
}

/* A topic is not 0. */
static uint64_t hash_end(uint64_t hash) { return hash + !hash; }

/* Words of eight bytes, the last one filled up with zeros. */
static uint64_t hash_span(uint64_t hash, gw_swarm_span_t s) {
    for (; s.end - s.at >= 8; s.at += 8) hash = hash_word(hash, gw_swarm_load8(s.at));
    uint64_t rest = 0;
    memcpy(&rest, s.at, (size_t)(s.end - s.at));
    return s.at < s.end ? hash_word(hash, rest) : hash;
}

uint64_t gw_swarm_fields_topic(gw_swarm_span_t channel, gw_swarm_span_t symbol) {
    return hash_end(hash_span(hash_span(HASH_SEED, channel), symbol));
}

/* --- the scanner ----------------------------------------------------------------------------------- */

#define KEYS(X)                                                                                    \
    X(channel) X(type) X(symbol) X(seq) X(ts_event) X(ts_recv) X(ts_send) X(skipped) X(method)     \
    X(success) X(failed) X(data)
#define KEY_ENUM(name) KEY_##name,
#define KEY_TEXT(name) #name,
enum { KEYS(KEY_ENUM) KEYS_COUNT };
static const char *const key_texts[] = {KEYS(KEY_TEXT)};

static bool is(gw_swarm_span_t s, const char *text) {
    size_t length = strlen(text);
    return s.at && (size_t)(s.end - s.at) == length && !memcmp(s.at, text, length);
}

static void collect(const char *text, size_t length, gw_swarm_span_t *values) {
    const char *end = text + length, *at = gw_swarm_json_start(text, end);
    gw_swarm_member_t m;
    if (!at || *at++ != '{') return;
    while (gw_swarm_json_member(&at, end, &m))
        for (int i = 0; i < KEYS_COUNT; i++)
            if (!values[i].at && is(m.key, key_texts[i])) {
                values[i] = m.value;
                break;
            }
}

/* A stamp; 0 where there is none. */
static int64_t stamp(gw_swarm_span_t value) {
    uint64_t ns;
    return gw_swarm_json_unsigned(value, &ns) && ns <= INT64_MAX ? (int64_t)ns : 0;
}

static void scan_reply(const gw_swarm_span_t *values, gw_swarm_fields_t *f) {
    gw_swarm_span_t method = gw_swarm_json_string(values[KEY_method]);
    uint64_t failed = 0;
    (void)gw_swarm_json_unsigned(values[KEY_failed], &failed);
    f->kind = GW_SWARM_CONTROL;
    f->failed = failed > 0 || is(values[KEY_success], "false");
    f->resync = is(method, "subscribe") || is(method, "unsubscribe");
}

/* The member's number; 0 where it is none. */
static uint64_t number(gw_swarm_span_t object, const char *key) {
    const char *at = object.at + 1;
    gw_swarm_member_t m;
    uint64_t value = 0;
    while (gw_swarm_json_member(&at, object.end, &m))
        if (is(m.key, key)) return gw_swarm_json_unsigned(m.value, &value) ? value : 0;
    return 0;
}

/* Records from `from` to `to` of each item. */
static uint64_t lost(gw_swarm_span_t data) {
    gw_swarm_span_t item;
    uint64_t sum = 0;
    if (!data.at || *data.at != '[') return 0;
    for (const char *at = data.at + 1; gw_swarm_json_item(&at, data.end, &item);) {
        if (*item.at != '{') continue;
        uint64_t from = number(item, "from"), to = number(item, "to");
        if (from && to >= from) sum += to - from + 1;
    }
    return sum;
}

static void scan_system(gw_swarm_span_t type, const gw_swarm_span_t *values, gw_swarm_fields_t *f) {
    f->resync = is(type, "epoch");
    if (is(type, "slow")) f->notice = GW_SWARM_NOTICE_SLOW;
    if (is(type, "conflation")) f->notice = GW_SWARM_NOTICE_CONFLATION;
    if (!is(type, "gap")) return;
    f->notice = GW_SWARM_NOTICE_GAP;
    f->lost = lost(values[KEY_data]);
}

void gw_swarm_fields_scan(const char *text, size_t length, gw_swarm_fields_t *f) {
    gw_swarm_span_t values[KEYS_COUNT] = {{NULL, NULL}};
    memset(f, 0, sizeof *f);
    f->kind = GW_SWARM_UNSTAMPED;
    collect(text, length, values);
    if (gw_swarm_json_string(values[KEY_method]).at) {
        scan_reply(values, f);
        return;
    }
    gw_swarm_span_t channel = gw_swarm_json_string(values[KEY_channel]);
    gw_swarm_span_t type = gw_swarm_json_string(values[KEY_type]);
    gw_swarm_span_t symbol = gw_swarm_json_string(values[KEY_symbol]);
    if (!channel.at) return;
    if (!symbol.at) {
        f->kind = is(channel, "heartbeat") ? GW_SWARM_HEARTBEAT : GW_SWARM_CONTROL;
        if (is(channel, "system")) scan_system(type, values, f);
        return;
    }
    f->ts_event = stamp(values[KEY_ts_event]);
    bool update = is(type, "update");
    if (!f->ts_event || !gw_swarm_json_unsigned(values[KEY_seq], &f->seq)) return;
    if (!update && !is(type, "snapshot")) return;
    f->kind = update ? GW_SWARM_UPDATE : GW_SWARM_SNAPSHOT;
    f->ts_recv = stamp(values[KEY_ts_recv]);
    f->ts_send = stamp(values[KEY_ts_send]);
    (void)gw_swarm_json_unsigned(values[KEY_skipped], &f->skipped);
    f->topic = gw_swarm_fields_topic(channel, symbol);
}

/* --- the fast reader ------------------------------------------------------------------------------- */

/* What is looked at without a look at the end: up to the symbol, and behind it. */
#define FAST_HEAD_BYTES 64
#define FAST_TAIL_BYTES 128

#define EXPECT(p, text) (memcmp((p), (text), sizeof(text) - 1) == 0 && ((p) += sizeof(text) - 1, true))

/* The `count` lowest bytes of a word. */
static uint64_t lowest(uint64_t word, unsigned count) { return word & (((uint64_t)1 << 8 * count) - 1); }

/* Reads up to 15 digits. */
static bool read_seq(const char **at, uint64_t *out) {
    uint64_t high = 0, low = 0, word = gw_swarm_load8(*at);
    bool eight = gw_swarm_eight(word, &high);
    if (eight) {
        *at += 8;
        word = gw_swarm_load8(*at);
    }
    /* The first byte that is no digit: below it nothing carries. */
    uint64_t x = word ^ 0x3030303030303030u;
    uint64_t others = ((x + 0x7676767676767676u) | x) & 0x8080808080808080u;
    unsigned count = (unsigned)__builtin_ctzll(others | (uint64_t)1 << 63) / 8;
    if (!others || (!eight && count == 0)) return false;
    if (count > 0) {
        uint64_t zeros = 0x3030303030303030u >> 8 * count;
        if (!gw_swarm_eight(word << (64 - 8 * count) | zeros, &low)) return false;
    }
    for (unsigned i = 0; i < count; i++) high *= 10;
    *out = high + low;
    *at += count;
    return true;
}

/* Reads 19 digits. */
static bool read_stamp(const char **at, int64_t *out) {
    const char *p = *at;
    uint64_t high, middle, low;
    uint64_t three = gw_swarm_load8(p + 8) << 40 | 0x3030303030u;
    if (!gw_swarm_eight(gw_swarm_load8(p), &high) || !gw_swarm_eight(three, &middle) ||
        !gw_swarm_eight(gw_swarm_load8(p + 11), &low))
        return false;
    uint64_t value = high * 100000000000u + middle * 100000000u + low;
    *out = (int64_t)value;
    *at = p + 19;
    return value <= INT64_MAX && value > 0;
}

/* The number in `"skipped":k}` at the end; 0 where there is none. */
static bool read_skipped(const char *start, const char *end, uint64_t *out) {
    static const char key[] = "],\"skipped\":";
    *out = 0;
    if (end[-1] != '}') return false;
    if (end[-2] == ']') return true;
    const char *at = end - 1;
    while (at > start && (unsigned char)(at[-1] - '0') < 10) at--;
    gw_swarm_span_t number = {at, end - 1};
    return (size_t)(at - start) >= sizeof key - 1 &&
           !memcmp(at - (sizeof key - 1), key, sizeof key - 1) && gw_swarm_json_unsigned(number, out);
}

bool gw_swarm_fields_fast(const char *text, size_t length, gw_swarm_fields_t *f) {
    const char *p = text, *end = text + length;
    if (length < FAST_HEAD_BYTES || !EXPECT(p, "{\"channel\":\"")) return false;
    uint64_t word = gw_swarm_load8(p), quote = gw_swarm_bytes_equal(word, '"');
    unsigned count = (unsigned)__builtin_ctzll(quote | (uint64_t)1 << 63) / 8;
    if (!quote || count == 0) return false;
    uint64_t hash = hash_word(HASH_SEED, lowest(word, count));
    p += count;
    if (p[-1] == '\\' || !EXPECT(p, "\",\"type\":\"")) return false;
    if (EXPECT(p, "update\",\"symbol\":\"")) f->kind = GW_SWARM_UPDATE;
    else if (EXPECT(p, "snapshot\",\"symbol\":\"")) f->kind = GW_SWARM_SNAPSHOT;
    else return false;
    for (;; p += 8) {
        if (end - p < FAST_TAIL_BYTES + 8) return false;
        word = gw_swarm_load8(p);
        quote = gw_swarm_bytes_equal(word, '"');
        if (quote) break;
        hash = hash_word(hash, word);
    }
    count = (unsigned)__builtin_ctzll(quote) / 8;
    if (count > 0) hash = hash_word(hash, lowest(word, count));
    p += count;
    if (p[-1] == '\\' || !EXPECT(p, "\",\"seq\":") || !read_seq(&p, &f->seq)) return false;
    if (!EXPECT(p, ",\"ts_event\":") || !read_stamp(&p, &f->ts_event)) return false;
    if (!EXPECT(p, ",\"ts_recv\":") || !read_stamp(&p, &f->ts_recv)) return false;
    if (!EXPECT(p, ",\"ts_send\":") || !read_stamp(&p, &f->ts_send)) return false;
    if (!EXPECT(p, ",\"data\":[")) return false;
    f->topic = hash_end(hash);
    f->resync = f->failed = false;
    f->notice = GW_SWARM_NOTICE_NONE;
    return read_skipped(p, end, &f->skipped);
}
