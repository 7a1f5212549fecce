"""Stand-ins for venues: their protocols over real sockets, from a made-up market, with faults on
demand. No test reaches a venue."""
