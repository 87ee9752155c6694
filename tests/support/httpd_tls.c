#include "tests/support/httpd_tls.h"

#include "tests/support/wait.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

enum { A_DAY_S = 86400 };

static void check(bool good, const char *what)
{
    if (!good)
        fail_msg("OpenSSL, %s: %s", what, ERR_reason_error_string(ERR_get_error()));
}

static void add_extension(X509 *x, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    check(e != NULL && X509_add_ext(x, e, -1) == 1, value);
    X509_EXTENSION_free(e);
}

static X509 *make_certificate(const httpd_certificate_t *c, EVP_PKEY *key)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3 * A_DAY_S);
    X509_gmtime_adj(X509_getm_notAfter(x), c->expired ? -A_DAY_S : A_DAY_S);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"a server of a test", -1, -1,
                               0);
    X509_set_issuer_name(x, name);
    add_extension(x, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(x, NID_subject_alt_name, c->name);
    check(X509_sign(x, key, EVP_sha256()) > 0, "sign");
    return x;
}

SSL_CTX *httpd_tls_new(const httpd_certificate_t *c)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    check(context != NULL && key != NULL, "key");
    X509 *x = make_certificate(c, key);
    check(SSL_CTX_use_certificate(context, x) == 1 && SSL_CTX_use_PrivateKey(context, key) == 1, "use");
    FILE *f = fopen(c->file, "we");
    if (f == NULL)
        fail_msg("cannot write %s", c->file);
    check(PEM_write_X509(f, x) == 1 && fclose(f) == 0, "write");
    X509_free(x);
    EVP_PKEY_free(key);
    return context;
}
