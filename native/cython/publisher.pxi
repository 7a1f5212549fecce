cdef extern from "gw_suspect.h" nogil:
    enum: GW_HEALTH_TOPICS_MAX

cdef extern from "gw_candle.h" nogil:
    enum: GW_CANDLES
    size_t gw_candles_row_bytes(unsigned intervals)
    int64_t gw_candle_length(uint8_t kind)

cdef extern from "gw_condition.h" nogil:
    enum: GW_CONDITION_TOLD, GW_CONDITION_KINDS, GW_CONDITION_ROW_BYTES
    ctypedef enum gw_condition_t:
        GW_CONDITION_OK, GW_CONDITION_RESYNC, GW_CONDITION_CROSSED, GW_CONDITION_GAP

cdef extern from "gw_publisher.h" nogil:
    enum: GW_PUBLISH_MAX

    ctypedef struct gw_publisher_t:
        gw_writer_t writer
        gw_wait_t *waits
        int *event_fds
        size_t workers

    ctypedef struct gw_receipt_t:
        uint32_t feed
        uint8_t flags
        bint wire

    int gw_publisher_init(gw_publisher_t *p, void *mem, size_t size, gw_stats_t *stats)
    void gw_publisher_free(gw_publisher_t *p)
    void gw_publisher_populate_ahead(gw_publisher_t *p)
    int64_t gw_publisher_topic_add(
        gw_publisher_t *p, uint8_t channel, const char *name, size_t length)
    int64_t gw_publisher_topic_reuse(
        gw_publisher_t *p, uint8_t channel, const char *name, size_t length)
    void gw_publisher_topic_continue(gw_publisher_t *p, uint32_t topic, uint64_t seq)
    uint64_t gw_publisher_topic_retire(gw_publisher_t *p, uint32_t topic, uint8_t kind)
    void gw_record_received(gw_record_t *record, int64_t ts_recv, int64_t mono_recv)
    void gw_publisher_publish(
        gw_publisher_t *p, gw_record_t *records, uint32_t count, const gw_receipt_t *receipt)
    bint gw_publisher_suspect(
        gw_publisher_t *p, uint32_t topic, uint8_t kind, uint32_t health, gw_text_t reason,
        int64_t ts_recv, int64_t mono_recv)
    void gw_publisher_topic_begin(
        gw_publisher_t *p, uint32_t topic, uint8_t kind, uint32_t like, uint8_t feed)
    void gw_publisher_lost(gw_publisher_t *p, uint32_t topic, uint32_t lost)
    void gw_publisher_differs(gw_publisher_t *p, uint32_t topic, bint differs)
    void gw_publisher_heartbeat(gw_publisher_t *p, uint32_t feed, int64_t interval_ns)
    uint32_t gw_publisher_conditions_step(
        gw_publisher_t *p, uint64_t down, uint32_t *wants, uint8_t *left)
    void gw_publisher_condition_tell(gw_publisher_t *p, uint32_t topic)
    int gw_publisher_candles(
        gw_publisher_t *p, unsigned intervals, uint32_t instruments_max, int64_t update_ns)
    bint gw_publisher_candles_begin(gw_publisher_t *p, uint32_t trades, const uint32_t *topics)
    void gw_publisher_candles_end(gw_publisher_t *p, uint32_t trades)
    bint gw_publisher_candles_step(gw_publisher_t *p)
    void gw_publisher_ring(gw_publisher_t *p)

    enum: GW_BOOK_DOUBT_BY_RULE, GW_BOOK_NOT_IN_DOUBT, GW_BOOK_IN_DOUBT

    ctypedef struct gw_book_input_t:
        uint32_t topic, depth
        bint snapshot, summed
        uint8_t doubt
        uint32_t sum
        int64_t ts_event, ts_recv, mono_recv
        gw_text_t first_id, last_id
        const gw_book_level_t *levels
        uint32_t count

    ctypedef struct gw_book_result_t:
        uint32_t changes, at
        bint published, differs, crossed

    gw_book_refusal_t gw_publisher_book(gw_publisher_t *p, const gw_book_input_t *input,
                                        const gw_receipt_t *receipt, gw_book_result_t *out)
    void gw_publisher_book_derive(gw_publisher_t *p, uint32_t topic, uint32_t bbo)
    bint gw_publisher_book_top(gw_publisher_t *p, uint32_t topic, gw_record_t *out)
    bint gw_publisher_book_doubt(
        gw_publisher_t *p, uint32_t topic, gw_condition_t doubt, gw_text_t reason, int64_t ts_recv,
        int64_t mono_recv, const gw_receipt_t *receipt)


WAIT_SIZE = sizeof(gw_wait_t)
HEALTH_ROW_BYTES = GW_CONDITION_ROW_BYTES
CANDLE_LENGTHS = {
    name: gw_candle_length(<uint8_t>number) for name, number in CHANNELS.items()
    if gw_candle_length(<uint8_t>number)
}


cdef unsigned int _candle_intervals(channels) except? 0:
    """A bit for each channel of candles."""
    cdef unsigned int intervals = 0
    for channel in channels:
        intervals |= 1u << (<int>CHANNELS[channel] - GW_CANDLE)
    return intervals


def candle_row_bytes(channels):
    return gw_candles_row_bytes(_candle_intervals(channels))
