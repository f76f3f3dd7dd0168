"""Ways out, tried. Prints one JSON object: what became of each try.

The argument is JSON: sockets {name: path}, tcp {name: [host, port]}, udp {name: [host, port]}, fifo, pid (a
process outside), home, workspace, probe (a folder with the compiled probes). A try ends as "OPEN ..." (it went
through), as the name of an errno, or as what it says itself."""
import ctypes, errno, fcntl, json, os, platform, resource, socket, struct, subprocess, sys

arg = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
INET, INET6, UNIX, NETLINK = socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK
STREAM, DGRAM, RAW, SEQ = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET
ARM = platform.machine() == "aarch64"
# number on x86-64, on arm64
NR = {"socket": (41, 198), "socketpair": (53, 199), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
      "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "bpf": (321, 280), "perf_event_open": (298, 241),
      "userfaultfd": (323, 282), "setns": (308, 268), "open_by_handle_at": (304, 265), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
      "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "ptrace": (101, 117), "pidfd_open": (434, 434),
      "pidfd_getfd": (438, 438), "process_vm_readv": (310, 270), "unshare": (272, 97), "mount": (165, 40), "pivot_root": (155, 41), "mq_open": (180, 180)}
tries = {}


def t(name, f):
    try:
        r = f()
        tries[name] = "OPEN" if r is None else str(r)
    except OSError as e:
        tries[name] = errno.errorcode.get(e.errno, str(e.errno)) if e.errno else type(e).__name__
    except Exception as e:
        tries[name] = type(e).__name__ + " " + str(e)[:80]


def call(name, *a):
    r = libc.syscall(NR[name][ARM], *a)
    if r < 0:
        raise OSError(ctypes.get_errno(), "")
    return r


