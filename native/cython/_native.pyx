"""One extension module over the native core; each part of its face is an include of its own."""
# cython: language_level=3, binding=True, embedsignature=False
cimport cython

include "clock.pxi"
include "stats.pxi"
include "record.pxi"
include "segment.pxi"
include "ring_writer.pxi"
include "ring_reader.pxi"
include "codec.pxi"
include "sbe.pxi"
include "udp.pxi"
include "source.pxi"
include "floor.pxi"
include "tune.pxi"
include "plane_values.pxi"
include "plane.pxi"
include "swarm.pxi"
