package smtpclient

// Addr returns the "host:port" of the endpoint that c connects to.
func (c *Client) Addr() string { return c.cfg.Addr }
