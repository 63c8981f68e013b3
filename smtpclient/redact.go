package smtpclient

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// redacted is a Config without methods and without its password.
type redacted Config

func (c Config) redacted() redacted {
	if c.Password != "" {
		c.Password = "[redacted]"
	}
	return redacted(c)
}

// Format prints the settings without the password, whatever the verb.
func (c Config) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "smtpclient.Config%+v", c.redacted()) }

// LogValue makes log/slog write the settings without the password.
func (c Config) LogValue() slog.Value { return slog.AnyValue(c.redacted()) }

// MarshalJSON writes the settings without the password and without functions. It
// is for reports: there is no way back.
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(c.redacted()) }

// Format prints the client's settings without the password, whatever the verb.
func (c *Client) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "smtpclient.Client%+v", c.cfg.redacted())
}

// LogValue is that of the client's Config.
func (c *Client) LogValue() slog.Value { return c.cfg.LogValue() }

// MarshalJSON is that of the client's Config.
func (c *Client) MarshalJSON() ([]byte, error) { return c.cfg.MarshalJSON() }
