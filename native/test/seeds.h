/* Programs that make runs by seeds: which ones, by the command line, `SEED [STEPS]` or `FROM-TO [STEPS]`, or by the
 * environment's GW_TEST_SEED. One that ends in the middle of a run says how that is repeated. */
#ifndef SEEDS_H
#define SEEDS_H
#include "check.h"
#include <stdint.h>

typedef struct {
    uint64_t from, to;
    unsigned steps; /* of each run */
} seeds_t;

static const char *seeds_program;
static unsigned long long seeds_running; /* 0: no run is under way */
static unsigned seeds_running_steps;

static void seeds_say(void) {
    if (seeds_running) fprintf(stderr, "again with: %s %llu %u\n", seeds_program, seeds_running, seeds_running_steps);
}

#ifdef __SANITIZE_ADDRESS__
void __sanitizer_set_death_callback(void (*callback)(void));
#endif

/* The seeds that are wanted; `usual` where nothing is said of them. */
static seeds_t seeds_wanted(const char *program, int argc, char **argv, seeds_t usual) {
    seeds_t s = usual;
    const char *chosen = argc > 1 ? argv[1] : getenv("GW_TEST_SEED");
    if (chosen) {
        char *end;
        s.from = s.to = strtoull(chosen, &end, 10);
        if (*end == '-') s.to = strtoull(end + 1, &end, 10);
        CHECK(!*end && s.from > 0 && s.from <= s.to);
    }
    if (argc > 2) s.steps = (unsigned)strtoul(argv[2], NULL, 10);
    seeds_program = program;
    atexit(seeds_say);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_set_death_callback(seeds_say);
#endif
    return s;
}

static void seeds_run(const seeds_t *s, void (*run)(uint64_t seed, unsigned steps)) {
    seeds_running_steps = s->steps;
    for (uint64_t seed = s->from; seed <= s->to; seed++) {
        seeds_running = seed;
        run(seed, s->steps);
        seeds_running = 0;
    }
}

#endif
