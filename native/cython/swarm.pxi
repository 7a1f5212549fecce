import errno
import json

from cpython.exc cimport PyErr_CheckSignals
from libc.string cimport memset
from libc.errno cimport EINTR

from libc.stdint cimport uint16_t

cdef extern from "gw_hash.h" nogil:
    ctypedef struct gw_hash_key_t:
        pass
    gw_hash_key_t gw_hash_key_random()

cdef extern from "gw_swarm.h" nogil:
    enum: GW_SWARM_GROUPS_MAX
    enum: GW_SWARM_COUNTERS_COUNT
    enum: GW_SWARM_HISTOGRAMS_COUNT
    enum: GW_SWARM_LOADS_COUNT
    enum: GW_SWARM_GROUP_COUNT
    enum: GW_SWARM_STAMP_TICKGATE
    enum: GW_SWARM_STAMP_JSON
    enum: GW_SWARM_STAMP_OFFSET
    enum: GW_SWARM_STAMP_AFTER
    enum: GW_SWARM_REFUSED_STATUS_MIN
    enum: GW_SWARM_REFUSED_ANSWER
    enum: GW_SWARM_REFUSED_COUNT
    const char *const gw_swarm_counter_names[]
    const char *const gw_swarm_histogram_names[]
    const char *const gw_swarm_load_names[]
    const char *const gw_swarm_group_names[]

    ctypedef struct gw_swarm_text_t:
        const char *bytes
        size_t length

    ctypedef struct gw_swarm_target_t:
        uint8_t address[16]
        uint8_t ipv6
        uint16_t port
        gw_swarm_text_t request, host

    ctypedef struct gw_swarm_group_options_t:
        int64_t values[GW_SWARM_GROUP_COUNT]

    ctypedef struct gw_swarm_options_t:
        const gw_swarm_target_t *targets
        const uint32_t *sources
        const gw_swarm_group_options_t *groups
        const gw_swarm_text_t *texts
        const int32_t *clients
        uint32_t targets_count, sources_count, groups_count, texts_count, clients_count
        gw_swarm_text_t accept
        int stamp
        gw_swarm_text_t stamp_path
        uint64_t stamp_offset
        uint64_t frame_bytes_max
        uint32_t connecting_max, connect_rate, ticks_tracked_max
        int64_t clock_offset_ns
        gw_hash_key_t hash_key

    ctypedef struct gw_swarm_tick_t:
        uint64_t key
        int64_t first_ns, last_ns
        uint64_t deliveries

    enum: GW_SWARM_REFUSAL_HANDSHAKE
    enum: GW_SWARM_REFUSAL_REPLY
    enum: GW_SWARM_REFUSAL_KINDS
    enum: GW_SWARM_REFUSALS_MAX

    ctypedef struct gw_swarm_refusal_t:
        uint64_t count
        uint32_t number
        uint8_t kind, others, code_length, message_length
        uint8_t code[32]
        uint8_t message[240]

    ctypedef struct gw_swarm_t:
        pass

    int gw_swarm_create(const gw_swarm_options_t *options, gw_swarm_t **out)
    void gw_swarm_destroy(gw_swarm_t *s)
    int gw_swarm_connect(gw_swarm_t *s, int64_t until_monotonic_ns)
    int gw_swarm_run(gw_swarm_t *s, int64_t until_ns)
    void gw_swarm_go(gw_swarm_t *s, int64_t at_ns)
    void gw_swarm_window(gw_swarm_t *s, int64_t start_ns, int64_t end_ns)
    void gw_swarm_stop(gw_swarm_t *s)
    uint32_t gw_swarm_groups_count(const gw_swarm_t *s)
    const uint64_t *gw_swarm_counters(const gw_swarm_t *s, uint32_t group)
    const gw_hdr_t *gw_swarm_histogram(const gw_swarm_t *s, uint32_t group, int histogram)
    const uint64_t *gw_swarm_load(const gw_swarm_t *s)
    const uint64_t *gw_swarm_refused(const gw_swarm_t *s)
    size_t gw_swarm_refusal_rows(const gw_swarm_t *s, gw_swarm_refusal_t *out)
    size_t gw_swarm_ticks(const gw_swarm_t *s, gw_swarm_tick_t *out, size_t most, uint64_t *mask)


