// A connection made by io_uring alone, which no filter on socket and connect sees.
// The argument is the path of a unix socket.
#include <errno.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

struct ring {
	int fd;
	unsigned *tail, *mask, *array, *head, *done_mask;
	struct io_uring_sqe *calls;
	struct io_uring_cqe *done;
};

static int make(struct ring *r) {
	struct io_uring_params p = {0};
	r->fd = syscall(SYS_io_uring_setup, 4, &p);
	if (r->fd < 0)
		return -errno;
	const int shared = MAP_SHARED | MAP_POPULATE, both = PROT_READ | PROT_WRITE;
	char *sq = mmap(0, p.sq_off.array + p.sq_entries * 4, both, shared, r->fd, IORING_OFF_SQ_RING);
	char *cq = mmap(0, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), both, shared, r->fd, IORING_OFF_CQ_RING);
	r->calls = mmap(0, p.sq_entries * sizeof(struct io_uring_sqe), both, shared, r->fd, IORING_OFF_SQES);
	r->tail = (void *)(sq + p.sq_off.tail);
	r->mask = (void *)(sq + p.sq_off.ring_mask);
	r->array = (void *)(sq + p.sq_off.array);
	r->head = (void *)(cq + p.cq_off.head);
	r->done_mask = (void *)(cq + p.cq_off.ring_mask);
	r->done = (void *)(cq + p.cq_off.cqes);
	return 0;
}

static int call(struct ring *r, const struct io_uring_sqe *c) {
	unsigned t = *r->tail, i = t & *r->mask;
	r->calls[i] = *c;
	r->array[i] = i;
	__atomic_store_n(r->tail, t + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -errno;
	unsigned h = *r->head;
	int res = r->done[h & *r->done_mask].res;
	__atomic_store_n(r->head, h + 1, __ATOMIC_RELEASE);
	return res;
}

int main(int argc, char **argv) {
	struct ring r;
	int e = make(&r);
	if (e < 0 || argc < 2) {
		printf("setup: %s\n", strerror(-e));
		return 1;
	}
	struct io_uring_sqe s = {.opcode = IORING_OP_SOCKET, .fd = AF_UNIX, .off = SOCK_STREAM};
	int fd = call(&r, &s);
	if (fd < 0) {
		printf("socket: %s\n", strerror(-fd));
		return 1;
	}
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	strncpy(to.sun_path, argv[1], sizeof to.sun_path - 1);
	s = (struct io_uring_sqe){.opcode = IORING_OP_CONNECT, .fd = fd, .addr = (unsigned long)&to, .off = sizeof to};
	int c = call(&r, &s);
	printf("connect: %s\n", c < 0 ? strerror(-c) : "OPEN");
	return 0;
}
