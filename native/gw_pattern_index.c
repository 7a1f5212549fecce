/* How patterns are filed, and what a name costs.
 *
 * A pattern is filed by its literals: what stands before its first star (the head), behind its last
 * one (the tail), and, if there are more stars, one literal between them (the middle). A name then
 * looks up those of its own heads, tails and middles that some pattern has, and tries what it finds.
 *
 *   levels[channel, kind, head]        which lengths of tails occur with this head
 *   levels[channel, kind, head, tail]  which lengths of middles occur with these ends
 *   chains[all of the pattern's]       the patterns themselves
 *
 * The lengths are a word with a bit each, 63 and more in one. `counts` says how many patterns stand
 * behind a bit. So a name of n bytes costs at most n + 1 lookups of heads that occur by length, and
 * for each head of it that occurs, one per length of tails that occurs with just this head: at most
 * (n + 1)(n + 2) / 2, if clients have subscribed to every pair of ends that it has. Whatever is found
 * under two ends matches. Patterns with middles cost, for each pair of ends found, one lookup per
 * length of middles in use and place in the name. What is found has three literals of the name and
 * is tried.
 *
 * Of several middles the one is taken that the fewest patterns are filed under at that moment, and of
 * these the longest. Many patterns with one common literal thus spread over their other ones; a client
 * that wants a name to try many of its patterns needs patterns all of whose literals the name has.
 *
 * Literals are hashed by a polynomial modulo the prime 2^61 - 1 with a secret base, so that any piece
 * of a name costs one multiplication once its beginnings are hashed. Two different texts collide with
 * probability 255 / 2^61. Keys only ever lead to patterns that are then compared; and levels and
 * counts that collide are shared by both, so that a bit may stay longer than needed, but never goes
 * too early: a count's key is made of the level's key. */
#include "gw_pattern_index.h"

_Static_assert(sizeof(void *) == sizeof(uint64_t), "levels and counts stand in place of pointers");

/* --- hashes ---------------------------------------------------------------------------------------- */

#define PRIME ((1ull << 61) - 1)

static uint64_t times(uint64_t a, uint64_t b) {
    __uint128_t product = (__uint128_t)a * b;
    uint64_t sum = (uint64_t)(product & PRIME) + (uint64_t)(product >> 61);
    return sum >= PRIME ? sum - PRIME : sum;
}

/* No byte counts as zero, so that texts of different lengths differ as polynomials. */
static uint64_t append(const gw_pattern_index_t *x, uint64_t hash, char byte) {
    uint64_t sum = times(hash, x->base) + (uint8_t)byte + 1;
    return sum >= PRIME ? sum - PRIME : sum;
}

static uint64_t hash_text(const gw_pattern_index_t *x, const char *text, size_t length) {
    uint64_t hash = 0;
    for (size_t i = 0; i < length; i++) hash = append(x, hash, text[i]);
    return hash;
}

/* Of a piece of the cursor's name: the same as hash_text. */
static uint64_t hash_piece(const gw_pattern_index_t *x, const gw_pattern_cursor_t *c, size_t at,
                           size_t length) {
    uint64_t before = times(c->hashes[at], x->powers[length]), all = c->hashes[at + length];
    return all >= before ? all - before : all + PRIME - before;
}

/* The key of what has another literal than `key` has. */
static uint64_t extend(uint64_t key, uint64_t literal) {
    return gw_map_hash(key * 0x9e3779b97f4a7c15u + literal);
}

static uint64_t first_key(const gw_pattern_index_t *x, uint8_t channel, uint8_t kind,
                          uint64_t literal) {
    return extend(x->key.k1 ^ (uint64_t)(channel << 8 | kind), literal);
}

/* --- levels ---------------------------------------------------------------------------------------- */

static uint64_t number(const gw_map_t *m, uint64_t key) {
    return (uint64_t)(uintptr_t)gw_map_get(m, key);
}

static int number_set(gw_map_t *m, uint64_t key, uint64_t value) {
    if (value) return gw_map_put(m, key, (void *)(uintptr_t)value);
    gw_map_remove(m, key);
    return 0;
}

static unsigned class_of(size_t length) { return length < 63 ? (unsigned)length : 63; }

static uint64_t count_key(uint64_t level, size_t length) {
    return extend(level, class_of(length) + 1);
}

static int level_add(gw_pattern_index_t *x, uint64_t level, size_t length) {
    uint64_t key = count_key(level, length), n = number(&x->counts, key);
    if (number_set(&x->counts, key, n + 1)) return -ENOMEM;
    uint64_t classes = number(&x->levels, level) | 1ull << class_of(length);
    if (!number_set(&x->levels, level, classes)) return 0;
    number_set(&x->counts, key, n);
    return -ENOMEM;
}

