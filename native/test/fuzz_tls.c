/* Bytes of TLS from whoever they are. The first byte says what they are: a stream from its start, which is no handshake
 * without keys; or a script, for a client that has shaken hands or is about to, which writes, changes its keys, ends, and
 * whose records are changed on their way. Steps are as many as records, answers stay within what is set aside for them,
 * and what is read is what was written, from its start, however it was changed on its way. */
#include "gw_tls_library.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifndef GW_HAS_TLS
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    (void)data, (void)size;
    return 0;
}
#else
#include "tls_pair.h"
#include <errno.h>

enum { STREAM, SESSION, HANDSHAKE, KINDS, OLDER = 0x10, TO_CLIENT = 0x20 };
enum { WRITE, UPDATE, CLOSE, FLIP, CUT, INSERT, REPEAT, DELIVER, OPERATIONS };
enum { WRITTEN_MAX = 1 << 15, SCRIPT_STEP = 4, SCRIPT_STEPS_MAX = 64 };

static gw_tls_context_t *server_context, *client_contexts[2];
static tls_end_t server, client;
static uint8_t written[WRITTEN_MAX], got[GW_TLS_RECORD_MAX];
static size_t written_length, read_length;
static int changed, closed;

static void begin(void) {
    if (server_context) return;
    tls_certificates();
    server_context = tls_server("listen", NULL);
    for (int i = 0; i < 2; i++) client_contexts[i] = tls_client();
    SSL_CTX_set_max_proto_version(client_contexts[1]->ssl, TLS1_2_VERSION);
    for (size_t i = 0; i < sizeof written; i++) written[i] = (uint8_t)(i * 7 + i / 251);
    tls_forget();
}

/* --- a stream from its start ----------------------------------------------------------------------------- */

/* What was said of less of it still holds. */
static void hello(const uint8_t *bytes, size_t size) {
    const int whole = gw_tls_hello(bytes, size);
    CHECK(whole == 0 || whole == 1 || whole == -EPROTO);
    for (size_t part = size; part; part /= 2) {
        const int said = gw_tls_hello(bytes, part - 1);
        CHECK(!said || said == whole);
    }
}

static void stream(const uint8_t *bytes, size_t size, size_t piece) {
    const uint8_t *const begun = bytes;
    hello(bytes, size);
    tls_end(&server, server_context, NULL);
    int said = 0;
    size_t steps = 0;
    while (size && !said) {
        const size_t n = piece && piece < size ? piece : size;
        CHECK_EQUAL(gw_tls_feed(server.tls, bytes, n), 0);
        bytes += n;
        size -= n;
        do {
            server.out.length = 0;
            said = gw_tls_handshake(server.tls, &server.out);
            CHECK(said == 0 || said == -EPROTO || said == -ECONNRESET);
            CHECK(server.out.length <= GW_TLS_FLIGHT_MAX && ++steps <= 2 * GW_TLS_HELLO_MAX);
            if (server.out.length && server.bytes[0] == SSL3_RT_HANDSHAKE) /* what is answered was whole */
                CHECK(gw_tls_hello(begun, (size_t)(bytes - begun)));
        } while (!said && gw_tls_fed(server.tls));
    }
    CHECK((said == -EPROTO) == !!gw_tls_error(server.tls)[0]);
    CHECK(gw_tls_read(server.tls, &server.out, got, sizeof got) <= 0);
    gw_tls_free(server.tls);
}

/* --- a script -------------------------------------------------------------------------------------------- */

static void change(tls_end_t *from, unsigned operation, const uint8_t *step) {
    uint8_t *bytes = from->bytes;
    const size_t length = from->out.length;
    if (!length) return;
    const size_t at = ((size_t)step[1] << 8 | step[2]) % length, n = step[3] < length - at ? step[3] : length - at;
    if (operation == FLIP) bytes[at] ^= (uint8_t)(step[3] ? step[3] : 1);
    if (operation == CUT) {
        memmove(bytes + at, bytes + at + n, length - at - n);
        from->out.length -= n;
    }
    if (operation == INSERT || operation == REPEAT) {
        if (length + n > GW_TLS_FLIGHT_MAX) return;
        memmove(bytes + at + n, bytes + at, length - at);
        if (operation == INSERT) memset(bytes + at, step[1], n);
        from->out.length += n;
    }
    changed |= operation == FLIP || n > 0;
}

static void read_all(tls_end_t *to) {
    for (size_t steps = 0;; steps++) {
        CHECK(steps <= GW_TLS_FLIGHT_MAX / GW_TLS_RECORD_HEADER);
        const int more = gw_tls_fed(to->tls);
        const ssize_t n = gw_tls_read(to->tls, &to->out, got, sizeof got);
        CHECK(to->out.length <= GW_TLS_FLIGHT_MAX);
        if (n > 0) {
            CHECK((size_t)n <= written_length - read_length && !memcmp(got, written + read_length, (size_t)n));
            read_length += (size_t)n;
        }
        if (n < 0) CHECK(changed || (closed && n == -ECONNRESET));
        if (n < 0 || !more) break;
    }
}

