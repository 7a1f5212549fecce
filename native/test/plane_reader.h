/* What a client reads: WebSocket frames, each parsed by the exact shape that it may have, so that a
 * torn or mixed-up frame can't pass; and the plane's counters against a walk of all its queues. */
#ifndef PLANE_READER_H
#define PLANE_READER_H
#include "plane_rig.h"
#include "recovery_text.h"

typedef enum { DATA, REPLY, GAP, REPLAYED, EPOCH, RETIRED, LIMIT, HEARTBEAT, CONFLATION, SLOW, LOCAL, CLOSE } frame_kind_t;

typedef struct {
    frame_kind_t kind;
    uint8_t channel; /* of a local topic: its place */
    bool snapshot, replay;
    unsigned variant; /* of text */
    char name[80];
    unsigned long long seq, skipped, price, epoch; /* of data; price is to be seq */
    unsigned long long from, to;                   /* of a gap */
    unsigned reply;
    unsigned long long seqs[64]; /* of a reply */
    unsigned seqs_count;
    int recovery[64];                    /* GW_RECOVERY_* */
    unsigned long long reach[64];        /* to, or oldest; 0: none */
    unsigned refused; /* of a limit: so many without a notice of their own */
    int code; /* of a close */
    int interval_ms[GW_CLASSES]; /* of conflation: -1 is paused, -2 not mentioned */
    int level, was; /* of slow */
} frame_t;

static inline void parse_data(const char *text, frame_t *f) {
    char channel[8], type[12];
    int at = 0;
    CHECK_EQUAL(sscanf(text, "{\"channel\":\"%7[a-z]\",\"type\":\"%11[a-z]\","
                             "\"symbol\":\"%79[^\"]\"%n", channel, type, f->name, &at), 3);
    CHECK(at > 0);
    f->variant = !strncmp(text + at, ",\"variant\":1", 12);
    text += at + 12 * (int)f->variant;
    at = 0;
    CHECK_EQUAL(sscanf(text, ",\"seq\":%llu,\"data\":[{\"price\":\"%llu\",\"qty\":\"%llu\"}]%n", &f->seq, &f->price, &f->epoch,
                       &at), 3);
    CHECK(at > 0);
    f->replay = !strncmp(text + at, ",\"replay\":true", 14);
    text += 14 * (int)f->replay;
    if (strcmp(text + at, "}")) {
        int end = 0;
        CHECK_EQUAL(sscanf(text + at, ",\"skipped\":%llu}%n", &f->skipped, &end), 1);
        CHECK(end > 0 && !text[at + end] && f->skipped > 0);
    }
    f->kind = DATA;
    f->channel = !strcmp(channel, "trade") ? GW_TRADE : GW_BBO;
    f->snapshot = !strcmp(type, "snapshot");
    CHECK(f->snapshot || !strcmp(type, "update"));
    CHECK_EQUAL(f->price, f->seq);
}

static inline void parse_reply(const char *text, frame_t *f) {
    unsigned long long time;
    int at = 0;
    CHECK_EQUAL(sscanf(text, "{\"reply\":%u,\"time\":%llu ,\"epoch\":\"e%7llu\",\"seqs\":[%n",
                       &f->reply, &time, &f->epoch, &at), 3);
    CHECK(at > 0);
    f->kind = REPLY;
    for (const char *s = text + at; *s != ']'; s += *s == ',') {
        char *end;
        CHECK(f->seqs_count < 64);
        f->seqs[f->seqs_count++] = strtoull(s, &end, 10);
        CHECK(end > s);
        for (s += 20; end < s; end++) CHECK(*end == ' ');
    }
    const char *end = strchr(text, ']') + 1;
    for (unsigned i = 0; i < f->seqs_count && *end != '}'; i++, end += GW_FILL_RECOVERY_WIDTH)
        f->recovery[i] = recovery_read(end, &f->reach[i]);
    CHECK(!strcmp(end, "}"));
}

static inline void parse_conflation(const char *text, frame_t *f) {
    f->kind = CONFLATION;
    for (unsigned i = 0; i < GW_CLASSES; i++) f->interval_ms[i] = -2;
    for (const char *s = text; *s != ']'; s += *s == ',') {
        unsigned class, step;
        char now[8], was[8];
        int end = 0;
        CHECK_EQUAL(sscanf(s, "{\"class\":%u,\"interval_ms\":%7[a-z0-9],\"was_ms\":%7[a-z0-9],\"step\":%u}%n", &class,
                           now, was, &step, &end), 4);
        CHECK(end > 0 && class < GW_CLASSES && f->interval_ms[class] == -2 && strcmp(now, was));
        f->interval_ms[class] = strcmp(now, "null") ? atoi(now) : -1;
        s += end;
    }
}