static void level_remove(gw_pattern_index_t *x, uint64_t level, size_t length) {
    uint64_t key = count_key(level, length), n = number(&x->counts, key);
    number_set(&x->counts, key, n - 1);
    if (n > 1) return;
    number_set(&x->levels, level, number(&x->levels, level) & ~(1ull << class_of(length)));
}

/* The shortest length in use from `from` to `most`; else more than `most`. */
static size_t next_length(uint64_t classes, size_t from, size_t most) {
    if (from >= 63) return classes >> 63 ? from : most + 1;
    uint64_t left = classes >> from;
    return left ? from + (size_t)__builtin_ctzll(left) : most + 1;
}

/* --- filing ---------------------------------------------------------------------------------------- */

typedef struct {
    uint64_t head, ends, chain; /* keys; `ends` where there is a middle */
} filing_t;

static filing_t filing_of(const gw_pattern_index_t *x, const gw_pattern_node_t *node) {
    const gw_glob_t *g = &node->glob;
    filing_t f = {.head = first_key(x, node->channel, g->kind, hash_text(x, g->text, g->head))};
    f.ends = f.chain = extend(f.head, hash_text(x, g->text + g->length - g->tail, g->tail));
    if (g->kind == GW_GLOB_NAME) f.chain = f.head;
    if (node->middle_length)
        f.chain = extend(f.ends, hash_text(x, g->text + node->middle, node->middle_length));
    return f;
}

/* Chooses the literal that the fewest patterns are filed under; of these the longest. */
static void middle_choose(const gw_pattern_index_t *x, gw_pattern_node_t *node) {
    const gw_glob_t *g = &node->glob;
    uint64_t ends = filing_of(x, node).ends;
    uint32_t fewest = UINT32_MAX;
    size_t last = (size_t)g->length - g->tail, length = 0;
    for (size_t at = g->head; at < last; at += length + 1) {
        for (length = 0; at + length < last && g->text[at + length] != '*';) length++;
        if (!length) continue;
        const gw_pattern_node_t *first =
            gw_map_get(&x->chains, extend(ends, hash_text(x, g->text + at, length)));
        uint32_t filed = first ? first->filed : 0;
        if (filed > fewest || (filed == fewest && length <= node->middle_length)) continue;
        fewest = filed;
        node->middle = (uint8_t)at;
        node->middle_length = (uint8_t)length;
    }
}

static int levels_add(gw_pattern_index_t *x, const gw_pattern_node_t *node, const filing_t *f) {
    if (node->glob.kind == GW_GLOB_NAME) return 0;
    if (level_add(x, f->head, node->glob.tail)) return -ENOMEM;
    if (!node->middle_length || !level_add(x, f->ends, node->middle_length)) return 0;
    level_remove(x, f->head, node->glob.tail);
    return -ENOMEM;
}

static void levels_remove(gw_pattern_index_t *x, const gw_pattern_node_t *node, const filing_t *f) {
    if (node->glob.kind == GW_GLOB_NAME) return;
    level_remove(x, f->head, node->glob.tail);
    if (node->middle_length) level_remove(x, f->ends, node->middle_length);
}

static int chain_add(gw_pattern_index_t *x, gw_pattern_node_t *node, uint64_t key) {
    gw_pattern_node_t *first = gw_map_get(&x->chains, key);
    if (gw_map_put(&x->chains, key, node)) return -ENOMEM;
    node->filed = first ? first->filed + 1 : 1;
    node->next = first;
    if (first) first->previous = node;
    return 0;
}

static void chain_remove(gw_pattern_index_t *x, gw_pattern_node_t *node, uint64_t key) {
    gw_pattern_node_t *first = gw_map_get(&x->chains, key);
    uint32_t filed = first->filed - 1;
    if (node->next) node->next->previous = node->previous;
    if (node != first) {
        node->previous->next = node->next;
    } else {
        first = node->next;
        if (first) gw_map_put(&x->chains, key, first); /* replaces: cannot fail */
        else gw_map_remove(&x->chains, key);
    }
    if (first) first->filed = filed;
}

static uint64_t text_key(const gw_pattern_index_t *x, uint8_t channel, const char *text,
                         size_t length) {
    return gw_hash_name(x->key, channel, text, length);
}

static int text_add(gw_pattern_index_t *x, gw_pattern_node_t *node) {
    uint64_t key = text_key(x, node->channel, node->glob.text, node->glob.length);
    node->next_text = gw_map_get(&x->texts, key);
    return gw_map_put(&x->texts, key, node);
}

