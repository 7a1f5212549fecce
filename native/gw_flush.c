/* Writing to one client's socket, and mapping what the kernel took back to frames. */
#include "gw_plane_internal.h"
#include "gw_consume.h"
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define CONFLATED_AT_ONCE 128u /* a longer queue is sifted in turns: many may be blocked in one, at 60 ns a frame */

size_t gw_gather_size(void) { return sizeof(gw_gather_t); }

/* --- gathering ------------------------------------------------------------------------------------- */

static void part(gw_gather_t *g, const void *bytes, size_t length) {
    if (!length) return;
    g->parts[g->count].iov_base = (void *)(uintptr_t)bytes;
    g->parts[g->count++].iov_len = length;
    g->bytes += length;
}

/* How many of `count` frames from `first` on, neighbours in one piece, fit into `room` bytes. */
static uint64_t frames_within(const gw_log_t *log, uint64_t first, uint64_t count, size_t room) {
    uint64_t from = gw_log_frame(log, first)->position, low = 0;
    while (low < count) {
        uint64_t middle = low + (count - low + 1) / 2;
        const gw_frame_t *last = gw_log_frame(log, first + middle - 1);
        if (last->position + last->length - from <= room) low = middle;
        else count = middle - 1;
    }
    return low;
}

/* The queue as it lies in the log: without a copy, whole frames, one at least. */
static int runs_in_place(const gw_plane_t *p, const gw_client_t *c, gw_gather_t *g) {
    const gw_log_t *log = &p->lanes[c->format].log;
    size_t length[2] = {0, 0}, room = g->in_place;
    if (c->runs_count > 2 || (c->flags & GW_CLIENT_DIRTY)) return 0;
    for (uint32_t i = 0; i < c->runs_count; i++)
        if (!(length[i] = gw_run_length(log, *gw_run_at(c->runs, c->runs_head, c->runs_size, i)))) return 0;
    for (uint32_t i = 0; i < c->runs_count; i++) {
        uint64_t run = *gw_run_at(c->runs, c->runs_head, c->runs_size, i), first = GW_RUN_FIRST(run);
        const gw_frame_t *f = gw_log_frame(log, first);
        if (length[i] > room) {
            uint64_t fit = frames_within(log, first, GW_RUN_COUNT(run), room);
            if (!fit && i) break;
            const gw_frame_t *last = gw_log_frame(log, first + (fit ? fit - 1 : 0));
            part(g, gw_log_bytes(log, f), last->position + last->length - f->position);
            break;
        }
        part(g, gw_log_bytes(log, f), length[i]);
        room -= length[i];
    }
    return 1;
}

/* Copies whole frames of the queue, then marks, while there is room. A first frame longer than that is sent from the log. */
static void gather_copies(gw_plane_t *p, gw_client_t *c, gw_gather_t *g) {
    const gw_log_t *log = &p->lanes[c->format].log;
    size_t used = 0;
    for (uint32_t i = 0; i < c->runs_count; i++) {
        uint64_t run = *gw_run_at(c->runs, c->runs_head, c->runs_size, i);
        size_t whole = gw_run_length(log, run);
        if (whole && used + whole <= g->room) {
            memcpy(p->scratch + used, gw_log_bytes(log, gw_log_frame(log, GW_RUN_FIRST(run))), whole);
            used += whole;
            continue;
        }
        for (uint64_t k = 0; k < GW_RUN_COUNT(run); k++) {
            const gw_frame_t *f = gw_log_frame(log, GW_RUN_FIRST(run) + k);
            if (used + f->length > g->room) {
                if (!used) part(g, gw_log_bytes(log, f), f->length);
                goto full;
            }
            memcpy(p->scratch + used, gw_log_bytes(log, f), f->length);
            used += f->length;
        }
    }
    if (c->marks.first) used = gw_gather_marks(p, c, g, used);
full:
    part(g, p->scratch, used);
}

