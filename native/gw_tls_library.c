/* Loads OpenSSL's two libraries, by the name that goes with the headers. */
#include "gw_tls_library.h"

#ifdef GW_HAS_TLS
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define SONAME(stem) stem ".so." TEXT(OPENSSL_SHLIB_VERSION)

gw_openssl_t gw_openssl;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char missing[160];

static int load(void *library, const char *name, void *out) {
    void *found = dlsym(library, name);
    if (!found) snprintf(missing, sizeof missing, "the host's OpenSSL has no %s: it is older than %d.0", name, OPENSSL_VERSION_MAJOR);
    *(void **)out = found;
    return found != NULL;
}

static void load_all(void) {
    void *ssl = dlopen(SONAME("libssl"), RTLD_NOW | RTLD_LOCAL);
    void *crypto = ssl ? dlopen(SONAME("libcrypto"), RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!crypto) {
        snprintf(missing, sizeof missing, "%s is not installed (Debian, Ubuntu: libssl3)", SONAME("libssl"));
        return;
    }
#define LOAD_SSL(name) if (!load(ssl, #name, (void *)&gw_openssl.name)) return;
#define LOAD_CRYPTO(name) if (!load(crypto, #name, (void *)&gw_openssl.name)) return;
    GW_TLS_OF_SSL(LOAD_SSL)
    GW_TLS_OF_CRYPTO(LOAD_CRYPTO)
}

const char *gw_tls_missing(void) {
    pthread_once(&once, load_all);
    return missing[0] ? missing : NULL;
}
#else
typedef int gw_tls_library_is_empty; /* a file of C has something in it */
#endif
