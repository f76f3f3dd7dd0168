"""A client of gRPC that goes through the proxy of its environment and prints
what comes of each call."""
import queue
import sys

import grpc

ca, host, secret = sys.argv[1], sys.argv[2], sys.argv[3].encode()
if ca:
    channel = grpc.secure_channel(host + ":443", grpc.ssl_channel_credentials(open(ca, "rb").read()))
else:
    channel = grpc.insecure_channel(host + ":80")
unary = channel.unary_unary("/t.S/Unary")
down = channel.unary_stream("/t.S/Down")
up = channel.stream_unary("/t.S/Up")
talk = channel.stream_stream("/t.S/Talk")


def show(name, f):
    try:
        print(name, f(), flush=True)
    except grpc.RpcError as e:
        print(name, e.code().name, e.details(), flush=True)


show("unary", lambda: unary(b"hello", timeout=10))


def metadata():
    got, call = unary.with_call(b"m", metadata=(("sent-bin", b"\x00\x01\xfe"), ("sent", "x")), timeout=10)
    return dict(call.initial_metadata())["seen-bin"], dict(call.initial_metadata())["seen"], dict(call.trailing_metadata())["last-bin"]


show("metadata", metadata)
show("status", lambda: unary(b"fail", timeout=10))
show("unknown", lambda: channel.unary_unary("/t.S/None")(b"", timeout=10))
show("down", lambda: list(down(b"5", timeout=10)))
show("up", lambda: up(iter([b"a", b"b", b"c"]), timeout=10))
show("large", lambda: unary(b"x" * (3 << 20), timeout=20))
show("gzip", lambda: unary(b"y" * 100000, compression=grpc.Compression.Gzip, timeout=10))
show("secret", lambda: unary(b"key " + secret, timeout=10))
show("secret in gzip", lambda: unary(b"z" * 5000 + b" key " + secret, compression=grpc.Compression.Gzip, timeout=10))
show("secret in a stream", lambda: up(iter([b"a", b"key " + secret]), timeout=10))


def midst():
    q = queue.Queue()
    it = talk(iter(q.get, None), timeout=10)
    q.put(b"one")
    print("midst", next(it))
    q.put(b"two")
    print("midst", next(it))
    q.put(b"key " + secret)
    return next(it)


show("midst", midst)


def cancel():
    q = queue.Queue()
    it = talk(iter(q.get, None), timeout=10)
    q.put(b"stall")
    print("cancel", next(it))
    it.cancel()
    q.put(None)
    return next(it)


show("cancel", cancel)


def deadline():
    q = queue.Queue()
    it = talk(iter(q.get, None), timeout=0.5)
    q.put(b"stall")
    print("deadline", next(it))
    return next(it)


show("deadline", deadline)
show("many", lambda: len(list(down(b"20000", timeout=20))))
print("alive", unary(b"at the end", timeout=10))
