/* OpenSSL's functions as they are loaded: types from its headers, addresses from the library of this host. Where the
 * headers are missing GW_HAS_TLS is not defined, and gw_tls_none.c takes the place of the rest. */
#ifndef GW_TLS_LIBRARY_H
#define GW_TLS_LIBRARY_H

#if !defined(GW_WITHOUT_TLS) && defined(__has_include)
#if __has_include(<openssl/ssl.h>)
#include <openssl/opensslv.h>
#if defined(OPENSSL_VERSION_MAJOR) && OPENSSL_VERSION_MAJOR >= 3
#define GW_HAS_TLS 1
#endif
#endif
#endif

#ifdef GW_HAS_TLS
#include "gw_tls.h"
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define GW_TLS_OF_SSL(X)                                                                                               \
    X(TLS_server_method) X(TLS_client_method) X(SSL_CTX_new) X(SSL_CTX_free) X(SSL_CTX_ctrl)                           \
    X(SSL_CTX_callback_ctrl) X(SSL_CTX_set_options) X(SSL_CTX_set_cipher_list) X(SSL_CTX_set_ciphersuites)             \
    X(SSL_CTX_use_certificate) X(SSL_CTX_use_PrivateKey) X(SSL_CTX_set_session_id_context) X(SSL_CTX_set_verify)       \
    X(SSL_CTX_get_cert_store) X(SSL_CTX_add_client_CA) X(SSL_CTX_set_alpn_select_cb) X(SSL_CTX_set_default_verify_paths) \
    X(SSL_CTX_set_tlsext_ticket_key_evp_cb) X(SSL_CTX_set_num_tickets) X(SSL_CTX_set_msg_callback)                     \
    X(SSL_CTX_set_max_early_data) X(SSL_new) X(SSL_free) X(SSL_set_bio) X(SSL_set_accept_state)                        \
    X(SSL_set_connect_state) X(SSL_do_handshake) X(SSL_read) X(SSL_write) X(SSL_shutdown) X(SSL_get_error)             \
    X(SSL_set_ex_data) X(SSL_get_ex_data) X(SSL_get_servername) X(SSL_set_SSL_CTX) X(SSL_get1_peer_certificate)        \
    X(SSL_session_reused) X(SSL_get_version) X(SSL_get_current_cipher) X(SSL_CIPHER_get_name) X(SSL_ctrl)              \
    X(SSL_set1_host) X(SSL_get_verify_result) X(SSL_set_hostflags)
#define GW_TLS_OF_CRYPTO(X)                                                                                            \
    X(BIO_get_new_index) X(BIO_meth_new) X(BIO_meth_set_read) X(BIO_meth_set_write) X(BIO_meth_set_ctrl)               \
    X(BIO_meth_set_create) X(BIO_new) X(BIO_free) X(BIO_set_data) X(BIO_get_data) X(BIO_set_init) X(BIO_set_flags)     \
    X(BIO_clear_flags) X(BIO_new_mem_buf) X(PEM_read_bio_X509) X(PEM_read_bio_PrivateKey) X(X509_free)                 \
    X(EVP_PKEY_free) X(X509_check_private_key) X(X509_get0_notAfter) X(X509_get0_notBefore) X(X509_cmp_time)           \
    X(ASN1_TIME_to_tm) X(X509_STORE_add_cert) X(X509_get_ext_d2i) X(GENERAL_NAMES_free) X(OPENSSL_sk_num)              \
    X(OPENSSL_sk_value) X(ASN1_STRING_get0_data) X(ASN1_STRING_length) X(ERR_peek_last_error) X(ERR_clear_error)       \
    X(ERR_reason_error_string) X(OPENSSL_cleanse) X(RAND_bytes) X(EVP_Digest) X(EVP_sha256) X(EVP_aes_256_cbc)         \
    X(EVP_EncryptInit_ex) X(EVP_DecryptInit_ex) X(EVP_MAC_CTX_set_params) X(OSSL_PARAM_construct_octet_string)         \
    X(OSSL_PARAM_construct_utf8_string) X(OSSL_PARAM_construct_end) X(X509_verify_cert_error_string)

#define GW_TLS_MEMBER(name) __typeof__(&name) name;
typedef struct {
    GW_TLS_OF_SSL(GW_TLS_MEMBER)
    GW_TLS_OF_CRYPTO(GW_TLS_MEMBER)
} gw_openssl_t;
extern gw_openssl_t gw_openssl;

#define GW_TLS_HOST_MAX (GW_TLS_NAME_MAX + 1)
struct gw_tls_context {
    SSL_CTX *ssl;
    struct {
        char host[GW_TLS_HOST_MAX];
        SSL_CTX *ssl;
    } names[GW_TLS_NAMES_MAX];
    size_t names_count;
    char *client_ca; /* its file's text; NULL: none */
    size_t client_ca_length;
    uint8_t sessions[32]; /* the session id context: of the listener's name and that text */
    gw_tls_ticket_key_t tickets[GW_TLS_TICKET_KEYS];
    size_t tickets_count;
    int64_t expires_s;
    int client;
};

#define GW_TLS_RECORD_HEADER 5u
struct gw_tls {
    SSL *ssl;
    gw_tls_context_t *context; /* NULL once the handshake is through, and its owner another one */
    gw_tls_out_t *out;         /* of the step in hand */
    uint8_t *fed;
    uint32_t fed_at, fed_length;
    uint32_t left;         /* of the record that is being read */
    uint32_t updates;
    int fd;
    uint8_t header[GW_TLS_RECORD_HEADER], header_length;
    uint8_t taken;         /* this step has had its record */
    uint8_t ended, failed, established, client, verifies;
    char error[120];
};

/* gw_tls.c */
gw_tls_context_t *gw_tls_context_of(const SSL *s); /* while its handshake is under way */
void gw_tls_message(int written, int version, int type, const void *bytes, size_t length, SSL *s, void *argument);
#endif

#endif
