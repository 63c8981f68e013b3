package main

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// A subscription is what a link ends: one recipient's on one list.
type subscription struct{ list, address string }

// tokens makes the tokens of links and reads them. A token is sealed by AES-GCM,
// so that nobody can make one or change it, and nobody who sees a link, in a log or
// a forwarded mail, can read the address out of it. It needs no table, and never
// runs out: old mails are left too.
type tokens struct {
	keys []cipher.AEAD // the first one seals; all open
}

// errToken is the one answer to whatever is no token of ours.
var errToken = errors.New("no such link")

// newTokens takes keys of 32 octets, the current one first. Earlier ones keep the
// links in older mails valid. One key is good for 4 billion tokens
// (cipher.NewGCMWithRandomNonce).
func newTokens(keys ...[]byte) (*tokens, error) {
	if len(keys) == 0 {
		return nil, errors.New("no key for the links")
	}
	t := &tokens{}
	for i, key := range keys {
		if len(key) != 32 {
			return nil, fmt.Errorf("key %d has %d octets, not 32", i+1, len(key))
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		t.keys = append(t.keys, aead)
	}
	return t, nil
}

// purpose keeps what another part of a program seals with the same key from being
// taken for a link.
var purpose = []byte("unsubscribe 1")

// seal returns the token of a subscription. The list's name has no NUL in it.
func (t *tokens) seal(s subscription) string {
	return base64.RawURLEncoding.EncodeToString(t.keys[0].Seal(nil, nil, []byte(s.list+"\x00"+s.address), purpose))
}

// open returns the subscription of a token, or errToken.
func (t *tokens) open(token string) (subscription, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return subscription{}, errToken
	}
	for _, key := range t.keys {
		if text, err := key.Open(nil, nil, sealed, purpose); err == nil {
			list, address, ok := strings.Cut(string(text), "\x00")
			if !ok {
				break
			}
			return subscription{list, address}, nil
		}
	}
	return subscription{}, errToken
}
