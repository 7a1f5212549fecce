/* A preload under which RLIMIT_NOFILE is a thousand million, as in some containers, whatever it is. */
#include <stddef.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MANY 1073741816u

static int limit(int resource, const struct rlimit *set, struct rlimit *got) {
    if (resource != RLIMIT_NOFILE) return (int)syscall(SYS_prlimit64, 0, resource, set, got);
    if (got != NULL) *got = (struct rlimit){MANY, MANY};
    return 0;
}

int getrlimit(__rlimit_resource_t resource, struct rlimit *got) { return limit((int)resource, NULL, got); }
int setrlimit(__rlimit_resource_t resource, const struct rlimit *set) {
    return limit((int)resource, set, NULL);
}
int getrlimit64(__rlimit_resource_t resource, struct rlimit64 *got) {
    return limit((int)resource, NULL, (struct rlimit *)got);
}
int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *set) {
    return limit((int)resource, (const struct rlimit *)set, NULL);
}
