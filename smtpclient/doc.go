// Package smtpclient sends mail to one SMTP endpoint of Amazon SES, over a pool
// of connections that it opens, signs in, replaces and closes by itself.
package smtpclient