static inline void parse_slow(const char *text, frame_t *f) {
    char action[16];
    int interval, end = 0;
    long long age;
    f->kind = SLOW;
    CHECK_EQUAL(sscanf(text, "{\"level\":%d,\"was\":%d,\"action\":\"%15[a-z]\",\"interval_ms\":%d,\"age_ms\":%lld}]}%n",
                       &f->level, &f->was, action, &interval, &age, &end), 5);
    CHECK(end > 0 && !text[end] && abs(f->level - f->was) == 1 && age >= 0);
}

static inline void parse_local(const char *text, frame_t *f) {
    char type[12];
    int end = 0;
    f->kind = LOCAL;
    CHECK_EQUAL(sscanf(text, "{\"local\":%hhu,\"type\":\"%11[a-z]\",\"ts\":%llu,\"n\":%llu}%n", &f->channel, type, &f->from,
                       &f->seq, &end), 4);
    CHECK(end > 0 && !text[end] && (f->channel == RIG_PLAIN || f->from > 0));
    f->snapshot = !strcmp(type, "snapshot");
}

static inline void parse_text(const char *text, frame_t *f) {
    char channel[8];
    if (!strncmp(text, "{\"reply\"", 8)) {
        parse_reply(text, f);
    } else if (!strncmp(text, "{\"channel\":\"heartbeat\"", 22)) {
        f->kind = HEARTBEAT;
    } else if (!strncmp(text, "{\"channel\":\"system\",\"type\":\"epoch\"", 34)) {
        f->kind = EPOCH;
        CHECK_EQUAL(sscanf(text + 34, ",\"data\":[{\"epoch\":\"e%7llu\"}]}", &f->epoch), 1);
    } else if (!strncmp(text, "{\"channel\":\"system\",\"type\":\"retired\"", 36)) {
        int end = 0;
        f->kind = RETIRED;
        CHECK_EQUAL(sscanf(text + 36, ",\"data\":[{\"channel\":\"%7[a-z]\",\"symbol\":\"%79[^\"]\"}]}%n", channel, f->name,
                           &end), 2);
        CHECK(end > 0 && !text[36 + end]);
        f->channel = !strcmp(channel, "trade") ? GW_TRADE : GW_BBO;
    } else if (!strncmp(text, "{\"channel\":\"system\",\"type\":\"gap\"", 32)) {
        f->kind = GAP;
        if (sscanf(text + 32, ",\"data\":[{\"channel\":\"%7[a-z]\",\"symbol\":\"%79[^\"]\",\"lost\":%llu,\"reason\":\"feed\"}]}",
                   channel, f->name, &f->skipped) == 3) return; /* the venue's own numbers */
        CHECK_EQUAL(sscanf(text + 32, ",\"data\":[{\"channel\":\"%7[a-z]\",\"symbol\":\"%79[^\"]\","
                                      "\"from\":%llu,\"to\":%llu,\"reason\":\"lapped\"}]}",
                           channel, f->name, &f->from, &f->to), 4);
        f->channel = !strcmp(channel, "trade") ? GW_TRADE : GW_BBO;
        CHECK(f->from <= f->to);
    } else if (!strncmp(text, "{\"channel\":\"system\",\"type\":\"replay_completed\"", 45)) {
        f->kind = REPLAYED;
        CHECK(sscanf(text + 45, ",\"data\":[{\"channel\":\"%7[a-z]\",\"symbol\":\"%79[^\"]\",\"from\":%llu,\"to\":%llu}]}",
                     channel, f->name, &f->from, &f->to) == 4 || sscanf(text + 45, ",\"data\":[{\"channel\":\"%7[a-z]\",\"symbol\":\"%79[^\"]\"}]}", channel, f->name) == 2);
        f->channel = !strcmp(channel, "trade") ? GW_TRADE : GW_BBO;
    } else if (!strncmp(text, "{\"channel\":\"system\",\"type\":\"limit_exceeded\"", 43)) {
        f->kind = LIMIT;
        const char *of = strstr(text, "\"subscription\":\"");
        if (of) CHECK_EQUAL(sscanf(of, "\"subscription\":\"%79[^\"]\"", f->name), 1);
        f->refused = strstr(text, "\"refused\":") ? (unsigned)atoi(strstr(text, "\"refused\":") + 10) : 0;
    } else if (!strncmp(text, "{\"channel\":\"system\",\"type\":\"conflation\",\"data\":[", 48)) {
        parse_conflation(text + 48, f);
    } else if (!strncmp(text, "{\"channel\":\"system\",\"type\":\"slow\",\"data\":[", 42)) {
        parse_slow(text + 42, f);
    } else if (!strncmp(text, "{\"local\"", 8)) {
        parse_local(text, f);
    } else {
        parse_data(text, f);
    }
}

