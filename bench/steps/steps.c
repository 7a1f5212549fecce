/* How long the single steps of the plane take at their worst: the longest cycle of each, in CPU time.
 *
 *     steps [--topics N] [--clients N] [--patterns N] [--rounds N] [STEP...]
 *
 * Each round is a process of its own, so that no step finds another's memory; the figure is the round
 * whose longest cycle is the median. A step that takes more than two minutes of CPU is given up. What
 * a figure is, and is not, is in bench/README.md. */
#include "stage.h"

#include <signal.h>
#include <sys/wait.h>

#define GIVEN_UP_S 120u
#define ROUNDS_MAX 15
#define SCAN_MAX 400000u
#define LAP_BYTES (1u << 20)
#define LAP_RECORDS (LAP_BYTES / 64) /* more than it holds, however small they are */

static uint32_t topics = 10000, clients = 5000, patterns = 256;

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

static void feed(uint64_t capacity, uint32_t count) {
    stage_segment(capacity);
    stage_topics(count);
    stage_run();
}

/* Clients from 0 on, each with the same subscription. */
static void audience(uint32_t count, const char *name, int lossless) {
    for (uint32_t i = 0; i < count; i++) {
        stage_connect(i);
        stage_subscribe(i, name, lossless, 0);
        if (i % 16 == 15) stage_run();
    }
    stage_run();
}

static void block_all(uint32_t count) {
    for (uint32_t i = 0; i < count; i++) stage_block(i);
}

/* So many records more for every client, in batches as they come when nothing is late. */
static void backlog(uint32_t records, uint32_t spread) {
    for (uint32_t i = 0; i < records; i++) {
        stage_publish(i % spread);
        if (i % 1000 == 999) stage_run();
    }
    stage_run();
}

/* --- patterns -------------------------------------------------------------------------------------- */

static void subscribe_all(spent_t *spent) {
    stage_plane(8);
    feed(64u << 20, topics);
    backlog(topics, topics);
    stage_connect(0);
    stage_run();
    stage_subscribe(0, "*", 0, 1);
    stage_spend(spent);
}

static void scan(spent_t *spent) {
    stage_plane(8);
    feed(4u << 20, topics);
    stage_connect(0);
    stage_run();
    /* What the session lets into one request (pattern_scan_max), one behind the other. */
    uint32_t each = least(SCAN_MAX / topics, patterns);
    for (uint32_t at = 0; at < patterns; at += each)
        stage_patterns(0, "*%03dX", at, least(each, patterns - at));
    stage_spend(spent);
}

static void end_pattern(spent_t *spent, const char *form) {
    gw_item_t ended = {.id = 1};
    stage_plane(8);
    feed(4u << 20, topics);
    stage_connect(0);
    stage_patterns(0, form, 0, patterns - 1);
    stage_subscribe(0, "*", 0, 0);
    stage_run();
    stage_ask(0, GW_CMD_UNSUBSCRIBE, &ended, 1);
    stage_spend(spent);
}

static void end_pattern_alone(spent_t *spent) { end_pattern(spent, "*%03dX"); }

static void end_pattern_covered(spent_t *spent) { end_pattern(spent, "*S*%.0d*"); }

static void waiting_patterns(uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        stage_connect(i);
        stage_patterns(i, "*%07dX", i * patterns, patterns);
        if (i % 16 == 15) stage_run();
    }
    stage_run();
}

static void growth(spent_t *spent) {
    stage_plane(clients);
    stage_segment(4u << 20);
    waiting_patterns(clients);
    stage_topics(topics);
    for (uint32_t i = 0; i < topics; i++) stage_publish(i);
    stage_spend(spent);
}

static void restart(spent_t *spent) {
    stage_plane(clients);
    feed(4u << 20, 1); /* what patterns had to be matched at their start is no part of it */
    waiting_patterns(clients);
    stage_segment(4u << 20);
    stage_topics(topics);
    stage_publish(topics - 1);
    stage_spend(spent);
}

