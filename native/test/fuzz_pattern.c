/* A pattern and a name, with a line feed between: both ways to match them agree with a table that is filled cell by cell,
 * and take no more steps than that. */
#include "check.h"
#include "gw_pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool naive(const char *pattern, size_t p, const char *name, size_t n) {
    static bool covers[GW_GLOB_MAX + 1][GW_GLOB_MAX + 1];
    for (size_t i = 0; i <= p; i++)
        for (size_t k = 0; k <= n; k++)
            covers[i][k] = !i ? !k
                           : pattern[i - 1] == '*' ? covers[i - 1][k] || (k && covers[i][k - 1])
                                                   : k && pattern[i - 1] == name[k - 1] && covers[i - 1][k - 1];
    return covers[p][n];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *pattern = (const char *)data, *end = memchr(pattern, '\n', size);
    size_t p = end ? (size_t)(end - pattern) : size, n = end ? size - p - 1 : 0;
    const char *name = end ? end + 1 : pattern + size;
    gw_glob_t glob;
    CHECK((gw_glob_compile(&glob, pattern, p) == 0) == (p <= GW_GLOB_MAX));
    if (p > GW_GLOB_MAX || n > GW_GLOB_MAX) return 0;
    bool expected = naive(pattern, p, name, n);
    CHECK_EQUAL(gw_pattern_match(pattern, p, name, n), expected);
    uint32_t steps = 0;
    CHECK_EQUAL(gw_glob_match_counted(&glob, name, n, &steps), expected);
    CHECK(steps <= (p + 1) * (n + 1));
    return 0;
}