cdef tuple _names(const char *const *names, int count):
    return tuple([names[i].decode() for i in range(count)])


SWARM_COUNTERS = _names(gw_swarm_counter_names, GW_SWARM_COUNTERS_COUNT)
SWARM_HISTOGRAMS = _names(gw_swarm_histogram_names, GW_SWARM_HISTOGRAMS_COUNT)
SWARM_GROUP_KEYS = _names(gw_swarm_group_names, GW_SWARM_GROUP_COUNT)
SWARM_GROUPS_MAX = GW_SWARM_GROUPS_MAX
_SWARM_LOADS = _names(gw_swarm_load_names, GW_SWARM_LOADS_COUNT)
_REFUSAL_KINDS = ("handshake", "reply", "close")
_NUMBER_MAX = 10**15  # of a group's options; as in gw_swarm_create.c


cdef uint32_t _address(str value, str field) except? 0:
    try:
        return int.from_bytes(socket.inet_aton(value), "little")
    except OSError:
        raise ValueError(f"{field}: {value!r} is no IPv4 address") from None


cdef int _target(gw_swarm_target_t *target, str host, str field) except -1:
    """Takes an IPv4 or IPv6 address, without a zone."""
    target.ipv6 = ":" in host
    try:
        packed = socket.inet_pton(socket.AF_INET6 if target.ipv6 else socket.AF_INET, host)
    except OSError:
        raise ValueError(f"{field}: {host!r} is no IP address") from None
    memcpy(target.address, <const char *>packed, len(packed))
    return 0


cdef int _within(str field, object value, object least, object most) except -1:
    if not least <= value <= most:
        raise ValueError(f"{field}: {value} is not within {least} to {most}")
    return 0


