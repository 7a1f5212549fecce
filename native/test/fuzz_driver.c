/* Runs LLVMFuzzerTestOneInput with inputs that it makes of others, and keeps those that reach new edges of the core, which
 * is compiled to tell them (gcc's -fsanitize-coverage). What is compared with what goes into inputs as well.
 *
 *     PROGRAM SECONDS SEED OUT [DIRECTORY OF INPUTS]
 *
 * OUT/current has the input that is run, for when the process ends in it: by a check, by a checker, or by this file where
 * one takes a second of processor time. OUT/kept gets what reached something new. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { EDGES = 1 << 16, INPUT_MAX = 4096, POOL_MAX = 1 << 14, CURRENT = 1 << 16, CONSTANTS = 512, ROUNDS_MAX = 5 };

int main(int count, char **words);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __lsan_do_recoverable_leak_check(void);
void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_cmp1(uint8_t a, uint8_t b);
void __sanitizer_cov_trace_cmp2(uint16_t a, uint16_t b);
void __sanitizer_cov_trace_cmp4(uint32_t a, uint32_t b);
void __sanitizer_cov_trace_cmp8(uint64_t a, uint64_t b);
void __sanitizer_cov_trace_const_cmp1(uint8_t a, uint8_t b);
void __sanitizer_cov_trace_const_cmp2(uint16_t a, uint16_t b);
void __sanitizer_cov_trace_const_cmp4(uint32_t a, uint32_t b);
void __sanitizer_cov_trace_const_cmp8(uint64_t a, uint64_t b);
void __sanitizer_cov_trace_cmpf(float a, float b);
void __sanitizer_cov_trace_cmpd(double a, double b);
void __sanitizer_cov_trace_switch(uint64_t value, uint64_t *cases);

typedef struct {
    uint8_t *bytes;
    size_t size;
} input_t;

static uint8_t hits[EDGES], seen[EDGES]; /* of this input: how often; of all: in which magnitudes */
static uintptr_t before;
static struct {
    uint64_t value;
    uint8_t size;
} constants[CONSTANTS];
static unsigned constants_at, constants_count;
static input_t pool[POOL_MAX];
static unsigned pool_count;
static uint64_t state;
static volatile uint64_t runs;
static uint8_t *current;

/* --- what the core tells -------------------------------------------------------------------------------- */

void __sanitizer_cov_trace_pc(void) {
    uintptr_t at = (uintptr_t)__builtin_return_address(0) - (uintptr_t)&main; /* the same wherever it is loaded */
    uint8_t *hit = &hits[(at ^ before) % EDGES];
    if (*hit < UINT8_MAX) ++*hit;
    before = at >> 1;
}

static void compared(uint64_t a, uint64_t b, uint8_t size) {
    if (a == b) return;
    constants[constants_at].value = a;
    constants[constants_at].size = size;
    constants_at = (constants_at + 1) % CONSTANTS;
    if (constants_count < CONSTANTS) constants_count++;
}

void __sanitizer_cov_trace_cmp1(uint8_t a, uint8_t b) { compared(a, b, 1); }
void __sanitizer_cov_trace_cmp2(uint16_t a, uint16_t b) { compared(a, b, 2); }
void __sanitizer_cov_trace_cmp4(uint32_t a, uint32_t b) { compared(a, b, 4); }
void __sanitizer_cov_trace_cmp8(uint64_t a, uint64_t b) { compared(a, b, 8); }
void __sanitizer_cov_trace_const_cmp1(uint8_t a, uint8_t b) { compared(a, b, 1); }
void __sanitizer_cov_trace_const_cmp2(uint16_t a, uint16_t b) { compared(a, b, 2); }
void __sanitizer_cov_trace_const_cmp4(uint32_t a, uint32_t b) { compared(a, b, 4); }
void __sanitizer_cov_trace_const_cmp8(uint64_t a, uint64_t b) { compared(a, b, 8); }
void __sanitizer_cov_trace_cmpf(float a, float b) { (void)a, (void)b; }
void __sanitizer_cov_trace_cmpd(double a, double b) { (void)a, (void)b; }
void __sanitizer_cov_trace_switch(uint64_t value, uint64_t *cases) {
    for (uint64_t i = 0; i < cases[0]; i++) compared(cases[2 + i], value, (uint8_t)(cases[1] / 8));
}

