/* The index against trying every pattern, while patterns come and go, and what a name costs. */
#include "check.h"
#include "gw_pattern_index.h"
#include <stdbool.h>
#include <sys/resource.h>

#define ALL UINT32_MAX

static uint64_t random_state = 1;
static uint32_t draw(uint64_t below) { /* splitmix64 */
    return (uint32_t)(gw_map_hash(random_state += 0x9e3779b97f4a7c15u) % below);
}

/* A pattern as a plane may keep it. */
typedef struct {
    gw_pattern_node_t node; /* first: a node is its pattern */
    uint32_t born, number;
    char text[64];
} pattern_t;

static pattern_t *add(gw_pattern_index_t *x, uint8_t channel, const char *text) {
    pattern_t *p = calloc(1, sizeof *p);
    snprintf(p->text, sizeof p->text, "%s", text);
    CHECK_EQUAL(gw_pattern_index_add(x, &p->node, channel, p->text, strlen(text)), 0);
    return p;
}

static void drop(gw_pattern_index_t *x, pattern_t *p) {
    gw_pattern_index_remove(x, &p->node);
    free(p);
}

static uint32_t random_text(char *out, uint32_t length_max, const char *alphabet) {
    uint32_t length = draw(length_max + 1);
    for (uint32_t i = 0; i < length; i++) out[i] = alphabet[draw(strlen(alphabet))];
    out[length] = '\0';
    return length;
}

/* Units spent on a name, and the patterns that it matches. */
static uint32_t units(gw_pattern_index_t *x, const char *name, uint32_t *matches) {
    gw_pattern_cursor_t c;
    uint32_t budget = ALL;
    *matches = 0;
    CHECK_EQUAL(gw_pattern_index_begin(&c, x, 1, name, strlen(name)), 0);
    while (gw_pattern_index_next(&c, x, &budget)) (*matches)++;
    CHECK(gw_pattern_cursor_finished(&c) && !x->cursors);
    return ALL - budget;
}

#define PATTERNS 400u

static void random_patterns_are_found_as_if_each_were_tried(void) {
    for (uint64_t seed = 1; seed <= 40; seed++) {
        static pattern_t *patterns[PATTERNS];
        gw_pattern_index_t x;
        random_state = seed;
        CHECK_EQUAL(gw_pattern_index_init(&x), 0);
        for (uint32_t i = 0; i < PATTERNS; i++) {
            char text[16];
            uint8_t channel = (uint8_t)(1 + draw(2));
            uint32_t length = random_text(text, 9, seed % 2 ? "ab**" : "abc*");
            bool there = gw_pattern_index_find(&x, channel, text, length) != NULL;
            patterns[i] = there ? NULL : add(&x, channel, text);
        }
        for (uint32_t trial = 0; trial < 400; trial++) {
            char name[16];
            uint8_t channel = (uint8_t)(1 + draw(2));
            uint32_t length = random_text(name, 12, "abc"), budget = ALL;
            bool found[PATTERNS] = {false};
            gw_pattern_cursor_t c;
            gw_pattern_node_t *node;
            CHECK_EQUAL(gw_pattern_index_begin(&c, &x, channel, name, length), 0);
            while ((node = gw_pattern_index_next(&c, &x, &budget))) {
                uint32_t i = 0;
                while (patterns[i] != (pattern_t *)node) i++;
                CHECK(!found[i]);
                found[i] = true;
            }
            for (uint32_t i = 0; i < PATTERNS; i++) {
                const pattern_t *p = patterns[i];
                CHECK_EQUAL(found[i], p && p->node.channel == channel &&
                                          gw_pattern_match(p->text, strlen(p->text), name, length));
            }
        }
        for (uint32_t i = 0; i < PATTERNS; i++)
            if (patterns[i]) drop(&x, patterns[i]);
        CHECK_EQUAL(x.count + x.texts.count + x.chains.count + x.levels.count + x.counts.count, 0);
        gw_pattern_index_free(&x);
    }
}

