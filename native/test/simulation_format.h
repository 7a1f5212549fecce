/* The two formats of the simulated gateway, made from the table of kinds, and what their messages say: a record's message
 * has all its fields, and is held against the journal's record byte by byte. */
#ifndef SIMULATION_FORMAT_H
#define SIMULATION_FORMAT_H
#include "recovery_text.h"
#include "simulation_feed.h"

#define NAMED(kind) ((kind) >= GW_CANDLE ? "candle" : gw_channel_name(kind))

/* --- templates ------------------------------------------------------------------------------------- */

static inline uint8_t *sim_texts(uint8_t *at, const char *texts) { /* of one character each */
    for (; *texts; texts++) *at++ = 1, *at++ = (uint8_t)*texts;
    return at;
}

static inline gw_template_t *sim_text_template(uint8_t kind, const char *type) {
    uint8_t program[1024], *at = program;
    char head[64];
    const bool replay = !strcmp(type, "replay");
    const gw_kind_t *k = gw_kind(kind);
    *at++ = 2;
    *at++ = kind;
    memcpy(at, "\013,\"skipped\":\001}", 14);
    snprintf(head, sizeof head, "{\"channel\":\"%s\",\"type\":\"%s\",\"symbol\":\"", k->name, replay ? "update" : type);
    at = program_text(at + 14, head);
    *at++ = 1; /* SYMBOL */
    at = program_text(at, "\"");
    memcpy(at, "\023\015,\"interval\":\"\001\"", 17); /* INTERVAL */
    at = program_text(at + 17, ",\"seq\":");
    *at++ = 2; /* SEQ */
    at = program_text(at, ",\"ts_recv\":");
    *at++ = 3; /* TIME_NS */
    *at++ = 1;
    for (uint8_t i = 0; i < k->fields_count; i++) {
        at = program_text(at, i ? "|" : ",\"data\":\"");
        *at++ = 8; /* FIELD */
        *at++ = i;
        if (k->fields[i].type == GW_FIELD_SIDE) at = sim_texts(at, "-bs");
        if (k->fields[i].type == GW_FIELD_FLAG) at = sim_texts(at, "ny");
    }
    at = program_text(at, replay ? "\",\"replay\":true" : "\"");
    gw_template_t *t = NULL;
    CHECK_EQUAL(gw_template_load(program, (size_t)(at - program), &t), 0);
    return t;
}

static inline gw_template_t *sim_binary_template(uint8_t kind, const char *type) {
    static const char head[] = "\002\000\000\000\000\001R\015\005\001\000\001u\015\004\010\015\006\010\015\003\004\015\001\010";
    uint8_t program[256], *at = program + sizeof head - 1;
    const gw_kind_t *k = gw_kind(kind);
    memcpy(program, head, sizeof head - 1);
    program[1] = kind;
    program[12] = (uint8_t)*type;
    for (uint8_t i = 0; i < k->fields_count; i++) {
        *at++ = 14; /* FIELD_BINARY */
        *at++ = i;
        if (k->fields[i].type == GW_FIELD_SIDE) at = sim_texts(at, "-bs");
        if (k->fields[i].type == GW_FIELD_FLAG) at = sim_texts(at, "ny");
    }
    gw_template_t *t = NULL;
    CHECK_EQUAL(gw_template_load(program, (size_t)(at - program), &t), 0);
    return t;
}

static inline void sim_formats(gw_plane_options_t *o) {
    binary_format(&o->formats[1]);
    notices_load(&o->formats[0]);
    o->formats_count = 2;
    for (unsigned i = 0; i < SIM_KINDS; i++) {
        const uint8_t kind = sim_kinds[i];
        if (kind == GW_BOOK) { /* its subscribers speak JSON */
            o->formats[0].records[kind][GW_ENCODE_UPDATE] = book_template("update");
            o->formats[0].records[kind][GW_ENCODE_SNAPSHOT] = book_template("snapshot");
            continue;
        }
        gw_template_t **text = o->formats[0].records[kind], **binary = o->formats[1].records[kind];
        text[GW_ENCODE_UPDATE] = sim_text_template(kind, "update");
        text[GW_ENCODE_SNAPSHOT] = sim_text_template(kind, "snapshot");
        text[GW_ENCODE_REPLAY] = sim_text_template(kind, "replay");
        for (int k = 0; k < 2; k++) gw_template_free(binary[k]);
        binary[GW_ENCODE_UPDATE] = sim_binary_template(kind, "update");
        binary[GW_ENCODE_SNAPSHOT] = sim_binary_template(kind, "snapshot");
    }
}