static void restart_links(spent_t *spent) {
    uint32_t count = least(clients, 100);
    stage_plane(count);
    feed(4u << 20, topics);
    audience(count, "*", 1);
    stage_segment(4u << 20);
    stage_topics(topics);
    for (uint32_t i = 0; i < topics; i++) stage_publish(i);
    stage_spend(spent);
}

/* --- letting go ------------------------------------------------------------------------------------ */

/* Each with 300 topics by name, neighbours. */
static void crowd(uint32_t count) {
    gw_item_t items[300];
    char name[64];
    uint32_t each = least(topics, 300);
    stage_plane(count);
    feed(4u << 20, topics);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < each; k++) {
            stage_name(name, sizeof name, (i * 7 + k) % topics);
            items[k] = stage_item(k, name, 0);
        }
        stage_connect(i);
        stage_ask(i, GW_CMD_SUBSCRIBE, items, each);
        if (i % 16 == 15) stage_run();
    }
    stage_run();
}

static void remove_many(spent_t *spent) {
    uint32_t count = least(clients, 1000);
    crowd(count);
    for (uint32_t i = 0; i < count; i++) stage_ask(i, GW_CMD_REMOVE, NULL, 0);
    stage_spend(spent);
}

static void reset_many(spent_t *spent) {
    uint32_t count = least(clients, 1000);
    crowd(count);
    for (uint32_t i = 0; i < count; i++) stage_errors[stage_clients[i].fd] = ECONNRESET;
    for (uint32_t i = 0; i < topics; i += 100) stage_publish(i);
    stage_spend(spent);
}

static void stalled_many(spent_t *spent) {
    uint32_t count = least(clients, 1000);
    crowd(count);
    block_all(count);
    backlog(topics, topics);
    stage_skip(121 * STAGE_SECOND);
    stage_spend(spent);
}

static void close_all(spent_t *spent) {
    char name[64];
    stage_plane(clients);
    feed(4u << 20, topics);
    stage_name(name, sizeof name, 0);
    audience(clients, name, 1);
    for (uint32_t i = 0; i < clients; i++) stage_ask(i, GW_CMD_CLOSE, NULL, 0);
    stage_spend(spent);
}

static void remove_one(spent_t *spent) {
    stage_plane(8);
    feed(4u << 20, topics);
    audience(1, "*", 0);
    stage_ask(0, GW_CMD_REMOVE, NULL, 0);
    stage_spend(spent);
}

/* --- what waits ------------------------------------------------------------------------------------ */

/* Clients of every second of 200 topics, by name; one more has all, so that each frame of the others is
 * a run of its own. They are blocked with so many frames. */
static void sparse(uint32_t count, uint32_t frames) {
    gw_item_t items[100];
    char name[64];
    stage_plane(count + 8);
    feed(64u << 20, 200);
    for (uint32_t k = 0; k < 100; k++) {
        stage_name(name, sizeof name, 2 * k);
        items[k] = stage_item(100 + k, name, 1);
    }
    for (uint32_t i = 0; i < count; i++) {
        stage_connect(i);
        stage_ask(i, GW_CMD_SUBSCRIBE, items, 100);
    }
    stage_connect(count);
    stage_subscribe(count, "*", 1, 0);
    stage_run();
    block_all(count);
    backlog(2 * frames, 200);
}

static void too_old(spent_t *spent) {
    sparse(least(clients, 100), 20000);
    stage_skip(3 * STAGE_SECOND);
    stage_spend(spent);
}

static void stats_of_many(spent_t *spent) {
    sparse(1, 65500);
    stage_ask(0, GW_CMD_QUERY, NULL, 0);
    stage_spend(spent);
}

static void end_of_many(spent_t *spent) {
    gw_item_t ended = {.id = 100};
    sparse(1, 65500);
    stage_ask(0, GW_CMD_UNSUBSCRIBE, &ended, 1);
    stage_spend(spent);
}

/* Fewer runs than it may have frames: else it was let go for the log's sake, not for its own. */
static void too_many(spent_t *spent) {
    sparse(1, 60000);
    for (uint32_t i = 0; i < 5500; i++) stage_publish(2 * (i % 100));
    stage_run();
    for (uint32_t i = 0; i < 4096; i++) stage_publish(2 * (i % 100));
    stage_spend(spent);
}

