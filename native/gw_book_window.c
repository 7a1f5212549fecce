/* The best levels of a book as deep as links show them.
 *
 * A message changes a window where it touches a key that is not worse than the window's worst one, or where the window
 * was not full. So the best touched key of each side decides, and a message that changes only what is deeper costs a
 * comparison for each depth in use. Two seqs are kept: of the last change and of the one before. Since nothing changed
 * between them, a link that has any seq of that span has the window as it was just before the last change. */
#include "gw_book_internal.h"

#include <assert.h>

const uint32_t gw_book_depths[GW_BOOK_DEPTHS] = {1, 5, 10, 25, 100, 500, 1000, 0};

gw_book_window_t *gw_book_window(gw_book_t *b, uint32_t depth) {
    for (unsigned i = 0; i < GW_BOOK_DEPTHS; i++)
        if (gw_book_depths[i] == depth) return &b->windows[i];
    return NULL;
}

static void measure(const gw_book_t *b, gw_book_window_t *w) {
    for (unsigned side = 0; side < GW_BOOK_SIDES; side++) {
        w->worst[side] = gw_book_side_worst(b, side, w->depth);
        w->full[side] = b->head->levels[side] >= w->depth;
    }
}

void gw_book_window_hold(gw_book_t *b, gw_book_window_t *w) {
    if (w->links++ > 0) return;
    uint32_t depth = gw_book_depths[w - b->windows];
    w->depth = depth == 0 ? UINT32_MAX : depth;
    w->changed = w->before = b->head->seq;
    measure(b, w);
}

void gw_book_window_leave(gw_book_window_t *w) {
    assert(w->links > 0);
    w->links--;
}

void gw_book_windows_follow(gw_book_t *b, const int64_t best[GW_BOOK_SIDES], const bool touched[GW_BOOK_SIDES],
                            bool reset) {
    for (unsigned i = 0; i < GW_BOOK_DEPTHS; i++) {
        gw_book_window_t *w = &b->windows[i];
        if (w->links == 0) continue;
        bool changed = reset;
        for (unsigned side = 0; side < GW_BOOK_SIDES; side++)
            changed |= touched[side] && (!w->full[side] || best[side] >= w->worst[side]);
        if (!changed) continue;
        w->before = w->changed;
        w->changed = b->head->seq;
        measure(b, w);
    }
}