/* --- the binary format (binary_programs.h) --- */

static inline uint64_t binary_number(const uint8_t **at, unsigned bytes) {
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) value |= (uint64_t)*(*at)++ << 8 * i;
    return value;
}

static inline void binary_text(const uint8_t **at, char *out) {
    size_t length = *(*at)++;
    CHECK(length < 80);
    memcpy(out, *at, length);
    out[length] = 0;
    *at += length;
}

/* Plain numbers of the tests' records. */
static inline uint64_t binary_decimal(const uint8_t **at) {
    uint64_t low = binary_number(at, 8);
    CHECK_EQUAL(binary_number(at, 8), 0);
    CHECK_EQUAL(*(*at)++, 0);
    return low;
}

static inline void binary_topic(peer_t *peer, const uint8_t **at) {
    (*at)++; /* the channel */
    uint32_t number = (uint32_t)binary_number(at, 4);
    CHECK(number < 1u << 20);
    if (number >= peer->topics_size) {
        uint32_t size = 2 * number + 64;
        peer->topics = realloc(peer->topics, size * sizeof *peer->topics);
        CHECK(peer->topics != NULL);
        memset(peer->topics + peer->topics_size, 0, (size - peer->topics_size) * sizeof *peer->topics);
        peer->topics_size = size;
    }
    binary_text(at, peer->topics[number]);
}

static inline void binary_data(const peer_t *peer, const uint8_t **at, frame_t *f) {
    f->kind = DATA;
    f->channel = *(*at)++;
    f->snapshot = *(*at)++ == 's';
    f->seq = binary_number(at, 8);
    f->skipped = binary_number(at, 8);
    uint32_t number = (uint32_t)binary_number(at, 4);
    CHECK(number < peer->topics_size && *peer->topics[number]); /* it was announced */
    memcpy(f->name, peer->topics[number], sizeof f->name);
    f->price = binary_decimal(at);
    f->epoch = binary_decimal(at);
    CHECK_EQUAL(f->price, f->seq);
}

static inline void binary_conflation(const uint8_t **at, frame_t *f) {
    f->kind = CONFLATION;
    for (unsigned i = 0; i < GW_CLASSES; i++) f->interval_ms[i] = -2;
    for (uint64_t n = binary_number(at, 2); n; n--) {
        unsigned class = *(*at)++;
        uint64_t interval = binary_number(at, 4);
        CHECK(class < GW_CLASSES && f->interval_ms[class] == -2);
        f->interval_ms[class] = interval == UINT32_MAX ? -1 : (int)interval;
    }
}

/* One message; false: it is an announcement, and the next one is asked for. */
static inline bool parse_binary(peer_t *peer, const uint8_t *at, size_t length, frame_t *f) {
    const uint8_t *end = at + length;
    char epoch[80];
    bool tells = true;
    switch (*at++) {
    case 'R': binary_data(peer, &at, f); break;
    case 'T': binary_topic(peer, &at); tells = false; break;
    case 'H': f->kind = HEARTBEAT; at += 8; break;
    case 'E':
        f->kind = EPOCH;
        binary_text(&at, epoch);
        CHECK_EQUAL(sscanf(epoch, "e%7llu", &f->epoch), 1);
        break;
    case 'G':
        f->kind = GAP;
        f->channel = *at++;
        f->from = binary_number(&at, 8);
        f->to = binary_number(&at, 8);
        binary_text(&at, f->name);
        CHECK(f->from <= f->to);
        break;
    case 'P':
        f->kind = REPLAYED;
        f->channel = *at++;
        f->from = binary_number(&at, 8);
        f->to = binary_number(&at, 8);
        binary_text(&at, f->name);
        break;
    case 'X':
        f->kind = RETIRED;
        f->channel = *at++;
        binary_text(&at, f->name);
        break;
    case 'L': f->kind = LIMIT; at += 8; binary_text(&at, epoch); break;
    case 'M': f->kind = LIMIT; f->refused = (unsigned)binary_number(&at, 4); break;
    case 'S': f->kind = SLOW; f->level = *at++; f->was = *at++; break;
    case 'C': binary_conflation(&at, f); break;
    default: CHECK(false);
    }
    CHECK(at == end);
    return tells;
}