/* To what is sealed at once: more would be rendered for nothing. Whether there is room. */
static int narrow(gw_gather_t *g) {
    if (g->bytes >= GW_TLS_RECORD_MAX) return 0;
    if (g->room > GW_TLS_RECORD_MAX - g->bytes) g->room = GW_TLS_RECORD_MAX - g->bytes;
    if (g->in_place > GW_TLS_RECORD_MAX - g->bytes) g->in_place = GW_TLS_RECORD_MAX - g->bytes;
    return 1;
}

static inline __attribute__((always_inline)) void gather(gw_plane_t *p, gw_client_t *c, gw_gather_t *g, const int secure) {
    g->count = 0;
    g->bytes = 0;
    g->rendered_count = 0;
    if (c->rest.bytes) part(g, c->rest.bytes + c->rest.sent, c->rest.length - c->rest.sent);
    const size_t control = c->control_length - c->control_head;
    part(g, c->control + c->control_head, control < GW_ROOM_CONTROL ? control : GW_ROOM_CONTROL);
    if (control > GW_ROOM_CONTROL || c->flags & GW_CLIENT_DOOMED) return; /* data follows all of it, if at all */
    if (secure && !narrow(g)) return;
    if (!runs_in_place(p, c, g)) gather_copies(p, c, g);
}

/* --- blocked and not ------------------------------------------------------------------------------- */

static int watch(gw_plane_t *p, gw_client_t *c) {
    if (c->secure) return gw_secure_watch(p, c, GW_SECURE_OUT);
    struct epoll_event e = {.events = EPOLLOUT | EPOLLONESHOT, .data.u64 = gw_client_handle(p, c)};
    if (epoll_ctl(p->epoll_fd, c->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &e)) return errno;
    c->watched = 1;
    return 0;
}