/* --- what a record's message has to say ------------------------------------------------------------ */

static inline int64_t sim_number(const gw_record_t *r, const gw_field_t *f) {
    int64_t value = 0;
    memcpy(&value, (const uint8_t *)r + f->at, f->room);
    return value;
}

static inline size_t sim_words(const gw_record_t *r, const gw_field_t *f, char *out) {
    const uint8_t *base = (const uint8_t *)r;
    memcpy(out, base + f->at, base[f->digits]);
    return base[f->digits];
}

/* The fields as text. */
static inline size_t sim_expect_text(const gw_record_t *r, char *out) {
    const gw_kind_t *k = gw_kind(r->h.kind);
    char *at = out;
    for (unsigned i = 0; i < k->fields_count; i++) {
        const gw_field_t *f = &k->fields[i];
        const uint8_t byte = ((const uint8_t *)r)[f->at];
        if (i) *at++ = '|';
        if (f->type == GW_FIELD_DECIMAL) at += gw_record_decimal(r, i, at);
        else if (f->type == GW_FIELD_SIDE) *at++ = "-bs"[byte];
        else if (f->type == GW_FIELD_FLAG) *at++ = byte & f->none ? 'y' : 'n';
        else if (f->type == GW_FIELD_NUMBER) at += sprintf(at, "%lld", (long long)sim_number(r, f));
        else at += sim_words(r, f, at);
    }
    return (size_t)(at - out);
}

/* The fields as bytes; no number of these records is wide. */
static inline size_t sim_expect_binary(const gw_record_t *r, char *out) {
    const gw_kind_t *k = gw_kind(r->h.kind);
    const uint8_t *base = (const uint8_t *)r;
    char *at = out;
    for (unsigned i = 0; i < k->fields_count; i++) {
        const gw_field_t *f = &k->fields[i];
        if (f->type == GW_FIELD_DECIMAL) {
            int64_t low, high;
            CHECK(!(base[f->digits] & (GW_DIGITS_WIDE | GW_DIGITS_NONE)));
            memcpy(&low, base + f->at, 8);
            high = low < 0 ? -1 : 0;
            memcpy(at, &low, 8);
            memcpy(at + 8, &high, 8);
            at[16] = (char)base[f->exponent];
            at += 17;
        } else if (f->type == GW_FIELD_SIDE) {
            *at++ = "-bs"[base[f->at]];
        } else if (f->type == GW_FIELD_FLAG) {
            *at++ = base[f->at] & f->none ? 'y' : 'n';
        } else if (f->type == GW_FIELD_NUMBER) {
            memcpy(at, base + f->at, f->room);
            at += f->room;
        } else {
            *at = (char)sim_words(r, f, at + 1);
            at += 1 + *at;
        }
    }
    return (size_t)(at - out);
}

/* --- reading --------------------------------------------------------------------------------------- */

typedef enum { SIM_NONE, SIM_DATA, SIM_REPLY, SIM_LAPPED, SIM_MISSED, SIM_RESET, SIM_REPLAYED, SIM_EPOCH, SIM_CLOSE, SIM_OTHER } sim_kind_t;

typedef struct {
    sim_kind_t kind;
    unsigned topic;     /* SIM_TOPICS: of none */
    uint8_t channel;    /* the kind of its records */
    bool snapshot, replay;
    unsigned long long seq, skipped, from, to, ts_recv;
    char epoch[GW_EPOCH_LENGTH + 1];
    unsigned reply, items;
    unsigned long long seqs[16], reach[16];
    int recovery[16];
    const char *data;   /* of DATA: its fields; of a book all of it */
    size_t data_length;
    int code;
} sim_frame_t;

static inline unsigned sim_topic(uint8_t kind, const char *name) {
    for (unsigned i = 0; i < VENUE_INSTRUMENTS; i++)
        if (!strcmp(venue_names[i], name)) return topic_of(kind_index(kind), i);
    return SIM_TOPICS; /* a pattern */
}

