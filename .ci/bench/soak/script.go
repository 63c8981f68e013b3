package soak

import (
	"math/rand/v2"
	"sync"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

// A script gives the fake its faults, at random but the same for a seed.
type script struct {
	trouble float64
	slow    time.Duration

	mu    sync.Mutex
	dice  *rand.Rand
	left  int // faults at the last look
	looks int // since that number changed
}

const (
	lowWater = 50  // turns that are always ready
	patience = 500 // looks until a script that waits for a stage that nobody reaches is thrown away
)

func newScript(seed uint64, trouble float64, slow time.Duration) *script {
	return &script{trouble: trouble, slow: slow, dice: rand.New(rand.NewPCG(seed, seed))}
}

func (s *script) keepFilled(ses *sestest.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := ses.FaultsLeft()
	if left != s.left {
		s.looks = 0
	} else if s.looks++; s.looks >= patience {
		ses.ClearScript()
		left, s.looks = 0, 0
	}
	for left < lowWater {
		turn := s.turn()
		ses.Script(turn...)
		left += len(turn)
	}
	s.left = left
}

// turn is one mail's: mostly nothing happens to it.
func (s *script) turn() []sestest.Fault {
	if s.dice.Float64() >= s.trouble {
		return []sestest.Fault{sestest.Pass()}
	}
	makers := []func() []sestest.Fault{
		s.refusal, s.refusal, s.cut, s.cut, s.half, s.silence, s.lateAnswer, s.lostAnswer, s.lostAnswer, s.setUp, s.oddAnswer, s.oddAnswer,
	}
	return pick(s.dice, makers...)()
}

func pick[T any](dice *rand.Rand, from ...T) T { return from[dice.IntN(len(from))] }

func one(f sestest.Fault) []sestest.Fault { return []sestest.Fault{f} }

// refusal is in SES's words. Those that stop the whole account are rare, or
// there would be little else.
func (s *script) refusal() []sestest.Fault {
	if s.dice.IntN(100) == 0 {
		return one(sestest.Refuse(pick(s.dice, sestest.Reasons("")...)))
	}
	return one(sestest.Refuse(pick(s.dice,
		seserrors.SendRateExceeded, seserrors.SendRateExceeded, seserrors.ServiceFailure, seserrors.IdleTimeout,
		seserrors.SessionMessageLimit, seserrors.MessageRejected, seserrors.RecipientSuppressed, seserrors.RequestTimeout,
		seserrors.ConfigurationSetMissing)))
}

var stages = []sestest.Stage{sestest.MailFrom, sestest.Rcpt, sestest.Data, sestest.EndOfData, sestest.EndOfData}

func (s *script) cut() []sestest.Fault {
	return one(pick(s.dice, sestest.Cut, sestest.Reset, sestest.HalfClose)(pick(s.dice, stages...)))
}

func (s *script) half() []sestest.Fault { return one(sestest.CutBody(s.dice.IntN(1500))) }

func (s *script) silence() []sestest.Fault { return one(sestest.Stall(pick(s.dice, stages...))) }

// lateAnswer comes too late for some timeouts: the mail is accepted all the same.
func (s *script) lateAnswer() []sestest.Fault {
	return one(sestest.Delay(sestest.EndOfData, s.slow/time.Duration(1+s.dice.IntN(10))))
}

// lostAnswer comes never, or not whole: the mail is accepted.
func (s *script) lostAnswer() []sestest.Fault {
	return one(pick(s.dice,
		sestest.AcceptThenCut(), sestest.AcceptThenFail(),
		sestest.CutReply(sestest.EndOfData, s.dice.IntN(12)), sestest.Raw(sestest.EndOfData, "garbage\r\n"),
		sestest.AcceptThenReply(200, `{"MessageId":"010`), sestest.AcceptThenReply(502, "<html>gateway</html>")))
}

// setUp is trouble for new connections, so the one in use is cut first. A pool
// that was told of too many connections opens none for seconds, so that is rare.
func (s *script) setUp() []sestest.Fault {
	if s.dice.IntN(20) == 0 {
		return []sestest.Fault{sestest.HalfClose(sestest.EndOfData), sestest.Refuse(seserrors.TooManyConnections)}
	}
	at := pick(s.dice, sestest.EHLO, sestest.StartTLS, sestest.Handshake, sestest.Auth)
	return []sestest.Fault{
		sestest.HalfClose(sestest.EndOfData), // SMTP only, as the next is
		pick(s.dice, sestest.Cut(at), sestest.Reset(at), sestest.Stall(at), sestest.Reply(at, 454, "4.7.0 Temporary trouble")),
	}
}

func (s *script) oddAnswer() []sestest.Fault {
	at := pick(s.dice, stages...)
	return pick(s.dice,
		one(sestest.Reply(at, 451, "4.4.0 Temporary trouble")),
		one(sestest.Reply(at, 554, "Transaction failed: what")),
		one(sestest.Reply(sestest.EndOfData, 250, "")),
		one(sestest.Drip(at)),
		one(sestest.APIReply(429, "TooManyRequestsException", "Too many")),
		one(sestest.APIReply(503, "", "")),
		one(sestest.APIBody(200, "{}")),
		[]sestest.Fault{sestest.Reply(sestest.EndOfData, 454, "Temporary service failure"), sestest.Cut(sestest.Rset)})
}
