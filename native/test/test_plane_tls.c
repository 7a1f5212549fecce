/* Clients over TLS: what is read of them, what is kept for them, and how they end. What they are sent at every cut is in
 * test_plane_f40_tls.c, under random operations in test_plane_model_tls.c. */
#include "gw_tls_library.h"
#include <stdio.h>

#ifndef GW_HAS_TLS
int main(void) {
    printf("left out: built without OpenSSL's headers\n");
    return 0;
}
#else
#define RIG_SECURE 1
#include "gw_secure.h"
#include "plane_reader.h"
#include "gw_visit.h"
#include <sys/epoll.h>

static rig_t *rig;
static peer_t *peer;

static void begin(void) {
    rig = rig_new(rig_options());
    rig_segment(rig, 1 << 20, 64);
    peer = rig_connect(rig);
    rig_settle(rig);
}

static void end(void) {
    rig_remove(rig, peer);
    rig_settle(rig);
    CHECK_EQUAL(rig_events(rig, GW_EVENT_REMOVED), 1);
    CHECK_EQUAL(rig->stats->pending[GW_TRADE] + rig->stats->pending[GW_BBO], 0);
    CHECK_EQUAL(rig->plane->reporting, 0);
    rig_free(rig);
}

static SSL *far_ssl(void) { return peer->far->end.tls->ssl; }

/* Bytes of the client's on their way: as many as there are, or so many. */
static void carry(size_t most) {
    gw_tls_out_t *out = &peer->far->end.out;
    const size_t n = out->length < most ? out->length : most;
    CHECK_EQUAL(send(peer->fds[1], out->bytes, n, 0), (ssize_t)n);
    memmove(out->bytes, out->bytes + n, out->length - n);
    out->length -= n;
}

static void says(const char *text) {
    CHECK_EQUAL(gw_tls_write(peer->far->end.tls, &peer->far->end.out, text, strlen(text)), 0);
}

static void want(void) { rig_want(rig, peer); }

/* The one event that there is, of what was read. */
static void hears(const char *text) {
    rig_settle(rig);
    const gw_event_t *e = gw_plane_take_event(rig->plane);
    CHECK(e && e->kind == GW_EVENT_DATA && e->handle == peer->handle && e->code == 1);
    CHECK_EQUAL(e->token, strlen(text));
    CHECK(!memcmp(e->rows, text, strlen(text)));
    CHECK(!gw_plane_take_event(rig->plane));
}

static void hears_nothing(void) {
    rig_settle(rig);
    CHECK(!gw_plane_take_event(rig->plane));
}

static void a_record_is_told_and_the_next_one_asked_for(void) {
    begin();
    says("one");
    says("two");
    carry(SIZE_MAX);
    hears("one");
    hears_nothing();
    want();
    hears("two");
    want();
    want(); /* asked for twice is asked for once */
    hears_nothing();
    says("three");
    while (peer->far->end.out.length > 1) carry(1), hears_nothing();
    carry(1);
    hears("three");
    hears_nothing();
    end();
}

/* What the loop had read from the socket before it handed the client over. */
static void what_was_read_already_comes_first(void) {
    rig = rig_new(rig_options());
    rig_segment(rig, 1 << 20, 64);
    peer = rig_connect(rig); /* its command waits */
    says("fed");
    gw_command_t *x = (gw_command_t *)(void *)rig->plane->commands.tail;
    CHECK_EQUAL(x->kind, GW_CMD_ADD);
    CHECK_EQUAL(gw_tls_feed(x->secure->tls, peer->far->end.bytes, peer->far->end.out.length), 0);
    peer->far->end.out.length = 0;
    hears("fed");
    says("sent");
    carry(SIZE_MAX);
    hears_nothing();
    want();
    hears("sent");
    end();
}

static void the_end_of_the_stream_is_told(void) {
    for (int polite = 0; polite < 2; polite++) {
        begin();
        if (polite) gw_tls_close(peer->far->end.tls, &peer->far->end.out);
        if (polite) carry(SIZE_MAX);
        shutdown(peer->fds[1], SHUT_WR);
        rig_settle(rig);
        const gw_event_t *e = gw_plane_take_event(rig->plane);
        CHECK(e && e->kind == GW_EVENT_DATA && e->token == 0);
        CHECK(!gw_plane_take_event(rig->plane));
        end();
    }
}