/* --- inputs of inputs ------------------------------------------------------------------------------------ */

static uint64_t any(uint64_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545f4914f6cdd1du % (below ? below : 1);
}

/* Puts `length` bytes in place of `gone` bytes. */
static void put(input_t *x, size_t at, size_t gone, const void *bytes, size_t length) {
    if (at > x->size) at = x->size;
    if (gone > x->size - at) gone = x->size - at;
    if (length > INPUT_MAX - (x->size - gone)) length = INPUT_MAX - (x->size - gone);
    uint8_t kept[INPUT_MAX];
    memcpy(kept, bytes, length); /* they may lie in the input itself */
    memmove(x->bytes + at + length, x->bytes + at + gone, x->size - at - gone);
    memcpy(x->bytes + at, kept, length);
    x->size = x->size - gone + length;
}

static void put_number(input_t *x, uint64_t value, size_t size) {
    uint8_t bytes[8];
    int big = (int)any(2);
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(value >> 8 * (big ? size - 1 - i : i));
    put(x, any(x->size + 1), any(3) ? size : 0, bytes, size);
}

static void put_digits(input_t *x) {
    static const char *const texts[] = {"0", "-1", "255", "65536", "9223372036854775807", "9223372036854775808",
                                        "18446744073709551615", "18446744073709551616", "1e9", "0.00", "999999999999999999999"};
    const char *text = texts[any(sizeof texts / sizeof *texts)];
    size_t at = any(x->size + 1), end;
    while (at < x->size && (x->bytes[at] < '0' || x->bytes[at] > '9')) at++;
    for (end = at; end < x->size && x->bytes[end] >= '0' && x->bytes[end] <= '9';) end++;
    put(x, at, end - at, text, strlen(text));
}

static void change(input_t *x) {
    static const uint64_t extremes[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, INT32_MAX, UINT32_MAX, INT64_MAX,
                                        (uint64_t)INT64_MIN, UINT64_MAX};
    uint8_t byte = (uint8_t)any(256);
    size_t at = any(x->size + 1), length = 1 + any(any(4) ? 8 : 100);
    switch (any(9)) {
    case 0:
        if (at < x->size) x->bytes[at] ^= (uint8_t)(1u << any(8));
        break;
    case 1: put(x, at, any(2), &byte, 1); break;
    case 2: put(x, at, length, "", 0); break;
    case 3: put(x, any(x->size + 1), any(2) ? length : 0, x->bytes + at, length < x->size - at ? length : x->size - at); break;
    case 4: put_number(x, extremes[any(sizeof extremes / sizeof *extremes)], (size_t)1 << any(4)); break;
    case 5: put_digits(x); break;
    case 6: {
        const input_t *other = &pool[any(pool_count)];
        size_t from = any(other->size + 1);
        put(x, at, x->size, other->bytes + from, other->size - from);
        break;
    }
    default:
        if (constants_count) {
            unsigned i = (unsigned)any(constants_count);
            put_number(x, constants[i].value, constants[i].size ? constants[i].size : 1);
        }
    }
}

/* --- running --------------------------------------------------------------------------------------------- */

static int is_new(void) {
    int found = 0;
    for (size_t i = 0; i < EDGES; i += 8) {
        uint64_t word;
        memcpy(&word, hits + i, 8);
        if (!word) continue;
        for (size_t k = i; k < i + 8; k++) {
            if (!hits[k]) continue;
            uint8_t magnitude = (uint8_t)(1u << (31 - __builtin_clz(hits[k])));
            found |= !(seen[k] & magnitude);
            seen[k] |= magnitude;
        }
    }
    return found;
}

