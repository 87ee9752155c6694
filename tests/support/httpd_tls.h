/* Inside httpd: certificates. */
#ifndef MANDRILL_TEST_HTTPD_TLS_H
#define MANDRILL_TEST_HTTPD_TLS_H

#include "tests/support/httpd.h"

#include <openssl/ssl.h>

/* A server's context with a key and a certificate of its own, which is written to its file. */
SSL_CTX *httpd_tls_new(const httpd_certificate_t *c);

#endif
