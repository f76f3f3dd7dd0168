"""A server of gRPC without protobuf: messages are bytes. It prints its
ports, with TLS and without."""
import sys
import threading
from concurrent import futures

import grpc

cert, key, log = sys.argv[1:4]
out = open(log, "a", buffering=1)


def unary(b, ctx):
    out.write("unary %r\n" % b[-60:])
    meta = dict(ctx.invocation_metadata())
    ctx.send_initial_metadata((("seen-bin", meta.get("sent-bin", b"")), ("seen", meta.get("sent", ""))))
    ctx.set_trailing_metadata((("last-bin", b"\x00\xff\x01"),))
    if b == b"fail":
        ctx.abort(grpc.StatusCode.FAILED_PRECONDITION, "no, because of \u00fc")
    return b"got " + str(len(b)).encode()


def down(b, ctx):
    for i in range(int(b)):
        yield b"%d" % i


def up(it, ctx):
    n = 0
    for b in it:
        out.write("up %r\n" % b)
        n += 1
    return b"%d" % n


def talk(it, ctx):
    over = threading.Event()
    ctx.add_callback(lambda: (out.write("over\n"), over.set()))
    for b in it:
        out.write("talk %r\n" % b[-60:])
        yield b"got " + b[:20]
        if b == b"stall":
            over.wait(20)


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        return {
            "/t.S/Unary": grpc.unary_unary_rpc_method_handler(unary),
            "/t.S/Down": grpc.unary_stream_rpc_method_handler(down),
            "/t.S/Up": grpc.stream_unary_rpc_method_handler(up),
            "/t.S/Talk": grpc.stream_stream_rpc_method_handler(talk),
        }.get(details.method)


server = grpc.server(futures.ThreadPoolExecutor(8), handlers=(Handler(),), options=[("grpc.max_receive_message_length", 16 << 20)])
creds = grpc.ssl_server_credentials([(open(key, "rb").read(), open(cert, "rb").read())])
print(server.add_secure_port("127.0.0.1:0", creds), server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
sys.stdin.read()
server.stop(None)