/* Runs one in a block of its own size, so that the checker knows its end; whether it reached something new. */
static int run(const uint8_t *bytes, size_t size) {
    uint8_t *block = malloc(size ? size : 1);
    if (!block) abort();
    memcpy(block, bytes, size);
    for (int i = 0; i < 4; i++) current[i] = (uint8_t)(size >> 8 * (3 - i));
    memcpy(current + 4, bytes, size);
    memset(hits, 0, sizeof hits);
    before = 0;
    runs++;
    LLVMFuzzerTestOneInput(block, size);
    free(block);
    return is_new();
}

static void keep(const char *out, const uint8_t *bytes, size_t size) {
    if (pool_count == POOL_MAX) return;
    input_t *x = &pool[pool_count++];
    x->bytes = malloc(size ? size : 1);
    if (!x->bytes) abort();
    memcpy(x->bytes, bytes, size);
    x->size = size;
    char path[4200];
    snprintf(path, sizeof path, "%s/kept/%05u", out, pool_count);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, size, f) != size || fclose(f)) abort();
}

static void given(const char *out, const char *directory) {
    static uint8_t bytes[INPUT_MAX];
    struct dirent **files;
    int count = scandir(directory, &files, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[4200];
        snprintf(path, sizeof path, "%s/%s", directory, files[i]->d_name);
        int hidden = files[i]->d_name[0] == '.';
        free(files[i]);
        if (hidden) continue;
        FILE *f = fopen(path, "rb");
        if (!f) abort();
        size_t size = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        if (run(bytes, size)) keep(out, bytes, size);
    }
    if (count >= 0) free(files);
}

/* Twice a second of processor time. */
static void tick(int number) {
    (void)number;
    static uint64_t last, ticks;
    ticks = runs == last ? ticks + 1 : 0;
    last = runs;
    if (ticks < 2) return;
    static const char why[] = "hang: one input takes more than a second\n";
    if (write(2, why, sizeof why - 1)) {}
    _exit(70);
}

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void start(const char *out) {
    char path[4200];
    mkdir(out, 0777);
    snprintf(path, sizeof path, "rm -rf '%s/kept'", out);
    if (system(path)) abort();
    snprintf(path, sizeof path, "%s/kept", out);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/current", out);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0666);
    if (fd < 0 || ftruncate(fd, CURRENT)) abort();
    current = mmap(NULL, CURRENT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (current == MAP_FAILED) abort();
    close(fd);
    signal(SIGPROF, tick);
    struct itimerval often = {{0, 500000}, {0, 500000}};
    setitimer(ITIMER_PROF, &often, NULL);
}

int main(int count, char **words) {
    if (count < 4) return 2;
    double begun = now_s(), seconds = atof(words[1]);
    state = strtoull(words[2], NULL, 10) * 0x9e3779b97f4a7c15u + 1;
    start(words[3]);
    if (count > 4) given(words[3], words[4]);
    if (!pool_count) keep(words[3], (const uint8_t *)"", 0);
    static uint8_t bytes[INPUT_MAX];
    while (now_s() < begun + seconds) {
        const input_t *parent = &pool[any(4) && pool_count > 50 ? pool_count - 1 - any(50) : any(pool_count)];
        input_t x = {bytes, parent->size};
        memcpy(bytes, parent->bytes, parent->size);
        for (uint64_t i = 1 + any(ROUNDS_MAX); i; i--) change(&x);
        if (run(x.bytes, x.size)) keep(words[3], x.bytes, x.size);
    }
    unsigned edges = 0;
    for (size_t i = 0; i < EDGES; i++) edges += seen[i] != 0;
    double taken = now_s() - begun;
    printf("%llu inputs in %.0f s, %.0f/s, %u edges, %u kept\n", (unsigned long long)runs, taken, (double)runs / taken, edges,
           pool_count);
    fflush(stdout);
    if (!__lsan_do_recoverable_leak_check()) return 0;
    fprintf(stderr, "leak\n");
    _exit(71);
}
