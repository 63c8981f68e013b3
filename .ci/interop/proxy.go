package main

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A proxy passes bytes to a server, and ends some connections at a random byte.
type proxy struct {
	net.Listener
	target string
	share  float64 // of the connections that are cut
	up     int64   // at most so many bytes after their begin, towards the server
	down   int64   // and towards the client
	cuts   atomic.Int64
	mu     sync.Mutex
	rng    *rand.Rand
}

func newProxy(target string, share float64, up, down int64) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	p := &proxy{Listener: l, target: target, share: share, up: up, down: down, rng: rand.New(rand.NewPCG(env.seed, 7))}
	go p.serve()
	return p
}

func (p *proxy) random() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rng.Float64()
}

func (p *proxy) serve() {
	for {
		c, err := p.Accept()
		if err != nil {
			return
		}
		go p.pass(c.(*net.TCPConn))
	}
}

func (p *proxy) pass(client *net.TCPConn) {
	defer client.Close()
	s, err := net.Dial("tcp", p.target)
	if err != nil {
		client.SetLinger(0)
		return
	}
	server := s.(*net.TCPConn)
	defer server.Close()
	up, down := int64(-1), int64(-1)
	if p.random() < p.share {
		if p.random() < 0.5 {
			up = int64(p.random() * float64(p.up))
		} else {
			down = int64(p.random() * float64(p.down))
		}
	}
	var once sync.Once
	done := make(chan struct{}, 2)
	end := func() { once.Do(func() { p.cuts.Add(1); p.cut(client, server) }) }
	go func() { p.copy(server, client, up, end); done <- struct{}{} }()
	go func() { p.copy(client, server, down, end); done <- struct{}{} }()
	<-done
	<-done
}

// copy passes limit bytes on, all of them if it is negative.
func (p *proxy) copy(to, from *net.TCPConn, limit int64, end func()) {
	if limit < 0 {
		io.Copy(to, from)
		to.CloseWrite()
		return
	}
	if n, _ := io.CopyN(to, from, limit); n == limit {
		// The byte after the last one has arrived here, or will; it goes no further.
		end()
		return
	}
	to.CloseWrite()
}

// cut ends both sides: by a reset, in order, or only one of them first. What was
// passed on before arrives in any case, or does not, as on a real line.
func (p *proxy) cut(client, server *net.TCPConn) {
	switch n := p.random(); {
	case n < 0.4:
		client.SetLinger(0)
		server.SetLinger(0)
	case n < 0.6:
		client.SetLinger(0)
	case n < 0.7: // silence, then an end
		time.Sleep(300 * time.Millisecond)
		server.SetLinger(0)
	}
	client.Close()
	server.Close()
}