static void catch_up(spent_t *spent, int lossless) {
    uint32_t count = least(clients, 256);
    stage_plane(count);
    feed(64u << 20, topics);
    audience(count, "*", lossless);
    block_all(count);
    backlog(2 * topics, topics);
    for (uint32_t i = 0; i < count; i++) stage_unblock(i);
    stage_skip(STAGE_SECOND / 100); /* a look at the sockets is due */
    stage_spend(spent);
}

static void catch_up_lossless(spent_t *spent) { catch_up(spent, 1); }

static void catch_up_conflated(spent_t *spent) { catch_up(spent, 0); }

static void look_at_blocked(spent_t *spent) {
    char name[64];
    stage_plane(clients);
    feed(4u << 20, topics);
    stage_name(name, sizeof name, 0);
    audience(clients, name, 1);
    block_all(clients);
    stage_publish(0);
    stage_run();
    for (int i = 0; i < 50; i++) { /* timers go by time, and a new record is no part of them */
        stage_skip(STAGE_SECOND / 50);
        stage_spend(spent);
    }
}

/* --- records --------------------------------------------------------------------------------------- */

static void batch(spent_t *spent) {
    char name[64];
    stage_plane(clients);
    feed(4u << 20, topics);
    stage_name(name, sizeof name, 0);
    audience(clients, name, 1);
    for (uint32_t i = 0; i < 4096; i++) stage_publish(0);
    stage_spend(spent);
}

static void lapped(spent_t *spent) {
    uint32_t count = least(clients, 100);
    stage_plane(count);
    feed(LAP_BYTES, topics);
    audience(count, "*", 1);
    for (uint32_t i = 0; i < LAP_RECORDS + topics; i++) stage_publish(i % topics);
    stage_spend(spent);
}

static void maps_grow(spent_t *spent) {
    uint32_t count = least(clients, 110); /* over a million links */
    stage_plane(count);
    feed(4u << 20, topics);
    for (uint32_t i = 0; i < count; i++) {
        stage_connect(i);
        stage_run();
        stage_subscribe(i, "*", 0, 0);
        stage_spend(spent);
    }
}

#include "books.h"

/* --- the table ------------------------------------------------------------------------------------- */

static const struct {
    const char *name, *what;
    void (*run)(spent_t *spent);
} steps[] = {
    {"subscribe_all", "one subscribes to `*` with snapshots", subscribe_all},
    {"scan", "one subscribes to all patterns that it may have, which cover nothing", scan},
    {"end_pattern", "one ends `*` beside all others that it may have, which cover nothing", end_pattern_alone},
    {"end_pattern_covered", "the same, beside patterns that cover all", end_pattern_covered},
    {"growth", "all topics appear, all clients have all patterns, no two alike", growth},
    {"restart", "the feed begins again, all clients have all patterns", restart},
    {"restart_links", "the feed begins again, 100 clients of `*`", restart_links},
    {"close_all", "all clients are closed at once", close_all},
    {"remove_one", "one of `*` is removed", remove_one},
    {"remove_many", "1,000 of 300 topics each are removed", remove_many},
    {"reset_many", "1,000 of 300 topics each turn out to be gone at a send", reset_many},
    {"stalled_many", "1,000 of 300 topics each have been blocked for too long", stalled_many},
    {"too_old", "100 of 20,000 queued frames each are too far behind", too_old},
    {"too_many", "one with as many queued frames as it may have gets 4,096 more", too_many},
    {"stats_of_many", "`stats` of one with 65,500 queued frames", stats_of_many},
    {"end_of_many", "one with 65,500 queued frames unsubscribes from a name", end_of_many},
    {"catch_up_lossless", "256 blocked clients of `*` become writable, two frames of each topic",
     catch_up_lossless},
    {"catch_up_conflated", "the same, conflated", catch_up_conflated},
    {"look_at_blocked", "one second of timers, all clients blocked", look_at_blocked},
    {"batch", "4,096 records of one topic to all clients", batch},
    {"lapped", "the ring was overrun, 100 clients of `*`", lapped},
    {"book_first", "one subscribes to 8 books of 80,000 levels that no other has", book_first},
    {"book_lapped", "the ring was overrun, 8 such books", book_lapped},
    {"book_states", "100 subscribe to all levels of one such book, in parts", book_states},
    {"book_batch", "4,096 records of one such book to all clients of depth 10", book_batch},
    {"maps_grow", "110 clients, one after the other, subscribe to `*`", maps_grow},
};
#define STEPS (sizeof steps / sizeof *steps)

