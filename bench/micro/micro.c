/* `micro` lists the rows; `micro ROW` measures one; `micro ROW OPS` only does the operation so
 * often, for a counter of instructions around the whole program. micro.py prints the table. */
#include "micro.h"
#include "gw_clock.h"

#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 30 };

static const micro_row_t *const groups[] = {micro_ring_rows, micro_hop_rows, micro_encode_rows,
                                            micro_plane_rows, micro_book_rows};

static const micro_row_t *row_find(const char *name) {
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        for (const micro_row_t *row = groups[i]; row->name != NULL; row++)
            if (strcmp(row->name, name) == 0) return row;
    return NULL;
}

static void rows_list(void) {
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        for (const micro_row_t *row = groups[i]; row->name != NULL; row++)
            printf("%s\t%s\t%llu\n", row->name, row->run != NULL ? "run" : "report",
                   (unsigned long long)row->ops);
}

/* The lowest of several rounds: all above it is the machine doing something else. */
static double best_ns(const micro_row_t *row) {
    int64_t best = INT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start = gw_monotonic_ns();
        row->run(row->ops);
        int64_t took = gw_monotonic_ns() - start;
        if (took < best) best = took;
    }
    return (double)best / (double)row->ops;
}

int main(int argc, char **argv) {
    if (argc == 1) {
        rows_list();
        return 0;
    }
    const micro_row_t *row = row_find(argv[1]);
    if (row == NULL) {
        fprintf(stderr, "no row %s\n", argv[1]);
        return 2;
    }
    if (row->setup != NULL) row->setup();
    if (row->report != NULL) row->report();
    else if (argc > 2) row->run(strtoull(argv[2], NULL, 10));
    else micro_figure(row->name, best_ns(row), "ns", row->what);
    return 0;
}
