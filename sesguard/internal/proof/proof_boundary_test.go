package proof_test

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/smtpclient"
)

var proofStride = flag.Int("proof.stride", 61, "TestProofAtEveryBoundary strikes at every nth octet of an encrypted session; 1: at all")

// TestProofAtEveryBoundary lets the network strike one session at each octet
// of either direction, in each way. In clear text that is every octet of SMTP;
// under TLS the handshake and the records as well.
func TestProofAtEveryBoundary(t *testing.T) {
	for d := range doors {
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			var tally tally
			stride := *proofStride
			if d == plainSMTP {
				stride = 1
			}
			up, down := sessionSize(t, d)
			for _, dir := range []struct {
				up   bool
				size int
			}{{true, up}, {false, down}} {
				for after := 0; after <= dir.size; after += stride {
					for _, f := range faultsAt(d, dir.up, after) {
						s := boundaryScenario(t, d, f)
						for _, v := range s.run(t, ours, &tally) {
							t.Fatalf("%v\n%v", v, s)
						}
					}
				}
			}
			t.Logf("%d octets up, %d down: %v", up, down, &tally)
		})
	}
}

func boundaryScenario(t *testing.T, d door, f wireFault) *scenario {
	m := &sesguard.Message{
		From: "ann@example.com", To: []string{"bob@example.org", "cy@example.org"},
		Subject: "boundaries", Text: "one\r\n.\r\ntwo\r\n", Date: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}
	s := &scenario{
		letters: []letter{{message: m, mark: m.Subject, want: wire(t, m)}}, senders: 1,
		door: d, conns: 1, pool: smtpclient.Config{MaxConns: 1}, wire: []wireFault{f},
	}
	if f.kind == wireAct {
		s.act = actCancel
	}
	return s
}

// sessionSize is how many octets a session of one letter has in each direction.
func sessionSize(t *testing.T, d door) (up, down int) {
	s := boundaryScenario(t, d, wireFault{})
	var tally tally
	var n *network
	if broken := s.run(t, func(w *world) sesguard.Transport { n = w.network; return ours(w) }, &tally); broken != nil || tally.accepted.Load() != 1 {
		t.Fatal(broken, fmt.Sprint(&tally))
	}
	return n.conns[0].up, n.conns[0].down
}

// faultsAt are the faults that the other side could not have said itself.
func faultsAt(d door, up bool, after int) (list []wireFault) {
	for k := wireFine + 1; k < wireKinds; k++ {
		if d == plainSMTP && (k == wireFlip || k == wireWords || k == wireNoise && up) {
			continue
		}
		list = append(list, wireFault{kind: k, up: up, after: after})
	}
	return list
}
