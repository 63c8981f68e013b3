package sesguard

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"slices"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A stored Mail is mailVersion, a line of JSON, the octets of the message, and
// the CRC-32 of all that (Castagnoli) in four octets.
const mailVersion = "sesguard mail 1\n"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stored is what the line of JSON holds.
type stored struct {
	ReturnPath, From                                 string
	To, Cc, Bcc                                      []string
	ConfigurationSet, Tenant, FromARN, ReturnPathARN string `json:",omitempty"`
	Tags                                             []Tag  `json:",omitempty"` // but those in the message's own header
	List                                             *List  `json:",omitempty"`
	TrackID                                          string
}

// MarshalBinary returns the Mail in a form that LoadMail reads, in this version
// of the package and in later ones: envelope, what SES is told, TrackID and
// octets. It reads the streamed attachments, whose errors are those of
// [Mail.Open], waits for them without a limit, and holds the whole mail in
// memory.
func (m *Mail) MarshalBinary() ([]byte, error) {
	head, err := json.Marshal(stored{
		m.from, m.author, m.to, m.cc, m.bcc, m.configurationSet, m.tenant, m.fromARN, m.returnPathARN,
		m.tags[m.ownTags:], m.list, m.trackID,
	})
	if err != nil {
		return nil, err
	}
	size := m.length() + int64(len(mailVersion)+len(head)+1+crc32.Size)
	b := bytes.NewBuffer(make([]byte, 0, size))
	b.WriteString(mailVersion)
	b.Write(append(head, '\n'))
	if _, err := m.WriteTo(b); err != nil {
		return nil, err
	}
	return binary.BigEndian.AppendUint32(b.Bytes(), crc32.Checksum(b.Bytes(), castagnoli)), nil
}

// LoadMail returns the Mail that MarshalBinary gave. It keeps nothing of data.
//
// What a queue held is input: data is checked as a whole, and then everything in
// it as Build checks a Message with Raw. The error is a *seserrors.Error of class
// Invalid that holds a *ValidationError, or says content-unreadable for data that
// is damaged or of an unknown version.
func LoadMail(data []byte) (*Mail, error) {
	n := len(data) - crc32.Size
	switch {
	case n < len(mailVersion) || !bytes.HasPrefix(data, []byte("sesguard mail ")):
		return nil, damaged("it is no stored mail, or cut short")
	case !bytes.HasPrefix(data, []byte(mailVersion)):
		return nil, damaged("it is of another version of this package")
	case binary.BigEndian.Uint32(data[n:]) != crc32.Checksum(data[:n], castagnoli):
		return nil, damaged("it is damaged or cut short: its checksum differs")
	}
	head, octets, _ := bytes.Cut(data[len(mailVersion):n], []byte("\n"))
	var s stored
	if json.Unmarshal(head, &s) != nil {
		return nil, damaged("its envelope cannot be read")
	}
	mail, err := build(context.Background(), &Message{
		ReturnPath: s.ReturnPath, From: s.From, To: s.To, Cc: s.Cc, Bcc: s.Bcc,
		ConfigurationSet: s.ConfigurationSet, Tenant: s.Tenant, FromARN: s.FromARN, ReturnPathARN: s.ReturnPathARN,
		List: s.List, Raw: bytes.NewReader(bytes.Clone(octets)),
	})
	if err != nil {
		return nil, err
	}
	same := mail.from == s.ReturnPath && mail.author == s.From && slices.Equal(mail.to, s.To) &&
		slices.Equal(mail.cc, s.Cc) && slices.Equal(mail.bcc, s.Bcc) && len(mail.fixed) == len(octets)
	if !same || !isTrackID(s.TrackID) {
		return nil, damaged("it holds what MarshalBinary does not write")
	}
	mail.trackID = s.TrackID
	var v validator
	for i, t := range s.Tags {
		v.tag(item("Tags", i), mail.tags, t)
		mail.tags = append(mail.tags, t)
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	return mail, nil
}

func damaged(why string) error {
	return &seserrors.Error{Op: "sesguard load mail", Class: seserrors.Invalid, Reason: seserrors.ContentUnreadable, Message: why}
}

// isTrackID reports what rand.Text returns.
func isTrackID(s string) bool {
	for _, c := range s {
		if (c < 'A' || c > 'Z') && (c < '2' || c > '7') {
			return false
		}
	}
	return len(s) == 26
}
