#include "gw_source.h"
#include "gw_clock.h"
#include "gw_text.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/prctl.h>

#define SLAB_BYTES (65536u + GW_SOURCE_TICK_MAX)
/* Slewing changes the offset by 0.05 % at most, 50 us between two readings of a sleeping thread. */
#define STEP_NS 1000000
/* Between two readings of MONOTONIC: more, and the thread was away, so that it is no reading. */
#define READING_NS_MAX 20000
#define HEAR_READS_MAX 16 /* of 4 KiB, at most every 50 ms or where the server takes no more */
#define PRICE_MIN 1000u
#define PRICE_SPAN 999000u

/* --- time ------------------------------------------------------------------------------------- */

void gw_pace_follow(gw_pace_t *pace, int64_t before, int64_t real, int64_t after) {
    if (after - before > READING_NS_MAX && pace->offset != 0) return;
    int64_t offset = real - before - (after - before) / 2;
    int64_t change = offset - pace->offset;
    if (pace->offset != 0 && (change > STEP_NS || change < -STEP_NS)) {
        pace->shift += change;
        gw_hdr_add(&pace->steps, 1);
    }
    pace->offset = offset;
}

/* The schedule's now: the wall clock without its steps. */
static int64_t schedule_now(gw_source_t *s) {
    int64_t before = gw_monotonic_ns(), real = gw_realtime_ns(), after = gw_monotonic_ns();
    gw_pace_follow(&s->pace, before, real, after);
    return after + s->pace.offset - s->pace.shift;
}

