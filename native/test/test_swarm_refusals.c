/* What servers refused, in a table that no server can make grow: every refusal is in one row, and rows add up. */
#include "swarm_rig.h"

static gw_swarm_refusals_t table;

static gw_swarm_span_t span(const char *text) { return (gw_swarm_span_t){text, text + strlen(text)}; }

static void note(uint8_t kind, uint32_t number, const char *code, const char *message) {
    gw_swarm_refusals_note(&table, kind, number, span(code), span(message));
}

static void reply(const char *text) { gw_swarm_refusals_reply(&table, text, strlen(text)); }

static int row_is(uint32_t i, const char *code, const char *message, uint64_t count) {
    const gw_swarm_refusal_t *r = &table.rows[i];
    return r->count == count && r->code_length == strlen(code) && !memcmp(r->code, code, r->code_length) &&
           r->message_length == strlen(message) && !memcmp(r->message, message, r->message_length);
}

static uint64_t total(void) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < table.count; i++) sum += table.rows[i].count;
    for (uint32_t i = 0; i < GW_SWARM_REFUSAL_KINDS; i++) sum += table.rest[i].count;
    return sum;
}

/* --- the table ------------------------------------------------------------------------------------- */

static void messages_that_differ_in_numbers_are_one(void) {
    table = (gw_swarm_refusals_t){0};
    note(GW_SWARM_REFUSAL_REPLY, 0, "capacity", "a sweep over 1,501 clients takes 5.01 ms");
    note(GW_SWARM_REFUSAL_REPLY, 0, "capacity", "a sweep over 9 clients takes 12 ms");
    note(GW_SWARM_REFUSAL_REPLY, 0, "capacity", "a sweep over 9 clients takes 12. ms");
    note(GW_SWARM_REFUSAL_REPLY, 0, "busy", "a sweep over 9 clients takes 12 ms");
    note(GW_SWARM_REFUSAL_CLOSE, 0, "capacity", "a sweep over 9 clients takes 12 ms");
    note(GW_SWARM_REFUSAL_REPLY, 7, "capacity", "a sweep over 9 clients takes 12 ms");
    CHECK_EQUAL(table.count, 5);
    CHECK(row_is(0, "capacity", "a sweep over 1,501 clients takes 5.01 ms", 2));
    CHECK(row_is(1, "capacity", "a sweep over 9 clients takes 12. ms", 1));
    CHECK_EQUAL(total(), 6);
}

static void spaces_and_control_characters_are_one_space(void) {
    table = (gw_swarm_refusals_t){0};
    note(GW_SWARM_REFUSAL_HANDSHAKE, 503, "", "\r\n full \x1b\t up\n");
    note(GW_SWARM_REFUSAL_HANDSHAKE, 503, "", "full up");
    CHECK_EQUAL(table.count, 1);
    CHECK(row_is(0, "", "full up", 2));
    note(GW_SWARM_REFUSAL_HANDSHAKE, 503, "", "\n\n");
    CHECK(row_is(1, "", "", 1));
}

static void a_code_has_so_many_messages_and_the_others_are_one_row(void) {
    table = (gw_swarm_refusals_t){0};
    char text[] = "message of A";
    for (int i = 0; i < 1000; i++) {
        text[sizeof text - 2] = (char)('A' + i % 20);
        note(GW_SWARM_REFUSAL_REPLY, 0, "loud", text);
    }
    note(GW_SWARM_REFUSAL_REPLY, 0, "quiet", "said once");
    CHECK_EQUAL(table.count, GW_SWARM_REFUSAL_MESSAGES + 2);
    CHECK(row_is(GW_SWARM_REFUSAL_MESSAGES, "loud", "", 1000 - 50 * GW_SWARM_REFUSAL_MESSAGES));
    CHECK(table.rows[GW_SWARM_REFUSAL_MESSAGES].others);
    CHECK(row_is(GW_SWARM_REFUSAL_MESSAGES + 1, "quiet", "said once", 1));
    CHECK_EQUAL(total(), 1001);
}

static void a_server_can_not_make_it_grow(void) {
    table = (gw_swarm_refusals_t){0};
    char code[200], message[2000];
    memset(message, 'x', sizeof message - 1);
    message[sizeof message - 1] = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        for (size_t k = 0; k < sizeof code - 1; k++) code[k] = (char)('a' + rig_random() % 26);
        code[sizeof code - 1] = 0;
        message[i % 200] = (char)('a' + rig_random() % 26);
        note((uint8_t)(i % GW_SWARM_REFUSAL_KINDS), i % 5000, code, message);
    }
    CHECK_EQUAL(table.count, GW_SWARM_REFUSALS_MAX);
    CHECK_EQUAL(total(), 20000);
    for (uint32_t i = 0; i < table.count; i++) {
        CHECK(table.rows[i].code_length <= GW_SWARM_REFUSAL_CODE_BYTES);
        CHECK(table.rows[i].message_length <= GW_SWARM_REFUSAL_MESSAGE_BYTES);
    }
    CHECK(table.rest[0].count && table.rest[1].count && table.rest[2].count && table.rest[2].kind == 2);
}

