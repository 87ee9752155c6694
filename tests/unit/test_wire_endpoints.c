/* The wire: where it can be bound, and where not. */
#include "tests/unit/wire_fixture.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static void a_bound_wire_tells_its_real_port(void **state)
{
    (void)state;
    wire_t *w = NULL;
    assert_int_equal(wire_bind(&w, "tcp://127.0.0.1:*", why), 0);
    int port = 0;
    assert_int_equal(sscanf(wire_endpoint(w), "tcp://127.0.0.1:%d", &port), 1);
    assert_true(port > 0);
    wire_close(&w, 0);
}

static void a_name_can_be_bound(void **state)
{
    (void)state;
    wire_t *w = NULL;
    assert_int_equal(wire_bind(&w, "tcp://localhost:0", why), 0);
    assert_int_equal(strncmp(wire_endpoint(w), "tcp://127.0.0.1:", 16), 0);
    wire_close(&w, 0);
}

static void a_taken_endpoint_is_in_use(const char *endpoint)
{
    wire_t *first = NULL, *second = NULL;
    assert_int_equal(wire_bind(&first, endpoint, why), 0);
    assert_int_equal(wire_bind(&second, wire_endpoint(first), why), -EADDRINUSE);
    assert_non_null(strstr(why, "in use"));
    assert_null(second);

    /* The first still works. */
    wire_t *peer = NULL;
    assert_int_equal(wire_connect(&peer, wire_endpoint(first), why), 0);
    const buffer_t ping = bytes_of("ping");
    send_when_connected(peer, &ping);
    expect_frame(first);
    wire_close(&peer, 0);
    wire_close(&first, 0);
}

static void a_taken_tcp_port_is_in_use(void **state)
{
    (void)state;
    a_taken_endpoint_is_in_use("tcp://127.0.0.1:0");
}

static void a_living_ipc_socket_is_in_use(void **state)
{
    (void)state;
    a_taken_endpoint_is_in_use(ipc_endpoint);
}

static void a_stale_ipc_socket_is_taken_over(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", ipc_path);
    const int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(dead, (struct sockaddr *)&address, sizeof address), 0);
    close(dead);

    wire_t *w = NULL;
    assert_int_equal(wire_bind(&w, ipc_endpoint, why), 0);
    wire_close(&w, 0);
}

static void a_file_that_is_no_socket_stays(void **state)
{
    (void)state;
    const int fd = open(ipc_path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "precious", 8), 8);
    close(fd);
    wire_t *w = NULL;
    assert_int_equal(wire_bind(&w, ipc_endpoint, why), -EEXIST);
    assert_non_null(strstr(why, "not a socket"));
    struct stat st;
    assert_int_equal(stat(ipc_path, &st), 0);
    assert_int_equal(st.st_size, 8);
    unlink(ipc_path);
}

static void an_ipc_socket_is_for_its_owner_only(void **state)
{
    (void)state;
    const mode_t before = umask(0);
    wire_t *w = NULL;
    assert_int_equal(wire_bind(&w, ipc_endpoint, why), 0);
    assert_int_equal(umask(before), 0); /* given back */
    struct stat st;
    assert_int_equal(stat(ipc_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    wire_close(&w, 0);
    assert_int_equal(stat(ipc_path, &st), -1); /* and it is gone with its owner */
}

static void a_path_that_another_took_is_left_alone(void **state)
{
    (void)state;
    wire_t *first = NULL, *second = NULL;
    assert_int_equal(wire_bind(&first, ipc_endpoint, why), 0);
    assert_int_equal(unlink(ipc_path), 0); /* by hand: the first is out of reach */
    assert_int_equal(wire_bind(&second, ipc_endpoint, why), 0);
    wire_close(&first, 0);
    struct stat st;
    assert_int_equal(stat(ipc_path, &st), 0);
    wire_close(&second, 0);
}

static void a_missing_directory_is_named(void **state)
{
    (void)state;
    wire_t *w = NULL;
    assert_int_equal(wire_bind(&w, "ipc:///no/such/directory/x", why), -ENOENT);
    assert_non_null(strstr(why, "/no/such/directory"));
}

static void bad_endpoints_open_nothing(void **state)
{
    (void)state;
    wire_t *w = NULL;
    assert_int_equal(wire_bind(&w, "nonsense", why), -EINVAL);
    assert_int_equal(wire_connect(&w, "tcp://127.0.0.1", why), -EINVAL);
    assert_int_equal(wire_bind(&w, "tcp://192.0.2.1:0", why), -EADDRNOTAVAIL);
    assert_null(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bound_wire_tells_its_real_port),
        cmocka_unit_test(a_name_can_be_bound),
        cmocka_unit_test(a_taken_tcp_port_is_in_use),
        cmocka_unit_test(a_living_ipc_socket_is_in_use),
        cmocka_unit_test(a_stale_ipc_socket_is_taken_over),
        cmocka_unit_test(a_file_that_is_no_socket_stays),
        cmocka_unit_test(an_ipc_socket_is_for_its_owner_only),
        cmocka_unit_test(a_path_that_another_took_is_left_alone),
        cmocka_unit_test(a_missing_directory_is_named),
        cmocka_unit_test(bad_endpoints_open_nothing),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