/* Waits until `target` or not so long: the caller looks again. */
static void rest(const gw_source_t *s, int64_t now, int64_t target) {
    int64_t left = target - now;
    if (s->spin) {
        if (left <= GW_SOURCE_SPIN_NS) {
            gw_cpu_relax();
            return;
        }
        target -= GW_SOURCE_SPIN_NS;
    }
    if (left > GW_SOURCE_SLEEP_NS_MAX) target = now + GW_SOURCE_SLEEP_NS_MAX;
    int64_t at = target - s->pace.offset + s->pace.shift;
    struct timespec until = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/* --- ticks ------------------------------------------------------------------------------------ */

/* xorshift64 (Marsaglia 2003): the market needs no better. */
static uint64_t random_next(gw_source_t *s) {
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return s->random;
}

static char *put(char *out, const char *text, size_t length) {
    memcpy(out, text, length);
    return out + length;
}
#define PUT(out, literal) put((out), literal, sizeof(literal) - 1)

static char *put_price(char *out, uint32_t cents) {
    return out + gw_text_decimal(cents, -2, (uint8_t)gw_text_width(cents), out);
}

/* Thousandths, from 0.001 to 8.192. */
static char *put_quantity(char *out, uint64_t random) {
    return out + gw_text_decimal((int64_t)(random & 8191) + 1, -3, 4, out);
}

/* A step of -2 to 2 cents, or none where it would leave the bounds. */
static uint32_t price_walk(gw_source_symbol_t *symbol, uint64_t random) {
    uint32_t price = symbol->price + (uint32_t)(random % 5) - 2;
    if (price >= PRICE_MIN && price <= PRICE_MIN + PRICE_SPAN) symbol->price = price;
    return symbol->price;
}

size_t gw_source_line(gw_source_t *s, uint32_t index, uint8_t channel, int64_t ts, char *out) {
    gw_source_symbol_t *symbol = &s->symbols[index];
    uint64_t random = random_next(s);
    uint32_t price = price_walk(symbol, random >> 32);
    char *at = channel == GW_TRADE ? PUT(out, "{\"channel\":\"trade\",\"symbol\":\"")
                                   : PUT(out, "{\"channel\":\"bbo\",\"symbol\":\"");
    at = put(at, symbol->name, symbol->length);
    s->id++;
    if (channel == GW_TRADE) {
        at = put_price(PUT(at, "\",\"price\":\""), price);
        at = put_quantity(PUT(at, "\",\"qty\":\""), random);
        at = random & 1u << 31 ? PUT(at, "\",\"side\":\"buy") : PUT(at, "\",\"side\":\"sell");
        at = PUT(at, "\",\"id\":\"");
        at += gw_text_unsigned(s->id, at);
    } else {
        at = put_price(PUT(at, "\",\"bid\":\""), price);
        at = put_quantity(PUT(at, "\",\"bid_qty\":\""), random);
        at = put_price(PUT(at, "\",\"ask\":\""), price + 1 + (random >> 31 & 1));
        at = put_quantity(PUT(at, "\",\"ask_qty\":\""), random >> 13);
    }
    at = PUT(at, "\",\"ts\":");
    at += gw_text_signed(ts, at);
    *at++ = '}';
    return (size_t)(at - out);
}

/* The line as a message of NATS (docs.nats.io, "Client Protocol", PUB). */
static size_t publish_write(gw_source_t *s, uint32_t index, uint8_t channel, int64_t ts,
                            char *out) {
    char line[GW_SOURCE_TICK_MAX];
    size_t length = gw_source_line(s, index, channel, ts, line);
    char *at = put(PUT(out, "PUB "), s->prefix, s->prefix_length);
    at = put(at, s->symbols[index].name, s->symbols[index].length);
    *at++ = ' ';
    at += gw_text_unsigned(length, at);
    at = PUT(put(PUT(at, "\r\n"), line, length), "\r\n");
    return (size_t)(at - out);
}

/* Adds a tick that stands at `at`, behind the one before: to the last datagram, or as a new one.
 * What separates two lines stands between them either way; a stream has neither. */
static void part_add(gw_source_t *s, uint8_t *at, size_t length) {
    if (s->filled > 0) {
        struct iovec *last = &s->parts[s->filled - 1];
        if (s->nats || last->iov_len + 1 + length <= s->batch_bytes_max) {
            last->iov_len = (size_t)(at + length - (uint8_t *)last->iov_base);
            s->ticks[s->filled - 1]++;
            return;
        }
    }
    s->parts[s->filled] = (struct iovec){.iov_base = at, .iov_len = length};
    s->ticks[s->filled++] = 1;
}

/* Fills the slab with what is due from row `next` on; the first row that is not in it. */
static size_t pack(gw_source_t *s, const gw_source_rows_t *rows, size_t next, int64_t now) {
    uint8_t *at = s->slab;
    s->filled = 0;
    for (; next < rows->count && rows->due[next] <= now; next++) {
        if ((size_t)(s->slab_end - at) < GW_SOURCE_TICK_MAX) break;
        if (s->filled == GW_SOURCE_DATAGRAMS) break;
        uint32_t symbol = (uint32_t)rows->symbol[next];
        int64_t ts = rows->due[next] + s->pace.shift;
        size_t length =
            s->nats ? publish_write(s, symbol, rows->channel[next], ts, (char *)at)
                    : gw_source_line(s, symbol, rows->channel[next], ts, (char *)at);
        part_add(s, at, length);
        at += length;
        if (!s->nats) *at++ = '\n';
    }
    return next;
}

/* --- datagrams -------------------------------------------------------------------------------- */

static void sent_count(gw_source_t *s, uint32_t from, uint32_t to) {
    for (; from < to; from++) {
        gw_hdr_add(&s->sent, s->ticks[from]);
        gw_hdr_add(&s->bytes, s->parts[from].iov_len);
    }
}

/* A connected socket tells by a failing call that nobody listened to an earlier datagram, so that
 * each has a second try; only then is it given up. A call that failed behind a first success just
 * took fewer (sendmmsg(2)): an error as well. */
static void datagrams_send(gw_source_t *s) {
    bool failed = false;
    for (uint32_t done = 0; done < s->filled;) {
        uint32_t left = s->filled - done;
        int count = sendmmsg(s->fd, s->messages + done, left, 0);
        gw_hdr_add(&s->send_calls, 1);
        if (count > 0) {
            sent_count(s, done, done + (uint32_t)count);
            gw_hdr_add(&s->errors, (uint32_t)count < left);
            done += (uint32_t)count;
            failed = false;
        } else if (errno != EINTR) {
            gw_hdr_add(&s->errors, 1);
            done += failed;
            failed = !failed;
        }
    }
}

/* --- NATS ------------------------------------------------------------------------------------- */

static bool said(const gw_source_t *s, const char *word) {
    size_t length = strlen(word);
    return s->line_length >= length && memcmp(s->line, word, length) == 0;
}

int gw_source_hear(gw_source_t *s, const char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != '\n') {
            if (s->line_length < sizeof s->line) s->line[s->line_length++] = bytes[i];
            continue;
        }
        if (s->line_length > 0 && s->line[s->line_length - 1] == '\r') s->line_length--;
        if (said(s, "-ERR")) return -EPROTO;
        if (said(s, "PING")) s->pinged = true;
        s->line_length = 0;
    }
    return 0;
}