/* In three parts, of which the first is read before the others come. */
static void deliver(tls_end_t *from, tls_end_t *to, size_t first) {
    const size_t length = from->out.length, n = first < length ? first : length, half = (length - n) / 2;
    CHECK_EQUAL(gw_tls_feed(to->tls, from->bytes, n), 0);
    read_all(to);
    CHECK_EQUAL(gw_tls_feed(to->tls, from->bytes + n, half), 0);
    CHECK_EQUAL(gw_tls_feed(to->tls, from->bytes + n + half, length - n - half), 0);
    from->out.length = 0;
    read_all(to);
    CHECK(changed || read_length == written_length);
}

/* One of its steps; the other end answers when that is delivered. */
static void one(tls_end_t *from, tls_end_t *to, const uint8_t *step) {
    const unsigned operation = step[0] % OPERATIONS;
    const size_t room = GW_TLS_FLIGHT_MAX - from->out.length, n = ((size_t)step[1] << 8 | step[2]) % 4096 + 1;
    if (operation == WRITE && !closed && n <= WRITTEN_MAX - written_length && room > GW_TLS_OUT_MAX) {
        if (gw_tls_write(from->tls, &from->out, written + written_length, n)) CHECK(changed);
        else written_length += n;
    }
    if (operation == UPDATE) SSL_key_update(from->tls->ssl, step[1] % 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
    if (operation == CLOSE && room > GW_TLS_OUT_MAX) {
        gw_tls_close(from->tls, &from->out);
        closed = 1;
    }
    if (operation >= FLIP && operation <= REPEAT) change(from, operation, step);
    if (operation != DELIVER) return;
    deliver(from, to, (size_t)step[2] << 8 | step[3]);
    if (step[1] % 2) to->out.length = 0; /* its answer is lost: it is not looked at any more */
}

static void both(unsigned mode) {
    tls_end(&server, server_context, NULL);
    tls_end(&client, client_contexts[!!(mode & OLDER)], "gateway.test");
    written_length = read_length = 0;
    changed = closed = 0;
}

static void session(const uint8_t *script, size_t size, unsigned mode) {
    both(mode);
    CHECK_EQUAL(tls_shake(&server, &client), 1);
    client.out.length = server.out.length = 0;
    CHECK(gw_tls_read(client.tls, &client.out, got, sizeof got) == 0); /* tickets */
    tls_end_t *from = mode & TO_CLIENT ? &server : &client, *to = mode & TO_CLIENT ? &client : &server;
    while (gw_tls_fed(to->tls)) CHECK(gw_tls_read(to->tls, &to->out, got, sizeof got) == 0);
    for (unsigned i = 0; size >= SCRIPT_STEP && i < SCRIPT_STEPS_MAX; i++, script += SCRIPT_STEP, size -= SCRIPT_STEP)
        one(from, to, script);
    deliver(from, to, 0);
    SSL_set_shutdown(client.tls->ssl, SSL_SENT_SHUTDOWN);
    tls_ends_free(&server, &client);
}

/* The same with flights that are changed: whoever is through reads what the other one says, or fails. */
static void handshake(const uint8_t *script, size_t size, unsigned mode) {
    both(mode);
    int said[2] = {0, 0};
    for (unsigned i = 0; i < 8 && said[0] >= 0 && said[1] >= 0 && !(said[0] && said[1]); i++) {
        tls_end_t *from = i % 2 ? &server : &client, *to = i % 2 ? &client : &server;
        if (!said[i % 2]) said[i % 2] = gw_tls_handshake(from->tls, &from->out);
        CHECK(from->out.length <= GW_TLS_FLIGHT_MAX);
        for (; size >= SCRIPT_STEP && script[0] % OPERATIONS != DELIVER; script += SCRIPT_STEP, size -= SCRIPT_STEP)
            if (script[0] % OPERATIONS >= FLIP) change(from, script[0] % OPERATIONS, script);
        if (size >= SCRIPT_STEP) script += SCRIPT_STEP, size -= SCRIPT_STEP;
        tls_carry(from, to);
    }
    if (said[0] == 1 && said[1] == 1 && !gw_tls_write(client.tls, &client.out, written, 100)) {
        written_length = 100;
        deliver(&client, &server, 7);
    }
    CHECK(changed || (said[0] == 1 && said[1] == 1));
    tls_ends_free(&server, &client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    begin();
    if (size < 2) return 0;
    const unsigned mode = data[0];
    if (mode % 16 % KINDS == STREAM) stream(data + 2, size - 2, data[1]);
    if (mode % 16 % KINDS == SESSION) session(data + 1, size - 1, mode);
    if (mode % 16 % KINDS == HANDSHAKE) handshake(data + 1, size - 1, mode);
    return 0;
}
#endif
