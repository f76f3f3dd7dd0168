// A WebSocket over HTTP/2 by node:http2: it says hello three times, then its last
// argument.
const [proxy, ca, host, last] = process.argv.slice(2)
const net = require('net'), tls = require('tls'), http2 = require('http2'), crypto = require('crypto')
const frame = text => {
  const key = crypto.randomBytes(4), b = Buffer.from(text)
  for (let i = 0; i < b.length; i++) b[i] ^= key[i % 4]
  return Buffer.concat([Buffer.from([0x81, 0x80 | b.length]), key, b])
}
const [addr, port] = proxy.split(':')
const raw = net.connect(port, addr, () => raw.write(`CONNECT ${host}:443 HTTP/1.1\r\nHost: ${host}:443\r\n\r\n`))
raw.once('data', () => {
  const socket = tls.connect({ socket: raw, servername: host, ALPNProtocols: ['h2'], ca: require('fs').readFileSync(ca) }, () => {
    const session = http2.connect('https://' + host, { createConnection: () => socket })
    session.on('remoteSettings', s => {
      console.log('offered', s.enableConnectProtocol)
      const ws = session.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/node', 'sec-websocket-version': '13' })
      const said = ['hello', 'hello', 'hello', last]
      ws.on('response', h => { console.log('status', h[':status']); ws.write(frame(said.shift())) })
      let buf = Buffer.alloc(0)
      ws.on('data', d => {
        buf = Buffer.concat([buf, d])
        while (buf.length >= 2 && buf.length >= 2 + buf[1]) {
          const b = buf.subarray(2, 2 + buf[1])
          if ((buf[0] & 15) === 8) console.log('closed', b.readUInt16BE(0), b.subarray(2).toString())
          else { console.log('said', b.toString()); ws.write(frame(said.shift())) }
          buf = buf.subarray(2 + buf[1])
        }
      })
      ws.on('end', () => { console.log('end'); ws.end(); session.close(); socket.destroy() })
    })
  })
})
