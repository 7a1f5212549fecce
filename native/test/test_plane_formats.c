/* Clients of two formats on one plane: what a format's first speaker costs, what announcements may not do. */
#include "plane_reader.h"

static peer_t *speaker(rig_t *rig, uint32_t format) {
    rig->mixed = format != 0;
    peer_t *peer = rig_connect(rig);
    if (format && !peer->format) { /* every second one is binary */
        peer = rig_connect(rig);
    }
    CHECK_EQUAL(peer->format, format);
    return peer;
}

static rig_t *rig_with(unsigned topics) {
    rig_t *rig = rig_new(rig_options());
    rig_segment(rig, 1 << 20, 4096);
    for (unsigned i = 0; i < topics; i++) rig_publish(rig, rig_named(rig, GW_TRADE, "T%u.SIM", i));
    rig_settle(rig);
    return rig;
}

static void pass(rig_t *rig, unsigned turns, int64_t each_ns) {
    for (unsigned i = 0; i < turns; i++) {
        rig->now += each_ns;
        gw_plane_cycle(rig->plane);
    }
}

/* The round over names that cannot come stands amid a topic of two audiences, with `left` of them to come; its number
 * becomes that of a topic with one, which is told from its beginning. */
static void the_round_finds_another_topic(uint32_t left) {
    rig_t *rig = rig_new(rig_options());
    rig_segment(rig, 16384, 64);
    rig_register(rig, rig_topic(rig, GW_TRADE, "T0.SIM"));
    rig_settle(rig);
    peer_t *text = speaker(rig, 0), *binary = speaker(rig, 1);
    const gw_item_t a = item(1, GW_TRADE, "A.SIM", false, true), b = item(2, GW_TRADE, "B.SIM", false, true);
    const uint32_t id = 1;
    rig_subscribe(rig, text, 1, &a, 1);
    rig_settle(rig);
    rig_subscribe(rig, binary, 1, &a, 1);
    rig_settle(rig);
    gw_writer_full(&rig->writer, 1);
    rig->plane->turn_units = GW_UNITS_LINK + GW_UNITS_LOOK; /* a link a turn */
    rig->now += 60000000;
    for (unsigned i = 0; i < 8 && rig->plane->full_link.audiences != left; i++) pass(rig, 1, 1000);
    CHECK_EQUAL(rig->plane->full_link.audiences, left);
    CHECK_EQUAL(rig->plane->full_link.links, 0);
    rig->plane->turn_units = GW_UNITS_TURN;
    rig->plane->timer_ns = rig->now + 50000000; /* no new round begins */
    gw_writer_full(&rig->writer, 0);
    text->read = text->length;
    rig_unsubscribe(rig, text, 2, &id, 1);
    rig_unsubscribe(rig, binary, 2, &id, 1);
    rig_subscribe(rig, text, 3, &b, 1);
    pass(rig, 10, 1000);
    const gw_topic_t *other = rig->plane->topics[1];
    CHECK(other && other->length == b.length && !memcmp(other->name, b.name, b.length));
    unsigned limits = 0;
    for (frame_t f; peer_frame(text, &f);) limits += f.kind == LIMIT && !strcmp(f.name, "B.SIM");
    CHECK_EQUAL(limits, 1);
    rig_check_balance(rig);
    rig_free(rig);
}

static void a_round_does_not_go_on_in_another_topic(void) {
    for (uint32_t left = 1; left <= 2; left++) the_round_finds_another_topic(left);
}

/* What it does while its socket is full leaves no more behind than a text client's requests do. */
static void announcements_of_ended_links_do_not_stay(void) {
    rig_t *rig = rig_with(1000);
    rig->plane->o.lossless_frames_max = 2000;
    peer_t *peer = speaker(rig, 1);
    rig_settle(rig);
    peer->allowed = 0;
    for (unsigned i = 0; i < 20; i++) {
        const gw_item_t all = item(i + 1, GW_TRADE, "*", true, true);
        const uint32_t id = i + 1;
        rig_subscribe(rig, peer, 1, &all, 1);
        rig_unsubscribe(rig, peer, 1, &id, 1);
        pass(rig, 40, 100000);
    }
    CHECK_EQUAL(rig_client(rig, peer)->links_count, 0);
    CHECK_EQUAL(rig_client(rig, peer)->queued, 0);
    rig_check_balance(rig);
    pass(rig, 30, 100000000);
    CHECK_EQUAL(rig_events(rig, GW_EVENT_CLOSE), 0);
    rig_free(rig);
}