/* --- coming and going ------------------------------------------------------------------------------ */

#define CURSORS 3u
#define ADDED_MAX 8192u

typedef struct {
    gw_pattern_cursor_t c;
    char name[16];
    uint32_t begun;
    bool under_way;
    uint8_t returned[ADDED_MAX]; /* by number of the pattern */
} search_t;

static void search_begin(search_t *s, gw_pattern_index_t *x, uint32_t step) {
    uint32_t length = random_text(s->name, 12, "ab");
    char *name = malloc(length + 1); /* it goes at once: the cursor has its own */
    memcpy(name, s->name, length);
    CHECK_EQUAL(gw_pattern_index_begin(&s->c, x, 1, name, length), 0);
    free(name);
    memset(s->returned, 0, sizeof s->returned);
    s->begun = step;
    s->under_way = true;
}

/* What was there all the time has been returned, once. */
static void search_check(search_t *s, pattern_t *const *live) {
    for (uint32_t i = 0; i < PATTERNS; i++) {
        const pattern_t *p = live[i];
        if (!p || p->born > s->begun) continue;
        CHECK_EQUAL(s->returned[p->number], gw_pattern_match(p->text, strlen(p->text), s->name, strlen(s->name)));
    }
    s->under_way = false;
}

static void search_step(search_t *s, gw_pattern_index_t *x, pattern_t *const *live) {
    uint32_t budget = 1 + draw(6);
    gw_pattern_node_t *node = gw_pattern_index_next(&s->c, x, &budget);
    if (node) {
        const pattern_t *p = (const pattern_t *)node; /* under the sanitizer: it lives */
        CHECK(gw_pattern_match(p->text, strlen(p->text), s->name, strlen(s->name)));
        CHECK_EQUAL(s->returned[p->number]++, 0);
    } else if (gw_pattern_cursor_finished(&s->c)) {
        search_check(s, live);
    } else {
        CHECK_EQUAL(budget, 0);
    }
}

static void patterns_come_and_go_while_names_are_under_way(void) {
    static search_t searches[CURSORS];
    uint32_t finished = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        pattern_t *live[PATTERNS] = {NULL};
        uint32_t added = 0;
        gw_pattern_index_t x;
        random_state = seed;
        CHECK_EQUAL(gw_pattern_index_init(&x), 0);
        for (uint32_t step = 1; step < 8000 && added < ADDED_MAX; step++) {
            uint32_t i = draw(PATTERNS), what = draw(8);
            search_t *s = &searches[draw(CURSORS)];
            if (what == 0 && live[i]) {
                drop(&x, live[i]);
                live[i] = NULL;
            } else if (what < 2 && !live[i]) {
                char text[16];
                uint32_t length = random_text(text, 7, "ab**");
                if (gw_pattern_index_find(&x, 1, text, length)) continue;
                live[i] = add(&x, 1, text);
                live[i]->born = step;
                live[i]->number = added++;
            } else if (!s->under_way) {
                search_begin(s, &x, step);
            } else if (what == 2 && draw(40) == 0) {
                gw_pattern_index_end(&s->c, &x);
                CHECK(gw_pattern_cursor_finished(&s->c));
                s->under_way = false;
            } else {
                search_step(s, &x, live);
                finished += !s->under_way;
            }
        }
        for (uint32_t i = 0; i < CURSORS; i++) {
            if (searches[i].under_way) gw_pattern_index_end(&searches[i].c, &x);
            searches[i].under_way = false;
        }
        CHECK(!x.cursors);
        for (uint32_t i = 0; i < PATTERNS; i++)
            if (live[i]) drop(&x, live[i]);
        gw_pattern_index_free(&x);
    }
    CHECK(finished > 5000);
}

/* --- what a name costs ----------------------------------------------------------------------------- */

#define MANY 10000u

static pattern_t *made[MANY];