static inline uint8_t sim_channel(const char *channel, const char *interval) {
    for (unsigned i = 0; i < SIM_KINDS; i++) {
        const gw_kind_t *k = gw_kind(sim_kinds[i]);
        if (!strcmp(k->name, channel) && !strcmp(k->interval ? k->interval : "", interval)) return sim_kinds[i];
    }
    CHECK(!"a channel that nobody has");
    return 0;
}

/* `"channel":"..","symbol":".."(,"interval":"..")`, and what follows it. */
static inline const char *sim_of(const char *at, const char *between, sim_frame_t *f) {
    char form[96], channel[16], name[120], interval[8] = "";
    int n = 0;
    snprintf(form, sizeof form, "\"channel\":\"%%15[a-z]\",%s\"symbol\":\"%%119[^\"]\"%%n", between);
    CHECK_EQUAL(sscanf(at, form, channel, name, &n), 2);
    CHECK(n > 0);
    at += n;
    if (sscanf(at, ",\"interval\":\"%7[0-9a-z]\"%n", interval, &n) == 1) at += n;
    f->channel = sim_channel(channel, interval);
    f->topic = sim_topic(f->channel, name);
    return at;
}

static inline void sim_text_data(const char *text, sim_frame_t *f) {
    int n = 0;
    f->kind = SIM_DATA;
    f->snapshot = strstr(text, "\"type\":\"snapshot\"") != NULL;
    const char *at = sim_of(text + 1, f->snapshot ? "\"type\":\"snapshot\"," : "\"type\":\"update\",", f);
    if (f->channel == GW_BOOK) {
        f->data = at;
        f->seq = number_after(at, "\"seq\":");
        f->skipped = number_after(at, "\"skipped\":");
        return;
    }
    CHECK_EQUAL(sscanf(at, ",\"seq\":%llu,\"ts_recv\":%llu,\"data\":\"%n", &f->seq, &f->ts_recv, &n), 2);
    CHECK(n > 0);
    f->data = at + n;
    f->data_length = (size_t)(strchr(f->data, '"') - f->data);
    at = f->data + f->data_length + 1;
    f->replay = !strncmp(at, ",\"replay\":true", 14);
    at += 14 * (int)f->replay;
    if (!strcmp(at, "}")) return;
    CHECK_EQUAL(sscanf(at, ",\"skipped\":%llu}%n", &f->skipped, &n), 1);
    CHECK(n > 0 && !at[n] && f->skipped > 0);
}

static inline void sim_text_reply(const char *text, sim_frame_t *f) {
    int n = 0;
    f->kind = SIM_REPLY;
    CHECK_EQUAL(sscanf(text, "{\"reply\":%u,\"time\":%*[0-9 ],\"epoch\":\"%8[0-9a-z]\",\"seqs\":[%n", &f->reply, f->epoch, &n), 2);
    CHECK(n > 0);
    const char *at = text + n;
    for (; *at != ']'; at += 20, at += *at == ',') {
        CHECK(f->items < 16);
        f->seqs[f->items++] = strtoull(at, NULL, 10);
    }
    for (unsigned i = 0, left = (unsigned)strlen(++at) - 1; i < f->items && left; i++, at += GW_FILL_RECOVERY_WIDTH)
        f->recovery[i] = recovery_read(at, &f->reach[i]);
}