/* threat T1 */
static void broken_records_end_it(void) {
    begin();
    CHECK_EQUAL(send(peer->fds[1], "\x17\x03\x03\x00\x20" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 37, 0), 37);
    const size_t before = peer->taken;
    rig_settle(rig);
    const gw_event_t *e = gw_plane_take_event(rig->plane);
    CHECK(e && e->kind == GW_EVENT_GONE && e->error == EPROTO);
    CHECK(!gw_plane_take_event(rig->plane));
    CHECK(peer->taken > before); /* the alert */
    end();
}

/* --- key updates ----------------------------------------------------------------------------------------- */

static void update(int answered) {
    CHECK_EQUAL(SSL_key_update(far_ssl(), answered ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    peer->far->end.tls->out = &peer->far->end.out;
    CHECK_EQUAL(SSL_do_handshake(far_ssl()), 1);
    peer->far->end.tls->out = NULL;
}

static void more_key_updates_than_anybody_needs_are_1008(void) {
    begin();
    for (int i = 0; i < 8; i++) update(1);
    carry(SIZE_MAX);
    hears_nothing();
    rig->now += 61000000000; /* another minute: as many again */
    for (int i = 0; i < 8; i++) update(1);
    carry(SIZE_MAX);
    hears_nothing();
    update(0);
    carry(SIZE_MAX);
    rig_settle(rig);
    const gw_event_t *e = gw_plane_take_event(rig->plane);
    CHECK(e && e->kind == GW_EVENT_CLOSE && e->code == 1008 && strstr(e->reason, "key updates"));
    /* From then on nothing of it is deciphered: only how much comes, and its end. */
    for (int i = 0; i < 100; i++) update(1);
    const uint32_t seen = gw_tls_updates(rig_client(rig, peer)->secure->tls);
    carry(SIZE_MAX);
    rig_settle(rig);
    e = gw_plane_take_event(rig->plane);
    CHECK(e && e->kind == GW_EVENT_DATA && e->code == 0 && e->token > 1000 && !e->rows_count);
    CHECK_EQUAL(gw_tls_updates(rig_client(rig, peer)->secure->tls), seen);
    want();
    rig_close(rig, peer, 1008);
    shutdown(peer->fds[1], SHUT_WR);
    rig_settle(rig);
    unsigned ends = 0;
    while ((e = gw_plane_take_event(rig->plane))) ends += e->kind == GW_EVENT_DATA && e->token == 0;
    CHECK_EQUAL(ends, 1);
    frame_t f;
    CHECK(peer_frame(peer, &f) && f.kind == REPLY);
    CHECK(peer_frame(peer, &f) && f.kind == CLOSE && f.code == 1008);
    end();
}

/* The client is sent nothing of it before its next message, behind what its socket has not taken. */
static void keys_change_behind_the_rest(void) {
    begin();
    peer->allowed = 30;
    rig_text(rig, peer, 1);
    rig_settle(rig);
    CHECK(rig_client(rig, peer)->flags & GW_CLIENT_BLOCKED);
    update(1);
    says("after");
    carry(SIZE_MAX);
    hears("after");
    peer->allowed = RIG_NO_LIMIT;
    rig_text(rig, peer, 2);
    rig_settle(rig);
    frame_t f;
    for (unsigned i = 0; i < 3; i++) CHECK(peer_frame(peer, &f) && f.kind == REPLY && f.reply == i);
    CHECK(peer_whole(peer) && !rig_client(rig, peer)->secure->rest);
    end();
}

/* An answer goes behind what the socket has not taken, or the client could read neither: here the refusal of another
 * handshake, as 1.2 has it. */
static void an_answer_behind_the_rest(int early) {
    begin();
    SSL_CTX_set_max_proto_version(rig_client_context->ssl, TLS1_2_VERSION);
    SSL_CTX_clear_options(rig_client_context->ssl, SSL_OP_NO_RENEGOTIATION);
    peer_t *first = peer;
    peer = rig_connect(rig);
    rig_settle(rig);
    CHECK_EQUAL(SSL_renegotiate(far_ssl()), 1);
    peer->far->end.tls->out = &peer->far->end.out;
    SSL_do_handshake(far_ssl());
    peer->far->end.tls->out = NULL;
    peer->allowed = 30;
    rig_text(rig, peer, 1);
    rig_settle(rig);
    peer->allowed = 10;
    rig_settle(rig);
    const gw_secure_t *s = rig_client(rig, peer)->secure;
    const uint32_t left = s->rest_length - s->rest_sent;
    CHECK(s->rest_sent == 10 && left > 10);
    carry(SIZE_MAX);
    peer->allowed = early ? RIG_NO_LIMIT : 0; /* the socket takes both, before the rest has gone on */
    hears_nothing();
    if (!early) CHECK(s->rest_length - s->rest_sent > left);
    CHECK_EQUAL(gw_tls_updates(rig_client(rig, peer)->secure->tls), 1);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    frame_t f;
    for (unsigned i = 0; i < 2; i++) CHECK(peer_frame(peer, &f) && f.kind == REPLY && f.reply == i);
    CHECK(!rig_client(rig, peer)->secure->rest);
    SSL_CTX_set_max_proto_version(rig_client_context->ssl, 0);
    rig_remove(rig, first);
    rig_settle(rig);
    rig_events(rig, GW_EVENT_REMOVED);
    rig_forget(rig, first);
    end();
}

static void an_answer_waits_behind_the_rest(void) {
    an_answer_behind_the_rest(0);
    an_answer_behind_the_rest(1);
}

/* --- what is sealed -------------------------------------------------------------------------------------- */

static void what_is_sealed_is_pending_until_its_record_has_left(void) {
    begin();
    const unsigned bbo = rig_topic(rig, GW_BBO, "A.SIM");
    const gw_item_t x = item(1, GW_BBO, "A.SIM", false, true);
    rig_publish(rig, bbo);
    rig_settle(rig);
    rig_subscribe(rig, peer, 1, &x, 1);
    rig_settle(rig);
    peer->allowed = 40; /* of a record of some 130 */
    rig_publish(rig, bbo);
    rig_settle(rig);
    const gw_client_t *c = rig_client(rig, peer);
    CHECK_EQUAL(c->secure->stubs_count, 1);
    CHECK_EQUAL(c->links->sealed, 1);
    for (int i = 0; i < 5; i++) rig_publish(rig, bbo);
    rig_settle(rig);
    rig_check_balance(rig);
    CHECK_EQUAL(rig->stats->delivered[GW_BBO], 0);
    CHECK_EQUAL(rig->stats->pending[GW_BBO], 2); /* it, and the newest */
    CHECK_EQUAL(rig->stats->conflated[GW_BBO], 4);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    CHECK_EQUAL(rig->stats->delivered[GW_BBO], 2);
    CHECK_EQUAL(c->links->sealed, 0);
    frame_t f;
    unsigned long long seqs[] = {1, 2, 7}, n = 0;
    while (peer_frame(peer, &f))
        if (f.kind == DATA) CHECK(n < 3 && f.seq == seqs[n++]);
    CHECK_EQUAL(n, 3);
    end();
}

static void the_link_ends_before_its_record_has_left(void) {
    begin();
    const unsigned trade = rig_topic(rig, GW_TRADE, "A.SIM");
    const gw_item_t x = item(1, GW_TRADE, "A.SIM", true, false);
    rig_subscribe(rig, peer, 1, &x, 1);
    rig_settle(rig);
    peer->allowed = 40;
    rig_publish(rig, trade);
    rig_settle(rig);
    const uint32_t id = 1;
    rig_unsubscribe(rig, peer, 2, &id, 1);
    rig_settle(rig);
    CHECK(!rig_client(rig, peer)->links && rig_client(rig, peer)->secure->stubs[0].counts);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    CHECK_EQUAL(rig->stats->delivered[GW_TRADE], 1);
    end();
}

/* What was sealed while it was granted leaves, since nothing behind it could be read otherwise: a record at most, and
 * before the word that the right is another one. Nothing else of it does. */
static void a_right_ends_before_its_record_has_left(void) {
    begin();
    const unsigned a = rig_topic(rig, GW_TRADE, "A.SIM"), b = rig_topic(rig, GW_TRADE, "B.SIM");
    const gw_rule_t narrow = rule(GW_CHANNELS, "A.SIM", true);
    CHECK_EQUAL(gw_plane_grant(rig->plane, 1, &narrow, 1, 0), 0);
    const gw_item_t x = item(1, GW_TRADE, "*", true, false);
    rig_subscribe(rig, peer, 1, &x, 1);
    rig_settle(rig);
    peer->allowed = 40;
    rig_publish(rig, b);
    rig_settle(rig);
    for (int i = 0; i < 5; i++) rig_publish(rig, b), rig_publish(rig, a);
    rig_settle(rig);
    const gw_client_t *c = rig_client(rig, peer);
    CHECK_EQUAL(c->secure->stubs_count, 1);
    CHECK_EQUAL(rig->stats->pending[GW_TRADE], 11);
    gw_command_t *right = rig_reply(GW_CMD_REGRANT, peer->handle, 2, 0);
    right->grant = 1;
    rig_post(rig, right);
    rig_settle(rig);
    CHECK_EQUAL(rig->stats->links[0], 1);
    CHECK(c->secure->stubs_count == 1 && c->secure->stubs[0].counts && !c->secure->stubs[0].link);
    CHECK_EQUAL(rig->stats->pending[GW_TRADE], 6); /* it, and those of the other topic */
    CHECK_EQUAL(rig->stats->dropped_unsubscribed[GW_TRADE], 5);
    rig_publish(rig, b);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    frame_t f;
    unsigned withdrawn = 0, others = 0, told = 0;
    while (peer_frame(peer, &f)) {
        told += f.kind == REPLY && f.reply == 2;
        if (f.kind != DATA) continue;
        CHECK(strcmp(f.name, "B.SIM") || !told);
        ++*(strcmp(f.name, "B.SIM") ? &others : &withdrawn);
    }
    CHECK(withdrawn == 1 && others == 5 && told == 1);
    CHECK_EQUAL(rig->stats->delivered[GW_TRADE], 6);
    rig_check_balance(rig);
    end();
}

/* A topic ends, and all of that is in the record that has not left: the pattern's link stays until it has. */
static void a_topic_ends_behind_its_record(void) {
    begin();
    const unsigned trade = rig_topic(rig, GW_TRADE, "A.SIM");
    const gw_item_t x = item(1, GW_TRADE, "*", true, false);
    rig_publish(rig, trade);
    rig_settle(rig);
    rig_subscribe(rig, peer, 1, &x, 1);
    rig_settle(rig);
    peer->allowed = 40;
    rig_publish(rig, trade);
    rig_retire(rig, trade);
    rig_settle(rig);
    CHECK(rig_client(rig, peer)->links && !rig_client(rig, peer)->runs_count);
    for (int i = 0; i < 5; i++) rig->now += 100000000, rig_settle(rig);
    CHECK(rig_client(rig, peer)->links && rig_client(rig, peer)->links->sealed == 1);
    peer->allowed = RIG_NO_LIMIT;
    for (int i = 0; i < 5; i++) rig->now += 100000000, rig_settle(rig);
    CHECK(!rig_client(rig, peer)->links);
    CHECK_EQUAL(rig->stats->delivered[GW_TRADE], 1);
    end();
}

/* What is longer than a record takes several, in as many visits. */
/* One that is touched while it is blocked stands in its tenant's list, maybe as the last of a round. */
static void a_socket_that_takes_more_ends_the_wait_in_a_tenant_s_list(void) {
    gw_plane_options_t o = rig_options();
    o.tenants_count = 1;
    o.tenant_weights[0] = 1;
    rig = rig_new(o);
    rig_segment(rig, 1 << 20, 64);
    peer = rig_connect(rig);
    rig_settle(rig);
    gw_client_t *c = rig_client(rig, peer);
    peer->allowed = 0;
    gw_client_block(rig->plane, c);
    gw_turn_wait(rig->plane, GW_TURN_TENANTS, c);
    rig->plane->tenants[0].round_last = gw_client_place(rig->plane, c);
    gw_secure_reported(rig->plane, c, EPOLLOUT);
    CHECK_EQUAL(rig->plane->tenants[0].round_last, gw_turn_sentinel(GW_TURN_TENANTS));
    CHECK(!gw_turn_empty(rig->plane, GW_TURN_BULK));
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    end();
}

static void a_long_message_takes_several_records(void) {
    begin();
    rig_remove(rig, peer); /* a text that no reader knows: this one counts bytes */
    rig_settle(rig);
    rig_events(rig, GW_EVENT_REMOVED);
    rig_forget(rig, peer);
    peer = rig_connect(rig);
    gw_item_t x = item(1, GW_LOCAL, "plain", false, true);
    rig_subscribe(rig, peer, 1, &x, 1);
    rig_settle(rig);
    const size_t before = peer->length;
    gw_command_t *c = gw_command_new(GW_CMD_PUBLISH, 0, 0, GW_LOCAL_TEXT_MAX);
    for (uint32_t i = 0; i < GW_LOCAL_TEXT_MAX; i++) c->bytes[i] = (uint8_t)('a' + i % 23);
    rig_post(rig, c);
    const uint64_t sends = peer->sends;
    rig_settle(rig);
    CHECK_EQUAL(peer->length, before + GW_LOCAL_TEXT_MAX + 4);
    for (uint32_t i = 0; i < GW_LOCAL_TEXT_MAX; i++) CHECK_EQUAL(peer->stream[before + 4 + i], 'a' + i % 23);
    CHECK_EQUAL(peer->sends - sends, 2);
    end();
}

static void close_notify_is_last(void) {
    for (int64_t allowed = 0; allowed < 60; allowed++) {
        begin();
        peer->allowed = allowed;
        rig_close(rig, peer, 1000);
        rig_settle(rig);
        CHECK_EQUAL(rig_client(rig, peer)->shut, !rig_client(rig, peer)->secure->rest);
        peer->allowed = RIG_NO_LIMIT;
        rig_settle(rig);
        CHECK_EQUAL(rig_events(rig, GW_EVENT_SHUT), 1);
        CHECK_EQUAL(SSL_get_shutdown(far_ssl()), SSL_RECEIVED_SHUTDOWN);
        frame_t f;
        CHECK(peer_frame(peer, &f) && f.kind == REPLY);
        CHECK(peer_frame(peer, &f) && f.kind == CLOSE && f.code == 1000);
        /* What it says now is counted. */
        says("late");
        carry(SIZE_MAX);
        rig_settle(rig);
        const gw_event_t *e = gw_plane_take_event(rig->plane);
        CHECK(e && e->kind == GW_EVENT_DATA && e->code == 0 && e->token > 4);
        end();
    }
}

int main(void) {
    RUN(a_record_is_told_and_the_next_one_asked_for);
    RUN(what_was_read_already_comes_first);
    RUN(the_end_of_the_stream_is_told);
    RUN(broken_records_end_it);
    RUN(more_key_updates_than_anybody_needs_are_1008);
    RUN(keys_change_behind_the_rest);
    RUN(an_answer_waits_behind_the_rest);
    RUN(what_is_sealed_is_pending_until_its_record_has_left);
    RUN(the_link_ends_before_its_record_has_left);
    RUN(a_right_ends_before_its_record_has_left);
    RUN(a_topic_ends_behind_its_record);
    RUN(a_socket_that_takes_more_ends_the_wait_in_a_tenant_s_list);
    RUN(a_long_message_takes_several_records);
    RUN(close_notify_is_last);
    return 0;
}
#endif
