/* What the loop's thread and the plane tell each other: replies ahead of data, room in the control
 * queue, heartbeats, the closing sequence, handles of clients that are no more. */
#include "plane_reader.h"
#include <fcntl.h>
#include <poll.h>

static rig_t *ready(void) {
    rig_t *rig = rig_new(rig_options());
    rig_segment(rig, 65536, 16);
    return rig;
}

static peer_t *client(rig_t *rig) {
    peer_t *peer = rig_connect(rig);
    rig_settle(rig);
    peer->read = peer->length;
    return peer;
}

static uint64_t used(const rig_t *rig, const peer_t *peer) {
    return gw_plane_control_used(rig->plane, peer->handle);
}

static bool readable(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void replies_leave_ahead_of_data(void) {
    rig_t *rig = ready();
    peer_t *peer = client(rig);
    unsigned a = rig_topic(rig, GW_TRADE, "A.SIM");
    gw_item_t x = item(1, GW_TRADE, "A.SIM", true, false);
    frame_t f;
    rig_subscribe(rig, peer, 1, &x, 1);
    rig_settle(rig);
    peer->allowed = 30; /* cuts the first frame that comes after the ack */
    rig_publish(rig, a);
    rig_publish(rig, a);
    rig_settle(rig);
    rig_text(rig, peer, 2);
    rig_settle(rig);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    static const frame_kind_t order[] = {REPLY, DATA, REPLY, DATA};
    for (int i = 0; i < 4; i++) CHECK(peer_frame(peer, &f) && f.kind == order[i]);
    CHECK(peer_whole(peer));
    rig_free(rig);
}

static void heartbeats_go_to_silent_clients_alone(void) {
    rig_t *rig = ready();
    peer_t *silent = client(rig), *fed = client(rig), *blocked = client(rig);
    unsigned a = rig_topic(rig, GW_TRADE, "A.SIM");
    gw_item_t x = item(1, GW_TRADE, "A.SIM", true, false);
    frame_t f;
    rig_subscribe(rig, fed, 1, &x, 1);
    rig_settle(rig);
    fed->read = fed->length;
    blocked->allowed = 0;
    rig_text(rig, blocked, 1);
    for (int i = 0; i < 20; i++) {
        rig_publish(rig, a);
        rig->now += 300000000;
        gw_plane_cycle(rig->plane);
        gw_plane_cycle(rig->plane);
    }
    while (peer_frame(fed, &f)) CHECK_EQUAL(f.kind, DATA);
    unsigned beats = 0;
    while (peer_frame(silent, &f)) beats += f.kind == HEARTBEAT;
    CHECK(beats >= 4 && beats <= 6);
    CHECK(peer_whole(blocked));
    CHECK_EQUAL(rig->stats->heartbeats[0], beats);
    rig_free(rig);
}

/* One cycle neither sends to thousands nor looks at them all. */
static void heartbeats_are_spread_over_cycles(void) {
    gw_plane_options_t o = rig_options();
    o.clients_max = 5000;
    rig_t *rig = rig_new(o);
    gw_plane_t *p = rig->plane;
    for (int i = 0; i < RIG_PEERS; i++) rig_connect(rig);
    rig_settle(rig);
    rig_settle(rig);
    p->clients_high = 5000; /* slots used once */
    rig->now += 5000000000;
    for (int cycle = 0; cycle < 30; cycle++) {
        uint32_t before = p->heartbeat_next;
        rig->now += 30000000;
        gw_plane_cycle(p);
        CHECK(p->heartbeat_next <= before + 1024);
    }
    CHECK_EQUAL(rig->stats->heartbeats[0], RIG_PEERS);
    p->clients_high = RIG_PEERS;
    rig_free(rig);
}

static void the_loop_hears_when_there_is_room_again(void) {
    rig_t *rig = ready();
    peer_t *peer = client(rig);
    CHECK_EQUAL(gw_plane_want_resume(rig->plane, peer->handle), 0);
    peer->allowed = 0;
    unsigned reply = 0;
    while (used(rig, peer) <= 32768) rig_text(rig, peer, ++reply);
    CHECK_EQUAL(gw_plane_want_resume(rig->plane, peer->handle), 1);
    rig_settle(rig);
    CHECK_EQUAL(rig_events(rig, GW_EVENT_RESUME), 0);
    peer->allowed = 20;
    rig_settle(rig);
    CHECK(used(rig, peer) > 32768);
    peer->allowed = 1000;
    rig_settle(rig);
    CHECK_EQUAL(rig_events(rig, GW_EVENT_RESUME), 1);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    CHECK_EQUAL(rig_events(rig, GW_EVENT_RESUME), 0);
    CHECK_EQUAL(used(rig, peer), 0);
    frame_t f;
    for (unsigned i = 1; i <= reply; i++) CHECK(peer_frame(peer, &f) && f.reply == i);
    rig_free(rig);
}

static void what_the_plane_says_itself_takes_room_too(void) {
    rig_t *rig = ready();
    peer_t *peer = client(rig);
    rig->now += 5000000000;
    peer->allowed = 5; /* of a heartbeat */
    rig_settle(rig);
    CHECK(used(rig, peer) > 0);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    CHECK_EQUAL(used(rig, peer), 0);
    rig_free(rig);
}

/* The rest of the cut frame, no more data, the close frame, then the end of the stream: once
 * each. */
static void closing_finishes_the_frame_and_drops_the_data(void) {
    rig_t *rig = ready();
    peer_t *peer = client(rig);
    unsigned a = rig_topic(rig, GW_TRADE, "A.SIM");
    gw_item_t x = item(1, GW_TRADE, "A.SIM", true, false);
    frame_t f;
    rig_subscribe(rig, peer, 1, &x, 1);
    rig_settle(rig);
    peer->allowed = 30;
    for (int i = 0; i < 5; i++) rig_publish(rig, a);
    rig_settle(rig);
    rig_close(rig, peer, 4008);
    rig_text(rig, peer, 2); /* too late */
    rig_close(rig, peer, 1000);
    rig_publish(rig, a);
    rig_settle(rig);
    CHECK_EQUAL(rig_events(rig, GW_EVENT_SHUT), 0);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    CHECK_EQUAL(rig_events(rig, GW_EVENT_SHUT), 1);
    CHECK(peer_frame(peer, &f) && f.kind == REPLY);
    CHECK(peer_frame(peer, &f) && f.kind == DATA && f.seq == 1);
    CHECK(peer_frame(peer, &f) && f.kind == CLOSE && f.code == 4008);
    CHECK(peer_whole(peer));
    char byte;
    CHECK_EQUAL(read(peer->fds[1], &byte, 1), 0); /* the far end sees the end of the stream */
    CHECK_EQUAL(used(rig, peer), 0);
    CHECK_EQUAL(rig->stats->delivered[GW_TRADE], 1);
    CHECK_EQUAL(rig->stats->dropped_closed[GW_TRADE], 5); /* the last one came before its link had ended */
    rig_check_balance(rig);
    rig_free(rig);
}

/* A control queue filled to the last byte still has room for the close frame. */
static void an_overflowing_control_queue_is_closed_and_says_so(void) {
    rig_t *rig = ready();
    peer_t *peer = client(rig);
    frame_t f = {0};
    peer->allowed = 0;
    for (unsigned reply = 1; reply < 1500; reply++) { /* 100 kB */
        rig_text(rig, peer, reply);
        gw_plane_cycle(rig->plane);
    }
    const gw_event_t *e = gw_plane_take_event(rig->plane);
    CHECK(e && e->kind == GW_EVENT_CLOSE && e->code == 4008 && strstr(e->reason, "control queue"));
    CHECK(!gw_plane_take_event(rig->plane));
    rig_close(rig, peer, 4008);
    rig_settle(rig);
    peer->allowed = RIG_NO_LIMIT;
    rig_settle(rig);
    while (peer_frame(peer, &f) && f.kind != CLOSE) CHECK_EQUAL(f.kind, REPLY);
    CHECK(f.kind == CLOSE && peer_whole(peer));
    CHECK_EQUAL(used(rig, peer), 0); /* what never fitted is done as well */
    rig_free(rig);
}

static void handles_of_clients_that_are_no_more_are_nobody(void) {
    rig_t *rig = ready();
    peer_t *old = client(rig);
    peer_t stale = *old;
    rig_remove(rig, old);
    rig_settle(rig);
    CHECK_EQUAL(rig_events(rig, GW_EVENT_REMOVED), 1);
    rig_forget(rig, old);
    peer_t *new = client(rig);
    CHECK_EQUAL((uint32_t)new->handle, (uint32_t)stale.handle); /* the slot again */
    CHECK(new->handle != stale.handle);
    gw_handle_t handles[] = {
        stale.handle, new->handle ^ 1ull << 63,
        new->handle + 1, UINT32_MAX, 0, new->handle | UINT32_MAX, /* slots never given out */
    };
    for (size_t i = 0; i < sizeof handles / sizeof *handles; i++) {
        for (gw_command_kind_t kind = GW_CMD_ADD; kind <= GW_CMD_REMOVE; kind++) {
            gw_command_t *x = rig_reply(kind, handles[i], 1, 0);
            CHECK_EQUAL(gw_plane_post(rig->plane, x), -EINVAL);
        }
        CHECK(!gw_plane_knows(rig->plane, handles[i]));
        CHECK_EQUAL(gw_plane_control_used(rig->plane, handles[i]), 0);
        CHECK_EQUAL(gw_plane_want_resume(rig->plane, handles[i]), 0);
        CHECK_EQUAL(gw_plane_blocked(rig->plane, handles[i]), 0);
        CHECK_EQUAL(gw_plane_sent_ns(rig->plane, handles[i]), 0);
    }
    CHECK(gw_plane_knows(rig->plane, new->handle));
    CHECK_EQUAL(used(rig, new), 0); /* nothing is put down to whoever has the slot now */
    rig_settle(rig);
    CHECK(!gw_plane_take_event(rig->plane));
    CHECK(peer_whole(new));
    CHECK_EQUAL(rig->stats->clients[0], 1);
    rig_free(rig);
}

/* Two planes number their slots alike, and yet no handle of one is the other's. */
static void a_handle_is_of_one_plane(void) {
    rig_t *one = ready(), *two = ready();
    peer_t *here = client(one), *there = client(two);
    CHECK_EQUAL((uint32_t)here->handle, (uint32_t)there->handle);
    CHECK(!gw_plane_knows(one->plane, there->handle) && !gw_plane_knows(two->plane, here->handle));
    rig_free(one);
    rig_free(two);
}

static void a_slot_given_back_is_given_out_again(void) {
    rig_t *rig = ready();
    gw_handle_t first = gw_plane_slot(rig->plane), second;
    gw_plane_slot_back(rig->plane, first);
    CHECK((second = gw_plane_slot(rig->plane)) != first);
    CHECK_EQUAL((uint32_t)second, (uint32_t)first);
    CHECK(gw_plane_knows(rig->plane, second) && !gw_plane_knows(rig->plane, first));
    gw_plane_slot_back(rig->plane, first); /* no more its own */
    CHECK((uint32_t)gw_plane_slot(rig->plane) != (uint32_t)second);
    rig_free(rig);
}

static void a_place_outside_its_bytes_is_refused(void) {
    rig_t *rig = ready();
    peer_t *peer = client(rig);
    static const gw_fill_t bad[] = {
        {1, GW_FILL_TIME, 0},  {20, GW_FILL_TIME, 0}, {UINT32_MAX, GW_FILL_TIME, 0},
        {0, GW_FILL_KINDS, 0}, {0, GW_FILL_SEQ, 0},   {0, GW_FILL_MATCHED, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        gw_command_t *x = gw_command_new(GW_CMD_SEND, 0, 1, 20);
        x->handle = peer->handle;
        x->fills[0] = bad[i];
        CHECK_EQUAL(gw_plane_post(rig->plane, x), -EINVAL);
    }
    /* The items of an unsubscribe have no names to look up. */
    gw_command_t *x = gw_command_new(GW_CMD_UNSUBSCRIBE, 1, 1, 20);
    x->handle = peer->handle;
    x->fills[0] = (gw_fill_t){0, GW_FILL_SEQ, 0};
    CHECK_EQUAL(gw_plane_post(rig->plane, x), -EINVAL);
    CHECK_EQUAL(used(rig, peer), 0);
    rig_free(rig);
}

/* The plane puts an event, rings, and only then writes: the loop may look in between. */
static void an_event_between_its_two_steps_leaves_nothing_behind(void) {
    rig_t *rig = ready();
    gw_plane_t *p = rig->plane;
    uint64_t one = 1;
    gw_queue_put(&p->events, &gw_event_new(GW_EVENT_RESUME, 1ull << 32, 0)->node);
    p->events_rung = 1;
    CHECK(gw_plane_take_event(p) != NULL);
    CHECK_EQUAL(write(p->events_fd, &one, sizeof one), sizeof one);
    CHECK(readable(gw_plane_events_fd(p)));
    CHECK(!gw_plane_take_event(p));
    CHECK(!readable(gw_plane_events_fd(p)));
    gw_event_put(p, gw_event_new(GW_EVENT_RESUME, 1ull << 32, 0));
    CHECK(readable(gw_plane_events_fd(p)));
    CHECK(gw_plane_take_event(p) && !gw_plane_take_event(p));
    CHECK(!readable(gw_plane_events_fd(p)));
    rig_free(rig);
}

/* A descriptor that can't be waited for would wait for ever. */
static void f40_a_descriptor_that_epoll_refuses_is_gone(void) {
    rig_t *rig = ready();
    peer_t *peer = client(rig);
    int fd = memfd_create("no socket", MFD_CLOEXEC);
    CHECK(dup2(fd, peer->fds[0]) >= 0);
    close(fd);
    peer->allowed = 0;
    rig_text(rig, peer, 1);
    rig_settle(rig);
    const gw_event_t *e = gw_plane_take_event(rig->plane);
    CHECK(e && e->kind == GW_EVENT_GONE && e->error == EPERM);
    CHECK_EQUAL(rig->stats->clients_blocked[0], 0);
    rig_free(rig);
}

/* Writability is the real socket's: nothing is tried before epoll says so. */
static void a_full_socket_is_left_alone_until_it_drains(void) {
    rig_t *rig = ready();
    peer_t *peer = client(rig);
    char bytes[4096] = {0};
    while (send(peer->fds[0], bytes, sizeof bytes, MSG_DONTWAIT) > 0) continue;
    peer->allowed = 0;
    rig_text(rig, peer, 1);
    rig_settle(rig);
    uint64_t sends = peer->sends;
    peer->allowed = RIG_NO_LIMIT;
    for (int i = 0; i < 50; i++) rig_settle(rig);
    CHECK_EQUAL(peer->sends, sends);
    CHECK_EQUAL(gw_plane_blocked(rig->plane, peer->handle), 1);
    while (recv(peer->fds[1], bytes, sizeof bytes, MSG_DONTWAIT) > 0) continue;
    rig_settle(rig);
    CHECK_EQUAL(peer->sends, sends + 1);
    CHECK_EQUAL(gw_plane_blocked(rig->plane, peer->handle), 0);
    rig_free(rig);
}

/* Requests for new names, as many as the loop may post before it sees what they come to. How many. */
static unsigned ask_for_new_names(rig_t *rig, peer_t *peer, unsigned each) {
    static gw_item_t items[64];
    const uint64_t most = rig->plane->o.control_bytes_max, length = 90 + 21 * each; /* of a reply, and some */
    unsigned n = 0;
    for (; used(rig, peer) + length <= most; n++) {
        for (unsigned i = 0; i < each; i++) {
            char name[40];
            snprintf(name, sizeof name, "NEW-%05u.SIM", n * each + i);
            items[i] = item(n * each + i, GW_TRADE, name, true, false);
        }
        rig_subscribe(rig, peer, n, items, each);
    }
    return n;
}

/* While the topics of the epoch before wait for the next one's, no new name can be waited for. The client that
 * asks for many learns of each, by name or by number, and keeps all its replies. */
static void f70_names_refused_while_an_epoch_begins_are_told_or_counted(void) {
    gw_plane_options_t o = rig_options();
    o.waiting_topics_max = 8;
    for (int blocked = 0; blocked < 2; blocked++) {
        rig_t *rig = rig_new(o);
        rig_segment(rig, 1 << 16, 512);
        peer_t *all = rig_connect(rig), *peer = rig_connect(rig);
        gw_item_t star = item(1, GW_TRADE, "*", true, false);
        rig_subscribe(rig, all, 1, &star, 1);
        for (unsigned i = 0; i < 20; i++) rig_publish(rig, rig_named(rig, GW_TRADE, "S%u.SIM", i));
        rig_settle(rig);
        rig_segment(rig, 1 << 16, 512);
        rig_settle(rig);
        CHECK_EQUAL(rig->plane->topics_waiting, 20);
        peer->read = peer->length = 0;
        if (blocked) peer->allowed = 0;
        unsigned requests = ask_for_new_names(rig, peer, 60), replies = 0, named = 0, counted = 0;
        const gw_client_t *c = rig_client(rig, peer);
        for (int i = 0; i < 20; i++) {
            rig_settle(rig);
            CHECK(c->control_length - c->control_head <= o.control_bytes_max + GW_CONTROL_SLACK);
        }
        CHECK(requests > 40);
        CHECK_EQUAL(rig_events(rig, GW_EVENT_CLOSE), 0);
        CHECK_EQUAL(rig->stats->limits_met[0], requests * 60);
        peer->allowed = RIG_NO_LIMIT;
        rig_settle(rig);
        for (frame_t f; peer_frame(peer, &f);) {
            if (f.kind == REPLY) CHECK_EQUAL(f.reply, replies++);
            if (f.kind == LIMIT && f.refused) counted += f.refused;
            else named += f.kind == LIMIT;
        }
        CHECK_EQUAL(replies, requests);
        CHECK_EQUAL(named + counted, requests * 60);
        CHECK(named >= 30 && counted > 0);
        gw_item_t one = item(99999, GW_TRADE, "ONE.SIM", true, false);
        rig_subscribe(rig, peer, 1, &one, 1);
        rig_settle(rig);
        frame_t f;
        CHECK(peer_frame(peer, &f) && f.kind == REPLY);
        CHECK(peer_frame(peer, &f) && f.kind == LIMIT && !f.refused);
        rig_free(rig);
    }
}

int main(void) {
    RUN(replies_leave_ahead_of_data);
    RUN(heartbeats_go_to_silent_clients_alone);
    RUN(heartbeats_are_spread_over_cycles);
    RUN(the_loop_hears_when_there_is_room_again);
    RUN(what_the_plane_says_itself_takes_room_too);
    RUN(closing_finishes_the_frame_and_drops_the_data);
    RUN(an_overflowing_control_queue_is_closed_and_says_so);
    RUN(handles_of_clients_that_are_no_more_are_nobody);
    RUN(a_handle_is_of_one_plane);
    RUN(a_slot_given_back_is_given_out_again);
    RUN(a_place_outside_its_bytes_is_refused);
    RUN(an_event_between_its_two_steps_leaves_nothing_behind);
    RUN(f40_a_descriptor_that_epoll_refuses_is_gone);
    RUN(a_full_socket_is_left_alone_until_it_drains);
    RUN(f70_names_refused_while_an_epoch_begins_are_told_or_counted);
    return 0;
}
