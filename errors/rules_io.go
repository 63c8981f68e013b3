package errors

// connectPhrases are what stands in a *url.Error of net/http when a proxy answers
// CONNECT with such a status (RFC 9110 §15): nothing was sent. The last is for
// a server that speaks plain HTTP.
var connectPhrases = map[string]Reason{
	"Unauthorized":                  ProxyRefused,
	"Forbidden":                     ProxyRefused,
	"Method Not Allowed":            ProxyRefused,
	"Proxy Authentication Required": ProxyRefused,
	"Request Timeout":               Network,
	"Too Many Requests":             Network,
	"Internal Server Error":         Network,
	"Bad Gateway":                   Network,
	"Service Unavailable":           Network,
	"Gateway Timeout":               Network,
	"http: server gave HTTP response to HTTPS client": TLSModeMismatch,
}

// socksPhrases are how x/net/proxy and net/http print the refusals of RFC 1928
// §3 and §6 and RFC 1929 §2.
var socksPhrases = map[string]Reason{
	"unknown error connection not allowed by ruleset": ProxyRefused,
	"no acceptable authentication methods":            ProxyRefused,
	"username/password authentication failed":         ProxyRefused,
	"invalid username/password":                       ProxyRefused,
}

// handshakeAlerts end a handshake (RFC 8446 §6.2), so the server has taken
// nothing that was sent after it.
var handshakeAlerts = map[uint8]bool{
	40: true, 42: true, 43: true, 44: true, 45: true, 46: true, 48: true, 70: true, 71: true, 86: true, 109: true,
	110: true, 112: true, 113: true, 115: true, 116: true, 120: true,
}
