package sesapi

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	sestypes "github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/sesguard"
	"github.com/sesguard/sesguard-go/sesguard/internal/names"
	"github.com/sesguard/sesguard-go/sesguard/internal/template"
)

const (
	maxEntries  = 50  // of a call: SendBulkEmail, Amazon SES API v2 Reference
	mostOfEntry = 10  // problems that are told of one entry
	mostOfBulk  = 100 // and of a whole bulk
)

// A preparedBulk is a Bulk that was checked, as the SDK takes it. Nothing in it
// is the caller's but the octets of attachments.
type preparedBulk struct {
	base     sesv2.SendBulkEmailInput // a call without entries
	info     sesguard.Info            // of an entry, but for its recipients
	entries  []preparedEntry
	size     int // of a chunk
	progress func(int, BulkResult)
}

type preparedEntry struct {
	wire       sestypes.BulkEmailEntry
	recipients int
}

// prepare checks all of in. With an error the results hold those of the entries.
func prepare(in *Bulk) (*preparedBulk, []BulkResult, error) {
	if in == nil {
		in = new(Bulk)
	}
	var v validator
	p := &preparedBulk{size: in.ChunkSize, progress: in.Progress, entries: make([]preparedEntry, len(in.Entries))}
	if p.size <= 0 || p.size > maxEntries {
		p.size = maxEntries
	}
	v.message("", &sesguard.Message{
		From: in.From, ReturnPath: in.ReturnPath, To: []string{someone}, ReplyTo: in.ReplyTo, Tags: in.Tags,
		ConfigurationSet: in.ConfigurationSet, Tenant: in.Tenant, FromARN: in.FromARN, ReturnPathARN: in.ReturnPathARN,
	})
	parts := v.template("Template.", &in.Template)
	defaults, data := v.values("Defaults", in.Defaults)
	shared := *in
	if len(v.problems) > 0 { // they are not told again for each entry
		shared.Tags, shared.Template.Headers = nil, nil
	}
	results := make([]BulkResult, len(in.Entries))
	for i := range in.Entries {
		var own validator
		p.entries[i] = own.entry(&shared, &in.Entries[i], parts, defaults)
		if len(own.problems) == 0 {
			continue
		}
		own.problems = slices.Clone(own.problems[:min(len(own.problems), mostOfEntry)])
		results[i].Err = own.err()
		for _, problem := range own.problems {
			if len(v.problems) < mostOfBulk {
				problem.Field = item("Entries", i) + "." + problem.Field
				v.problems = append(v.problems, problem)
			}
		}
	}
	if err := v.err(); err != nil {
		return nil, results, err
	}
	from, _ := sesguard.ParseAddress(in.From)
	p.base, p.info = in.wire(data), sesguard.Info{From: from.Addr(), ConfigurationSet: in.ConfigurationSet, Tenant: in.Tenant}
	return p, results, nil
}

// entry checks e, whose template has these parts.
func (v *validator) entry(in *Bulk, e *BulkEntry, parts []part, defaults map[string]any) (p preparedEntry) {
	tags := override(e.Tags, in.Tags, func(t sesguard.Tag) string { return t.Name })
	headers := override(e.Headers, in.Template.Headers, func(h sesguard.Header) string { return strings.ToLower(h.Name) })
	p.recipients = v.message("", &sesguard.Message{From: someone, To: e.To, Cc: e.Cc, Bcc: e.Bcc, Tags: tags, Headers: headers})
	v.headerSizes("", e.Headers)
	values, data := v.values("Data", e.Data)
	if defaults != nil && values != nil {
		merged, _ := template.Merge(defaults, values).(map[string]any)
		v.rendering("Data", parts, merged)
	}
	if len(v.problems) > 0 {
		return p
	}
	p.wire = sestypes.BulkEmailEntry{
		Destination: &sestypes.Destination{
			ToAddresses: v.wireAddresses("", e.To, nil), CcAddresses: v.wireAddresses("", e.Cc, nil), BccAddresses: v.wireAddresses("", e.Bcc, nil),
		},
		ReplacementEmailContent: &sestypes.ReplacementEmailContent{ // an absent one has been refused: "The template data is invalid"
			ReplacementTemplate: &sestypes.ReplacementTemplate{ReplacementTemplateData: &data},
		},
		ReplacementHeaders: wireHeaders(e.Headers),
	}
	if len(e.Tags) > 0 { // all of them, whether SES adds them to the bulk's or puts them in their place
		p.wire.ReplacementTags = wireTags(tags)
	}
	return p
}

// override returns own, and those of the others that have another key.
func override[T any](own, others []T, key func(T) string) []T {
	out := slices.Clip(own)
	for _, o := range others {
		if !slices.ContainsFunc(own, func(t T) bool { return key(t) == key(o) }) {
			out = append(out, o)
		}
	}
	return out
}

// wire is a call of in without entries, with the default data. Its addresses
// were checked.
func (in *Bulk) wire(data string) sesv2.SendBulkEmailInput {
	var v validator
	bounces, _ := sesguard.ParseAddress(in.ReturnPath)
	return sesv2.SendBulkEmailInput{
		DefaultContent:                            &sestypes.BulkEmailContent{Template: in.Template.wire(data)},
		FromEmailAddress:                          v.wireAddress("", aws.String(in.From)),
		FromEmailAddressIdentityArn:               optional(in.FromARN),
		FeedbackForwardingEmailAddress:            optional(bounces.Addr()),
		FeedbackForwardingEmailAddressIdentityArn: optional(in.ReturnPathARN),
		ReplyToAddresses:                          v.wireAddresses("", in.ReplyTo, nil),
		ConfigurationSetName:                      optional(in.ConfigurationSet),
		DefaultEmailTags:                          wireTags(in.Tags),
		EndpointId:                                optional(in.EndpointID),
		TenantName:                                optional(in.Tenant),
	}
}

// tracked is entry i with the id of its send as a tag, if that was asked for.
func (p *preparedBulk) tracked(i int, info sesguard.Info) (sestypes.BulkEmailEntry, error) {
	wire := p.entries[i].wire
	if info.TrackTag == "" {
		return wire, nil
	}
	tags := wire.ReplacementTags
	if tags == nil {
		tags = p.base.DefaultEmailTags
	}
	if slices.ContainsFunc(tags, func(t sestypes.MessageTag) bool { return *t.Name == info.TrackTag }) || !names.Tag(info.TrackTag) {
		var v validator
		v.add("Tags", info.TrackTag, seserrors.InvalidTag, "Options.TrackTag is no name of a tag, or stands among the tags already")
		return wire, v.err()
	}
	wire.ReplacementTags = append(slices.Clip(tags), sestypes.MessageTag{Name: &info.TrackTag, Value: &info.TrackID})
	return wire, nil
}
