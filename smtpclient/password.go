package smtpclient

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
)

// DerivePassword derives the SMTP password that Amazon SES expects from the secret
// access key of an IAM user ("Obtaining Amazon SES SMTP credentials", section
// on converting an existing secret access key). The user name is the access
// key id, unchanged.
//
// A password is valid in one region only. Temporary credentials (an access key
// id that starts with ASIA, from STS or an IAM role) cannot be converted: SES
// answers them with 535. The result is a secret too.
func DerivePassword(secretAccessKey, region string) string {
	sum := []byte("AWS4" + secretAccessKey)
	for _, part := range [...]string{"11111111", region, "ses", "aws4_request", "SendRawEmail"} {
		mac := hmac.New(sha256.New, sum)
		mac.Write([]byte(part))
		sum = mac.Sum(nil)
	}
	const version = 0x04
	return base64.StdEncoding.EncodeToString(append([]byte{version}, sum...))
}
