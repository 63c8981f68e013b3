//go:build !race

package sesguard

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"testing"
)

// What a send over SMTP may allocate, all in all.
const mostSMTP = 30

func TestComposingAndSendingAllocatesLittle(t *testing.T) {
	client, m, ctx := smtpSink(t), textMessage(), context.Background()
	n := testing.AllocsPerRun(500, func() {
		if _, err := client.Send(ctx, m); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%v allocations", n)
	if n > mostSMTP {
		t.Errorf("%v allocations, want %d at most", n, mostSMTP)
	}
}

func TestComposingAllocatesLittle(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { sink2KB(t) }); n > 5 {
		t.Errorf("%v allocations, want 5: the mail, its id, recipients and octets, and its reader", n)
	}
}

func sink2KB(t *testing.T) {
	if _, err := composed.WriteTo(io.Discard); err != nil {
		t.Fatal(err)
	}
}

var composed = twoKB()

// allocatedBytes is what f allocates in all, when the pools are empty.
func allocatedBytes(f func()) uint64 {
	runtime.GC()
	runtime.GC() // the first leaves what the pools held in reserve
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// All that is allocated on the way is more than what is held at any time.
func TestA40MBMessageNeedsOneBufferOfAConnection(t *testing.T) {
	const oneBuild, oneSend = 48 << 10, 192 << 10
	held := make([]byte, 29<<20)
	for name, a := range map[string]Attachment{
		"held":     {Name: "file.bin", Content: held},
		"streamed": {Name: "file.bin", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(held)), nil }},
	} {
		t.Run(name, func(t *testing.T) {
			client, m, ctx := smtpSink(t), textMessage(), context.Background()
			send := func() {
				if _, err := client.Send(ctx, m); err != nil {
					t.Fatal(err)
				}
			}
			send() // connects
			m.Attachments = []Attachment{a}
			building := allocatedBytes(func() {
				if _, err := m.WriteTo(io.Discard); err != nil {
					t.Fatal(err)
				}
			})
			sending := allocatedBytes(send)
			t.Logf("%d octets to build it, %d to send it", building, sending)
			if building > oneBuild || sending > oneSend {
				t.Errorf("%d octets to build it, at most %d; %d to send it, at most %d", building, oneBuild, sending, oneSend)
			}
		})
	}
}

// A raw message is not copied, however often it is sent.
func TestARawMessageIsUsedWhereItIs(t *testing.T) {
	client, msg := smtpSink(t), rawMessage(10<<20)
	send := func() {
		m := &Message{From: benchFrom, To: []string{benchTo}, Raw: bytes.NewReader(msg)}
		if _, err := client.Send(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
	send() // connects
	if n := allocatedBytes(send); n > 128<<10 {
		t.Errorf("%d octets allocated to send %d", n, len(msg))
	}
}

// A domain is put into ASCII once a mail, and a name is read where it stands.
func TestFiftyUnicodeRecipientsAllocateLittle(t *testing.T) {
	for distinct, most := range map[bool]float64{false: 70, true: 240} {
		m := fifty(distinct)
		n := testing.AllocsPerRun(20, func() {
			if _, err := Build(m); err != nil {
				t.Fatal(err)
			}
		})
		if t.Logf("distinct %v: %v allocations", distinct, n); n > most {
			t.Errorf("distinct %v: %v allocations, want %v at most", distinct, n, most)
		}
	}
}