static inline void sim_parse_text(const char *text, sim_frame_t *f) {
    static const char gap[] = "{\"channel\":\"system\",\"type\":\"gap\",\"data\":[{";
    static const char replayed[] = "{\"channel\":\"system\",\"type\":\"replay_completed\",\"data\":[{";
    static const char epoch[] = "{\"channel\":\"system\",\"type\":\"epoch\",\"data\":[{\"epoch\":\"%8[0-9a-z]\"}]}";
    f->topic = SIM_TOPICS;
    f->kind = SIM_OTHER;
    if (!strncmp(text, "{\"reply\"", 8)) {
        sim_text_reply(text, f);
    } else if (!strncmp(text, gap, sizeof gap - 1)) {
        const char *at = sim_of(text + sizeof gap - 1, "", f);
        if (sscanf(at, ",\"from\":%llu,\"to\":%llu,\"reason\":\"lapped\"", &f->from, &f->to) == 2) f->kind = SIM_LAPPED;
        else if (sscanf(at, ",\"lost\":%llu,\"reason\":\"feed\"", &f->skipped) == 1) f->kind = SIM_MISSED;
        else if (!strncmp(at, ",\"reason\":\"reset\"", 17)) f->kind = SIM_RESET;
        else CHECK(!strncmp(at, ",\"reason\":\"refused\"", 19));
    } else if (!strncmp(text, replayed, sizeof replayed - 1)) {
        const char *at = sim_of(text + sizeof replayed - 1, "", f);
        f->kind = SIM_REPLAYED;
        if (f->topic < SIM_TOPICS) CHECK_EQUAL(sscanf(at, ",\"from\":%llu,\"to\":%llu}", &f->from, &f->to), 2);
    } else if (sscanf(text, epoch, f->epoch) == 1) {
        f->kind = SIM_EPOCH;
    } else if (strncmp(text, "{\"channel\":\"heartbeat\"", 22) && strncmp(text, "{\"channel\":\"system\"", 19)) {
        sim_text_data(text, f);
    } else {
        CHECK(!strstr(text, "limit_exceeded"));
    }
}

static inline unsigned binary_topic_of(const peer_t *peer, uint8_t channel, uint64_t number) {
    CHECK(number < peer->topics_size && *peer->topics[number]); /* it was announced */
    return sim_topic(channel, peer->topics[number]);
}

/* False: it announces a topic. */
static inline bool sim_parse_binary(peer_t *peer, const uint8_t *at, size_t length, sim_frame_t *f) {
    const uint8_t *end = at + length;
    char name[80];
    f->topic = SIM_TOPICS;
    f->kind = SIM_OTHER;
    switch (*at++) {
    case 'T': binary_topic(peer, &at); CHECK(at == end); return false;
    case 'R':
        f->kind = SIM_DATA;
        f->channel = *at++;
        f->snapshot = *at++ == 's';
        f->seq = binary_number(&at, 8);
        f->skipped = binary_number(&at, 8);
        f->topic = binary_topic_of(peer, f->channel, binary_number(&at, 4));
        f->ts_recv = binary_number(&at, 8);
        f->data = (const char *)at;
        f->data_length = (size_t)(end - at);
        return true;
    case 'E': f->kind = SIM_EPOCH; binary_text(&at, name); CHECK_EQUAL(strlen(name), GW_EPOCH_LENGTH); strcpy(f->epoch, name); break;
    case 'G':
    case 'P':
        f->kind = at[-1] == 'G' ? SIM_LAPPED : SIM_REPLAYED;
        f->channel = *at++;
        f->from = binary_number(&at, 8);
        f->to = binary_number(&at, 8);
        binary_text(&at, name);
        f->topic = sim_topic(f->channel, name);
        break;
    case 'H': case 'S': case 'C': return true;
    default: CHECK(!"a message that is none");
    }
    CHECK(at == end);
    return true;
}

/* The next whole message of the peer's stream, whose text stays until the next call; false: there is none yet. */
static inline bool sim_frame(peer_t *peer, sim_frame_t *f) {
    static char text[65536];
    for (bool tells = false; !tells;) {
        const uint8_t *at = peer->stream + peer->read;
        const size_t left = peer->length - peer->read;
        if (left < 4 && !(left >= 2 && at[1] + 2u <= left)) return false;
        size_t payload = at[1], header = 2;
        CHECK((at[0] == 0x81 || at[0] == 0x82 || at[0] == 0x88) && payload <= 126);
        if (payload == 126) payload = (size_t)at[2] << 8 | at[3], header = 4;
        if (left < header + payload) return false;
        *f = (sim_frame_t){.topic = SIM_TOPICS};
        tells = true;
        memcpy(text, at + header, payload);
        text[payload] = 0;
        if (at[0] == 0x88) f->kind = SIM_CLOSE, f->code = at[2] << 8 | at[3];
        else if (at[0] == 0x82) tells = sim_parse_binary(peer, (const uint8_t *)text, payload, f);
        else sim_parse_text(text, f);
        peer->read += header + payload;
        if (peer->read == peer->length) peer->read = peer->length = 0;
    }
    return true;
}

#endif
