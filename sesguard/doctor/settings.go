package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
	seserrors "github.com/sesguard/sesguard-go/errors"
)

// configurationSet looks at the configuration set that mails use, and at who hears
// of their events. It returns nil if there is none.
func (r *run) configurationSet(ctx context.Context, id *identity) *sesv2.GetConfigurationSetOutput {
	start := time.Now()
	name, whose := r.ConfigurationSet, ""
	for i := id; i != nil && name == ""; i = i.domain {
		if i.out != nil {
			name, whose = aws.ToString(i.out.ConfigurationSetName), ", the default of "+i.name
		}
	}
	if name == "" {
		r.skip("no configuration set is named, and the identity has none", checkConfigSet, checkEvents)
		return nil
	}
	f := Finding{Check: checkConfigSet, Subject: name, Status: OK, Detail: "exists" + r.in() + whose}
	set, e := call(ctx, r, "GetConfigurationSet", r.API.GetConfigurationSet, &sesv2.GetConfigurationSetInput{ConfigurationSetName: &name})
	switch {
	case e != nil && ctx.Err() != nil:
		return nil
	case e != nil && isMissing(e):
		f.fail(seserrors.ConfigurationSetMissing, "does not exist"+r.in()+whose,
			"Create it in this region, or leave it out: configuration sets belong to one region, and their letter case counts.")
		r.found(start, f)
		r.skip("the configuration set does not exist", checkEvents)
		return nil
	case e != nil:
		f.Status, f.Detail = Skipped, unknown("GetConfigurationSet", e)
	case set.SendingOptions != nil && !set.SendingOptions.SendingEnabled:
		f.fail(seserrors.ConfigurationSetPaused, "sending is paused for it", "Switch sending on for the configuration set, or use another.")
	default:
		f.Detail += delivery(set.DeliveryOptions)
	}
	r.found(start, f)
	r.events(ctx, name)
	return set
}

// delivery names the options that make mail fail later.
func delivery(o *types.DeliveryOptions) (notes string) {
	if o != nil && o.TlsPolicy == types.TlsPolicyRequire {
		notes = "; mail to servers without TLS bounces"
	}
	if o != nil && o.MaxDeliverySeconds != nil {
		notes += fmt.Sprintf("; SES gives up after %d s", *o.MaxDeliverySeconds)
	}
	return notes
}

// events tells who hears of what becomes of mails.
func (r *run) events(ctx context.Context, name string) {
	start := time.Now()
	f := Finding{Check: checkEvents, Subject: name, Status: OK, Detail: "an event destination hears of bounces, complaints, rendering failures and sends"}
	out, e := call(ctx, r, "GetConfigurationSetEventDestinations", r.API.GetConfigurationSetEventDestinations,
		&sesv2.GetConfigurationSetEventDestinationsInput{ConfigurationSetName: &name})
	if e != nil {
		if ctx.Err() == nil {
			f.Status, f.Detail = Skipped, unknown("GetConfigurationSetEventDestinations", e)
			r.found(start, f)
		}
		return
	}
	heard := map[types.EventType]bool{}
	off := 0
	for _, d := range out.EventDestinations {
		if !d.Enabled {
			off++
			continue
		}
		for _, kind := range d.MatchingEventTypes {
			heard[kind] = true
		}
	}
	r.hears = heard[types.EventTypeBounce]
	var deaf []string
	for _, k := range [][2]string{{"BOUNCE", "bounces"}, {"COMPLAINT", "complaints"},
		{"RENDERING_FAILURE", "rendering failures of templates"}, {"SEND", "sends, which settle doubts"}} {
		if !heard[types.EventType(k[0])] {
			deaf = append(deaf, k[1])
		}
	}
	if len(deaf) > 0 {
		f.warn("nobody hears of "+strings.Join(deaf, ", "), "Add these kinds to an event destination that is switched on.")
		if off > 0 {
			f.Detail += fmt.Sprintf("; switched off: %d of %d event destinations", off, len(out.EventDestinations))
		}
	}
	r.found(start, f)
}

// feedback tells whether anybody hears of bounces at all.
func (r *run) feedback(id *identity) {
	f := Finding{Check: checkFeedback, Status: OK}
	switch {
	case id == nil || id.foreign || id.out == nil:
		r.skip("the sender's identity is not known", checkFeedback)
		return
	case id.out.FeedbackForwardingStatus:
		f.Detail = "SES forwards bounces and complaints by mail"
	case r.hears:
		f.Detail = "an event destination hears of bounces; they are not forwarded by mail"
	default:
		f.warn("nobody hears of bounces: forwarding is off, and no event destination is known to get them",
			"Switch feedback forwarding on, or publish bounces and complaints to an event destination.")
	}
	f.Subject = id.name
	r.found(time.Now(), f)
}