static void text_remove(gw_pattern_index_t *x, gw_pattern_node_t *node) {
    uint64_t key = text_key(x, node->channel, node->glob.text, node->glob.length);
    gw_pattern_node_t *at = gw_map_get(&x->texts, key);
    if (at == node) {
        if (node->next_text) gw_map_put(&x->texts, key, node->next_text);
        else gw_map_remove(&x->texts, key);
        return;
    }
    while (at->next_text != node) at = at->next_text;
    at->next_text = node->next_text;
}

/* --- the index ------------------------------------------------------------------------------------- */

int gw_pattern_index_init(gw_pattern_index_t *x) {
    *x = (gw_pattern_index_t){.key = gw_hash_key_random()};
    x->base = gw_hash_number(x->key, 0) % (PRIME - 512) + 256;
    x->powers[0] = 1;
    for (size_t i = 1; i <= GW_GLOB_MAX; i++) x->powers[i] = times(x->powers[i - 1], x->base);
    int error = gw_map_init(&x->texts, 1024);
    if (!error) error = gw_map_init(&x->chains, 1024);
    if (!error) error = gw_map_init(&x->levels, 64);
    if (!error) error = gw_map_init(&x->counts, 64);
    if (error) gw_pattern_index_free(x);
    return error;
}

void gw_pattern_index_free(gw_pattern_index_t *x) {
    gw_map_free(&x->texts);
    gw_map_free(&x->chains);
    gw_map_free(&x->levels);
    gw_map_free(&x->counts);
}

gw_pattern_node_t *gw_pattern_index_find(const gw_pattern_index_t *x, uint8_t channel,
                                         const char *text, size_t length) {
    gw_pattern_node_t *node = gw_map_get(&x->texts, text_key(x, channel, text, length));
    while (node && (node->channel != channel || node->glob.length != length ||
                    memcmp(node->glob.text, text, length) != 0))
        node = node->next_text;
    return node;
}

int gw_pattern_index_add(gw_pattern_index_t *x, gw_pattern_node_t *node, uint8_t channel,
                         const char *text, size_t length) {
    *node = (gw_pattern_node_t){.channel = channel};
    int error = gw_glob_compile(&node->glob, text, length);
    if (error) return error;
    if (gw_pattern_index_find(x, channel, text, length)) return -EEXIST;
    if (node->glob.kind == GW_GLOB_MIDDLES) middle_choose(x, node);
    filing_t f = filing_of(x, node);
    if (levels_add(x, node, &f)) return -ENOMEM;
    if (chain_add(x, node, f.chain)) {
        levels_remove(x, node, &f);
        return -ENOMEM;
    }
    if (text_add(x, node)) {
        chain_remove(x, node, f.chain);
        levels_remove(x, node, &f);
        return -ENOMEM;
    }
    x->heads[node->glob.kind][node->glob.head]++;
    x->count++;
    return 0;
}

void gw_pattern_index_remove(gw_pattern_index_t *x, gw_pattern_node_t *node) {
    filing_t f = filing_of(x, node);
    for (gw_pattern_cursor_t *c = x->cursors; c; c = c->next)
        if (c->node == node) c->node = node->next;
    text_remove(x, node);
    chain_remove(x, node, f.chain);
    levels_remove(x, node, &f);
    x->heads[node->glob.kind][node->glob.head]--;
    x->count--;
}

/* --- the cursor ------------------------------------------------------------------------------------ */

enum { STEP_FINISHED, STEP_HEAD, STEP_TAIL, STEP_MIDDLE };

bool gw_pattern_cursor_finished(const gw_pattern_cursor_t *c) { return c->step == STEP_FINISHED; }

int gw_pattern_index_begin(gw_pattern_cursor_t *c, gw_pattern_index_t *x, uint8_t channel,
                           const char *name, size_t length) {
    if (length > GW_GLOB_MAX) return -EINVAL;
    c->node = NULL;
    c->kind = GW_GLOB_NAME;
    c->step = STEP_HEAD;
    c->head = (uint16_t)length; /* of a pattern that is a name */
    c->channel = channel;
    c->length = (uint8_t)length;
    memcpy(c->name, name, length);
    c->hashes[0] = 0;
    for (size_t i = 0; i < length; i++) c->hashes[i + 1] = append(x, c->hashes[i], name[i]);
    c->previous = NULL;
    c->next = x->cursors;
    if (c->next) c->next->previous = c;
    x->cursors = c;
    return 0;
}

