/* Lines of the udp feed: what is taken lies inside of the line, and fills a record or is refused with a field's name. */
#include "check.h"
#include "gw_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *at = (const char *)data;
    gw_line_t line;
    if (gw_line_parse(at, size, &line) != GW_LINE_USUAL) return 0;
    CHECK(line.kind == GW_TRADE || line.kind == GW_BBO);
    CHECK(line.symbol.at >= at && line.symbol.at + line.symbol.length <= at + size);
    CHECK(line.ts >= 0);
    gw_record_t record;
    memset(&record, 0, sizeof record);
    int field = -1;
    gw_refusal_t refusal = gw_record_fill(&record, line.kind, line.texts, &field);
    if (refusal) {
        CHECK(field >= 0 && field < (int)GW_FIELDS_MAX);
        CHECK(strlen(gw_refusal_text(refusal)) > 0);
    } else {
        CHECK(record.h.kind == line.kind && record.h.cells >= 2);
    }
    return 0;
}