/* 10,000 patterns of a form with up to two numbers: the first one modulo `wrap`, the second the rest. */
static void fill(gw_pattern_index_t *x, const char *form, uint32_t wrap) {
    CHECK_EQUAL(gw_pattern_index_init(x), 0);
    for (uint32_t i = 0; i < MANY; i++) {
        char text[64];
        snprintf(text, sizeof text, form, i % wrap, i / wrap);
        made[i] = add(x, 1, text);
    }
}

static void empty(gw_pattern_index_t *x) {
    for (uint32_t i = 0; i < MANY; i++) drop(x, made[i]);
    CHECK_EQUAL(x->texts.count + x->chains.count + x->levels.count + x->counts.count, 0);
    gw_pattern_index_free(x);
}

static void expect(gw_pattern_index_t *x, const char *name, uint32_t units_expected, uint32_t matches_expected) {
    uint32_t matches, spent = units(x, name, &matches);
    CHECK_EQUAL(matches, matches_expected);
    CHECK_EQUAL(spent, units_expected);
}

static void a_name_looks_up_what_it_could_match(void) {
    gw_pattern_index_t x;
    fill(&x, "*%05uX", MANY);
    expect(&x, "SYM00042.SIM", 2, 0); /* the empty head, the tail of six */
    expect(&x, "SYM00042X", 3, 1);    /* and the pattern */
    empty(&x);
    fill(&x, "*%u_%uX", 100);
    expect(&x, "SYM00042.SIM", 4, 0); /* tails of 4, 5 and 6 */
    expect(&x, "SYM4_2X", 5, 1);  /* and the pattern 4_2X */
    expect(&x, "SYM44_22X", 6, 2); /* and 4_22X, 44_22X */
    empty(&x);
    fill(&x, "S*%uX", MANY);
    expect(&x, "BTCUSDT.BINANCE", 1, 0); /* the head of one: there is no B */
    expect(&x, "SYM042.SIM", 5, 0);      /* S, tails of 2 to 5 */
    expect(&x, "SYM142X", 8, 3);
    empty(&x);
    fill(&x, "*A%u*B*C", MANY);
    expect(&x, "BTCUSDT.BINANCE", 2, 0); /* the empty head, the tail of one: no E */
    expect(&x, "A1-A22-B-DEC", 2 + 10 + 9 + 8 + 7 + 3, 3); /* middles of 2 to 5; A1, A2, A22 */
    empty(&x);
    fill(&x, "SYM*%u*", MANY);
    expect(&x, "BTC042.BINANCE", 1, 0);
    expect(&x, "SYM042.SIM", 2 + 7 + 6 + 5 + 4 + 4, 4); /* 0, 4, 2 and 42 */
    empty(&x);
}

/* A piece that stands in a name many times leads to its patterns once. */
static void a_piece_that_repeats_counts_once(void) {
    enum { FORMS = 60 }; /* *A, *A*, *A** and so on: all but the first have the middle A */
    gw_pattern_index_t x;
    char name[129];
    uint32_t matches;
    CHECK_EQUAL(gw_pattern_index_init(&x), 0);
    for (uint32_t i = 0; i < FORMS; i++) {
        char text[64] = "*A";
        memset(text + 2, '*', i);
        made[i] = add(&x, 1, text);
    }
    memset(name, 'A', 128);
    name[128] = '\0';
    CHECK(units(&x, name, &matches) <= 128 + FORMS + 4);
    CHECK_EQUAL(matches, FORMS);
    for (uint32_t i = 0; i < FORMS; i++) drop(&x, made[i]);
    gw_pattern_index_free(&x);
}

/* Patterns that share a common literal are filed evenly under it and their other ones, which a name
 * has to contain, too. */
