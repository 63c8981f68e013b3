package sestest_test

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	"github.com/sesguard/sesguard-go/sesguard/sestest"
)

func apiClient(s *sestest.Server) *sesv2.Client {
	return sesv2.New(sesv2.Options{
		Region:       s.Region,
		BaseEndpoint: &s.URL,
		HTTPClient:   s.HTTPClient(),
		Retryer:      aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey}, nil
		}),
	})
}

func rawInput(msg string, rcpts ...string) *sesv2.SendEmailInput {
	in := &sesv2.SendEmailInput{Content: &types.EmailContent{Raw: &types.RawMessage{Data: []byte(msg)}}}
	if len(rcpts) > 0 {
		in.Destination = &types.Destination{ToAddresses: rcpts}
	}
	return in
}

func TestTheSDKSendsRawContent(t *testing.T) {
	s := newServer(t)
	out, err := apiClient(s).SendEmail(context.Background(), rawInput(message, to))
	if err != nil {
		t.Fatal(err)
	}
	m := wantAccepted(t, s, 1)[0]
	if m.ID != *out.MessageId || !idShape.MatchString(m.ID) {
		t.Errorf("id %q, want the accepted message's %q", *out.MessageId, m.ID)
	}
	if m.From != from || m.To[0] != to || string(m.Data) != message || m.Transport != "api" {
		t.Errorf("accepted %+v", m)
	}
}
