/* Messages that the swarm measures, texts by both of its readers and binary ones: whatever stands there, no byte is looked at that
 * was not given, and each has a kind. The first byte says which. */
#include "check.h"
#include "gw_swarm_sbe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void texts(const char *at, size_t size) {
    gw_swarm_fields_t fast, scan;
    memset(&fast, 0, sizeof fast);
    memset(&scan, 0, sizeof scan);
    gw_swarm_fields_scan(at, size, &scan);
    CHECK(scan.kind <= GW_SWARM_NOTHING);
    if (!gw_swarm_fields_fast(at, size, &fast)) return;
    CHECK(fast.kind <= GW_SWARM_NOTHING && fast.topic);
}

static void binary(const uint8_t *at, size_t size) {
    gw_swarm_numbers_t numbers = {0};
    gw_hash_key_t key = {1, 2};
    for (size_t read; size; at += read, size -= read) {
        gw_swarm_fields_t f;
        memset(&f, 0, sizeof f);
        read = gw_swarm_sbe_read(at, size, &numbers, key, &f);
        CHECK(f.kind <= GW_SWARM_NOTHING && read <= size);
        if (!read) break;
    }
    gw_swarm_numbers_free(&numbers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size) return 0;
    if (data[0] % 2) binary(data + 1, size - 1);
    else texts((const char *)data + 1, size - 1);
    return 0;
}
