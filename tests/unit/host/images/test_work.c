/* Uploads and copies in threads of their own. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/host/images/fixture.h"
#include "vmm/host/images/work.h"

static struct fixture f;
static uint8_t content[3 << 20];
static const struct view image = {content, sizeof content};

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (uint8_t)(i * i >> 3);
    fixture_make(&f, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_remove(&f);
    return 0;
}

/* The sender's end; the other is being received from, without waiting. */
static int begin(struct images_work **work, struct image_upload **upload)
{
    const struct image_digest digest = fixture_digest(image);
    struct cofre_err err = {""};
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    if (image_upload_begin(upload, f.images, f.db, "web", &digest, image.len, PLENTY, &err) < 0 ||
        image_receive(work, ends[0], *upload, &err) < 0)
        fail_msg("%s", err.text);
    return ends[1];
}

static void send_all(int to, struct view bytes)
{
    for (size_t at = 0; at < bytes.len;) {
        ssize_t n = send(to, bytes.data + at, bytes.len - at, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* who receives has had enough */
        at += (size_t)n;
    }
}

static bool is_over(const struct images_work *work, int milliseconds)
{
    return poll(&(struct pollfd){.fd = images_work_fd(work), .events = POLLIN}, 1, milliseconds) == 1;
}

static void an_upload_comes_from_its_descriptor(void **state)
{
    (void)state;
    struct images_work *work;
    struct image_upload *upload;
    struct cofre_err err = {""};
    int to = begin(&work, &upload);
    send_all(to, (struct view){content, 100001});
    assert_false(is_over(work, 0));
    send_all(to, (struct view){content + 100001, sizeof content - 100001});
    close(to);
    assert_true(is_over(work, 60000));
    if (images_work_end(work, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(fixture_keep(&f, upload, NULL), 0);
    image_upload_free(upload);
    const struct image_digest digest = fixture_digest(image);
    int fd = -1;
    assert_int_equal(image_open(&fd, f.images, f.db, "web", &digest, NULL), 0);
    close(fd);
}

static void an_upload_that_breaks_off_or_goes_on_too_long_leaves_nothing(void **state)
{
    (void)state;
    static const struct {
        size_t bytes, more;
        const char *why;
    } cases[] = {{1000, 0, "1000 bytes came of the 3145728 that were announced"},
                 {sizeof content, 1, "more bytes came than the 3145728 that were announced"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct images_work *work;
        struct image_upload *upload;
        struct cofre_err err = {""};
        int to = begin(&work, &upload);
        send_all(to, (struct view){content, cases[i].bytes});
        send_all(to, (struct view){content, cases[i].more});
        close(to);
        assert_true(is_over(work, 60000));
        assert_int_equal(images_work_end(work, &err), -COFRE_MALFORMED);
        assert_string_equal(err.text, cases[i].why);
        image_upload_free(upload);
        assert_int_equal(fixture_files(&f), 0);
    }
}

static void an_upload_that_nobody_wants_any_more_is_stopped(void **state)
{
    (void)state;
    struct images_work *work;
    struct image_upload *upload;
    struct cofre_err err = {""};
    int to = begin(&work, &upload);
    send_all(to, (struct view){content, 1000});
    assert_int_equal(images_work_end(work, &err), -COFRE_FAILED);
    assert_string_equal(err.text, "the upload was given up");
    image_upload_free(upload);
    assert_int_equal(fixture_files(&f), 0);
    close(to);
}

static void a_disk_is_copied_apart(void **state)
{
    (void)state;
    struct images_work *work;
    struct guest_disk disk;
    struct cofre_err err = {""};
    int from = -1, fd = -1;
    const struct image_digest digest = fixture_digest(image);
    assert_int_equal(fixture_add(&f, "web", image, PLENTY, NULL), 0);
    assert_int_equal(guest_disk_plan(f.images, f.db, "web", 7, 0, &digest, 0, PLENTY, NULL), 0);
    assert_int_equal(guest_disk_find(&disk, f.db, 7, 0, NULL), 0);
    assert_int_equal(image_open(&from, f.images, f.db, "web", &digest, NULL), 0);
    assert_int_equal(guest_disk_make_apart(&work, f.images, &disk, from, &err), 0);
    assert_true(is_over(work, 60000));
    if (images_work_end(work, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(guest_disk_made(f.db, &disk, NULL), 0);
    disk.made = true;
    assert_int_equal(guest_disk_open(&fd, f.images, &disk, NULL), 0);
    close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_upload_comes_from_its_descriptor),
        TEST(an_upload_that_breaks_off_or_goes_on_too_long_leaves_nothing),
        TEST(an_upload_that_nobody_wants_any_more_is_stopped),
        TEST(a_disk_is_copied_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
