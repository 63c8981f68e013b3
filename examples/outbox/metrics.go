package main

import (
	"context"
	"expvar"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard/outbox"
)

// The file alerts.yaml has rules for what is measured here. Take Prometheus or
// expvar, and delete the other.

// vars stands in /debug/vars. Prometheus needs none of it.
var vars = expvar.NewMap("outbox")

// metrics counts the changes that this process makes, and asks the outbox for
// the rest when it is scraped. That is the same in all processes of one database:
// alerts take the maximum.
type metrics struct {
	registry *prometheus.Registry
	changes  *prometheus.CounterVec
	latency  *prometheus.HistogramVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "outbox_changes_total", Help: "Changes of a mail's state made by this process; class and reason are those of the refusal behind it.",
		}, []string{"from", "to", "class", "reason"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "outbox_due_to_sent_seconds", Help: "Time from when a mail was due, at first or after a refusal's wait, until SES had it.",
			Buckets: []float64{.1, .5, 1, 5, 15, 60, 300, 600, 3600, 6 * 3600, 24 * 3600},
		}, []string{"priority"}),
	}
	m.registry.MustRegister(m.changes, m.latency)
	return m
}

// changed is an Options.OnChange.
func (m *metrics) changed(c outbox.Change) {
	vars.Add("to "+string(c.To), 1)
	class := ""
	if c.Reason != "" {
		class = seserrors.Reason(c.Reason).Class().String()
	}
	m.changes.WithLabelValues(string(c.From), string(c.To), class, c.Reason).Inc()
	if c.To == outbox.Sent && !c.Due.IsZero() {
		m.latency.WithLabelValues(c.Priority.String()).Observe(time.Since(c.Due).Seconds())
	}
}

// watch adds what the outbox says of itself.
func (m *metrics) watch(box *outbox.Outbox) {
	m.registry.MustRegister(collector{box})
	vars.Set("stats", expvar.Func(func() any {
		stats, err := ask(box)
		if err != nil {
			return err.Error()
		}
		return stats
	}))
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// ask reads all records of the outbox, which takes a second for a million: scrape
// once a minute.
func ask(box *outbox.Outbox) (*outbox.Stats, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return box.Stats(ctx)
}

var (
	mails      = prometheus.NewDesc("outbox_mails", "Mails by state and priority.", []string{"state", "priority"}, nil)
	oldestDue  = prometheus.NewDesc("outbox_oldest_due_timestamp_seconds", "Since when the oldest mail that is due and not held waits. Absent if there is none.", nil, nil)
	hold       = prometheus.NewDesc("outbox_hold_timestamp_seconds", "Since when a hold keeps mails.", []string{"key", "reason"}, nil)
	processes  = prometheus.NewDesc("outbox_processes", "Processes that send.", nil, nil)
	unseen     = prometheus.NewDesc("outbox_unseen", "Mails of the last day that SES accepted and no event told of.", nil, nil)
	duplicates = prometheus.NewDesc("outbox_duplicates", "Mails that SES accepted twice.", nil, nil)
)

// A collector turns Stats into gauges.
type collector struct{ box *outbox.Outbox }

func (c collector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{mails, oldestDue, hold, processes, unseen, duplicates} {
		descs <- d
	}
}

func (c collector) Collect(out chan<- prometheus.Metric) {
	stats, err := ask(c.box)
	if err != nil {
		out <- prometheus.NewInvalidMetric(mails, err) // the scrape fails, and that is an alert too
		return
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for _, n := range stats.Mails {
		gauge(mails, float64(n.N), string(n.State), n.Priority.String())
	}
	if !stats.OldestDue.IsZero() {
		gauge(oldestDue, float64(stats.OldestDue.Unix()))
	}
	for _, h := range stats.Holds {
		gauge(hold, float64(h.Since.Unix()), h.Key, h.Reason)
	}
	gauge(processes, float64(len(stats.Processes)))
	gauge(unseen, float64(stats.Unseen))
	gauge(duplicates, float64(stats.Duplicates))
}
