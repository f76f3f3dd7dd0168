#!/usr/bin/env python3
"""Verify a log in the C2SP tlog-tiles layout with nothing but hashlib.

    verify.py log LOGDIR KEYFILE     the whole log against its checkpoint
    verify.py proof FILE KEYFILE     one .tlog-proof that carries its entry
    verify.py signatures             JSON lines {key, msg, sig} on standard input;
                                     prints 1 or 0 for each

Written from the documents alone (c2sp.org/tlog-tiles, tlog-checkpoint,
signed-note, tlog-proof; RFC 6962; RFC 8032), so that it shares no mistake with
the program that writes the log.
"""
import base64, hashlib, json, os, sys

# Ed25519, RFC 8032 section 5.1, in extended coordinates.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
I = pow(2, (P - 1) // 4, P)


def recover_x(y, sign):
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if x2 == 0:
        return None if sign else 0
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * I % P
    if (x * x - x2) % P:
        return None
    return P - x if x & 1 != sign else x


def decompress(b):
    y = int.from_bytes(b, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


def add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(s, p):
    q = (0, 1, 1, 0)
    while s:
        if s & 1:
            q = add(q, p)
        p = add(p, p)
        s >>= 1
    return q


BY = 4 * pow(5, P - 2, P) % P
BX = recover_x(BY, 0)
BASE = (BX, BY, 1, BX * BY % P)


def signed(key, msg, sig):
    if len(key) != 32 or len(sig) != 64:
        return False
    a, r, s = decompress(key), decompress(sig[:32]), int.from_bytes(sig[32:], "little")
    if a is None or r is None or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(sig[:32] + key + msg).digest(), "little") % L
    p, q = multiply(s, BASE), add(r, multiply(h, a))
    return not ((p[0] * q[2] - q[0] * p[2]) % P or (p[1] * q[2] - q[1] * p[2]) % P)


def open_checkpoint(raw, vkey):
    """Return (size, root) of a checkpoint that vkey signed."""
    name, key_hash, key = vkey.strip().split("+", 2)
    key = base64.b64decode(key)
    want = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
    assert key[0] == 1 and want.hex() == key_hash, "malformed verifier key"
    cut = raw.index(b"\n\n") + 1
    text, good = raw[:cut], False
    for line in raw[cut + 1:].decode().splitlines():
        dash, signer, sig = line.split(" ")
        sig = base64.b64decode(sig)
        if dash == "\u2014" and signer == name and sig[:4] == want:
            good = good or signed(key[1:], text, sig[4:])
    assert good, "the checkpoint is not signed by the key"
    origin, size, root = text.decode().splitlines()[:3]
    assert origin == name, "the origin is not the name of the key"
    return int(size), base64.b64decode(root)


def leaf(entry):
    return hashlib.sha256(b"\x00" + entry).digest()


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree_hash(h):
    if not h:
        return hashlib.sha256(b"").digest()
    if len(h) == 1:
        return h[0]
    k = 1
    while k * 2 < len(h):
        k *= 2
    return node(tree_hash(h[:k]), tree_hash(h[k:]))


def tile_path(level, n, width):
    parts = ["%03d" % (n % 1000)]
    while n >= 1000:
        n //= 1000
        parts.insert(0, "x%03d" % (n % 1000))
    path = "tile/%s/%s" % (level, "/".join(parts))
    return path if width == 256 else "%s.p/%d" % (path, width)


def read(folder, *names):
    with open(os.path.join(folder, *names), "rb") as f:
        return f.read()


def verify_log(folder, vkey):
    size, root = open_checkpoint(read(folder, "checkpoint"), vkey)
    hashes = []
    for n in range((size + 255) // 256):
        width = min(256, size - n * 256)
        b, found = read(folder, tile_path("entries", n, width)), 0
        while b:
            length = int.from_bytes(b[:2], "big")
            entry, b = b[2:2 + length], b[2 + length:]
            assert len(entry) == length, "a bundle ends within an entry"
            json.loads(entry)
            hashes.append(leaf(entry))
            found += 1
        assert found == width, "bundle %d holds %d entries, not %d" % (n, found, width)
    assert tree_hash(hashes) == root, "the entries are not those that the checkpoint signs"
    level, row = 0, hashes
    while row:
        for n in range((len(row) + 255) // 256):
            part = row[n * 256:n * 256 + 256]
            assert read(folder, tile_path(level, n, len(part))) == b"".join(part), "tile %d/%d" % (level, n)
        row = [tree_hash(row[i:i + 256]) for i in range(0, len(row) - 255, 256)]
        level += 1
    return size


def verify_proof(raw, vkey):
    head, checkpoint = raw.split(b"\n\n", 1)
    lines = head.decode().split("\n")
    assert lines.pop(0) == "c2sp.org/tlog-proof@v1", "not a proof"
    word, extra = lines.pop(0).split(" ")
    assert word == "extra", "the proof carries no entry"
    entry = base64.b64decode(extra, validate=True)
    word, index = lines.pop(0).split(" ")
    assert word == "index"
    size, root = open_checkpoint(checkpoint, vkey)
    # RFC 9162, section 2.1.3.2.
    fn, sn, r = int(index), size - 1, leaf(entry)
    assert fn <= sn, "the checkpoint does not cover the entry"
    for line in lines:
        p = base64.b64decode(line, validate=True)
        assert sn > 0 and len(p) == 32, "the proof is too long"
        if fn & 1 or fn == sn:
            r = node(p, r)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node(r, p)
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0 and r == root, "the proof does not lead to the signed root"
    return json.loads(entry)


def main():
    what = sys.argv[1]
    if what == "signatures":
        for line in sys.stdin:
            x = json.loads(line)
            print(int(signed(bytes.fromhex(x["key"]), x["msg"].encode(), bytes.fromhex(x["sig"]))))
        return
    with open(sys.argv[3]) as f:
        vkey = f.read()
    try:
        if what == "log":
            print("ok", verify_log(sys.argv[2], vkey))
        else:
            with open(sys.argv[2], "rb") as f:
                print("ok", verify_proof(f.read(), vkey)["id"])
    except (AssertionError, OSError, ValueError) as e:
        sys.exit("%s: %s" % (type(e).__name__, e))


main()
