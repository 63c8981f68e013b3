package event

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
)

// Limits on what is read. SNS and SQS carry at most 256 KiB (1 MiB since 2025),
// Lambda hands over at most 6 MiB.
const (
	maxDocument = 16 << 20 // one JSON value in a stream
	maxUnpacked = 64 << 20 // all that Parse gets out of a gzip file
	maxWraps    = 8        // carriers within carriers; SNS in SQS in Lambda are three
)

// Parse reads events out of whatever carried them, and finds out by itself
// what that was:
//
//   - a bare event, as from SQS with raw message delivery;
//   - an SNS envelope, as from HTTP or from SQS without raw delivery;
//   - an EventBridge event;
//   - the input of a Lambda function: records of SNS, of SQS, of Kinesis, or of
//     a Firehose transformation;
//   - the answer of SQS's ReceiveMessage;
//   - several of these one after another, with or without line ends between
//     them, or in an array, as Firehose writes them to S3; plain or as gzip.
//
// Both shapes of events are understood: those of event publishing and the
// notifications of an identity. Unknown kinds are events too. Other messages of
// SNS and EventBridge, such as the note that SES could publish to the topic,
// give no event and no error. What is not JSON is an error that names the
// offset; the events before it are returned with it.
//
// Parse authenticates nothing: use [Handler] for what comes from the open
// internet. It is safe for concurrent use.
func Parse(data []byte) ([]*Event, error) {
	var events []*Event
	if note(data) {
		return nil, nil
	}
	for e, err := range read(bytes.NewReader(data), maxUnpacked) {
		if err != nil {
			return events, err
		}
		events = append(events, e)
	}
	return events, nil
}

// Read is Parse for streams of any length, such as the objects that Firehose
// writes to S3: it holds one JSON value at a time, of 16 MiB at most. An error
// ends the sequence and comes with a nil event; the events before it are good.
func Read(r io.Reader) iter.Seq2[*Event, error] { return read(r, -1) }

func read(r io.Reader, limit int64) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		r, err := unzip(r, limit)
		if err != nil {
			yield(nil, fmt.Errorf("event: %w", err))
			return
		}
		budget := &budget{r, maxDocument, errTooLong}
		d := json.NewDecoder(budget)
		for {
			var value json.RawMessage
			budget.left = maxDocument
			err := d.Decode(&value)
			if err == io.EOF {
				return
			}
			var events []*Event
			if err == nil {
				events, err = unwrapCarrier(value, 0)
			}
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
			}
			if err != nil {
				yield(nil, fmt.Errorf("event: %w", located(err, d.InputOffset())))
				return
			}
		}
	}
}

// located names the place of a mistake in the input.
func located(err error, offset int64) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		offset = max(offset, syntax.Offset)
	}
	return fmt.Errorf("at offset %d: %w", offset, err)
}

// unzip takes gzip off where the input begins with its magic number.
func unzip(r io.Reader, limit int64) (io.Reader, error) {
	b := bufio.NewReader(r)
	magic, err := b.Peek(2)
	if err != nil || magic[0] != 0x1f || magic[1] != 0x8b {
		return b, nil
	}
	z, err := gzip.NewReader(b)
	if err != nil || limit < 0 {
		return z, err
	}
	return &budget{z, limit, errUnpacked}, nil
}

var (
	errTooLong  = errors.New("a JSON value is longer than 16 MiB")
	errUnpacked = errors.New("a gzip file unpacks to more than 64 MiB")
)

// A budget bounds what is read with an error of its own, where an
// io.LimitReader would pretend that the input ends.
type budget struct {
	r    io.Reader
	left int64
	err  error
}

func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, b.err
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// A carrier holds the fields by which the carriers are told apart.
type carrier struct {
	EventType        text            `json:"eventType"`
	NotificationType text            `json:"notificationType"`
	Mail             json.RawMessage `json:"mail"`

	TopicARN *text   `json:"TopicArn"` // SNS
	Message  *string `json:"Message"`

	DetailType *text           `json:"detail-type"` // EventBridge
	Detail     json.RawMessage `json:"detail"`

	Records  []record `json:"Records"`  // Lambda; Firehose writes "records"
	Messages []record `json:"Messages"` // ReceiveMessage
	record
}

