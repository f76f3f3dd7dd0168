"""A WebSocket over HTTP/2 by the libraries h2 and wsproto: it says hello three
times, compressed in one context, then its last argument."""
import socket
import ssl
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, TextMessage
from wsproto.extensions import PerMessageDeflate

proxy, ca, host, last = sys.argv[1:5]
addr, port = proxy.rsplit(":", 1)
raw = socket.create_connection((addr, int(port)), timeout=10)
raw.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
assert raw.recv(4096).startswith(b"HTTP/1.1 200")
ctx = ssl.create_default_context(cafile=ca)
ctx.set_alpn_protocols(["h2"])
sock = ctx.wrap_socket(raw, server_hostname=host)
assert sock.selected_alpn_protocol() == "h2"
conn = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
conn.initiate_connection()
sock.sendall(conn.data_to_send())


def events():
    while True:
        data = sock.recv(65536)
        if not data:
            return
        got = conn.receive_data(data)
        sock.sendall(conn.data_to_send())
        yield from got


it = events()
while not conn.remote_settings.enable_connect_protocol:
    next(it)
deflate = PerMessageDeflate()
stream = conn.get_next_available_stream_id()
conn.send_headers(stream, [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", host), (":path", "/py"),
                           ("sec-websocket-version", "13"), ("sec-websocket-extensions", "permessage-deflate; " + deflate.offer())])
sock.sendall(conn.data_to_send())
ws = None
said = ["hello", "hello", "hello", last]


def send(event):
    conn.send_data(stream, ws.send(event))
    sock.sendall(conn.data_to_send())


for e in it:
    if isinstance(e, h2.events.ResponseReceived):
        head = dict(e.headers)
        print("status", head[":status"], head.get("sec-websocket-extensions"))
        if head[":status"] != "200":
            break
        deflate.finalize(head["sec-websocket-extensions"])
        ws = Connection(ConnectionType.CLIENT, [deflate])
        send(TextMessage(data=said.pop(0)))
    elif isinstance(e, h2.events.DataReceived) and e.data:
        conn.acknowledge_received_data(e.flow_controlled_length, stream)
        ws.receive_data(e.data)
        for w in ws.events():
            if isinstance(w, TextMessage):
                print("said", w.data)
                send(TextMessage(data=said.pop(0)))
            elif isinstance(w, CloseConnection):
                print("closed", w.code, w.reason)
                send(w.response())
    elif isinstance(e, (h2.events.StreamEnded, h2.events.StreamReset)):
        print(type(e).__name__)
        break
