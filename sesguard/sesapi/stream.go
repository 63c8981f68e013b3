package sesapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	stderrors "errors"
	"fmt"
	"hash/maphash"
	"io"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/internal/mimetext"
)

// streamFrom is the size from which a raw message is encoded on its way to the
// HTTP client. The SDK's serializer holds about four copies of a message;
// streaming one costs two reads and as much memory as a message of this size
// takes in the SDK's way.
const streamFrom = 64 << 10

// attachStreaming lets the SDK serialize a large raw message without its
// content, and puts the content in afterwards: the envelope, the endpoint and
// the signature stay the SDK's work.
func attachStreaming(stack *middleware.Stack) error {
	const serializer = "OperationSerializer"
	return stderrors.Join(
		stack.Serialize.Insert(contentOut{}, serializer, middleware.Before),
		stack.Serialize.Insert(contentIn{}, serializer, middleware.After),
	)
}

// An opener opens the content of a raw message as sesguard.Mail.Open does: each
// time with the same octets, and no Read outlives the context.
type opener func(context.Context) (io.ReadCloser, error)

type (
	mailKey    struct{} // of a *sesguard.Mail whose content is not in the input
	contentKey struct{} // of the opener of the content that was taken out
)

// contentOut is the step before the serializer. It takes the content out of a
// copy of the input.
type contentOut struct{}

func (contentOut) ID() string { return "SesguardContentOut" }

func (contentOut) HandleSerialize(ctx context.Context, in middleware.SerializeInput, next middleware.SerializeHandler) (middleware.SerializeOutput, middleware.Metadata, error) {
	params, ok := in.Parameters.(*sesv2.SendEmailInput)
	if !ok || params.Content == nil || params.Content.Raw == nil {
		return next.HandleSerialize(ctx, in)
	}
	data := params.Content.Raw.Data
	m, streamed := ctx.Value(mailKey{}).(*sesguard.Mail)
	var open opener
	switch {
	case len(data) >= streamFrom:
		open = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	case len(data) == 0 && streamed:
		open = m.Open
	default:
		return next.HandleSerialize(ctx, in)
	}
	without, content := *params, *params.Content
	content.Raw = &sestypes.RawMessage{Data: []byte{}}
	without.Content = &content
	in.Parameters = &without
	return next.HandleSerialize(context.WithValue(ctx, contentKey{}, open), in)
}

// contentIn is the step behind the serializer. It puts the content back, as a
// stream, and tells the signer its hash.
type contentIn struct{}

func (contentIn) ID() string { return "SesguardContentIn" }

func (contentIn) HandleSerialize(ctx context.Context, in middleware.SerializeInput, next middleware.SerializeHandler) (out middleware.SerializeOutput, metadata middleware.Metadata, err error) {
	open, ok := ctx.Value(contentKey{}).(opener)
	if !ok {
		return next.HandleSerialize(ctx, in)
	}
	req, ok := in.Request.(*smithyhttp.Request)
	if !ok {
		return out, metadata, fmt.Errorf("sesguard: a request of the unknown type %T", in.Request)
	}
	body, hash, err := newStream(ctx, req.GetStream(), open)
	if err != nil {
		return out, metadata, err
	}
	defer body.close()
	if in.Request, err = req.SetStream(body); err != nil {
		return out, metadata, err
	}
	out, metadata, err = next.HandleSerialize(v4.SetPayloadHash(ctx, hash), in)
	body.raise()
	if err != nil && body.err != nil {
		err = fmt.Errorf("%w: %w", body.err, err)
	}
	return out, metadata, err
}

// A stream is the body of a request with a large raw message: what the SDK
// serialized, with the content in base64 in its place. It is read once for its
// hash and once for the wire, and can be rewound for more.
type stream struct {
	ctx            context.Context
	open           opener
	prefix, suffix []byte
	size           int64  // of the content, -1 during the first pass
	sum            uint64 // of the content
	length         int64  // of the body

	src      io.ReadCloser // nil before the first Read
	ended    bool          // src was read to its end
	pending  []byte        // what comes next
	pos      int64
	count    int64 // octets of the content so far
	running  maphash.Hash
	raw      []byte // a block of the content
	encoded  []byte // the same in base64
	err      error
	panicked any // what a Read panicked with
}

// raise panics in the sender's goroutine with what a Read has panicked with.
func (s *stream) raise() {
	if s.panicked != nil {
		panic(s.panicked)
	}
}