cdef class _SwarmOptions:
    """What gw_swarm_create copies, while it does."""
    cdef gw_swarm_options_t o
    cdef list kept
    cdef object targets, sources, groups, texts, clients

    def __cinit__(self):
        memset(&self.o, 0, sizeof(self.o))
        self.kept = []

    cdef void *room(self, size_t size) except NULL:
        """Zeroed memory that lives as long as this."""
        memory = _numpy().zeros(size + 8, dtype="uint8")
        self.kept.append(memory)
        return <void *><size_t>memory.ctypes.data

    cdef gw_swarm_text_t text(self, object value, str field) except *:
        cdef gw_swarm_text_t text
        if not isinstance(value, bytes):
            raise TypeError(f"{field}: bytes expected, not {type(value).__name__}")
        self.kept.append(value)
        text.bytes = <bytes>value
        text.length = <size_t>len(value)
        return text

    cdef int set_targets(self, object targets, object sources, object hosts) except -1:
        cdef gw_swarm_target_t *out
        cdef uint32_t *addresses
        targets, sources, hosts = list(targets), list(sources), list(hosts)
        if hosts and len(hosts) != len(targets):
            raise ValueError(f"tls_hosts: {len(hosts)} of {len(targets)} targets")
        _within("targets", len(targets), 1, 1 << 16)
        _within("sources", len(sources), 0, 1 << 16)
        out = <gw_swarm_target_t *>self.room(len(targets) * sizeof(gw_swarm_target_t))
        for i, (host, port, request) in enumerate(targets):
            field = f"targets[{i}]"
            _within(f"{field} port", port, 1, 65535)
            _target(&out[i], host, field)
            out[i].port = port
            out[i].request = self.text(request, field)
            host_name = hosts[i].encode() if hosts else b""
            _within(f"tls_hosts[{i}]", len(host_name), 0, 253)
            out[i].host = self.text(host_name, field)
        addresses = <uint32_t *>self.room(len(sources) * sizeof(uint32_t))
        for i, source in enumerate(sources):
            addresses[i] = _address(source, f"sources[{i}]")
        self.o.targets, self.o.targets_count = out, len(targets)
        self.o.sources, self.o.sources_count = addresses, len(sources)
        return 0

    cdef int set_texts(self, object texts) except -1:
        cdef gw_swarm_text_t *out
        texts = list(texts)
        out = <gw_swarm_text_t *>self.room(len(texts) * sizeof(gw_swarm_text_t))
        for i, text in enumerate(texts):
            out[i] = self.text(text, f"texts[{i}]")
        self.o.texts, self.o.texts_count = out, len(texts)
        return 0

    cdef int set_groups(self, object groups) except -1:
        cdef gw_swarm_group_options_t *out
        cdef int index
        groups = list(groups)
        _within("groups", len(groups), 1, GW_SWARM_GROUPS_MAX)
        out = <gw_swarm_group_options_t *>self.room(len(groups) * sizeof(out[0]))
        for i, group in enumerate(groups):
            unknown = set(group) - set(SWARM_GROUP_KEYS)
            if unknown:
                raise ValueError(f"groups[{i}]: no such key: {', '.join(sorted(unknown))}")
            for index, key in enumerate(SWARM_GROUP_KEYS):
                least, most = 0, _NUMBER_MAX
                if key == "text_off":
                    least, most = -1, <int64_t>self.o.texts_count - 1
                elif key in ("rcvbuf_bytes", "read_bytes_per_s"):
                    most = (1 << 31) - 1
                value = group.get(key, -1 if key == "text_off" else 0)
                _within(f"groups[{i}] {key}", value, least, most)
                out[i].values[index] = value
        self.o.groups, self.o.groups_count = out, len(groups)
        return 0

    cdef int set_clients(self, object clients) except -1:
        rows = _numpy().ascontiguousarray(clients, dtype="int32")
        if rows.ndim != 2 or rows.shape[1] != 3:
            raise ValueError(f"clients: shape {rows.shape}, not (n, 3)")
        _within("clients", rows.shape[0], 1, (1 << 31) - 1)
        limits = (self.o.groups_count, self.o.targets_count, self.o.texts_count)
        for column, (name, count) in enumerate(zip(("group", "target", "text"), limits)):
            least = -1 if name == "text" else 0
            _within(f"clients' {name}", int(rows[:, column].min()), least, count - 1)
            _within(f"clients' {name}", int(rows[:, column].max()), least, count - 1)
        self.kept.append(rows)
        self.o.clients = <const int32_t *><size_t>rows.ctypes.data
        self.o.clients_count = <uint32_t>rows.shape[0]
        return 0

    cdef int set_hash_key(self, bytes key) except -1:
        if len(key) not in (0, sizeof(gw_hash_key_t)):
            raise ValueError(f"hash_key: {len(key)} bytes, neither 0 nor {sizeof(gw_hash_key_t)}")
        self.o.hash_key = gw_hash_key_random()
        if key:
            memcpy(&self.o.hash_key, PyBytes_AS_STRING(key), sizeof(gw_hash_key_t))
        return 0

    cdef int set_stamp(self, object stamp) except -1:
        kind, where = stamp
        if kind == "tickgate":
            self.o.stamp = GW_SWARM_STAMP_TICKGATE
        elif kind == "json":
            self.o.stamp = GW_SWARM_STAMP_JSON
            self.o.stamp_path = self.text(where, "stamp")
        elif kind == "after":
            if not where:
                raise ValueError("stamp: the text before the digits is empty")
            self.o.stamp = GW_SWARM_STAMP_AFTER
            self.o.stamp_path = self.text(where, "stamp")
        elif kind == "offset":
            _within("stamp", where, 0, (1 << 31) - 1)
            self.o.stamp = GW_SWARM_STAMP_OFFSET
            self.o.stamp_offset = where
        else:
            raise ValueError(f"stamp: {kind!r} is none of 'tickgate', 'json', 'after', 'offset'")
        return 0


