package sestest_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// A post is what a subscriber got.
type post struct {
	head http.Header
	body map[string]string
	text string
	at   time.Time
}

// A subscriber answers posts with the next of its statuses, and in the end
// with 200.
type subscriber struct {
	posts    []post
	statuses []int
}

func (h *subscriber) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	p := post{head: r.Header, text: string(b), at: time.Now()}
	json.Unmarshal(b, &p.body)
	h.posts = append(h.posts, p)
	if len(h.statuses) > 0 {
		status := h.statuses[0]
		h.statuses = h.statuses[1:]
		if status == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(status)
	}
}

func get(t *testing.T, c *http.Client, url string) (status int, body []byte) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

// verify checks a post as a subscriber has to, with the names of the fields
// that are signed.
func verify(t *testing.T, s *sestest.Server, p post, fields ...string) {
	t.Helper()
	if !strings.HasPrefix(p.body["SigningCertURL"], "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-") {
		t.Fatalf("certificate at %s", p.body["SigningCertURL"])
	}
	status, text := get(t, s.HTTPClient(), p.body["SigningCertURL"])
	block, _ := pem.Decode(text)
	if status != 200 || block == nil {
		t.Fatalf("certificate: %d %q", status, text)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := base64.StdEncoding.DecodeString(p.body["Signature"])
	if err != nil {
		t.Fatal(err)
	}
	var signed strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&signed, "%s\n%s\n", f, p.body[f])
	}
	algorithm := map[string]x509.SignatureAlgorithm{"1": x509.SHA1WithRSA, "2": x509.SHA256WithRSA}[p.body["SignatureVersion"]]
	if err := cert.CheckSignature(algorithm, []byte(signed.String()), signature); err != nil {
		t.Errorf("signature of version %s: %v", p.body["SignatureVersion"], err)
	}
}

var (
	confirmationFields = []string{"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}
	notificationFields = []string{"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"}
)

func TestPostsAreSignedAndConfirmed(t *testing.T) {
	for _, version := range []string{"1", "2"} {
		t.Run("version "+version, func(t *testing.T) {
			inMemory(t, func(t *testing.T, s *sestest.Server) {
				eventful(s)
				h := new(subscriber)
				s.Events.Subscribe(sestest.Subscription{Handler: h, SHA256: version == "2"})
				m := accept(t, s, to) // nobody confirmed yet
				s.Events.Wait()
				if len(h.posts) != 1 {
					t.Fatalf("%d posts before the confirmation, want 1", len(h.posts))
				}
				first := h.posts[0]
				verify(t, s, first, confirmationFields...)
				if first.body["Type"] != "SubscriptionConfirmation" || first.head.Get("x-amz-sns-message-type") != first.body["Type"] ||
					first.body["SignatureVersion"] != version || first.body["TopicArn"] != s.Events.TopicARN() {
					t.Errorf("confirmation %v", first)
				}
				wrong := strings.Replace(first.body["SubscribeURL"], "Token=", "Token=0", 1)
				if status, _ := get(t, s.HTTPClient(), wrong); status != 400 {
					t.Errorf("a wrong token draws %d", status)
				}
				if status, body := get(t, s.HTTPClient(), first.body["SubscribeURL"]); status != 200 || !strings.Contains(string(body), s.Events.TopicARN()) {
					t.Fatalf("confirmed with %d %s", status, body)
				}
				s.Events.Deliver(m)
				s.Events.Wait()
				second := h.posts[len(h.posts)-1]
				verify(t, s, second, notificationFields...)
				if second.body["Type"] != "Notification" || summary([]byte(second.body["Message"])) != "Delivery "+to ||
					second.head.Get("x-amz-sns-subscription-arn") == "" || second.head.Get("Content-Type") != "text/plain; charset=UTF-8" {
					t.Errorf("notification %v", second)
				}
				if status, _ := get(t, s.HTTPClient(), second.body["UnsubscribeURL"]); status != 200 {
					t.Errorf("unsubscribed with %d", status)
				}
				s.Events.Deliver(m)
				s.Events.Wait()
				if len(h.posts) != 2 || s.Events.Lost() != 0 || s.APIRequests() != 0 {
					t.Errorf("%d posts, %d lost, %d requests to the API", len(h.posts), s.Events.Lost(), s.APIRequests())
				}
			})
		})
	}
}

func TestIdentityNotificationsHaveNoSubject(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		s.Account.SetIdentity("example.com", sestest.Identity{DeliveryTopic: s.Events.TopicARN()})
		h := new(subscriber)
		s.Events.Subscribe(sestest.Subscription{Handler: h, Confirmed: true})
		accept(t, s, "success@simulator.amazonses.com")
		s.Events.Wait()
		verify(t, s, h.posts[0], "Message", "MessageId", "Timestamp", "TopicArn", "Type")
		if _, ok := h.posts[0].body["Subject"]; ok {
			t.Error("a subject")
		}
	})
}