/* Takes what the server has said so far; of one that does not stop talking, a part. */
static int hear(gw_source_t *s) {
    char bytes[4096];
    s->heard_ns = gw_monotonic_ns();
    for (int i = 0; i < HEAR_READS_MAX; i++) {
        ssize_t count = recv(s->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (count == 0) return -ECONNRESET;
        if (count < 0) return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        int error = gw_source_hear(s, bytes, (size_t)count);
        if (error < 0) return error;
    }
    return 0;
}

/* All of it, or -ECANCELED at a stop. A server that takes no more makes us late, not lossy. */
static int stream_send(gw_source_t *s, const uint8_t *at, size_t left) {
    while (left > 0) {
        ssize_t count = send(s->fd, at, left, MSG_DONTWAIT | MSG_NOSIGNAL);
        gw_hdr_add(&s->send_calls, 1);
        if (count >= 0) {
            at += count;
            left -= (size_t)count;
            continue;
        }
        if (errno == EPIPE || errno == ECONNRESET) {
            int error = hear(s); /* why it hung up, if it said so */
            return error < 0 ? error : -ECONNRESET;
        }
        if (errno != EAGAIN && errno != EINTR) return -errno;
        struct pollfd wait = {.fd = s->fd, .events = POLLIN | POLLOUT};
        (void)poll(&wait, 1, GW_SOURCE_SLEEP_NS_MAX / 1000000);
        int error = hear(s);
        if (error < 0) return error;
        if (GW_LOAD_RELAXED(&s->stopping)) return -ECANCELED;
    }
    return 0;
}

/* Between two batches: reads now and then, and answers, whatever the number of PINGs by one PONG: a
 * server lets go of those who answer none. */
static int conversation(gw_source_t *s) {
    int error = 0;
    if (gw_monotonic_ns() - s->heard_ns >= GW_SOURCE_SLEEP_NS_MAX / 2) error = hear(s);
    if (error < 0 || !s->pinged) return error;
    s->pinged = false;
    return stream_send(s, (const uint8_t *)"PONG\r\n", 6);
}

static int batch_send(gw_source_t *s) {
    if (!s->nats) {
        datagrams_send(s);
        return 0;
    }
    int error = stream_send(s, s->parts[0].iov_base, s->parts[0].iov_len);
    if (error == 0) sent_count(s, 0, 1);
    return error;
}

/* --- sending ---------------------------------------------------------------------------------- */

size_t gw_source_check(const gw_source_t *s, const gw_source_rows_t *rows) {
    for (size_t i = 0; i < rows->count; i++) {
        if (rows->symbol[i] < 0 || (uint32_t)rows->symbol[i] >= s->symbols_count) return i;
        if (rows->channel[i] != GW_TRADE && rows->channel[i] != GW_BBO) return i;
        if (rows->due[i] <= 0 || (i > 0 && rows->due[i] < rows->due[i - 1])) return i;
    }
    return rows->count;
}

static void late_record(gw_source_t *s, const gw_source_rows_t *rows, size_t from, size_t to) {
    int64_t now = schedule_now(s);
    for (; from < to; from++) gw_hdr_record(&s->late, now - rows->due[from], 1);
}

static int rows_send(gw_source_t *s, const gw_source_rows_t *rows, size_t *done) {
    while (*done < rows->count && !GW_LOAD_RELAXED(&s->stopping)) {
        int error = s->nats ? conversation(s) : 0;
        if (error < 0) return error;
        int64_t now = schedule_now(s), target = rows->due[*done];
        if (target < s->earliest) target = s->earliest;
        if (now < target) {
            rest(s, now, target);
            continue;
        }
        size_t next = pack(s, rows, *done, now);
        error = batch_send(s);
        if (error < 0) return error;
        late_record(s, rows, *done, next);
        *done = next;
        /* What the slab had no room for is due as well: it leaves at once. */
        bool all = next == rows->count || rows->due[next] > now;
        if (all) s->earliest = target + s->interval_ns;
    }
    return 0;
}

int gw_source_send(gw_source_t *s, const gw_source_rows_t *rows, size_t *done) {
    int64_t cpu_ns = gw_clock_ns(CLOCK_THREAD_CPUTIME_ID);
    (void)prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul); /* sleeps are 50 us longer by default */
    *done = 0;
    int error = rows_send(s, rows, done);
    gw_hdr_add(&s->cpu_ns, (uint64_t)(gw_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns));
    return error == -ECANCELED ? 0 : error;
}