/* The next whole frame of the peer's stream; false: there is none yet. */
static inline bool peer_frame(peer_t *peer, frame_t *f) {
    const uint8_t *at = peer->stream + peer->read;
    size_t left = peer->length - peer->read, header = 2, payload;
    if (left < 2) return false;
    CHECK(at[0] == 0x81 || at[0] == 0x82 || at[0] == 0x88);
    CHECK(at[1] <= 126);
    payload = at[1];
    if (payload == 126) {
        if (left < 4) return false;
        payload = (size_t)at[2] << 8 | at[3];
        CHECK(payload >= 126);
        header = 4;
    }
    if (left < header + payload) return false;
    bool tells = true;
    memset(f, 0, sizeof *f);
    if (at[0] == 0x88) {
        f->kind = CLOSE;
        f->code = at[2] << 8 | at[3];
    } else if (at[0] == 0x82) {
        CHECK(peer->format == 1);
        tells = parse_binary(peer, at + header, payload, f);
    } else {
        char text[65536];
        memcpy(text, at + header, payload);
        text[payload] = 0;
        CHECK_EQUAL(strlen(text), payload);
        parse_text(text, f);
    }
    peer->read += header + payload;
    if (peer->read == peer->length) peer->read = peer->length = 0;
    return tells || peer_frame(peer, f);
}

/* Whether the stream ends between two frames, all of them read. */
static inline bool peer_whole(const peer_t *peer) { return peer->read == peer->length; }

/* --- counters --------------------------------------------------------------------------------- */

static inline void walk_runs(const gw_plane_t *p, const gw_runs_t *r, uint64_t *pending, uint32_t *frames) {
    for (uint32_t i = 0; i < r->count; i++) {
        uint64_t run = r->at[(r->head + i) & (r->size - 1)];
        for (uint64_t k = 0; k < GW_RUN_COUNT(run); k++, ++*frames) {
            const gw_frame_t *f = gw_frame_at(p, GW_RUN_FIRST(run) + k);
            CHECK(gw_log_of(p, run)->position - f->position <= gw_log_of(p, run)->size);
            CHECK(gw_log_of(p, run)->index - (GW_RUN_FIRST(run) + k) <= gw_log_of(p, run)->count);
            pending[f->channel] += !(f->flags & (GW_FRAME_SNAPSHOT | GW_FRAME_NOTICE));
        }
    }
}

