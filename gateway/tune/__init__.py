"""`tickgate tune`: measures this host, and proposes the settings that it can hold."""