func TestSNSRepeatsPosts(t *testing.T) {
	tests := map[string]struct {
		statuses []int // 0: no answer
		posts    int
		lost     int
	}{
		"200":                 {nil, 1, 0},
		"204":                 {[]int{204}, 1, 0},
		"500, then 200":       {[]int{500}, 2, 0},
		"429, then 200":       {[]int{429}, 2, 0},
		"no answer, then 200": {[]int{0}, 2, 0},
		"503 three times":     {[]int{503, 503, 503}, 4, 0},
		"503 for good":        {[]int{503, 503, 503, 503, 503}, 4, 1},
		"403":                 {[]int{403}, 1, 1},
		"404 after 500":       {[]int{500, 404}, 2, 1},
		"redirect":            {[]int{307}, 1, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, s *sestest.Server) {
				eventful(s)
				h := &subscriber{statuses: slices.Clone(tt.statuses)}
				s.Events.Subscribe(sestest.Subscription{Handler: h, Confirmed: true})
				begin := time.Now()
				accept(t, s, to)
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				if len(h.posts) != tt.posts || s.Events.Lost() != tt.lost {
					t.Fatalf("%d posts, %d lost, want %d and %d", len(h.posts), s.Events.Lost(), tt.posts, tt.lost)
				}
				for i, p := range h.posts {
					if after := p.at.Sub(begin); after != time.Duration(i)*20*time.Second {
						t.Errorf("post %d after %v", i, after)
					}
					if p.body["MessageId"] != h.posts[0].body["MessageId"] {
						t.Error("another post has another id")
					}
				}
			})
		})
	}
}

func TestASlowSubscriberIsAskedAgain(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		eventful(s)
		asked := make(chan time.Duration, 10)
		begin := time.Now()
		s.Events.Subscribe(sestest.Subscription{Confirmed: true, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked <- time.Since(begin); time.Since(begin) == 0 {
				<-r.Context().Done()
			}
		})})
		accept(t, s, to)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		close(asked)
		var at []time.Duration
		for d := range asked {
			at = append(at, d)
		}
		if want := []time.Duration{0, 35 * time.Second}; !slices.Equal(at, want) {
			t.Errorf("asked at %v, want %v", at, want)
		}
	})
}

// A subscriber that confirms while it is asked, as handlers do, must not wait
// for the fake that waits for it.
func TestASubscriberMayConfirmWhileItIsAsked(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		eventful(s)
		var got []string
		s.Events.Subscribe(sestest.Subscription{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			var n map[string]string
			json.NewDecoder(r.Body).Decode(&n)
			got = append(got, n["Type"])
			if n["SubscribeURL"] != "" {
				get(t, s.HTTPClient(), n["SubscribeURL"])
			}
		})})
		accept(t, s, to)
		s.Events.Wait()
		if want := []string{"SubscriptionConfirmation", "Notification"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestRawDeliveryIsUnsigned(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		eventful(s)
		h := new(subscriber)
		s.Events.Subscribe(sestest.Subscription{Handler: h, Confirmed: true, Raw: true})
		accept(t, s, to)
		s.Events.Wait()
		if p := h.posts[0]; p.text != string(s.Events.List()[0]) || p.head.Get("x-amz-sns-rawdelivery") != "true" {
			t.Errorf("raw post %v", p)
		}
	})
}