void gw_pattern_index_end(gw_pattern_cursor_t *c, gw_pattern_index_t *x) {
    if (c->step == STEP_FINISHED) return;
    if (c->previous) c->previous->next = c->next;
    else x->cursors = c->next;
    if (c->next) c->next->previous = c->previous;
    c->node = NULL;
    c->step = STEP_FINISHED;
}

static void spend(uint32_t *budget, uint32_t units) {
    *budget -= units < *budget ? units : *budget;
}

/* The next head of the name, from c->head on, that patterns of the kind have; or the next kind. */
static void step_head(gw_pattern_cursor_t *c, gw_pattern_index_t *x, uint32_t *budget) {
    const uint32_t *heads = x->heads[c->kind];
    while (c->head <= c->length && !heads[c->head]) c->head++;
    if (c->head > c->length) {
        c->head = 0;
        if (++c->kind == GW_GLOBS) gw_pattern_index_end(c, x);
        return;
    }
    spend(budget, 1);
    c->head_key = first_key(x, c->channel, c->kind, c->hashes[c->head]);
    c->tail = c->tail_next = 0;
    c->step = STEP_TAIL;
    c->tails = 0;
    if (c->kind == GW_GLOB_NAME) c->node = gw_map_get(&x->chains, c->head_key);
    else c->tails = number(&x->levels, c->head_key);
}

/* The next tail of the name of a length that occurs with this head. */
static void step_tail(gw_pattern_cursor_t *c, const gw_pattern_index_t *x, uint32_t *budget) {
    size_t most = (size_t)c->length - c->head, tail = next_length(c->tails, c->tail_next, most);
    if (tail > most) {
        c->head++;
        c->step = STEP_HEAD;
        return;
    }
    spend(budget, 1);
    c->tail = (uint16_t)tail;
    c->tail_next = (uint16_t)(tail + 1);
    c->ends_key = extend(c->head_key, hash_piece(x, c, c->length - tail, tail));
    if (c->kind == GW_GLOB_ENDS) {
        c->node = gw_map_get(&x->chains, c->ends_key);
        return;
    }
    c->middles = number(&x->levels, c->ends_key);
    if (!c->middles) return;
    c->middle_next = 1;
    c->at_next = c->head;
    c->step = STEP_MIDDLE;
}

/* The next piece between these ends of a length that occurs with them. A piece counts where it
 * stands first: else its chain would be tried for each of its places. */
static void step_middle(gw_pattern_cursor_t *c, const gw_pattern_index_t *x, uint32_t *budget) {
    size_t end = (size_t)c->length - c->tail, room = end - c->head;
    size_t middle = next_length(c->middles, c->middle_next, room);
    if (middle > room) {
        c->step = STEP_TAIL;
        return;
    }
    size_t at = middle == c->middle_next ? c->at_next : c->head;
    bool last = at + middle == end; /* place of this length */
    c->middle = (uint16_t)middle;
    c->at = (uint16_t)at;
    c->middle_next = (uint16_t)(middle + last);
    c->at_next = (uint16_t)(last ? c->head : at + 1);
    spend(budget, 1);
    c->node = gw_map_get(&x->chains, extend(c->ends_key, hash_piece(x, c, at, middle)));
    if (c->node && memmem(c->name + c->head, at - c->head + middle - 1, c->name + at, middle))
        c->node = NULL;
}

/* Whether the pattern is of the chain asked for, not of another one with the same key, and matches. */
static bool fits(const gw_pattern_cursor_t *c, const gw_pattern_node_t *node, uint32_t *budget) {
    const gw_glob_t *g = &node->glob;
    if (node->channel != c->channel || g->kind != c->kind || g->head != c->head || g->tail != c->tail)
        return false;
    if (g->kind == GW_GLOB_MIDDLES
        && (node->middle_length != c->middle
            || memcmp(g->text + node->middle, c->name + c->at, c->middle) != 0))
        return false;
    uint32_t steps = 0;
    bool matches = gw_glob_match_counted(g, c->name, c->length, &steps);
    spend(budget, steps / GW_PATTERN_UNIT_STEPS);
    return matches;
}

gw_pattern_node_t *gw_pattern_index_next(gw_pattern_cursor_t *c, gw_pattern_index_t *x,
                                         uint32_t *budget) {
    while (*budget && c->step != STEP_FINISHED) {
        gw_pattern_node_t *node = c->node;
        if (node) {
            c->node = node->next;
            spend(budget, 1);
            if (fits(c, node, budget)) return node;
        } else if (c->step == STEP_HEAD) {
            step_head(c, x, budget);
        } else if (c->step == STEP_TAIL) {
            step_tail(c, x, budget);
        } else {
            step_middle(c, x, budget);
        }
    }
    return NULL;
}
