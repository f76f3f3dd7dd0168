// Package wsframe reads and writes the messages of WebSocket (RFC 6455) and
// undoes their compression (permessage-deflate, RFC 7692).
//
// # What it is for
//
// A relay between two endpoints. What the client says is read message by
// message (Reader), so that each can be judged whole; what the server says is
// only followed (Walker), so that the relay knows where a frame may be put in
// between.
//
// # Laws
//
//   - What one endpoint could read otherwise than another is no message but a
//     *Fault: reserved bits and opcodes, lengths that are longer written than
//     they need be, a masked server or an unmasked client, fragments out of
//     order, a control frame that is long or fragmented, text that is no UTF-8,
//     compressed data with anything behind its end.
//   - Memory grows as bytes arrive, not as they are announced, and is bounded:
//     of a message by Reader.Max, of its inflated form by the arguments of
//     Inflater.Append.
//   - Nothing panics whatever comes (FuzzFrames, FuzzInflate).
//
// # A frame
//
//	byte 0     FIN, RSV1 (compressed), RSV2, RSV3, four bits of opcode
//	byte 1     MASK, seven bits of length: to 125, 126 for 16 bits, 127 for 64
//	0, 2 or 8  the length, most significant byte first
//	0 or 4     the masking key
//	           the payload, byte i of it XORed with byte i%4 of the key
//
// A message is one frame, or a first frame with FIN clear and continuations up
// to one with FIN set; control frames may stand between them.
//
//	r := wsframe.Reader{R: conn, Max: 8 << 20}
//	for {
//		m, err := r.Next() // m.Payload is valid until the next call
//		…
//	}
package wsframe