/* Records of a channel that wait for a client, found by looking at everything that it keeps. */
static inline void walk_client(const gw_plane_t *p, const gw_client_t *c, uint64_t *pending) {
    uint64_t queued[GW_CHANNELS] = {0};
    uint32_t frames = 0;
    gw_runs_t own = {c->runs, c->runs_head, c->runs_count, c->runs_size};
    walk_runs(p, &own, queued, &frames);
    if (c->job) {
        walk_runs(p, &c->job->old, queued, &frames);
        walk_runs(p, &c->job->kept, queued, &frames);
    }
    CHECK_EQUAL(c->queued, frames);
    for (int i = 0; i < GW_CHANNELS; i++) {
        if (c->flags & GW_CLIENT_WAITS) CHECK_EQUAL(c->waiting[i], queued[i]);
        pending[i] += queued[i];
    }
    CHECK_EQUAL(!(c->flags & GW_CLIENT_BUSY), !c->job);
    for (const gw_link_t *l = c->marks.first; l; l = l->dirty_next)
        pending[l->topic->channel] += gw_link_pends(l);
    for (const gw_link_t *l = c->links; l; l = l->next) { /* those that wait for their book */
        CHECK(!l->parked || (l->book && l->dirty && !l->hold));
        if (l->parked) pending[l->topic->channel] += gw_link_pends(l);
    }
    uint32_t held = 0, stale = 0, limited = 0;
    for (int own = 0; own < 2; own++) {
        for (const gw_hold_t *h = own ? c->grids : c->holds; h; h = h->next) {
            CHECK(!h->grid_ms == !own);
            for (const gw_link_t *l = h->marks.first; l; l = l->dirty_next, held++) {
                CHECK(l->hold == h && l->client == c && l->dirty && !l->lossless);
                pending[l->topic->channel] += gw_link_pends(l);
            }
        }
    }
    for (const gw_link_t *l = c->links; l; l = l->next) stale += l->stale > 0;
    for (int kind = 0; kind < 2; kind++)
        for (const gw_sub_t *s = c->subs[kind]; s; s = s->next) limited += s->grid || s->age_ms;
    CHECK_EQUAL(held, c->held);
    CHECK_EQUAL(stale, c->stale);
    CHECK_EQUAL(limited, c->limited);
    if (held || stale || limited) CHECK(c->flags & GW_CLIENT_HOLDS);
    uint64_t replays = 0;
    for (const gw_link_t *l = c->links; l; l = l->next) {
        if (!l->replay) continue;
        CHECK(l->replay->link == l && l->lossless && !l->dirty && !l->stale);
        pending[l->topic->channel] += gw_replay_left(l);
        replays++;
    }
    CHECK_EQUAL(replays, c->replays);
    CHECK_EQUAL(replays > 0, (c->flags & GW_CLIENT_REPLAYS) != 0);
    if (c->rest.bytes && c->rest.counts) pending[c->rest.channel]++;
    for (uint32_t i = 0; c->secure && i < c->secure->stubs_count; i++)
        pending[c->secure->stubs[i].channel] += c->secure->stubs[i].counts;
}

static inline uint64_t stats_dropped(const gw_stats_t *s, int channel) {
    return s->dropped_lapped[channel] + s->dropped_closed[channel] + s->dropped_slow[channel] +
           s->dropped_unsubscribed[channel] + s->dropped_epoch[channel];
}

/* Grids with marks, each in the slot of its time, none of them missed. How many. */
static inline uint32_t rig_check_wheel(const gw_plane_t *p) {
    uint32_t queued = 0;
    for (uint32_t i = 0; i < GW_WHEEL_MS; i++) {
        if (!p->wheel->used[i / 64]) i += 63; /* what would stand there all the same is missing in the count */
        const gw_holds_t *q = &p->wheel->slots[i];
        CHECK_EQUAL(p->wheel->used[i / 64] >> i % 64 & 1, q->first != NULL);
        const gw_hold_t *before = NULL;
        for (const gw_hold_t *h = q->first; h; before = h, h = h->after, queued++) {
            CHECK(h->before == before && h->marks.first && h->grid_ms && h->client->active);
            CHECK(h->due_ns % 1000000 == 0 && (uint64_t)h->due_ns / 1000000 % GW_WHEEL_MS == i);
            CHECK((h->due_ns / 1000000 - h->phase_ms) % h->grid_ms == 0 && h->phase_ms < h->grid_ms);
            CHECK(h->due_ns / 1000000 >= p->wheel->next_ms);
        }
        CHECK(q->last == before);
    }
    return queued;
}