/* Conflated topics close no client for its age, whatever it had before. */
static void no_client_of_conflated_topics_is_closed_for_an_announcement(void) {
    rig_t *rig = rig_with(1);
    peer_t *peer = speaker(rig, 1);
    rig_settle(rig);
    peer->allowed = 0;
    gw_item_t one = item(1, GW_TRADE, "T0.SIM", true, true);
    rig_subscribe(rig, peer, 1, &one, 1);
    rig_settle(rig);
    one.lossless = 0;
    rig_subscribe(rig, peer, 2, &one, 1);
    rig_settle(rig);
    CHECK_EQUAL(rig_client(rig, peer)->conflated_links, 1);
    pass(rig, 30, 100000000);
    CHECK_EQUAL(rig_events(rig, GW_EVENT_CLOSE), 0);
    rig_check_balance(rig);
    rig_free(rig);
}

/* A feed that waits for slow queues waits for those of all formats. */
static void an_announcement_is_as_patient_as_its_record(void) {
    rig_t *rig = rig_new(rig_options());
    rig_segment(rig, 1 << 20, 4096);
    const unsigned topic = rig_topic(rig, GW_TRADE, "A.SIM");
    rig_publish_flags(rig, topic, GW_FLAG_PACED);
    rig_settle(rig);
    peer_t *peer = speaker(rig, 1);
    const gw_item_t one = item(1, GW_TRADE, "A.SIM", true, false);
    rig_subscribe(rig, peer, 1, &one, 1);
    rig_settle(rig);
    peer->allowed = 0;
    rig_publish_flags(rig, topic, GW_FLAG_PACED);
    rig_settle(rig);
    CHECK(rig_client(rig, peer)->queued > 0);
    pass(rig, 30, 100000000);
    CHECK_EQUAL(rig_events(rig, GW_EVENT_CLOSE), 0);
    rig_free(rig);
}

/* A log that begins is no log that ran far ahead of anybody. */
static void the_first_of_a_format_costs_no_more_than_the_second(void) {
    rig_t *rig = rig_with(1);
    const gw_item_t one = item(1, GW_TRADE, "T0.SIM", false, false);
    for (unsigned i = 0; i < 40; i++) rig_subscribe(rig, speaker(rig, 0), 1, &one, 1);
    rig_settle(rig);
    peer_t *binary = speaker(rig, 1);
    rig_publish(rig, 0);
    gw_plane_cycle(rig->plane);
    CHECK(rig->plane->lanes[1].log.bytes);
    CHECK(!gw_plane_far(rig->plane));
    rig_subscribe(rig, binary, 1, &one, 1);
    rig_settle(rig);
    const uint32_t before = rig->plane->lanes[1].guard_next;
    rig_publish(rig, 0);
    rig_settle(rig);
    CHECK(rig->plane->lanes[1].guard_next - before <= rig->plane->clients_high / 64 + 1);
    rig_free(rig);
}

/* What the loop's thread says is in the client's format, and of formats that tell it. */
static void the_loop_s_notices_are_in_the_client_s_format(void) {
    rig_t *rig = rig_with(1);
    peer_t *text = speaker(rig, 0), *binary = speaker(rig, 1);
    const gw_notice_t notice = {.numbers = {1830}};
    uint8_t frame[GW_NOTICE_MAX];
    rig_settle(rig);
    size_t length = gw_plane_notice(rig->plane, text->handle, GW_NOTICE_HEARTBEAT, &notice, frame);
    CHECK(length > 2 && frame[0] == 0x81 && memcmp(frame + 2, "{\"channel\":\"heartbeat\",\"n\":1830,", 32) == 0);
    length = gw_plane_notice(rig->plane, binary->handle, GW_NOTICE_HEARTBEAT, &notice, frame);
    CHECK_EQUAL(length, 2 + 1 + 8);
    CHECK(frame[0] == 0x82 && frame[2] == 'H' && frame[3] == (1830 & 255) && frame[4] == 1830 >> 8);
    CHECK_EQUAL(gw_plane_notice(rig->plane, binary->handle, GW_NOTICE_SHUTDOWN, &notice, frame), 0);
    CHECK_EQUAL(gw_plane_notice(rig->plane, 77, GW_NOTICE_HEARTBEAT, &notice, frame), 0);
    rig_free(rig);
}