func TestPostsReachAnEndpointOnTheNetwork(t *testing.T) {
	s := newServer(t)
	eventful(s)
	h := new(subscriber)
	endpoint := httptest.NewServer(h)
	defer endpoint.Close()
	s.Events.Subscribe(sestest.Subscription{URL: endpoint.URL})
	s.Events.Wait()
	get(t, s.HTTPClient(), h.posts[0].body["SubscribeURL"])
	accept(t, s, to)
	s.Events.Wait()
	verify(t, s, h.posts[1], notificationFields...)
}

func TestFuncsAndQueuesGetTheEnvelopeUnlessRaw(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		eventful(s)
		var got post
		s.Events.Subscribe(sestest.Subscription{Func: func(b []byte) { json.Unmarshal(b, &got.body) }})
		s.Events.Subscribe(sestest.Subscription{Queue: "events"})
		accept(t, s, to)
		s.Events.Wait()
		verify(t, s, got, notificationFields...)
		var queued map[string]string
		json.Unmarshal([]byte(receive(t, s, "")[0].Body), &queued)
		if queued["Message"] != got.body["Message"] || summary([]byte(queued["Message"])) != "Send" {
			t.Errorf("queued %v", queued)
		}
	})
}

func TestTopicsAreKeptApart(t *testing.T) {
	inMemory(t, func(t *testing.T, s *sestest.Server) {
		const other = "arn:aws:sns:us-east-1:123456789012:other"
		s.Account.SetIdentity("example.com", sestest.Identity{ConfigurationSet: "two"})
		s.Account.SetConfigurationSet("two", sestest.ConfigurationSet{Destinations: []sestest.EventDestination{
			{Types: []string{"SEND"}}, {Types: []string{"DELIVERY"}, TopicARN: other},
		}})
		var got []string
		for _, topic := range []string{"", other} {
			s.Events.Subscribe(sestest.Subscription{Topic: topic, Raw: true, Func: func(b []byte) { got = append(got, topic+" "+summary(b)) }})
		}
		accept(t, s, "success@simulator.amazonses.com")
		s.Events.Wait()
		if want := []string{" Send", other + " Delivery success@simulator.amazonses.com"}; !slices.Equal(got, want) {
			t.Errorf("heard %q, want %q", got, want)
		}
	})
}

func TestASubscriptionNeedsAnEnd(t *testing.T) {
	mustPanic(t, "needs a Func", func() { sestest.NewUnstartedServer().Events.Subscribe(sestest.Subscription{Raw: true}) })
}

// What is set up before the start holds after it.
func TestTopicsAreInTheRegion(t *testing.T) {
	s := sestest.NewUnstartedServer()
	s.Region = "eu-west-1"
	eventful(s)
	h := new(subscriber)
	s.Events.Subscribe(sestest.Subscription{Handler: h, Confirmed: true})
	s.StartMemory()
	defer s.Close()
	accept(t, s, to)
	s.Events.Wait()
	if len(h.posts) != 1 || h.posts[0].body["TopicArn"] != "arn:aws:sns:eu-west-1:123456789012:sestest" || h.posts[0].body["TopicArn"] != s.Events.TopicARN() {
		t.Fatalf("posts %v", h.posts)
	}
	if status, _ := get(t, s.HTTPClient(), h.posts[0].body["SigningCertURL"]); status != 200 || !strings.HasPrefix(h.posts[0].body["SigningCertURL"], "https://sns.eu-west-1.amazonaws.com/") {
		t.Errorf("certificate at %s draws %d", h.posts[0].body["SigningCertURL"], status)
	}
}

func TestTheCertificateIsAtItsPathOnly(t *testing.T) {
	s := newServer(t)
	if status, _ := get(t, s.HTTPClient(), s.URL+"/SimpleNotificationService-0.pem"); status != 404 {
		t.Errorf("another path draws %d", status)
	}
	if status, _ := get(t, s.HTTPClient(), s.URL+"/?Action=Publish"); status != 400 {
		t.Errorf("another action draws %d", status)
	}
}