/* Who is degraded and what is held: lists, flags and gauges say the same. */
static inline void rig_check_lists(const rig_t *rig) {
    const gw_plane_t *p = rig->plane;
    uint64_t levels[GW_LEVELS] = {0}, links[GW_CLASSES] = {0};
    uint32_t holds = 0, queued = 0, grids = 0, degraded = 0, blocked = 0;
    for (uint32_t i = 0; i < p->clients_high; i++) {
        const gw_client_t *c = &p->clients[i];
        if (!c->active) continue;
        levels[c->level]++;
        for (const gw_hold_t *h = c->holds; h; h = h->next) holds += h->marks.first != NULL;
        for (const gw_hold_t *h = c->grids; h; h = h->next) holds += h->marks.first != NULL, grids++;
        for (const gw_link_t *l = c->links; l; l = l->next) {
            CHECK(gw_link_audience(l)->format == c->format);
            if (!c->job && !(c->flags & GW_CLIENT_DOOMED)) CHECK_EQUAL(gw_link_audience(l)->variant, l->sub->variant);
            CHECK(gw_link_audience(l)->links[l->place].link == l && l->topic->audiences_count <= GW_AUDIENCES_MAX);
            if (gw_topic_is_local(l->topic)) {
                CHECK(l->priority == GW_CLASS_NONE && !l->lossless);
                continue;
            }
            links[l->priority]++;
            CHECK(c->classes >> l->priority & 1);
            if (!(c->flags & GW_CLIENT_MIXED)) CHECK_EQUAL(gw_client_class(c, l->topic->channel), l->priority);
        }
    }
    for (uint32_t i = 0; i <= GW_INTERVAL_PAUSED + 1; i++) {
        const int over = i > GW_INTERVAL_PAUSED;
        const gw_holds_t *q = over ? &p->holds_over : &p->holds[i];
        const gw_hold_t *before = NULL;
        for (const gw_hold_t *h = q->first; h; before = h, h = h->after, queued++)
            CHECK(h->before == before && h->marks.first && h->over == over && (over || h->interval == i) && h->client->active);
        CHECK(q->last == before);
    }
    queued += rig_check_wheel(p);
    CHECK_EQUAL(p->grids.count, grids);
    const gw_client_t *previous = NULL;
    for (const gw_client_t *c = p->degraded; c; previous = c, c = c->degraded_next, degraded++)
        CHECK(c->degraded_previous == previous && c->active && c->level);
    previous = NULL;
    for (const gw_client_t *c = p->blocked; c; previous = c, c = c->blocked_next, blocked++)
        CHECK(c->blocked_previous == previous && c->active && c->flags & GW_CLIENT_BLOCKED);
    CHECK_EQUAL(queued, holds);
    CHECK_EQUAL(p->holds_count, holds);
    CHECK_EQUAL(degraded, levels[1] + levels[2] + levels[3]);
    CHECK_EQUAL(p->blocked_count, blocked);
    for (unsigned i = 0; i < GW_LEVELS; i++) CHECK_EQUAL(rig->stats->levels[i], levels[i]);
    for (unsigned i = 0; i < GW_CLASSES; i++) CHECK_EQUAL(rig->stats->class_links[i], links[i]);
    for (uint32_t i = 0; i < p->topics_count; i++) {
        uint32_t urgent = 0;
        const gw_topic_t *t = p->topics[i];
        gw_walk_t walk = gw_walk_begin();
        uint32_t links_of = 0;
        for (const gw_link_t *l; t && (l = gw_walk_next(t, &walk)); links_of++) urgent += l->priority < 2;
        if (t) CHECK_EQUAL(t->urgent, urgent);
        if (t) CHECK_EQUAL(t->links_count, links_of);
    }
}

/* I7: the counters balance, and `pending` is what really waits. */
static inline void rig_check_balance(const rig_t *rig) {
    const gw_plane_t *p = rig->plane;
    const gw_stats_t *s = rig->stats;
    uint64_t pending[GW_CHANNELS] = {0};
    rig_check_lists(rig);
    for (uint32_t i = 0; i < p->clients_high; i++)
        if (p->clients[i].active) walk_client(p, &p->clients[i], pending);
    uint64_t delivered = 0, conflated = 0, lost = 0, links = 0;
    for (int i = GW_LOCAL + 1; i < GW_CHANNELS; i++) { /* local topics are of no class */
        delivered += s->delivered[i];
        conflated += s->conflated[i];
        lost += s->dropped_lapped[i] + s->dropped_slow[i] + s->dropped_epoch[i];
    }
    for (unsigned i = 0; i < GW_CLASSES; i++) { /* the classes' counts are the channels', told apart otherwise */
        delivered -= s->stage[GW_STAGE_TOTAL + i].count + s->stage[GW_STAGE_TOTAL + i].negative;
        conflated -= s->class_conflated[i];
        lost -= s->class_dropped[i];
        links += s->class_links[i];
    }
    CHECK((delivered == 0 || rig->paced) && conflated == 0 && lost == 0);
    CHECK_EQUAL(links, s->links[0]);
    for (int i = 0; i < GW_CHANNELS; i++) {
        CHECK_EQUAL(s->pending[i], pending[i]);
        CHECK_EQUAL(s->routed[i], s->delivered[i] + s->conflated[i] + s->filtered[i] +
                                      stats_dropped(s, i) + s->pending[i]);
    }
}

#endif
