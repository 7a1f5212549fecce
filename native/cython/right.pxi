# Rights as values: what a plane is given as a grant, asked by the loop.

cdef extern from "gw_right.h" nogil:
    enum: GW_RULES_MAX, GW_RULE_LISTS
    uint32_t GW_RULE_NONE, GW_CHANNELS_ANY
    ctypedef struct gw_rule_t:
        uint32_t channels
        uint8_t allow, is_pattern, length, list
        char name[113]
    ctypedef struct gw_granted_t:
        pass
    ctypedef struct gw_right_t:
        uint32_t count
    int gw_right_fill(gw_right_t *right, gw_granted_t *out, const gw_rule_t *rules, uint32_t count)
    int gw_right_decide(const gw_right_t *right, const gw_name_t *name, uint32_t *found,
                        uint32_t *steps)
    uint32_t gw_right_count(const gw_right_t *right, const gw_name_t *names, uint32_t names_count,
                            uint8_t channel, const gw_glob_t *g, uint64_t *steps)


cdef int _fill_rule(gw_rule_t *out, tuple rule) except -1:
    channels, name, allow = rule[:3]
    out.channels = GW_CHANNELS_ANY if channels is None else 0
    for channel in (channels,) if isinstance(channels, str) else channels or ():
        out.channels |= <uint32_t>1 << <uint32_t>_channel(channel)
    out.allow = allow
    out.list = rule[3] if len(rule) > 3 else 0
    out.is_pattern = _fill_name(out.name, &out.length, name)
    return 0


cdef gw_rule_t *_rules(list rules) except NULL:
    """The caller's to free."""
    cdef gw_rule_t *filled = <gw_rule_t *>malloc((len(rules) + 1) * sizeof(gw_rule_t))
    if filled == NULL:
        raise MemoryError
    try:
        for i, rule in enumerate(rules):
            _fill_rule(&filled[i], rule)
    except BaseException:
        free(filled)
        raise
    return filled


cdef class Right:
    cdef gw_right_t right
    cdef gw_granted_t *rules

    def __init__(self, list rules not None):
        if self.rules != NULL:
            raise RuntimeError("already initialised")
        if len(rules) > GW_RULES_MAX:
            raise ValueError(f"{len(rules)} rules: at most {GW_RULES_MAX}")
        cdef gw_rule_t *filled = _rules(rules)
        self.rules = <gw_granted_t *>calloc(len(rules) + 1, sizeof(gw_granted_t))
        cdef int error = -errno.ENOMEM
        if self.rules != NULL:
            error = gw_right_fill(&self.right, self.rules, filled, <uint32_t>len(rules))
        free(filled)
        if error == -errno.ENOMEM:
            raise MemoryError
        if error != 0:
            raise ValueError("a rule is out of bounds")

    def __dealloc__(self):
        free(self.rules)

    def __len__(self):
        return self.right.count

    def decide(self, str channel, str name):
        cdef gw_name_t row
        cdef uint32_t found[2]
        cdef uint32_t steps = 0
        cdef bytes text = name.encode()
        number = GW_LOCAL if channel == LOCAL else CHANNELS.get(channel)
        if number is None or not 0 < len(text) <= 113:
            return None
        gw_name_fill(&row, number, text, <size_t>len(text))
        if not gw_right_decide(&self.right, &row, found, &steps):
            return None
        return tuple(found[i] for i in range(GW_RULE_LISTS) if found[i] != GW_RULE_NONE)