void gw_source_stop(gw_source_t *s) { GW_STORE_RELAXED(&s->stopping, 1); }

/* --- life ------------------------------------------------------------------------------------- */

/* What may stand in a subject of NATS and in JSON as it is. */
static bool name_valid(gw_text_t name, size_t length_max) {
    if (name.length > length_max) return false;
    for (size_t i = 0; i < name.length; i++) {
        unsigned char c = (unsigned char)name.at[i];
        if (c <= ' ' || c > '~' || c == '"' || c == '\\' || c == '*' || c == ',') return false;
    }
    return true;
}

static bool options_valid(const gw_source_options_t *o) {
    if (o->symbols == 0 || o->batch_bytes_max == 0) return false;
    if (o->batch_bytes_max > GW_SOURCE_BATCH_BYTES_MAX || o->interval_ns < 0) return false;
    for (uint32_t i = 0; i < o->symbols; i++)
        if (o->names[i].length == 0 || !name_valid(o->names[i], GW_SOURCE_SYMBOL_MAX)) return false;
    return name_valid(o->prefix, GW_SOURCE_PREFIX_MAX);
}

int gw_source_init(gw_source_t *s, const gw_source_options_t *o) {
    if (!options_valid(o)) return -EINVAL;
    memset(s, 0, sizeof *s);
    s->symbols = calloc(o->symbols, sizeof *s->symbols);
    s->slab = malloc(SLAB_BYTES);
    s->messages = calloc(GW_SOURCE_DATAGRAMS, sizeof *s->messages);
    s->parts = calloc(GW_SOURCE_DATAGRAMS, sizeof *s->parts);
    s->ticks = calloc(GW_SOURCE_DATAGRAMS, sizeof *s->ticks);
    if (!s->symbols || !s->slab || !s->messages || !s->parts || !s->ticks) {
        gw_source_free(s);
        return -ENOMEM;
    }
    s->slab_end = s->slab + SLAB_BYTES;
    for (uint32_t i = 0; i < GW_SOURCE_DATAGRAMS; i++)
        s->messages[i].msg_hdr = (struct msghdr){.msg_iov = &s->parts[i], .msg_iovlen = 1};
    s->fd = o->fd;
    s->nats = o->nats;
    s->spin = o->spin;
    s->batch_bytes_max = o->batch_bytes_max;
    s->interval_ns = o->interval_ns;
    s->symbols_count = o->symbols;
    s->prefix_length = (uint32_t)o->prefix.length;
    put(s->prefix, o->prefix.at, o->prefix.length);
    s->random = 0x9e3779b97f4a7c15; /* any but 0 */
    for (uint32_t i = 0; i < o->symbols; i++) {
        put(s->symbols[i].name, o->names[i].at, o->names[i].length);
        s->symbols[i].length = (uint32_t)o->names[i].length;
        s->symbols[i].price = PRICE_MIN + (uint32_t)(random_next(s) % PRICE_SPAN);
    }
    return 0;
}

void gw_source_free(gw_source_t *s) {
    free(s->symbols);
    free(s->slab);
    free(s->messages);
    free(s->parts);
    free(s->ticks);
    memset(s, 0, sizeof *s);
}