static void a_common_literal_does_not_gather_patterns(void) {
    gw_pattern_index_t x;
    uint32_t matches, most = 0;
    fill(&x, "*USDT*%u*%u*", 100);
    for (uint32_t i = 0; i < MANY; i++) most = made[i]->node.filed > most ? made[i]->node.filed : most;
    CHECK(most <= 2 * MANY / 101); /* of 100 numbers and USDT */
    CHECK(units(&x, "BTCUSDT.BINANCE", &matches) <= 2 + 15 + 14 + 12 + 1 + most);
    CHECK_EQUAL(matches, 0);
    empty(&x);
}

/* The whole cost of a name, in steps of one unit: as many steps as units. */
static void one_unit_at_a_time_is_as_many_steps(void) {
    gw_pattern_index_t x;
    fill(&x, "SYM*%u*", MANY);
    gw_pattern_cursor_t c;
    uint32_t steps = 0, matches = 0, all, expected = units(&x, "SYM042.SIM", &all);
    CHECK_EQUAL(gw_pattern_index_begin(&c, &x, 1, "SYM042.SIM", 10), 0);
    while (!gw_pattern_cursor_finished(&c)) {
        uint32_t budget = 1;
        matches += gw_pattern_index_next(&c, &x, &budget) != NULL;
        steps += budget == 0;
        CHECK(budget == 0 || gw_pattern_cursor_finished(&c));
    }
    CHECK_EQUAL(matches, all);
    CHECK_EQUAL(steps, expected);
    empty(&x);
}

/* The steps of a pattern that is tried are charged. */
static void a_dear_pattern_is_charged(void) {
    gw_pattern_index_t x;
    char name[129];
    uint32_t matches;
    CHECK_EQUAL(gw_pattern_index_init(&x), 0);
    memset(name, 'A', 128);
    name[128] = '\0';
    pattern_t *first = add(&x, 1, "*AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAC*B*");
    pattern_t *second = add(&x, 1, "*AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAC*A*"); /* filed under A: the longer one has a pattern already */
    CHECK_EQUAL(second->node.middle_length, 1);
    uint32_t spent = units(&x, name, &matches);
    CHECK_EQUAL(matches, 0);
    CHECK(spent > 128 + 97 + 90 * 31 / GW_PATTERN_UNIT_STEPS);
    CHECK(spent < 128 + 128 + 10 + 128 * 36 / GW_PATTERN_UNIT_STEPS);
    drop(&x, first);
    drop(&x, second);
    gw_pattern_index_free(&x);
}

#define ORDERS 5039u /* of seven letters, but the one that the name has them in */

/* The n-th order of the letters A to G, each between two stars. */
static void order(char *out, uint32_t n) {
    char letters[] = "ABCDEFG";
    *out++ = '*';
    for (uint32_t left = 7; left; left--, n /= left + 1) {
        uint32_t at = n % left;
        *out++ = letters[at];
        *out++ = '*';
        memmove(letters + at, letters + at + 1, left - at);
    }
    *out = '\0';
}

/* Patterns whose literals all occur in a name in another order: one try each, and all of it charged, so that the
 * caller can stop after any of them. Names that lack a literal do not pay for what is filed under it. */
static void f68_literals_in_another_order_cost_one_try_each(void) {
    static pattern_t *patterns[ORDERS];
    gw_pattern_index_t x;
    gw_pattern_cursor_t c;
    CHECK_EQUAL(gw_pattern_index_init(&x), 0);
    for (uint32_t i = 0; i < ORDERS; i++) {
        char text[16];
        order(text, i + 1);
        patterns[i] = add(&x, 1, text);
    }
    const char *name = "ABCDEFG";
    const uint32_t lookups = 7 + 2; /* a place each of middles of one byte, and the ends */
    const uint32_t dearest = 1 + 15 * 7 / GW_PATTERN_UNIT_STEPS;
    uint32_t matches, spent = units(&x, name, &matches), calls = 0;
    CHECK_EQUAL(matches, 0);
    CHECK(spent >= ORDERS && spent <= ORDERS * dearest + lookups);
    CHECK_EQUAL(gw_pattern_index_begin(&c, &x, 1, name, 7), 0);
    for (; !gw_pattern_cursor_finished(&c); calls++) {
        uint32_t budget = 100;
        CHECK(!gw_pattern_index_next(&c, &x, &budget));
        CHECK(!budget || gw_pattern_cursor_finished(&c));
    }
    CHECK(calls >= spent / (100 + dearest));
    uint32_t lacking = units(&x, "XBCDEFG", &matches);
    CHECK(lacking < spent - ORDERS / 14 && matches == 0);
    CHECK(units(&x, "TUVWXYZ", &matches) <= lookups);
    for (uint32_t i = 0; i < ORDERS; i++) drop(&x, patterns[i]);
    gw_pattern_index_free(&x);
}

