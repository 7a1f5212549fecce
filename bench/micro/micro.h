/* Rows of the micro benchmark. A file of rows adds its array to the list in micro.c, and that is
 * all. */
#ifndef MICRO_H
#define MICRO_H
#include <stdint.h>
#include <stdio.h>

/* Either an operation to time (`run`), or something that reports figures of its own (`report`). */
typedef struct {
    const char *name, *what;
    uint64_t ops;              /* operations a round */
    void (*setup)(void);       /* may be NULL; once, before all rounds */
    void (*run)(uint64_t ops); /* does the operation so many times */
    void (*report)(void);      /* calls micro_figure */
} micro_row_t;

/* Each ends with a row without a name. */
extern const micro_row_t micro_ring_rows[], micro_hop_rows[], micro_encode_rows[],
    micro_plane_rows[], micro_book_rows[];

/* One figure, as one line that micro.py reads. */
static inline void micro_figure(const char *name, double value, const char *unit,
                                const char *what) {
    printf("%s\t%.1f\t%s\t%s\n", name, value, unit, what);
    fflush(stdout);
}

/* Keeps a result alive that nothing else uses. */
static inline void micro_keep(const void *p) { __asm__ volatile("" : : "r"(p) : "memory"); }

#endif