def run(*c, timeout=10):
    r = subprocess.run(c, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    return f"rc={r.returncode} " + " ".join((r.stdout + r.stderr).split())[:300]


def ux(path, kind=STREAM):
    s = socket.socket(UNIX, kind)
    s.settimeout(2)
    s.connect("\0" + path[1:] if path[0] == "@" else path)
    s.send(b"from inside")
    return "OPEN"


def tcp(host, port):
    fam = INET6 if ":" in host else INET
    s = socket.socket(fam)
    s.settimeout(2)
    s.connect((host, port))
    s.send(b"x")
    got = b""
    try:
        got = s.recv(20)
    except OSError:
        pass
    return got.decode() or "silent"


def udp(host, port, data=b"from inside", opts=()):
    fam = INET6 if ":" in host else INET
    s = socket.socket(fam, DGRAM)
    s.settimeout(1)
    for o in opts:
        s.setsockopt(*o)
    if opts:
        s.sendto(data, (host, port))
        return "sent"
    s.connect((host, port))
    s.send(data)
    return "answer " + s.recv(100).decode(errors="replace")[:20]


def opened(path, flags):
    os.close(os.open(path, flags))


t("inherited descriptors", lambda: sorted(int(f) for f in os.listdir("/proc/self/fd"))[:-1])
for name, path in arg["sockets"].items():
    kind = DGRAM if name.endswith("dgram") else SEQ if name.endswith("seqpacket") else STREAM
    t("unix " + name, lambda: ux(path, kind))
for name, (host, port) in arg["tcp"].items():
    t("tcp " + name, lambda: tcp(host, port))
for name, (host, port) in arg["udp"].items():
    t("udp " + name, lambda: udp(host, port))
t("fifo", lambda: os.write(os.open(arg["fifo"], os.O_WRONLY | os.O_NONBLOCK), b"from inside") and "OPEN")
if arg.get("wires"):  # nothing but what the wires tell
    print(json.dumps(tries))
    sys.exit()

for host in ("8.8.8.8", "127.0.0.53", "2001:4860:4860::8888", "::1", "169.254.169.254"):
    t("dns " + host, lambda: udp(host, 53, b"\xab\xcd\x01\0\0\1\0\0\0\0\0\0\3foo\4test\0\0\1\0\1"))
t("udp 443", lambda: udp("8.8.8.8", 443))
t("udp 443 v6", lambda: udp("2001:db8::1", 443))
t("multicast", lambda: udp("224.0.0.251", 5353, opts=[(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)]))
t("broadcast", lambda: udp("255.255.255.255", arg["udp"]["any"][1], opts=[(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)]))
for host, port in (("10.0.0.1", 22), ("169.254.169.254", 80), ("2001:db8::1", 443), ("::ffff:8.8.8.8", 443), ("0.0.0.0", 4000), ("fd00:ec2::254", 80)):
    t(f"tcp {host} {port}", lambda: tcp(host, port))
t("tcp fe80::1%lo", lambda: tcp("fe80::1%lo", 443))
t("ping", lambda: socket.socket(INET, DGRAM, 1).sendto(b"\x08\0\0\0\0\0\0\1", ("8.8.8.8", 0)))
t("ping v6", lambda: socket.socket(INET6, DGRAM, 58).sendto(b"\x80\0\0\0\0\0\0\1", ("2001:db8::1", 0)))
t("raw icmp", lambda: socket.socket(INET, RAW, 1).close())
t("packet", lambda: socket.socket(socket.AF_PACKET, RAW, 0).close())
t("fast open", lambda: socket.socket().sendto(b"GET / ", 0x20000000, ("8.8.8.8", 80)) and "captured")
for name, kind, proto in (("sctp", STREAM, 132), ("mptcp", STREAM, 262), ("smc", STREAM, 256), ("dccp", 6, 33), ("udplite", DGRAM, 136), ("l2tp", DGRAM, 115)):
    t("protocol " + name, lambda: socket.socket(INET, kind, proto).close())


def families():
    answer = []
    for fam in range(0, 64):
        for kind in (STREAM, DGRAM, RAW, SEQ):
            try:
                os.close(call("socket", fam, kind, 0))
                answer.append(fam)
            except OSError as e:
                if e.errno != errno.EAFNOSUPPORT:
                    answer.append(fam)
    return sorted(set(answer))


def netlinks():
    answer = []
    for p in range(0, 40):
        try:
            socket.socket(NETLINK, RAW, p).close()
            answer.append(p)
        except OSError:
            pass
    return answer


t("families", families)
t("netlinks", netlinks)
t("socketpair tipc", lambda: call("socketpair", 30, STREAM, 0, ctypes.create_string_buffer(8)))
t("high half of a family", lambda: call("socket", ctypes.c_ulong(0x100000000 | 40), STREAM, 0))


def listen(fam, addr, *opts):
    s = socket.socket(fam)
    for o in opts:
        s.setsockopt(*o)
    s.bind(addr)
    s.listen(1)


for host in ("127.0.0.1", "0.0.0.0", "198.18.0.1"):
    t(f"take port {host} reuseaddr", lambda: listen(INET, (host, 15001), (1, 2, 1)))
    t(f"take port {host} reuseport", lambda: listen(INET, (host, 15001), (1, 15, 1)))
t("take port ::1", lambda: listen(INET6, ("::1", 15001), (1, 2, 1)))
t("take udp 53", lambda: socket.socket(INET, DGRAM).bind(("8.8.8.8", 53)))
t("transparent", lambda: socket.socket().setsockopt(0, 19, 1))
t("mark", lambda: socket.socket().setsockopt(1, 36, 1))
t("bind to device", lambda: socket.socket().setsockopt(1, 25, b"eth0\0"))

buf = ctypes.create_string_buffer(256)


def iov(at):
    return struct.pack("QQ", at, 8)


for name, a in {"io_uring_setup": (8, buf), "io_uring_enter": (0, 0, 0, 0, 0, 0), "io_uring_register": (0, 0, 0, 0), "keyctl": (0, -3, 0),
                "add_key": (b"user", b"x", b"y", 1, -3), "request_key": (b"user", b"x", 0, -3), "bpf": (0, buf, 128),
                "perf_event_open": (buf, 0, -1, -1, 0), "userfaultfd": (1,), "open_by_handle_at": (-1, buf, 0), "kexec_load": (0, 0, 0, 0),
                "kexec_file_load": (-1, -1, 0, b"", 0), "init_module": (buf, 1, b""), "finit_module": (0, b"", 0), "delete_module": (b"x", 0)}.items():
    t("call " + name, lambda: call(name, *a))
t("setns of process 1", lambda: call("setns", call("pidfd_open", 1, 0), 0x40000000))
t("ptrace process outside", lambda: call("ptrace", 16, arg["pid"], 0, 0))
t("ptrace process 1", lambda: call("ptrace", 16, 1, 0, 0))
t("signal process 1", lambda: os.kill(1, 15))
t("signal process outside", lambda: os.kill(arg["pid"], 15))
t("descriptor of process 1", lambda: call("pidfd_getfd", call("pidfd_open", 1, 0), 3, 0))
t("memory of process 1", lambda: call("process_vm_readv", 1, iov(ctypes.addressof(buf)), 1, iov(0x400000), 1, 0))
for n in (0x5412, 0x541C, 0x100005412):
    t(f"terminal input {n:#x}", lambda: libc.ioctl(0, ctypes.c_ulong(n), b"x") and (_ for _ in ()).throw(OSError(ctypes.get_errno(), "")))
t("i386 calls", lambda: run(arg["probe"] + "/i386"))
t("io_uring alone", lambda: run(arg["probe"] + "/iou", arg["sockets"]["workspace"]))

t("root of process outside", lambda: os.listdir(f"/proc/{arg['pid']}/root"))
for f in ("root", "ns/net", "cwd", "exe"):
    t("process 1 " + f, lambda: os.readlink("/proc/1/" + f))
for f in ("environ", "mem", "maps"):
    t("process 1 " + f, lambda: len(open("/proc/1/" + f, "rb").read(10)))
t("processes", lambda: sorted(int(p) for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid()))
t("devices of a new network", lambda: run("unshare", "-Urn", "cat", "/proc/net/dev"))
t("devices", lambda: sorted(l.split(":")[0].strip() for l in open("/proc/net/dev") if ":" in l))
t("routes of the new network", lambda: run("unshare", "-Urn", "/usr/bin/python3", "-c", "import socket; socket.create_connection(('8.8.8.8', 443), 1)"))
t("umount /run", lambda: run("umount", "/run"))
t("umount /run, nested", lambda: run("unshare", "-Urm", "umount", "/run"))
t("umount hidden, nested", lambda: run("unshare", "-Urm", "umount", arg["state"]))
t("bind above hidden, nested", lambda: run("unshare", "-Urm", "sh", "-c", f"mount --bind {os.path.dirname(arg['state'])} /mnt && cat /mnt/outvet/keys/ca.key"))
t("rbind above hidden, nested", lambda: run("unshare", "-Urm", "sh", "-c", f"mount --rbind {os.path.dirname(arg['state'])} /mnt && cat /mnt/outvet/keys/ca.key"))
for name, below in (("state", os.path.dirname(arg["state"])), ("home", arg["home"])):
    t("overlay above hidden, nested " + name, lambda: run("unshare", "-Urm", "sh", "-c", f"mount -t overlay x -o lowerdir={below}:/etc /mnt && cd /mnt && find . -name ca.key | xargs cat"))
t("mount in a nested namespace", lambda: run("unshare", "-Urm", "mount", "-t", "tmpfs", "x", "/mnt"))
t("pivot to the old root", lambda: call("pivot_root", b".", b"."))
t("su", lambda: run("su", "-c", "id", "nobody"))
t("setuid programs", lambda: run("sh", "-c", "for f in /usr/bin/su /usr/bin/mount /usr/bin/passwd /usr/bin/chsh; do test -u $f && echo $f; done; /usr/bin/mount -t tmpfs x /mnt"))
t("groups", lambda: os.getgroups())
for f in ("/proc/sys/kernel/core_pattern", "/proc/sys/net/ipv4/ip_forward", "/proc/sysrq-trigger", "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/kernel/uevent_helper",
          "/dev/vda", "/dev/sda", "/dev/vsock", "/dev/vhost-vsock", "/dev/kvm", "/dev/net/tun", "/dev/mem", "/dev/kmsg", "/dev/fuse", "/dev/loop-control",
          "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/unified/cgroup.procs", "/usr/bin/git", "/etc/crontab", "/etc/passwd"):
    t("write " + f, lambda: opened(f, os.O_WRONLY))
for f in ("/etc/shadow", "/proc/kcore", "/dev/vda", "/proc/kallsyms"):
    t("read " + f, lambda: len(open(f, "rb").read(1)) and "OPEN")
t("state", lambda: open(arg["state"] + "/keys/ca.key").read())
t("list state", lambda: os.listdir(arg["state"]))
for f in (".ssh/id_ed25519", ".netrc"):
    t("secret " + f, lambda: open(arg["home"] + "/" + f).read() or "empty")
t("core limit", lambda: resource.getrlimit(resource.RLIMIT_CORE))
t("lower core limit", lambda: (resource.setrlimit(resource.RLIMIT_CORE, (0, 0)), resource.getrlimit(resource.RLIMIT_CORE))[1])
t("other limits", lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)) or resource.getrlimit(resource.RLIMIT_NOFILE)[0])
t("queues", lambda: os.listdir("/dev/mqueue"))
t("nsenter", lambda: run("nsenter", "-t", "1", "-a", "true"))
print(json.dumps(tries))