// A record is one entry of a batch.
type record struct {
	SNS     json.RawMessage `json:"Sns"`
	Body    *string         `json:"body"` // SQS
	Data    *string         `json:"data"` // Firehose, base64
	Kinesis struct {
		Data *string `json:"data"`
	} `json:"kinesis"`
}

// unwrapCarrier returns the events within one JSON value.
func unwrapCarrier(data []byte, depth int) ([]*Event, error) {
	if depth > maxWraps {
		return nil, errors.New("too many carriers within each other")
	}
	if first := bytes.TrimLeft(data, " \t\r\n"); len(first) > 0 && first[0] == '[' {
		var list []json.RawMessage
		if err := json.Unmarshal(data, &list); err != nil {
			return nil, err
		}
		return each(list, func(v json.RawMessage) ([]*Event, error) { return unwrapCarrier(v, depth+1) })
	}
	if bytes.HasPrefix(data, []byte(`"`)) { // encoded twice
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return nil, err
		}
		return unwrapText(s, depth+1)
	}
	var c carrier
	if err := decode(data, &c); err != nil {
		return nil, err
	}
	switch {
	case (c.EventType != "" || c.NotificationType != "") && bytes.HasPrefix(c.Mail, []byte("{")):
		e, err := newEvent(data)
		return []*Event{e}, err
	case c.Message != nil && c.TopicARN != nil:
		return unwrapText(*c.Message, depth+1)
	case c.DetailType != nil && len(c.Detail) > 0:
		return unwrapCarrier(c.Detail, depth+1)
	}
	records := append(append(c.Records, c.Messages...), c.record)
	return each(records, func(r record) ([]*Event, error) { return r.unwrap(depth + 1) })
}

func (r *record) unwrap(depth int) ([]*Event, error) {
	switch {
	case len(r.SNS) > 0:
		return unwrapCarrier(r.SNS, depth)
	case r.Body != nil:
		return unwrapText(*r.Body, depth)
	case r.Kinesis.Data != nil:
		return unwrapBase64(*r.Kinesis.Data, depth)
	case r.Data != nil:
		return unwrapBase64(*r.Data, depth)
	}
	return nil, nil
}

// unwrapText reads a text that may be JSON: other publishers use SNS and SQS too.
func unwrapText(s string, depth int) ([]*Event, error) {
	if s = strings.TrimSpace(s); !strings.HasPrefix(s, "{") && !strings.HasPrefix(s, "[") {
		return nil, nil
	}
	if depth > maxWraps {
		return nil, errors.New("too many carriers within each other")
	}
	d := json.NewDecoder(strings.NewReader(s))
	var events []*Event
	for {
		var value json.RawMessage
		if err := d.Decode(&value); err == io.EOF {
			return events, nil
		} else if err != nil {
			return events, fmt.Errorf("in a message: %w", located(err, d.InputOffset()))
		}
		more, err := unwrapCarrier(value, depth)
		if events = append(events, more...); err != nil {
			return events, err
		}
	}
}

func unwrapBase64(s string, depth int) ([]*Event, error) {
	data, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, nil // a field of another publisher
	}
	return unwrapText(string(data), depth)
}

// each collects the events of the entries of a batch. The good entries' events
// come with the first error.
func each[T any](list []T, f func(T) ([]*Event, error)) (events []*Event, err error) {
	for _, v := range list {
		more, e := f(v)
		events = append(events, more...)
		if err == nil {
			err = e
		}
	}
	return events, err
}

// note reports whether the data is the sentence that SES publishes when a
// topic is added, which raw message delivery hands over as it is.
func note(data []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(data), []byte("Successfully validated SNS topic for Amazon SES"))
}