def _why(int number):
    """What the kernel's or the server's number for a failed handshake is called."""
    if number >= GW_SWARM_REFUSED_ANSWER:
        return "no valid answer"
    if number >= GW_SWARM_REFUSED_STATUS_MIN:
        return f"HTTP {number}"
    return errno.errorcode.get(number, str(number))


def _json_text(bytes text):
    """A JSON string's text, which may be cut anywhere; as it is where that is none."""
    words = text.decode("utf-8", "ignore")
    for cut in range(min(len(words), 12) + 1):  # the longest escape, of a pair, has 12 characters
        try:
            return json.loads(f'"{words[:len(words) - cut]}"').encode("utf-8", "replace").decode()
        except ValueError:
            continue
    return words


cdef class Swarm:
    cdef gw_swarm_t *swarm
    cdef bint driving

    def __init__(self, *, targets, bytes accept, sources=(), groups, texts, clients, stamp,
                 frame_bytes_max=16 << 20, connecting_max=256, connect_rate=0,
                 ticks_tracked_max=65536, clock_offset_ns=0, bytes hash_key=b"",
                 tls_hosts=()):
        if self.swarm != NULL:
            raise RuntimeError("already initialised")
        cdef _SwarmOptions options = _SwarmOptions()
        _within("frame_bytes_max", frame_bytes_max, 1, (1 << 31) - 1)
        _within("connecting_max", connecting_max, 1, 1 << 20)
        _within("connect_rate", connect_rate, 0, 1 << 30)
        _within("ticks_tracked_max", ticks_tracked_max, 1, 1 << 24)
        _within("clock_offset_ns", clock_offset_ns, -(1 << 60), 1 << 60)
        options.set_targets(targets, sources, tls_hosts)
        options.set_texts(texts)
        options.set_groups(groups)
        options.set_clients(clients)
        options.set_stamp(stamp)
        options.o.accept = options.text(accept, "accept")
        options.o.frame_bytes_max = frame_bytes_max
        options.o.connecting_max = connecting_max
        options.o.connect_rate = connect_rate
        options.o.ticks_tracked_max = ticks_tracked_max
        options.o.clock_offset_ns = clock_offset_ns
        options.set_hash_key(hash_key)
        error = gw_swarm_create(&options.o, &self.swarm)
        if error == -errno.EINVAL:
            raise ValueError("stamp: a path is 1 to 8 names or numbers with dots between")
        if error < 0:
            raise OSError(-error, os.strerror(-error))

    def __dealloc__(self):
        if self.swarm != NULL:
            gw_swarm_destroy(self.swarm)

    cdef int check_open(self) except -1:
        if self.swarm == NULL:
            raise ValueError("swarm is closed")
        return 0

    cdef int check_group(self, uint32_t group) except -1:
        self.check_open()
        if group >= gw_swarm_groups_count(self.swarm):
            raise IndexError(f"group {group} of {gw_swarm_groups_count(self.swarm)}")
        return 0

    cdef int drive(self, int64_t until_ns, bint connecting) except -1:
        cdef int error = -EINTR
        self.check_open()
        if self.driving:
            raise RuntimeError("another thread drives this swarm")
        self.driving = True
        try:
            while error == -EINTR:
                with nogil:
                    if connecting:
                        error = gw_swarm_connect(self.swarm, until_ns)
                    else:
                        error = gw_swarm_run(self.swarm, until_ns)
                PyErr_CheckSignals()
        finally:
            self.driving = False
        if error < 0:
            raise OSError(-error, os.strerror(-error))
        return 0

    def connect(self, int64_t timeout_ns):
        self.drive(gw_monotonic_ns() + min(timeout_ns, <int64_t>1 << 62), True)
        return sum([group["open"] for group in self.counters()])

    def run(self, int64_t until_ns):
        self.drive(until_ns, False)

    def go(self, int64_t at_ns):
        self.check_open()
        gw_swarm_go(self.swarm, at_ns)

    def window(self, int64_t start_ns, int64_t end_ns):
        self.check_open()
        gw_swarm_window(self.swarm, start_ns, end_ns)

    def stop(self):
        self.check_open()
        gw_swarm_stop(self.swarm)

    def counters(self):
        cdef const uint64_t *words
        cdef uint32_t group
        cdef int i
        self.check_open()
        result = []
        for group in range(gw_swarm_groups_count(self.swarm)):
            words = gw_swarm_counters(self.swarm, group)
            result.append({
                name: GW_LOAD_RELAXED(words + i) for i, name in enumerate(SWARM_COUNTERS)
            })
        return result

    def load(self):
        cdef int i
        self.check_open()
        words = gw_swarm_load(self.swarm)
        return {name: GW_LOAD_RELAXED(words + i) for i, name in enumerate(_SWARM_LOADS)}

    def refusals(self):
        cdef int i
        self.check_open()
        words = gw_swarm_refused(self.swarm)
        result = {}
        for i in range(GW_SWARM_REFUSED_COUNT):
            count = GW_LOAD_RELAXED(words + i)
            if count == 0:
                continue
            result[_why(i)] = count
        return result

    def refused(self):
        cdef gw_swarm_refusal_t rows[GW_SWARM_REFUSALS_MAX + GW_SWARM_REFUSAL_KINDS]
        cdef size_t i, n
        self.check_open()
        if self.driving:
            raise RuntimeError("refusals are read when nobody drives the swarm")
        n = gw_swarm_refusal_rows(self.swarm, rows)
        result = []
        for i in range(n):
            message = (<const char *>rows[i].message)[:rows[i].message_length]
            code = (<const char *>rows[i].code)[:rows[i].code_length]
            if rows[i].kind == GW_SWARM_REFUSAL_REPLY:
                code, message = _json_text(code), _json_text(message)
            else:
                known = rows[i].number or not rows[i].others
                if rows[i].kind == GW_SWARM_REFUSAL_HANDSHAKE:
                    code = _why(rows[i].number) if known else ""
                else:
                    code = str(rows[i].number) if known else ""
                message = message.decode("utf-8", "ignore")
            kind = _REFUSAL_KINDS[rows[i].kind]
            result.append((kind, code, None if rows[i].others else message, rows[i].count))
        return result

    cdef const gw_hdr_t *histogram(self, str name, uint32_t group) except NULL:
        self.check_group(group)
        if name not in SWARM_HISTOGRAMS:
            raise ValueError(f"{name!r} is none of {', '.join(SWARM_HISTOGRAMS)}")
        return gw_swarm_histogram(self.swarm, group, SWARM_HISTOGRAMS.index(name))

    def counts(self, str name, uint32_t group):
        cdef const gw_hdr_t *h = self.histogram(name, group)
        counts = _numpy().empty(GW_HDR_COUNTS, dtype="uint64")
        gw_words_read(<uint64_t *><size_t>counts.ctypes.data, h.counts, GW_HDR_COUNTS)
        return counts

    def totals(self, str name, uint32_t group):
        cdef const gw_hdr_t *h = self.histogram(name, group)
        return (
            GW_LOAD_RELAXED(&h.count),
            GW_LOAD_RELAXED(&h.sum),
            GW_LOAD_RELAXED(&h.saturated),
            GW_LOAD_RELAXED(&h.negative),
        )

    def ticks(self):
        cdef uint64_t mask = 0
        self.check_open()
        if self.driving:
            raise RuntimeError("ticks are read when nobody drives the swarm")
        cdef size_t most = gw_swarm_ticks(self.swarm, NULL, 0, &mask)
        rows = _numpy().zeros((most, 4), dtype="uint64")
        gw_swarm_ticks(self.swarm, <gw_swarm_tick_t *><size_t>rows.ctypes.data, most, &mask)
        return rows, mask

    def close(self):
        if self.driving:
            raise RuntimeError("stop the driving thread and let it return first")
        if self.swarm != NULL:
            gw_swarm_destroy(self.swarm)
            self.swarm = NULL