/* --- replies --------------------------------------------------------------------------------------- */

static void a_reply_is_named_by_its_errors(void) {
    table = (gw_swarm_refusals_t){0};
    reply("{\"method\":\"subscribe\",\"req_id\":1,\"success\":false,\"failed\":2,\"results\":["
          "{\"symbol\":\"A.SIM\",\"success\":true},"
          "{\"symbol\":\"B\",\"success\":false,\"error\":{\"code\":\"unknown_symbol\",\"message\":\"no \\\"B\\\"\"}},"
          " {\"error\" : {\"message\":\"full\",\"code\":\"capacity\",\"retry_after_ms\":3}} ]}");
    reply("{\"success\":false,\"error\":{\"code\":\"rate_limited\",\"message\":\"too many\"}}");
    reply("{\"success\":false,\"error\":{}}");
    CHECK_EQUAL(table.count, 4);
    CHECK(row_is(0, "unknown_symbol", "no \\\"B\\\"", 1));
    CHECK(row_is(1, "capacity", "full", 1));
    CHECK(row_is(2, "rate_limited", "too many", 1));
    CHECK(row_is(3, "", "", 1));
}

/* Each is one refusal that says nothing, and no byte beyond the end is looked at. */
static void any_text_is_a_reply(void) {
    static const char *const texts[] = {
        "", " ", "{", "[]", "{\"results\":[", "{\"results\":[{]}", "{\"error\":\"no\"}", "{\"results\":{}}",
        "{\"results\":[1,\"error\",null]}", "{\"error\":{\"code\":3}}", "{\"error\":{\"code\"", "{\"error\":{"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t n = strlen(texts[i]);
        char *copy = malloc(n + 1);
        memcpy(copy, texts[i], n);
        ASAN_POISON_MEMORY_REGION(copy + n, 1);
        table = (gw_swarm_refusals_t){0};
        gw_swarm_refusals_reply(&table, copy, n);
        CHECK_EQUAL(total(), 1);
        CHECK(row_is(0, "", "", 1));
        ASAN_UNPOISON_MEMORY_REGION(copy + n, 1);
        free(copy);
    }
}

/* --- a client -------------------------------------------------------------------------------------- */

static const gw_swarm_refusal_t *only_row(const rig_t *r) {
    static gw_swarm_refusal_t rows[GW_SWARM_REFUSALS_MAX + GW_SWARM_REFUSAL_KINDS];
    CHECK_EQUAL(gw_swarm_refusal_rows(r->s, rows), 1);
    CHECK_EQUAL(rows[0].count, 1);
    return rows;
}

static void expect_only(const rig_t *r, uint8_t kind, uint32_t number, const char *message) {
    const gw_swarm_refusal_t *row = only_row(r);
    CHECK_EQUAL(row->kind, kind);
    CHECK_EQUAL(row->number, number);
    CHECK(row->message_length == strlen(message) && !memcmp(row->message, message, row->message_length));
}

static void a_handshake_is_refused_with_its_body_however_it_is_cut(void) {
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\nX: 1\r\n\r\ncome back";
    for (size_t cut = 1; cut <= sizeof answer - 1; cut++) {
        gw_swarm_options_t o = rig_options();
        rig_t r = rig_shaking(&o);
        rig_read(&r, answer, cut);
        if (cut < sizeof answer - 1) {
            CHECK_EQUAL(r.c->state, GW_SWARM_SHAKING);
            rig_read(&r, answer + cut, sizeof answer - 1 - cut);
        }
        CHECK_EQUAL(r.c->state, GW_SWARM_IDLE);
        expect_only(&r, GW_SWARM_REFUSAL_HANDSHAKE, 503, "come back");
        CHECK_EQUAL(r.s->refusals[503], 1);
        rig_close(&r);
    }
}