// block is how much content is encoded at a time: a multiple of 3, so that the
// blocks' base64 can be joined.
const block = 24 << 10

// place is where the serializer writes the content that was taken out. In a
// JSON string its quotes would be escaped, so no value of the input looks like it.
var place = []byte(`"Raw":{"Data":""`)

// newStream reads the content once. It returns the whole body's SHA-256 too.
func newStream(ctx context.Context, serialized io.Reader, open opener) (*stream, string, error) {
	var envelope bytes.Buffer
	if serialized != nil {
		if _, err := envelope.ReadFrom(serialized); err != nil {
			return nil, "", err
		}
	}
	at := bytes.Index(envelope.Bytes(), place)
	if at < 0 {
		return nil, "", stderrors.New("sesguard: the SDK's request has no place for the raw message")
	}
	at += len(place) - 1
	s := &stream{
		ctx: ctx, open: open, size: -1,
		prefix: envelope.Bytes()[:at], suffix: envelope.Bytes()[at:],
		raw: make([]byte, block), encoded: make([]byte, base64.StdEncoding.EncodedLen(block)),
	}
	hash, err := s.hash()
	if err != nil {
		return nil, "", err
	}
	return s, hash, nil
}

// hash is the first pass: it learns the size of the content and what the second
// must read again, and returns the body's SHA-256.
func (s *stream) hash() (string, error) {
	defer s.close()
	hash := sha256.New()
	for {
		err := s.advance()
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", err
		}
		hash.Write(s.pending)
		s.pos += int64(len(s.pending))
	}
	s.size, s.sum, s.length = s.count, s.running.Sum64(), s.pos
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// Read reads the body. A panic in the code that gives the content is kept for
// raise: net/http reads in a goroutine of its own, where it would end the
// program.
func (s *stream) Read(p []byte) (n int, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.panicked, s.err = v, stderrors.New("sesguard: panic while the message was read")
			n, err = 0, s.err
		}
	}()
	for len(s.pending) == 0 {
		if err := s.advance(); err != nil {
			return 0, err
		}
	}
	n = copy(p, s.pending)
	s.pending = s.pending[n:]
	s.pos += int64(n)
	return n, nil
}

// advance makes the next octets pending. A content that is not what the first
// pass read fails before the suffix: the request stays incomplete, where a wrong
// one would be refused as wrongly signed.
func (s *stream) advance() error {
	switch {
	case s.err != nil:
		return s.err
	case s.src == nil && s.pos == 0:
		s.pending = s.prefix
		src, err := s.open(s.ctx)
		if err != nil {
			s.err = err
			return err
		}
		s.src = src
		return nil
	case s.ended:
		return io.EOF
	}
	n, err := io.ReadFull(s.src, s.raw)
	s.running.Write(s.raw[:n])
	s.count += int64(n)
	s.ended = err == io.EOF || err == io.ErrUnexpectedEOF
	switch {
	case err != nil && !s.ended:
		s.err = err
	case s.size >= 0 && (s.count > s.size || s.ended && s.running.Sum64() != s.sum):
		s.err = &seserrors.Error{
			Op: "sesguard read message", Class: seserrors.Invalid, Reason: seserrors.ContentUnreadable,
			Message: "the content changed while it was sent",
		}
	}
	if s.err != nil {
		return s.err
	}
	s.pending = s.encoded[:mimetext.Base64(s.encoded, s.raw[:n])]
	if s.ended {
		s.pending = append(s.pending, s.suffix...)
	}
	return nil
}

// Seek tells the position and the length, and rewinds: what the SDK asks of a
// body. Rewound, the content is opened anew.
func (s *stream) Seek(offset int64, whence int) (int64, error) {
	switch {
	case whence == io.SeekCurrent && offset == 0:
		return s.pos, nil
	case whence == io.SeekEnd && offset == 0:
		return s.length, nil // a Seek to the start follows, or the position does not matter
	case whence == io.SeekStart && offset == 0:
		if s.pos > 0 {
			s.close()
		}
		return 0, nil
	}
	return 0, fmt.Errorf("sesguard: a request body cannot seek to %d", offset)
}

// close closes the content and rewinds.
func (s *stream) close() {
	if s.src != nil {
		s.src.Close()
	}
	s.running.Reset()
	s.src, s.ended, s.pending, s.pos, s.count = nil, false, nil, 0, 0
}
