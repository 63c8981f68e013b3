package mimetext

import (
	"encoding/base64"
	"encoding/binary"
)

// base64Pairs holds the two characters of each 12 bits, the first in the lower
// octet.
var base64Pairs = func() (pairs [1 << 12]uint16) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range pairs {
		pairs[i] = uint16(alphabet[i>>6]) | uint16(alphabet[i&63])<<8
	}
	return pairs
}()

// Base64 writes src into dst as base64.StdEncoding.Encode does, which must have
// room for it, and returns the number of characters. A large mail over the API
// is encoded three times, its files for MIME and the whole for the hash and for
// the wire, which is most of the processor's work; by pairs of characters it
// takes half the time.
func Base64(dst, src []byte) int {
	n := base64.StdEncoding.EncodedLen(len(src))
	for len(src) >= 8 { // six octets a turn, of eight that are read
		v := binary.BigEndian.Uint64(src)
		binary.LittleEndian.PutUint64(dst, uint64(base64Pairs[v>>52])|
			uint64(base64Pairs[v>>40&0xfff])<<16|
			uint64(base64Pairs[v>>28&0xfff])<<32|
			uint64(base64Pairs[v>>16&0xfff])<<48)
		src, dst = src[6:], dst[8:]
	}
	base64.StdEncoding.Encode(dst, src)
	return n
}

// Sizes of the encoding of files: Base64In octets are a line of LineAim
// characters, Base64Out with its CRLF.
const (
	Base64In  = 57
	Base64Out = LineAim + 2
)

// Base64Len returns the length of n octets in base64 lines.
func Base64Len(n int) int64 {
	lines := (n + Base64In - 1) / Base64In
	return int64((n+2)/3*4) + 2*int64(lines)
}

// Base64Lines writes p into dst, each line after its CRLF, and returns what it
// wrote. dst has room for it.
func Base64Lines(dst, p []byte) []byte {
	n := 0
	for len(p) > 0 {
		line := p[:min(Base64In, len(p))]
		dst[n], dst[n+1] = '\r', '\n'
		n += 2
		n += Base64(dst[n:], line)
		p = p[len(line):]
	}
	return dst[:n]
}