static void what_is_left_out_of_a_body_is_not_waited_for(void) {
    static const struct {
        const char *answer, *message;
        int ends; /* what the server does then: nothing, its end, nothing for 10 s */
    } cases[] = {
        {"HTTP/1.1 403 Forbidden\r\n\r\n", "Forbidden", 0},
        {"HTTP/1.1 403 Forbidden\r\n\r\nnot you", "not you", 0},
        {"HTTP/1.1 403\r\n\r\n", "", 0},
        {"HTTP/1.1 429 Many\r\nContent-Length: 0\r\n\r\n", "Many", 0},
        {"HTTP/1.1 429 Many\r\nContent-Length: -1\r\n\r\n", "Many", 0},
        {"HTTP/1.1 429 Many\r\nContent-Length: 99999999999999999999\r\n\r\nx", "x", 0},
        {"HTTP/1.1 429 Many\r\nContent-Length: 5\r\n\r\nabc", "abc", 1},
        {"HTTP/1.1 429 Many\r\nContent-Length: 5000\r\n\r\nabc", "abc", 2},
        {"HTTP/1.1 429 Many\r\nContent-Length: 5\r\n\r\n", "Many", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gw_swarm_options_t o = rig_options();
        rig_t r = rig_shaking(&o);
        rig_read(&r, cases[i].answer, strlen(cases[i].answer));
        CHECK_EQUAL(r.c->state, cases[i].ends ? GW_SWARM_SHAKING : GW_SWARM_IDLE);
        if (cases[i].ends == 1) {
            shutdown(r.peer, SHUT_WR);
            gw_swarm_read(r.s, r.c, SIZE_MAX);
        } else if (cases[i].ends == 2) {
            gw_swarm_unanswered(r.s, r.c, ETIMEDOUT);
        }
        CHECK_EQUAL(r.c->state, GW_SWARM_IDLE);
        expect_only(&r, GW_SWARM_REFUSAL_HANDSHAKE, (uint32_t)(cases[i].answer[9] - '0') * 100 +
                    (uint32_t)(cases[i].answer[10] - '0') * 10 + (uint32_t)(cases[i].answer[11] - '0'), cases[i].message);
        rig_close(&r);
    }
}

static void who_never_answers_is_told_by_why(void) {
    gw_swarm_options_t o = rig_options();
    rig_t r = rig_shaking(&o);
    rig_read(&r, "HTTP/1.1 503", 12);
    gw_swarm_unanswered(r.s, r.c, ETIMEDOUT);
    expect_only(&r, GW_SWARM_REFUSAL_HANDSHAKE, ETIMEDOUT, "");
    rig_close(&r);
}

static void a_close_is_told_with_its_reason(void) {
    static const struct {
        const char *payload;
        size_t length;
        uint32_t code;
        const char *reason;
    } cases[] = {
        {"\x0f\xa8too old", 9, 4008, "too old"},
        {"\x03\xf4", 2, 1012, ""},
        {"", 0, 1005, ""},
        {NULL, 0, 1006, ""}, /* the socket just ends */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gw_swarm_options_t o = rig_options();
        rig_t r = rig_open(&o);
        uint8_t frame[64] = {0x88, (uint8_t)cases[i].length};
        if (cases[i].payload) {
            memcpy(frame + 2, cases[i].payload, cases[i].length);
            rig_feed(&r, frame, cases[i].length + 2, SIZE_MAX);
        } else {
            shutdown(r.peer, SHUT_WR);
            gw_swarm_read(r.s, r.c, SIZE_MAX);
        }
        CHECK_EQUAL(RIG_COUNTER(&r, closed), 1);
        expect_only(&r, GW_SWARM_REFUSAL_CLOSE, cases[i].code, cases[i].reason);
        rig_close(&r);
    }
}

static void a_reply_that_refuses_is_told_once_it_is_read(void) {
    static const char text[] = "{\"method\":\"subscribe\",\"req_id\":1,\"success\":false,\"failed\":1,\"results\":["
                               "{\"symbol\":\"A\",\"success\":false,\"error\":{\"code\":\"capacity\",\"message\":\"full\"}}]}";
    gw_swarm_options_t o = rig_options();
    rig_t r = rig_open(&o);
    gw_swarm_message(r.s, r.c, text, sizeof text - 1);
    CHECK_EQUAL(RIG_COUNTER(&r, errors), 1);
    expect_only(&r, GW_SWARM_REFUSAL_REPLY, 0, "full");
    rig_close(&r);
}

int main(void) {
    RUN(messages_that_differ_in_numbers_are_one);
    RUN(spaces_and_control_characters_are_one_space);
    RUN(a_code_has_so_many_messages_and_the_others_are_one_row);
    RUN(a_server_can_not_make_it_grow);
    RUN(a_reply_is_named_by_its_errors);
    RUN(any_text_is_a_reply);
    RUN(a_handshake_is_refused_with_its_body_however_it_is_cut);
    RUN(what_is_left_out_of_a_body_is_not_waited_for);
    RUN(who_never_answers_is_told_by_why);
    RUN(a_close_is_told_with_its_reason);
    RUN(a_reply_that_refuses_is_told_once_it_is_read);
    return 0;
}