void gw_client_unwatch(gw_plane_t *p, gw_client_t *c) {
    if (c->watched) epoll_ctl(p->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
    c->watched = 0;
    if (c->secure) c->secure->armed = 0;
}

void gw_client_unblock(gw_plane_t *p, gw_client_t *c) {
    if (!(c->flags & GW_CLIENT_BLOCKED)) return;
    c->flags &= ~(uint32_t)GW_CLIENT_BLOCKED;
    GW_STORE_RELAXED(&c->blocked, 0);
    c->above_ns = 0;
    if (p->blocked_at == c) p->blocked_at = c->blocked_next;
    if (c->blocked_previous) c->blocked_previous->blocked_next = c->blocked_next;
    else p->blocked = c->blocked_next;
    if (c->blocked_next) c->blocked_next->blocked_previous = c->blocked_previous;
    p->blocked_count--;
    p->reporting--;
    gw_count(&p->stats->clients_blocked[0], (uint64_t)-1);
    gw_client_backlog(p, c);
    gw_replay_join(p, c);
}

void gw_client_gone(gw_plane_t *p, gw_client_t *c, int error) {
    c->flags |= GW_CLIENT_GONE | GW_CLIENT_DOOMED;
    gw_client_drop_rest(p, c);
    if (c->secure) gw_secure_drop(p, c);
    gw_client_drop_queue(p, c);
    c->flags &= (uint16_t)~GW_CLIENT_MORE;
    gw_client_list(p, c);
    gw_client_unblock(p, c);
    gw_client_unwatch(p, c);
    gw_consume_control(c, c->control_length - c->control_head);
    gw_event_t *e = gw_event_new(GW_EVENT_GONE, gw_client_handle(p, c), 0);
    if (!e) { /* the loop will see its end */
        shutdown(c->fd, SHUT_RDWR);
        return;
    }
    e->error = error;
    gw_event_put(p, e);
}

/* A frame of a conflated topic becomes a mark. */
static void conflate_frame(gw_plane_t *p, gw_link_t *l, const gw_frame_t *f) {
    if (f->flags & GW_FRAME_TOLD && !(f->flags & GW_FRAME_REFUSED && l->dirty))
        gw_told_by_control(p, l->client, gw_log_bytes(&p->lanes[l->client->format].log, f), f->length, f->what);
    if (f->flags & GW_FRAME_RETIRED) gw_link_owe(p, l, l->owes + 1u);
    if (f->flags & GW_FRAME_NOTICE) return; /* the mark will say how much was skipped */
    if (l->hold) gw_link_ready(p, l);
    if (f->flags & GW_FRAME_SNAPSHOT) { /* a mark of newer records is told by the snapshot, too */
        if (!l->dirty) gw_link_dirty(p, l, GW_LINK_SNAPSHOT);
        else if (gw_link_pends(l)) gw_link_supersede(p, l);
        l->dirty = GW_LINK_SNAPSHOT;
        l->skipped = 0;
        return;
    }
    int first = !l->dirty || l->dirty == GW_LINK_NOTICE;
    if (!first) gw_link_supersede(p, l);
    else if (l->dirty) l->dirty = GW_LINK_UPDATE;
    else gw_link_dirty(p, l, GW_LINK_UPDATE);
    if (first || f->recv_ns < l->dirty_recv_ns) { /* a mark that was held is newer than what stood in the queue */
        l->dirty_recv_ns = f->recv_ns;
        l->dirty_taken_ns = f->taken_ns;
    }
    if (l->dirty == GW_LINK_SNAPSHOT || !(f->flags & GW_FRAME_RESYNC)) return;
    l->skipped += f->skipped; /* what this frame would have told, as a snapshot */
    l->dirty = GW_LINK_RESYNC;
}

int gw_keep_lossless(gw_plane_t *p, gw_job_t *job, gw_link_t *l, const gw_frame_t *f, uint64_t index) {
    (void)job, (void)index;
    if (!l || l->lossless) return 1;
    conflate_frame(p, l, f);
    return 0;
}

/* Frames of conflated topics left in the queue become marks: the socket will get what is newest then. */
static void conflate(gw_plane_t *p, gw_client_t *c) {
    gw_job_t job = {0};
    int64_t budget = INT64_MAX;
    if (c->flags & GW_CLIENT_BUSY) return; /* it is let go: its queue, counted since the job began, goes as it is */
    gw_client_count_waiting(p, c);
    if (!c->conflated_links || !c->runs_count || c->flags & GW_CLIENT_DOOMED) return;
    if (c->queued > CONFLATED_AT_ONCE) {
        gw_job_conflate(p, c);
        return;
    }
    if (!gw_sift_begin(p, c, &job) && gw_sift(p, c, &job, gw_keep_lossless, &budget) == 1) return;
    gw_client_slow(p, c, "no memory for its queue");
    gw_job_drop_queue(&job);
    gw_client_drop_queue(p, c);
}

void gw_client_block(gw_plane_t *p, gw_client_t *c) {
    if (!(c->flags & GW_CLIENT_BLOCKED)) {
        c->flags |= GW_CLIENT_BLOCKED;
        GW_STORE_RELAXED(&c->blocked, 1);
        c->blocked_ns = p->now;
        c->blocked_stalls_ns = p->stats->plane_stall_ns[0];
        c->blocked_previous = NULL;
        c->blocked_next = p->blocked;
        if (p->blocked) p->blocked->blocked_previous = c;
        p->blocked = c;
        p->blocked_count++;
        p->reporting++;
        gw_count(&p->stats->clients_blocked[0], 1);
        gw_count(&p->stats->sends_short[0], 1);
        conflate(p, c);
    }
    gw_client_backlog(p, c);
    int error = watch(p, c);
    if (error) gw_client_gone(p, c, error); /* it would wait for ever */
}

/* What came of sending over TLS: 0: all left; else it is blocked or gone now. */
static int left(gw_plane_t *p, gw_client_t *c, int answer) {
    if (answer < 0) gw_client_gone(p, c, -answer);
    if (answer > 0) gw_client_block(p, c);
    return answer;
}

static void drained(gw_plane_t *p, gw_client_t *c) {
    gw_client_unblock(p, c);
    if (!c->closing || c->shut) return;
    if (c->secure && left(p, c, gw_secure_close(p, c))) return;
    c->shut = 1;
    shutdown(c->fd, SHUT_WR);
    gw_event_t *e = gw_event_new(GW_EVENT_SHUT, gw_client_handle(p, c), 0);
    if (e) gw_event_put(p, e);
}

static void resume(gw_plane_t *p, gw_client_t *c) {
    GW_FENCE_FULL(); /* pairs with gw_plane_want_resume */
    if (!GW_LOAD_RELAXED(&c->resume_wanted)) return;
    if (gw_client_control_used(c) > p->o.control_bytes_max / 2) return;
    if (!__atomic_exchange_n(&c->resume_wanted, 0, __ATOMIC_ACQ_REL)) return;
    gw_event_t *e = gw_event_new(GW_EVENT_RESUME, gw_client_handle(p, c), 0);
    if (e) gw_event_put(p, e);
    else gw_client_slow(p, c, "no memory for an event"); /* nobody would read from it again */
}

/* One send. Its bytes, or -1 where the client is blocked or gone now; -EINTR: once more. */
static ssize_t send_parts(gw_plane_t *p, gw_client_t *c, const struct iovec *parts, int count) {
    ssize_t n = p->io.send(p->io.self, c->fd, parts, count);
    int error = n < 0 ? errno : 0;
    p->now = p->io.monotonic(p->io.self);
    if (n < 0) {
        if (error == EINTR) return -EINTR;
        if (error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS) gw_client_block(p, c);
        else gw_client_gone(p, c, error);
        return -1;
    }
    gw_count(&p->stats->sends[0], 1);
    gw_count(&p->stats->sent_bytes[0], (uint64_t)n);
    GW_STORE_RELAXED(&c->sent_ns, p->now);
    return n;
}

static GW_APART int consume_queue(gw_plane_t *p, gw_client_t *c, size_t *bytes) {
    return gw_consume_queue(p, c, bytes, 0);
}

/* The usual case, one run of frames and nothing else: looked up once for all in turn. Whether it was that case. */
static int flush_plain(gw_plane_t *p, gw_client_t *c) {
    uint64_t run = c->runs[c->runs_head];
    if (run != p->plain_run) {
        const gw_log_t *log = &p->lanes[c->format].log;
        p->plain_run = 0;
        p->plain.iov_len = gw_run_length(log, run);
        if (!p->plain.iov_len || p->plain.iov_len > GW_ROOM_IN_PLACE) return 0;
        const gw_frame_t *first = gw_log_frame(log, GW_RUN_FIRST(run));
        p->plain.iov_base = (void *)(uintptr_t)gw_log_bytes(log, first);
        p->plain_first = first;
        p->plain_run = run;
    }
    ssize_t n = send_parts(p, c, &p->plain, 1);
    if (n == -EINTR) return 0;
    if (n < 0) return 1;
    if ((size_t)n == p->plain.iov_len) {
        if (GW_RUN_COUNT(run) == 1) gw_delivered_one(p, c, p->plain_first);
        else gw_delivered_run(p, c, &p->lanes[c->format].log, GW_RUN_FIRST(run), GW_RUN_COUNT(run));
        c->runs_count = c->queued = 0;
        return 1;
    }
    size_t bytes = (size_t)n;
    if (consume_queue(p, c, &bytes)) gw_client_gone(p, c, ENOMEM);
    else gw_client_block(p, c);
    return 1;
}

/* What one visit did not take waits for another turn: where the queue of a client that keeps up is left, soon,
 * before its frames are old; else behind those whose news are one visit's. */
static void wait_again(gw_plane_t *p, gw_client_t *c) {
    const int keeps_up = !(c->flags & (GW_CLIENT_BLOCKED | GW_CLIENT_REPLAYS)) && c->runs_count;
    if (!c->turn_next) gw_turn_wait(p, keeps_up ? GW_TURN_LIVE : gw_turn_again(c), c);
}

/* A visit; `secure`: to a client over TLS, which is sent a record's bytes at most. */
static inline __attribute__((always_inline)) size_t flush(gw_plane_t *p, gw_client_t *c, size_t room, const int secure) {
    gw_gather_t *g = p->gather;
    if ((c->flags & (GW_CLIENT_TELL | GW_CLIENT_DOOMED)) == GW_CLIENT_TELL) gw_client_tell(p, c);
    const int had_control = c->control != NULL;
    g->in_place = room = c->flags & GW_CLIENT_BLOCKED && room > GW_ROOM_BULK ? GW_ROOM_BULK : room;
    g->room = room < GW_ROOM_COPIED ? room : GW_ROOM_COPIED;
    gather(p, c, g, secure);
    if (g->bytes) {
        ssize_t n, answer = 0;
        if (secure) {
            answer = gw_secure_send(p, c, g);
            if (answer < 0) {
                gw_client_gone(p, c, (int)-answer);
                return g->bytes;
            }
        } else {
            do n = send_parts(p, c, g->parts, g->count);
            while (n == -EINTR);
            if (n < 0) return g->bytes;
            if (gw_consume(p, c, g, (size_t)n, 0, consume_queue)) {
                gw_client_gone(p, c, ENOMEM);
                return g->bytes;
            }
        }
        if (had_control) resume(p, c), gw_client_tell_untold(p, c);
        if (secure ? answer > 0 : (size_t)n < g->bytes) {
            gw_client_block(p, c);
            return g->bytes;
        }
    } else {
        gw_consume_marks(p, c, g, 0, 0); /* marks of what the format does not tell */
    }
    /* What a doomed client still has of the topics goes as it is buried. */
    const int data = !(c->flags & GW_CLIENT_DOOMED) && (c->runs_count || c->flags & GW_CLIENT_DIRTY);
    if (data || c->control || (secure && c->rest.bytes)) wait_again(p, c);
    else drained(p, c);
    return g->bytes;
}

/* Whether it waits for a request of its own. */
static inline int put_off(gw_client_t *c) {
    if ((c->flags & (GW_CLIENT_BUSY | GW_CLIENT_DOOMED)) != GW_CLIENT_BUSY) return 0;
    c->late = 1;
    return 1;
}

static GW_APART size_t flush_secure(gw_plane_t *p, gw_client_t *c, size_t room) {
    if (put_off(c)) return 0;
    if (c->secure->rest && left(p, c, gw_secure_send_rest(p, c))) return c->secure->rest_length;
    return flush(p, c, room, 1);
}

static size_t flush_parts(gw_plane_t *p, gw_client_t *c, size_t room) {
    if (c->flags & (GW_CLIENT_GONE | GW_CLIENT_SECURE)) return c->flags & GW_CLIENT_GONE ? 0 : flush_secure(p, c, room);
    return put_off(c) ? 0 : flush(p, c, room, 0);
}

/* Only such a visit encodes: what is marked. */
GW_APART size_t gw_client_flush_within(gw_plane_t *p, gw_client_t *c, size_t room) {
    p->behind = (c->flags & GW_CLIENT_BLOCKED) || c->level;
    const size_t offered = flush_parts(p, c, room);
    gw_guard(p);
    return offered;
}

size_t gw_client_flush(gw_plane_t *p, gw_client_t *c) {
    p->behind = c->level != 0;
    if (!(c->flags & ~GW_CLIENT_PLAIN) && c->runs_count == 1 && flush_plain(p, c)) return p->plain.iov_len;
    return gw_client_flush_within(p, c, GW_ROOM_IN_PLACE);
}