/* --- limits ---------------------------------------------------------------------------------------- */

static void lengths_up_to_the_longest(void) {
    char *text = malloc(GW_GLOB_MAX + 1), *name = malloc(GW_GLOB_MAX + 1);
    memset(name, 'n', GW_GLOB_MAX + 1);
    gw_pattern_index_t x;
    gw_pattern_node_t nodes[4];
    gw_pattern_cursor_t c;
    CHECK_EQUAL(gw_pattern_index_init(&x), 0);
    static const size_t STARS[4] = {0, 100, 150, 254}; /* heads and tails of more than 63 bytes, and all */
    char *texts[4];
    for (size_t i = 0; i < 4; i++) {
        texts[i] = malloc(GW_GLOB_MAX);
        memset(texts[i], 'n', GW_GLOB_MAX);
        texts[i][STARS[i]] = '*';
        if (i == 2) texts[i][40] = '*';
        CHECK_EQUAL(gw_pattern_index_add(&x, &nodes[i], 1, texts[i], GW_GLOB_MAX), 0);
    }
    uint32_t budget = ALL, matches = 0;
    CHECK_EQUAL(gw_pattern_index_begin(&c, &x, 1, name, GW_GLOB_MAX), 0);
    while (gw_pattern_index_next(&c, &x, &budget)) matches++;
    CHECK_EQUAL(matches, 4);
    CHECK_EQUAL(gw_pattern_index_begin(&c, &x, 1, name, GW_GLOB_MAX + 1), -EINVAL);
    CHECK_EQUAL(gw_pattern_index_add(&x, &nodes[0], 1, text, GW_GLOB_MAX + 1), -EINVAL);
    for (size_t i = 1; i < 4; i++) gw_pattern_index_remove(&x, &nodes[i]);
    CHECK_EQUAL(x.count, 1);
    for (size_t i = 0; i < 4; i++) free(texts[i]);
    free(text);
    free(name);
    gw_pattern_index_free(&x);
}

static void one_text_is_one_node_on_each_channel(void) {
    gw_pattern_index_t x;
    gw_pattern_node_t other;
    CHECK_EQUAL(gw_pattern_index_init(&x), 0);
    pattern_t *one = add(&x, 1, "B*"), *two = add(&x, 2, "B*"), *three = add(&x, 1, "B**");
    CHECK(gw_pattern_index_find(&x, 1, "B*", 2) == &one->node);
    CHECK(gw_pattern_index_find(&x, 2, "B*", 2) == &two->node);
    CHECK(gw_pattern_index_find(&x, 1, "B**", 3) == &three->node);
    CHECK(!gw_pattern_index_find(&x, 3, "B*", 2) && !gw_pattern_index_find(&x, 1, "B", 1));
    CHECK_EQUAL(gw_pattern_index_add(&x, &other, 1, "B*", 2), -EEXIST);
    CHECK_EQUAL(x.count, 3);
    drop(&x, one);
    CHECK(!gw_pattern_index_find(&x, 1, "B*", 2) && gw_pattern_index_find(&x, 2, "B*", 2));
    drop(&x, two);
    drop(&x, three);
    gw_pattern_index_free(&x);
}

/* Tables of 8,192 slots take 6,144 entries. Each row fills one of them and asks for one entry more. */
#define FULL 6144u

