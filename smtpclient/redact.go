package smtpclient

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"time"
)

// printable is a Config as it may be seen.
type printable struct {
	Region             string        `json:",omitempty"`
	Addr               string        `json:",omitempty"`
	Port               int           `json:",omitempty"`
	TLS                string        `json:",omitempty"`
	Username           string        `json:",omitempty"`
	Password           string        `json:",omitempty"`
	LocalName          string        `json:",omitempty"`
	MaxConns           int           `json:",omitempty"`
	MaxMessagesPerConn int           `json:",omitempty"`
	MaxConnLifetime    time.Duration `json:",omitempty"`
	MaxConnIdleTime    time.Duration `json:",omitempty"`
	DialTimeout        time.Duration `json:",omitempty"`
	CommandTimeout     time.Duration `json:",omitempty"`
	DataTimeout        time.Duration `json:",omitempty"`
}

func (c *Config) printable() printable {
	s := printable{
		Region: c.Region, Addr: c.Addr, Port: c.Port, TLS: c.TLS.String(), Username: c.Username, LocalName: c.LocalName,
		MaxConns: c.MaxConns, MaxMessagesPerConn: c.MaxMessagesPerConn, MaxConnLifetime: c.MaxConnLifetime, MaxConnIdleTime: c.MaxConnIdleTime,
		DialTimeout: c.DialTimeout, CommandTimeout: c.CommandTimeout, DataTimeout: c.DataTimeout,
	}
	if c.Password != "" {
		s.Password = "[redacted]"
	}
	return s
}

// Format prints the settings without the password, whatever the verb.
func (c Config) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "smtpclient.Config%+v", c.printable()) }

// LogValue makes log/slog write the settings without the password.
func (c Config) LogValue() slog.Value { return slog.AnyValue(c.printable()) }

// MarshalJSON writes the settings without the password and without functions. It
// is for reports: there is no way back.
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(c.printable()) }

// Format prints the client's settings without the password, whatever the verb.
func (c *Client) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "smtpclient.Client%+v", c.cfg.printable())
}

// LogValue makes log/slog write the client's settings without the password.
func (c *Client) LogValue() slog.Value { return c.cfg.LogValue() }

// MarshalJSON is that of the client's Config.
func (c *Client) MarshalJSON() ([]byte, error) { return c.cfg.MarshalJSON() }
