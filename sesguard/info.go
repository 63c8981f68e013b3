package sesguard

import "context"

// Info is what is known of a send at every door, whether it began as a Message
// or as an input of the SDK.
type Info struct {
	From             string // the author's address
	ConfigurationSet string
	Tenant           string
	TrackID          string // the send's own id
	TrackTag         string // Options.TrackTag: the SES message tag that carries TrackID; empty: it is not sent
	Recipients       int
}

type infoKey struct{}

// InfoFrom returns the Info of the send that ctx belongs to. It is there in the
// contexts that limiters, hooks and transports get.
func InfoFrom(ctx context.Context) (Info, bool) {
	i, ok := ctx.Value(infoKey{}).(Info)
	return i, ok
}
