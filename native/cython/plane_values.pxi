# Python's values to the structures that a plane is given, and its events to tuples.
from cpython.bytes cimport PyBytes_AS_STRING

cdef extern from "gw_book.h" nogil:
    enum: GW_BOOK_DEPTHS
    const uint32_t *gw_book_depths

cdef extern from "gw_record.h" nogil:
    enum: GW_BOOK

cdef extern from "gw_plane.h" nogil:
    enum: GW_RATE_MS_MAX
    enum: GW_FORMATS_MAX, GW_LOCAL, GW_LOCALS_MAX, GW_LOCAL_TEXT_MAX, GW_GRANTS_MAX
    enum: GW_TENANTS_MAX, GW_TENANT_WEIGHT_MAX
    ctypedef struct gw_format_t:
        gw_template_t *records[14][3]
        gw_template_t *notices[19]
    ctypedef struct gw_local_form_t:
        char name[16]
        char before[2][64]
        char between[16]
        char behind[16]
    enum: GW_FILL_TIME, GW_FILL_SEQ, GW_FILL_MATCHED, GW_FILL_EPOCH, GW_FILL_RECOVERY
    enum: GW_FILL_RECOVERY_WIDTH, GW_EPOCH_LENGTH, GW_ENCODE_UPDATE, GW_ENCODE_SNAPSHOT
    enum: GW_ENCODE_REPLAY, GW_FROM_SEQ, GW_FROM_LAST, GW_FROM_TS, GW_FROM_KINDS
    enum: GW_EVENT_GONE, GW_EVENT_CLOSE, GW_EVENT_SHUT, GW_EVENT_REMOVED, GW_EVENT_STATS
    enum: GW_EVENT_RESUME, GW_EVENT_LADDER, GW_EVENT_LEVEL, GW_EVENT_STALL, GW_EVENT_LOCAL
    enum: GW_EVENT_FORBIDDEN, GW_EVENT_DATA
    ctypedef struct gw_item_t:
        uint32_t id
        uint8_t channel, is_pattern, lossless, snapshot, resync, length, priority
        uint16_t variant, interval_ms
        uint32_t age_ms
        uint8_t from_ "from"
        char from_epoch[8]
        uint64_t from_value
        char name[65]
    ctypedef struct gw_row_t:
        uint32_t id
        uint64_t routed, delivered, conflated, filtered, dropped, pending
    ctypedef struct gw_event_t:
        int kind, error, code
        uint64_t handle, token
        char reason[124]
        uint32_t rows_count
        gw_row_t *rows


SLOT_TIME = GW_FILL_TIME
SLOT_SEQ = GW_FILL_SEQ
SLOT_MATCHED = GW_FILL_MATCHED
SLOT_EPOCH = GW_FILL_EPOCH
SLOT_RECOVERY = GW_FILL_RECOVERY
RECOVERY_WIDTH = GW_FILL_RECOVERY_WIDTH
FROM_SEQ = GW_FROM_SEQ
FROM_LAST = GW_FROM_LAST
FROM_TS = GW_FROM_TS
NOTICES = GW_NOTICES
EVENT_GONE = GW_EVENT_GONE
EVENT_CLOSE = GW_EVENT_CLOSE
EVENT_SHUT = GW_EVENT_SHUT
EVENT_REMOVED = GW_EVENT_REMOVED
EVENT_STATS = GW_EVENT_STATS
EVENT_RESUME = GW_EVENT_RESUME
EVENT_LADDER = GW_EVENT_LADDER
EVENT_LEVEL = GW_EVENT_LEVEL
EVENT_STALL = GW_EVENT_STALL
EVENT_LOCAL = GW_EVENT_LOCAL
EVENT_FORBIDDEN = GW_EVENT_FORBIDDEN
EVENT_DATA = GW_EVENT_DATA
GRANTS_MAX = GW_GRANTS_MAX
TENANTS_MAX = GW_TENANTS_MAX
TENANT_WEIGHT_MAX = GW_TENANT_WEIGHT_MAX
RULES_MAX = GW_RULES_MAX
LOCAL = "local"
LOCAL_TEXT_MAX = GW_LOCAL_TEXT_MAX


cdef dict _ENCODES = {
    "update": GW_ENCODE_UPDATE, "snapshot": GW_ENCODE_SNAPSHOT, "replay": GW_ENCODE_REPLAY,
}


cdef uint8_t _channel(str name) except 255:
    return GW_LOCAL if name == LOCAL else CHANNELS[name]


cdef int _fill_name(char *out, uint8_t *length, str name) except -1:
    """Whether it is a pattern."""
    cdef bytes text = _glob(name)
    cdef bint pattern = b"*" in text
    if not 0 < len(text) <= GW_INSTRUMENT_MAX:
        raise ValueError(f"name of {len(text)} bytes: 1 to {GW_INSTRUMENT_MAX}")
    if not pattern:
        text = text.replace(b"\1", b"*")
    length[0] = <uint8_t>len(text)
    memcpy(out, <const char *>text, length[0])
    return pattern