static int by_longest(const void *a, const void *b) {
    const spent_t *one = a, *other = b;
    return (one->longest_ns > other->longest_ns) - (one->longest_ns < other->longest_ns);
}

/* One round in a process of its own; false: it was given up. */
static int one_round(void (*run)(spent_t *spent), spent_t *spent) {
    int ends[2], status;
    must(!pipe(ends), "pipe");
    pid_t pid = fork();
    must(pid >= 0, "fork");
    if (!pid) {
        struct rlimit limit = {GIVEN_UP_S, GIVEN_UP_S};
        setrlimit(RLIMIT_CPU, &limit);
        run(spent);
        _exit(write(ends[1], spent, sizeof *spent) != sizeof *spent);
    }
    close(ends[1]);
    ssize_t got = read(ends[0], spent, sizeof *spent);
    close(ends[0]);
    must(waitpid(pid, &status, 0) == pid, "waitpid");
    if (got == sizeof *spent) return 1;
    if (!WIFSIGNALED(status) || (WTERMSIG(status) != SIGKILL && WTERMSIG(status) != SIGXCPU)) exit(2);
    return 0;
}

static void measure(size_t k, int rounds) {
    spent_t spent[ROUNDS_MAX] = {{0}};
    for (int i = 0; i < rounds; i++) {
        if (one_round(steps[k].run, &spent[i])) continue;
        printf("%-20s  > %6u s of CPU: given up       %s\n", steps[k].name, GIVEN_UP_S, steps[k].what);
        fflush(stdout);
        return;
    }
    qsort(spent, (size_t)rounds, sizeof *spent, by_longest);
    const spent_t *middle = &spent[rounds / 2];
    printf("%-20s %10.0f %10.0f %8llu  %s\n", steps[k].name, (double)middle->longest_ns / 1e3,
           (double)middle->total_ns / 1e3, (unsigned long long)middle->cycles, steps[k].what);
    fflush(stdout);
}

static uint32_t number(const char *text, uint32_t most) {
    char *end;
    unsigned long value = text ? strtoul(text, &end, 10) : 0;
    if (text && !*end && value && value <= most) return (uint32_t)value;
    fprintf(stderr, "steps: 1 to %u, not %s\n", most, text ? text : "nothing");
    exit(2);
}

int main(int argc, char **argv) {
    int rounds = 3, at = 1;
    for (; at < argc && !strncmp(argv[at], "--", 2); at += 2) {
        const char *value = at + 1 < argc ? argv[at + 1] : NULL;
        if (!strcmp(argv[at], "--topics")) topics = number(value, 60000);
        else if (!strcmp(argv[at], "--clients")) clients = number(value, STAGE_CLIENTS_MAX - 1);
        else if (!strcmp(argv[at], "--patterns")) patterns = number(value, 256);
        else if (!strcmp(argv[at], "--rounds")) rounds = (int)number(value, ROUNDS_MAX);
        else return fprintf(stderr, "steps: no option %s\n", argv[at]), 2;
    }
    printf("%u topics, %u clients, %u patterns each; microseconds of CPU, without a kernel\n", topics, clients,
           patterns);
    printf("%-20s %10s %10s %8s\n", "step", "longest", "in all", "cycles");
    for (size_t k = 0; k < STEPS; k++) {
        int wanted = at == argc;
        for (int i = at; i < argc; i++) wanted |= !strcmp(argv[i], steps[k].name);
        if (wanted) measure(k, rounds);
    }
    return 0;
}