static uint32_t texts_made;

static void add_form(gw_pattern_index_t *x, pattern_t *all, const char *form, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        pattern_t *p = &all[texts_made++];
        snprintf(p->text, sizeof p->text, form, i);
        CHECK_EQUAL(gw_pattern_index_add(x, &p->node, 1, p->text, strlen(p->text)), 0);
    }
}

static void without_memory_all_stays_as_it_was(void) {
    static const struct {
        const char *form;
        uint32_t count;
        const char *other;
        uint32_t other_count;
        const char *victim;
    } ROWS[] = {
        {"h%u*", FULL, "", 0, "h*"},                  /* counts */
        {"h%u*", FULL, "h%u*t", 5000, "h*"},          /* levels: counts has grown before */
        {"n%u", FULL, "", 0, "n"},                    /* chains */
        {"h%u*", FULL / 2, "h%u**", FULL / 2, "h0***"}, /* texts */
        {"h%u*", FULL - 2, "*m*t", 1, "*mm*t"},       /* counts, at the second level */
    };
    for (size_t row = 0; row < sizeof ROWS / sizeof *ROWS; row++) {
        gw_pattern_index_t x;
        pattern_t *all = calloc(2 * FULL, sizeof *all), victim;
        struct rlimit room, none = {1, RLIM_INFINITY};
        texts_made = 0;
        CHECK_EQUAL(gw_pattern_index_init(&x), 0);
        add_form(&x, all, ROWS[row].form, ROWS[row].count);
        add_form(&x, all, ROWS[row].other, ROWS[row].other_count);
        const gw_map_t *maps[] = {&x.texts, &x.chains, &x.levels, &x.counts};
        size_t before[4];
        for (int i = 0; i < 4; i++) before[i] = maps[i]->count;
        size_t length = strlen(ROWS[row].victim);
        CHECK_EQUAL(getrlimit(RLIMIT_AS, &room), 0);
        none.rlim_max = room.rlim_max;
        CHECK_EQUAL(setrlimit(RLIMIT_AS, &none), 0);
        int error = gw_pattern_index_add(&x, &victim.node, 1, ROWS[row].victim, length);
        CHECK_EQUAL(setrlimit(RLIMIT_AS, &room), 0);
        CHECK_EQUAL(error, -ENOMEM);
        CHECK_EQUAL(x.count, texts_made);
        for (int i = 0; i < 4; i++) CHECK_EQUAL(maps[i]->count, before[i]);
        CHECK(!gw_pattern_index_find(&x, 1, ROWS[row].victim, length));
        for (uint32_t i = 0; i < texts_made; i++)
            CHECK(gw_pattern_index_find(&x, 1, all[i].text, strlen(all[i].text)) == &all[i].node);
        CHECK_EQUAL(gw_pattern_index_add(&x, &victim.node, 1, ROWS[row].victim, length), 0);
        gw_pattern_index_remove(&x, &victim.node);
        for (uint32_t i = 0; i < texts_made; i++) gw_pattern_index_remove(&x, &all[i].node);
        for (int i = 0; i < 4; i++) CHECK_EQUAL(maps[i]->count, 0);
        gw_pattern_index_free(&x);
        free(all);
    }
}

int main(void) {
    RUN(random_patterns_are_found_as_if_each_were_tried);
    RUN(patterns_come_and_go_while_names_are_under_way);
    RUN(a_name_looks_up_what_it_could_match);
    RUN(a_piece_that_repeats_counts_once);
    RUN(a_common_literal_does_not_gather_patterns);
    RUN(one_unit_at_a_time_is_as_many_steps);
    RUN(a_dear_pattern_is_charged);
    RUN(f68_literals_in_another_order_cost_one_try_each);
    RUN(lengths_up_to_the_longest);
    RUN(one_text_is_one_node_on_each_channel);
    RUN(without_memory_all_stays_as_it_was);
    return 0;
}
