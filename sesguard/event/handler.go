package event

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// A Handler receives events that SNS posts over HTTP or HTTPS. It takes
// nothing on trust: a post counts only if it comes from an allowed topic, is
// recent, and bears SNS's signature.
//
// Its answers are what SNS needs. It answers 200 when Handle has returned nil;
// 403, which is final, to what SNS did not send; 413 to a body over 1 MiB; and
// 500 to any trouble that is not the post's fault (Handle failed or panicked,
// the certificate cannot be fetched), so that SNS comes again: three times
// within a minute by default, and an hour at most. What must not be lost longer
// needs SQS, or a dead-letter queue at the subscription.
//
// It confirms the subscription of an allowed topic by itself. Raw message
// delivery must be off: SNS does not sign it, and it is refused.
//
// A stranger who knows the topic's ARN can ask for certificates that do not
// exist, and while the genuine one is not yet known, those requests compete: give
// the endpoint a path that cannot be guessed. Set the fields before its first use; it must not be copied. It is
// safe for concurrent use.
type Handler struct {
	// Topics are the ARNs of the topics whose posts count. It is required: with
	// none, every post is refused. Restrict the topic's policy to your account
	// (aws:SourceAccount), or others can publish events to it.
	Topics []string

	// Handle is called with each event. SNS posts an event again if the answer to
	// it was lost, and copies may come at once: Event.Key tells them. Return nil
	// only when the event is stored or need not be; SNS waits 15 seconds for it. A
	// nil Handle fails.
	Handle func(ctx context.Context, e *Event) error

	// MaxAge is how old a post may be. 0 means 24 hours. SNS repeats posts for up
	// to an hour, and behind a throttled subscription they are later still, so
	// less than 65 minutes loses events.
	MaxAge time.Duration

	// HTTPClient fetches certificates and confirms subscriptions. It never
	// follows redirects. nil means one that uses no proxy; both end after 5
	// seconds.
	HTTPClient *http.Client

	// Logger gets one line for each post that is refused or failed. It says
	// nothing that the post says, but for Handle's own error. nil means none.
	Logger *slog.Logger

	once         sync.Once
	client       *http.Client
	certificates certificates
}

const (
	maxPost       = 1 << 20
	defaultMaxAge = 24 * time.Hour
	readTimeout   = 10 * time.Second
)

// ServeHTTP answers one post of SNS.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "only SNS posts here", http.StatusMethodNotAllowed)
		return
	}
	data, err := readPost(w, r)
	if err == nil {
		err = h.serve(r.Context(), r.Header, data)
	}
	status := statusOf(err)
	if err != nil && h.Logger != nil {
		h.Logger.LogAttrs(r.Context(), slog.LevelWarn, "sns post not taken", slog.Int("status", status), slog.String("error", err.Error()))
	}
	w.WriteHeader(status)
}

// readPost reads the body. A sender that stands still holds the connection no
// longer than SNS needs; where the ResponseWriter sets no deadlines, the limit
// of the server holds.
func readPost(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTimeout))
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPost))
	if err != nil {
		return nil, fmt.Errorf("reading the post: %w", err)
	}
	return data, nil
}

// statusOf returns the answer to an error: 4xx is final for SNS.
func statusOf(err error) int {
	var forged forgery
	var long *http.MaxBytesError
	switch {
	case err == nil:
		return http.StatusOK
	case errors.As(err, &long):
		return http.StatusRequestEntityTooLarge
	case errors.As(err, &forged):
		return http.StatusForbidden
	}
	return http.StatusInternalServerError
}

// serve checks in an order that costs little and fetches nothing for a post
// that could be refused without.
func (h *Handler) serve(ctx context.Context, header http.Header, data []byte) error {
	if header.Get("x-amz-sns-rawdelivery") == "true" {
		return forgery("raw message delivery is not signed: switch it off for this subscription")
	}
	var p post
	if err := json.Unmarshal(data, &p); err != nil {
		return forgery("the post is not the JSON of SNS")
	}
	if p.Type != notification && p.Type != confirm && p.Type != unsubscribed {
		return forgery("the type of the post is unknown")
	}
	host := hostOf(p.TopicARN)
	if host == "" || !slices.Contains(h.Topics, p.TopicARN) {
		return forgery("the topic is not allowed")
	}
	if err := p.fresh(time.Now(), h.maxAge()); err != nil {
		return err
	}
	if p.SignatureVersion != "1" && p.SignatureVersion != "2" {
		return forgery("the version of the signature is unknown")
	}
	certificateURL, err := p.certificateURL(host)
	if err != nil {
		return err
	}
	certificate, err := h.certificates.get(ctx, h.httpClient(), certificateURL)
	if err != nil {
		return err
	}
	if err := p.verify(certificate); err != nil {
		return err
	}
	return h.act(ctx, &p, host)
}

// act does what a genuine post asks for.
func (h *Handler) act(ctx context.Context, p *post, host string) error {
	switch p.Type {
	case confirm:
		u, err := p.confirmURL(host)
		if err != nil {
			return err
		}
		if _, err := get(ctx, h.httpClient(), u); err != nil {
			return fmt.Errorf("confirming the subscription: %w", err)
		}
		return nil
	case unsubscribed:
		// Nothing is to be done. Its SubscribeURL would subscribe again.
		if h.Logger != nil {
			h.Logger.LogAttrs(ctx, slog.LevelWarn, "sns subscription ended", slog.String("topic", p.TopicARN))
		}
		return nil
	}
	events, err := unwrapText(p.Message, 0)
	if err != nil {
		return fmt.Errorf("event: %w", err)
	}
	for _, e := range events {
		if err := h.handle(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// handle calls Handle and turns its panic into an error.
func (h *Handler) handle(ctx context.Context, e *Event) (err error) {
	if h.Handle == nil {
		return errors.New("the handler has no Handle")
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("handle panicked: %v", v)
		}
	}()
	if err := h.Handle(ctx, e); err != nil {
		// Whatever Handle returns is our trouble, also an error that looks like a
		// refusal of the post.
		return fmt.Errorf("handle: %s", err.Error())
	}
	return nil
}

func (h *Handler) maxAge() time.Duration {
	if h.MaxAge <= 0 {
		return defaultMaxAge
	}
	return h.MaxAge
}

// httpClient returns a client that goes where it is sent and nowhere else.
func (h *Handler) httpClient() *http.Client {
	h.once.Do(func() {
		c := http.Client{}
		if h.HTTPClient != nil {
			c = *h.HTTPClient
		} else if t, ok := http.DefaultTransport.(*http.Transport); ok {
			own := t.Clone()
			own.Proxy = nil
			c.Transport = own
		}
		c.Jar = nil
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		h.client = &c
	})
	return h.client
}

// unquoted drops the URL from an error of net/http: that of a confirmation
// holds a token.
func unquoted(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
