/* The statistics page: every array where the table says, and histogram counts where HdrHistogram
 * has them. */
#include "check.h"
#include "gw_stats.h"

#include <string.h>

static void arrays_do_not_overlap_and_lie_before_the_histograms(void) {
    uint32_t end = 0;
    for (uint32_t i = 0; i < gw_stat_infos_count; i++) {
        CHECK(gw_stat_infos[i].length > 0);
        CHECK(gw_stat_infos[i].offset >= end);
        end = gw_stat_infos[i].offset + gw_stat_infos[i].length;
    }
    CHECK(end * sizeof(uint64_t) <= offsetof(gw_stats_t, stage));
}

static void the_table_names_what_it_points_at(void) {
    for (uint32_t i = 0; i < gw_stat_infos_count; i++) {
        if (strcmp(gw_stat_infos[i].name, "closes") != 0) continue;
        CHECK_EQUAL(gw_stat_infos[i].offset * sizeof(uint64_t), offsetof(gw_stats_t, closes));
        CHECK_EQUAL(gw_stat_infos[i].length, 64);
        return;
    }
    CHECK(!"closes is in the table");
}

/* HdrHistogram's own steps, of hdr_histogram.h: bucket, sub-bucket, then the index. */
static uint32_t hdr_index_by_steps(uint64_t value) {
    uint32_t bucket = 0;
    while ((value >> bucket) >= 2048) bucket++;
    return ((bucket + 1) << 10) + (uint32_t)(value >> bucket) - 1024;
}

static void hdr_index_is_hdrhistogram_s(void) {
    for (uint64_t v = 0; v < 100000; v++) CHECK_EQUAL(gw_hdr_index(v), hdr_index_by_steps(v));
    for (int bit = 1; bit < 36; bit++)
        for (int64_t around = -3; around <= 3; around++) {
            uint64_t v = (1ull << bit) + (uint64_t)around;
            if (v <= GW_HDR_MAX) CHECK_EQUAL(gw_hdr_index(v), hdr_index_by_steps(v));
        }
    CHECK_EQUAL(gw_hdr_index(GW_HDR_MAX), GW_HDR_COUNTS - 1);
}

static void hdr_counts_apart_what_has_no_bucket(void) {
    static gw_hdr_t h;
    gw_hdr_record(&h, -1, 2);
    gw_hdr_record(&h, INT64_MIN, 1);
    gw_hdr_record(&h, (int64_t)GW_HDR_MAX + 1, 1);
    gw_hdr_record(&h, 100, 3);
    CHECK_EQUAL(h.negative, 3);
    CHECK_EQUAL(h.saturated, 1);
    CHECK_EQUAL(h.count, 4);
    CHECK_EQUAL(h.sum, GW_HDR_MAX + 300);
    CHECK_EQUAL(h.counts[100], 3);
    CHECK_EQUAL(h.counts[GW_HDR_COUNTS - 1], 1);
}

int main(void) {
    RUN(arrays_do_not_overlap_and_lie_before_the_histograms);
    RUN(the_table_names_what_it_points_at);
    RUN(hdr_index_is_hdrhistogram_s);
    RUN(hdr_counts_apart_what_has_no_bucket);
    return 0;
}