static void silence(rig_t *rig) {
    for (unsigned i = 0; i < GW_NOTICES; i++) {
        gw_template_free(rig->plane->o.formats[0].notices[i]);
        rig->plane->o.formats[0].notices[i] = NULL;
    }
}

static unsigned frames(peer_t *peer) {
    frame_t f;
    unsigned n = 0;
    while (peer_frame(peer, &f)) n++;
    return n;
}

/* What its format does not tell is no work that waits for ever. */
static void a_client_that_is_not_told_of_an_end_is_not_visited_for_it(void) {
    for (int records = 0; records < 2; records++) {
        rig_t *rig = rig_with(3);
        silence(rig);
        peer_t *peer = speaker(rig, 0);
        const gw_item_t all[] = {item(1, GW_TRADE, "T0.SIM", false, true), item(2, GW_TRADE, "T1.SIM", false, true),
                                 item(3, GW_TRADE, "T2.SIM", false, true)};
        rig_subscribe(rig, peer, 1, all, 3);
        rig_settle(rig);
        CHECK_EQUAL(frames(peer), 2 + 3); /* hello and reply, the states */
        peer->allowed = 0;
        rig_publish(rig, 0);
        rig_settle(rig);
        rig_retire(rig, 1);
        pass(rig, 2, 1000);
        if (records) rig_publish(rig, 2); /* behind the end that is not told */
        rig_settle(rig);
        CHECK(rig_client(rig, peer)->flags & GW_CLIENT_DIRTY);
        peer->allowed = RIG_NO_LIMIT;
        pass(rig, 5, 1000000);
        CHECK_EQUAL(frames(peer), 1 + (unsigned)records);
        CHECK(!(rig_client(rig, peer)->flags & (GW_CLIENT_DIRTY | GW_CLIENT_BLOCKED)));
        peer->allowed = 0;
        rig_retire(rig, 0); /* and it is all that there is */
        rig_settle(rig);
        CHECK_EQUAL(rig_client(rig, peer)->queued, 0);
        CHECK(!(rig_client(rig, peer)->flags & (GW_CLIENT_DIRTY | GW_CLIENT_BLOCKED)));
        rig_check_balance(rig);
        rig_free(rig);
    }
}

static void heartbeats_are_counted_where_there_are_some(void) {
    for (int told = 0; told < 2; told++) {
        rig_t *rig = rig_with(1);
        if (!told) silence(rig);
        peer_t *peer = speaker(rig, 0);
        rig_settle(rig);
        const unsigned before = frames(peer);
        pass(rig, 50, 100000000);
        CHECK_EQUAL(before, 1);
        CHECK_EQUAL(rig->stats->heartbeats[0] > 0, told);
        CHECK_EQUAL(frames(peer) > 0, told);
        rig_free(rig);
    }
}

int main(void) {
    RUN(a_round_does_not_go_on_in_another_topic);
    RUN(announcements_of_ended_links_do_not_stay);
    RUN(no_client_of_conflated_topics_is_closed_for_an_announcement);
    RUN(an_announcement_is_as_patient_as_its_record);
    RUN(the_first_of_a_format_costs_no_more_than_the_second);
    RUN(the_loop_s_notices_are_in_the_client_s_format);
    RUN(heartbeats_are_counted_where_there_are_some);
    RUN(a_client_that_is_not_told_of_an_end_is_not_visited_for_it);
    return 0;
}