cdef int _fill_item(gw_item_t *out, tuple item) except -1:
    identifier, channel, name, lossless, snapshot, resync, priority, interval_ms, age_ms = item[:9]
    out.id = identifier
    out.channel = _channel(channel)
    out.is_pattern = _fill_name(out.name, &out.length, name)
    out.lossless = lossless
    out.snapshot = snapshot
    out.resync = resync
    if not 0 <= priority < GW_CLASSES:
        raise ValueError(f"class {priority}: 0 to {GW_CLASSES - 1}")
    out.priority = priority
    out.variant = 0
    if out.channel == GW_BOOK:
        out.variant = <uint16_t>_variant_of(item[10] if len(item) > 10 else 10)
    if not 0 <= interval_ms <= GW_RATE_MS_MAX:
        raise ValueError(f"interval_ms {interval_ms}: 0 to {GW_RATE_MS_MAX}")
    out.interval_ms = interval_ms
    out.age_ms = age_ms
    out.from_ = 0
    if len(item) > 9 and item[9] is not None:
        _fill_from(out, item[9])
    return 0


cdef int _fill_from(gw_item_t *out, tuple since) except -1:
    what, value, epoch = since
    cdef bytes text = epoch.encode()
    if not 0 < what < GW_FROM_KINDS:
        raise ValueError(f"from of kind {what}: 1 to {GW_FROM_KINDS - 1}")
    out.from_ = what
    out.from_value = value
    memset(out.from_epoch, 0, sizeof(out.from_epoch))  # which no epoch is
    if len(text) == GW_EPOCH_LENGTH:
        memcpy(out.from_epoch, <const char *>text, GW_EPOCH_LENGTH)
    return 0


cdef int _variant_of(uint32_t depth) except -1:
    for i in range(GW_BOOK_DEPTHS):
        if gw_book_depths[i] == depth:
            return i
    raise ValueError(f"depth {depth}: no book has that")


cdef int _load(bytes code, gw_template_t **place, str what) except -1:
    if code is None:
        raise ValueError(f"template of {what}: not a program")
    cdef int error = gw_template_load(
        <const uint8_t *>PyBytes_AS_STRING(code), <size_t>len(code), place)
    if error == -errno.ENOMEM:
        raise MemoryError
    if error == -errno.EMSGSIZE:
        most = GW_NOTICE_MAX if code[1] & GW_NOTICE_KIND else GW_FRAME_MAX
        raise ValueError(f"template of {what}: a message may take more than {most} bytes")
    if error != 0:
        raise ValueError(f"template of {what}: not a program")
    return 0


cdef int _fill_format(gw_format_t *out, form) except -1:
    records, notices = form
    for (channel, kind), program in records.items():
        if channel not in CHANNELS or kind not in _ENCODES:
            raise ValueError(f"template of {channel!r} {kind!r}: no such message")
        _load(program, &out.records[<int>CHANNELS[channel]][<int>_ENCODES[kind]],
              f"{channel} {kind}")
    cdef int number
    for number, program in notices.items():
        if not 0 <= number < GW_NOTICES:
            raise ValueError(f"template of notice {number}: no such notice")
        _load(program, &out.notices[<int>number], f"notice {number}")
    return 0


cdef int _put(char *out, size_t room, bytes text, str what) except -1:
    """With a NUL behind it, so it may hold none."""
    if <size_t>len(text) >= room or b"\0" in text:
        raise ValueError(f"{what}: {len(text)} bytes, at most {room - 1} and none of them NUL")
    memcpy(out, <const char *>text, len(text))
    out[len(text)] = 0
    return 0


cdef int _fill_local(gw_local_form_t *out, str name, form) except -1:
    _put(out.name, sizeof(out.name), name.encode(), "name")
    if form is None:
        return 0
    update, snapshot, between, behind = form
    _put(out.before[0], sizeof(out.before[0]), update, f"{name} update")
    _put(out.before[1], sizeof(out.before[1]), snapshot, f"{name} snapshot")
    _put(out.between, sizeof(out.between), between, f"{name} between")
    _put(out.behind, sizeof(out.behind), behind, f"{name} behind")
    return 0


cdef tuple _event(const gw_event_t *e):
    if e.kind == GW_EVENT_GONE:
        return (EVENT_GONE, e.handle, e.error)
    if e.kind == GW_EVENT_CLOSE:
        return (EVENT_CLOSE, e.handle, e.code, e.reason.decode("utf-8", "replace"))
    if e.kind == GW_EVENT_STATS:
        rows = []
        for i in range(e.rows_count):
            r = &e.rows[i]
            rows.append(
                (r.id, r.routed, r.delivered, r.conflated, r.filtered, r.dropped, r.pending))
        return (EVENT_STATS, e.handle, e.token, rows)
    if e.kind == GW_EVENT_LADDER or e.kind == GW_EVENT_LEVEL:
        return (e.kind, e.handle, e.code, e.error, e.reason.decode("utf-8", "replace"))
    if e.kind == GW_EVENT_STALL:
        return (EVENT_STALL, e.handle, e.token, e.reason.decode("utf-8", "replace"))
    if e.kind == GW_EVENT_FORBIDDEN:
        return (EVENT_FORBIDDEN, e.handle, e.token)
    if e.kind == GW_EVENT_DATA:
        kept = e.token if e.code else 0
        return (EVENT_DATA, e.handle, (<char *>e.rows)[:kept], e.token - kept)
    if e.kind == GW_EVENT_LOCAL:
        return (EVENT_LOCAL, e.handle)
    return (e.kind, e.handle)
