package event

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	seserrors "github.com/sesguard/sesguard-go/errors"
)

// A labelled is a receiver's reply with the reason that it must get.
type labelled struct {
	Text   string
	Reason seserrors.Reason
}

// corpus reads replies: those of diagnostics.jsonl are from public reports,
// those of more.jsonl are worded after the replies of receivers and servers.
func corpus(t testing.TB, file string) []labelled {
	t.Helper()
	data, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var list []labelled
	for line := range strings.Lines(string(data)) {
		var l labelled
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		list = append(list, l)
	}
	return list
}

// The rules know the replies of the corpora. Where they do not, the reply may
// be not understood, but hardly misunderstood, and never suppresses an address
// that is good.
func TestCorpora(t *testing.T) {
	for _, file := range []string{"diagnostics.jsonl", "more.jsonl"} {
		list := corpus(t, file)
		var agree, unknown, wrong int
		for _, l := range list {
			switch got := Diagnose(l.Text).Reason; got {
			case l.Reason:
				agree++
			case undetermined:
				unknown++
			default:
				wrong++
				t.Logf("%s, want %s: %s", got, l.Reason, l.Text)
				if meanings[got].do == Suppress && meanings[l.Reason].do != Suppress {
					t.Errorf("suppressed for %s: %s", l.Reason, l.Text)
				}
			}
		}
		t.Logf("%s: %d agree, %d not understood, %d misunderstood", file, agree, unknown, wrong)
		if agree*100 < len(list)*97 || wrong*100 > len(list) {
			t.Errorf("%s: %d of %d agree, %d misunderstood", file, agree, len(list), wrong)
		}
	}
}

// sample returns a reply made of a rule's own words.
func (d *diagnosticRule) sample() reply {
	text := strings.NewReplacer("^", "", " * ", " x ", "~", "").Replace(d.text)
	code := d.code
	switch {
	case code == "":
		code = "599"
	case strings.Contains(code, "."):
		if strings.HasSuffix(code, ".") {
			code += "77"
		}
		code = code[:1] + "99 " + code
	default:
		code += strings.Repeat("9", 3-len(code))
	}
	if d.link != "" {
		text += " https://host.example/" + d.link
	}
	return newReply(code + " " + text)
}

// Every row of the rules is in reach: no earlier row takes its words.
func TestEveryRuleIsReached(t *testing.T) {
	for i := range diagnosticRules {
		r := diagnosticRules[i].sample()
		for j := range diagnosticRules {
			if diagnosticRules[j].fits(&r) {
				if i != j {
					t.Errorf("row %d %+v is hidden by row %d %+v", i, diagnosticRules[i], j, diagnosticRules[j])
				}
				break
			}
		}
		if !diagnosticRules[i].fits(&r) {
			t.Errorf("row %d %+v does not fit its own words", i, diagnosticRules[i])
		}
		if _, ok := meanings[diagnosticRules[i].reason]; !ok {
			t.Errorf("row %d: reason %q has no meaning", i, diagnosticRules[i].reason)
		}
	}
	for _, e := range enhancedRules {
		code := e.enhanced
		if strings.HasSuffix(code, ".") {
			code += "99"
		}
		if got := Diagnose(code[:1] + "99 " + code + " Kaboom").Reason; got != e.reason {
			t.Errorf("%s: %s, want %s", code, got, e.reason)
		}
	}
	for i, l := range blockLists {
		got, page := blockList(newReply("554 5.7.1 "+l.token), false)
		if got != l.name || page != l.page {
			t.Errorf("list %d %+v: %s", i, l, got)
		}
	}
}

func TestDiagnose(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want Diagnosis
	}{
		"nothing":                  {"", Diagnosis{Reason: undetermined}},
		"white space":              {" \r\n", Diagnosis{Reason: undetermined}},
		"only a code":              {"550", Diagnosis{Reason: undetermined, Code: 550}},
		"not understood":           {"smtp; 550 5.7.1 Kaboom", Diagnosis{Reason: undetermined, Code: 550, Enhanced: "5.7.1"}},
		"a longer code is another": {"550 5.7.233 Sender exceeded the external recipient rate limit", Diagnosis{Reason: seserrors.ReceiverBusy, Code: 550, Enhanced: "5.7.233"}},
		"a filter that is down":    {"451 4.3.0 Spam filter is down, try later", Diagnosis{Reason: seserrors.ReceiverUnavailable, Code: 451, Enhanced: "4.3.0"}},
		"temporary, no policy":     {"450 4.7.1 Policy rejection, please try later", Diagnosis{Reason: seserrors.ReceiverUnavailable, Code: 450, Enhanced: "4.7.1"}},
		"enhanced code alone":      {"smtp; 550 5.1.1 Kaboom", Diagnosis{Reason: seserrors.RecipientUnknown, Code: 550, Enhanced: "5.1.1"}},
		"a temporary one is none":  {"450 4.1.1 Kaboom", Diagnosis{Reason: seserrors.ReceiverUnavailable, Code: 450, Enhanced: "4.1.1"}},
		"words before codes":       {"550 5.1.1 mailbox full", Diagnosis{Reason: seserrors.MailboxFull, Code: 550, Enhanced: "5.1.1"}},
		"folded":                   {"smtp; 550-5.2.1 The user you are trying to contact is receiving\r\n550-5.2.1 mail at a rate\r\n550 5.2.1 that hurts", Diagnosis{Reason: seserrors.ReceiverBusy, Code: 550, Enhanced: "5.2.1"}},
		"enhanced code at the end": {"553 sorry, that is no address (#5.1.1)", Diagnosis{Reason: seserrors.RecipientUnknown, Code: 553, Enhanced: "5.1.1"}},
		"an IP address is no code": {"550 5.7.1 no thanks, 5.1.1.7", Diagnosis{Reason: undetermined, Code: 550, Enhanced: "5.7.1"}},
		"expiry":                   {"smtp; 554 4.4.7 Message expired: unable to deliver in 840 minutes.<452 4.2.2 Mailbox full for <ann@example.net>>", Diagnosis{Reason: seserrors.MailboxFull, Code: 452, Enhanced: "4.2.2"}},
		"expiry without a reply":   {"smtp; 550 4.4.7 Message expired: unable to deliver in 840 minutes.", Diagnosis{Reason: seserrors.ReceiverUnavailable, Code: 550, Enhanced: "4.4.7"}},
		"expiry, not understood":   {"smtp; 550 4.4.7 Message expired: unable to deliver in 840 minutes.<451 Kaboom>", Diagnosis{Reason: seserrors.ReceiverUnavailable, Code: 451, Enhanced: "4.4.7"}},
		"what SES wrote once":      {"smtp; 5.1.0 - Unknown address error 550-'5.2.2 <ann@example.net>... Mailbox Full' (delivery attempts: 0)", Diagnosis{Reason: seserrors.MailboxFull, Code: 550, Enhanced: "5.2.2"}},
		"the same, not understood": {"smtp; 5.1.0 - Unknown address error 550-'5.7.1 Kaboom' (delivery attempts: 0)", Diagnosis{Reason: undetermined, Code: 550, Enhanced: "5.7.1"}},
		"Postfix about the next":   {"550 5.1.1 host mx.example[192.0.2.1] said: 552 5.2.2 over quota (in reply to RCPT TO command)", Diagnosis{Reason: seserrors.MailboxFull, Code: 552, Enhanced: "5.2.2"}},
		"Exchange about the next":  {"550 5.7.520 Remote server returned -> 550 5.1.1 no such user", Diagnosis{Reason: seserrors.RecipientUnknown, Code: 550, Enhanced: "5.1.1"}},

		// What shares words and must not be mixed up.
		"a grey list that blocks":          {"450 4.7.1 blocked using grey.rbl.example", Diagnosis{Reason: seserrors.ReceiverBusy, Code: 450, Enhanced: "4.7.1"}},
		"a list of links":                  {"554 5.7.1 blocked using multi.uribl.com", Diagnosis{Reason: seserrors.ContentRefused, Code: 554, Enhanced: "5.7.1", BlockList: "URIBL", Delisting: "https://admin.uribl.com/"}},
		"a list of domains":                {"554 5.7.1 blocked using dbl.spamhaus.org", Diagnosis{Reason: seserrors.SendingDomainBlocked, Code: 554, Enhanced: "5.7.1", BlockList: "Spamhaus DBL", Delisting: "https://check.spamhaus.org/"}},
		"a list nobody knows":              {"554 5.7.1 Client host [192.0.2.1] blocked using bl.example.net; ask them", Diagnosis{Reason: seserrors.SendingIPBlocked, Code: 554, Enhanced: "5.7.1", BlockList: "bl.example.net"}},
		"DMARC before rates":               {"421 4.7.32 rate limited because there is no DMARC alignment", Diagnosis{Reason: seserrors.AuthenticationFailed, Code: 421, Enhanced: "4.7.32"}},
		"blocked is not locked":            {"550 account blockedness", Diagnosis{Reason: undetermined, Code: 550}},
		"the end of a word is no word":     {"550 5.7.1 superuser unknownst", Diagnosis{Reason: undetermined, Code: 550, Enhanced: "5.7.1"}},
		"the start of a word, too":         {"550 5.7.1 xmailbox full", Diagnosis{Reason: undetermined, Code: 550, Enhanced: "5.7.1"}},
		"relay= is not relay":              {"550 5.1.1 <ann@example.net>... User unknown, relay=[192.0.2.1]", Diagnosis{Reason: seserrors.RecipientUnknown, Code: 550, Enhanced: "5.1.1"}},
		"a sender that does not exist":     {"553 5.1.8 Domain of sender address b@example.com does not exist", Diagnosis{Reason: seserrors.AuthenticationFailed, Code: 553, Enhanced: "5.1.8"}},
		"a delivery that is suspended":     {"451 4.3.0 delivery temporarily suspended", Diagnosis{Reason: seserrors.ReceiverUnavailable, Code: 451, Enhanced: "4.3.0"}},
		"access denied by Microsoft":       {"550 5.4.1 [ann@example.net]: Recipient address rejected: Access denied", Diagnosis{Reason: seserrors.RecipientUnknown, Code: 550, Enhanced: "5.4.1"}},
		"host that takes nothing from you": {"550 This server does not accept mail from your IP", Diagnosis{Reason: seserrors.SendingIPBlocked, Code: 550}},

		// What a mail's own addresses and links say is nobody's verdict.
		"an address that says much":      {"550 5.7.1 <user-unknown@mailbox-full.example>: Kaboom", Diagnosis{Reason: undetermined, Code: 550, Enhanced: "5.7.1"}},
		"a bare address":                 {"550 5.7.1 no.such.user@does-not-exist.example Kaboom", Diagnosis{Reason: undetermined, Code: 550, Enhanced: "5.7.1"}},
		"a link that says much":          {"550 5.7.1 Kaboom, see https://example.net/user-unknown/mailbox-full", Diagnosis{Reason: undetermined, Code: 550, Enhanced: "5.7.1"}},
		"words far from each other":      {"550 5.7.1 mailbox " + strings.Repeat("y", 100) + " full", Diagnosis{Reason: undetermined, Code: 550, Enhanced: "5.7.1"}},
		"text that is not UTF-8":         {"550 5.1.1 \xff\xfe user unknown", Diagnosis{Reason: seserrors.RecipientUnknown, Code: 550, Enhanced: "5.1.1"}},
		"typographic apostrophes":        {"550 that user doesn’t exist", Diagnosis{Reason: seserrors.RecipientUnknown, Code: 550}},
		"a list is named for blame only": {"550 5.1.1 user unknown, see https://www.spamhaus.org/", Diagnosis{Reason: seserrors.SendingIPBlocked, Code: 550, Enhanced: "5.1.1", BlockList: "Spamhaus", Delisting: "https://check.spamhaus.org/"}},
	} {
		if got := Diagnose(c.text); got != c.want {
			t.Errorf("%s:\n%+v, want\n%+v", name, got, c.want)
		}
	}
}

// Replies that no phrase knows are read by the words that they are made of.
func TestWordsOfManyLanguages(t *testing.T) {
	for text, want := range map[string]seserrors.Reason{
		"550 5.1.0 No record of this recipient":                      seserrors.RecipientUnknown,
		"550 Diese Adresse gibt es hier nicht":                       seserrors.RecipientUnknown,
		"550 Le compte est introuvable":                              seserrors.RecipientUnknown,
		"550 No hay ningún usuario con ese nombre":                   seserrors.RecipientUnknown,
		"550 O endereço não existe":                                  seserrors.RecipientUnknown,
		"550 La casella non esiste":                                  seserrors.RecipientUnknown,
		"550 De gebruiker bestaat niet":                              seserrors.RecipientUnknown,
		"550 Skrzynka nie istnieje":                                  seserrors.RecipientUnknown,
		"550 Такого пользователя нет":                                seserrors.RecipientUnknown,
		"550 您要找的用户不存在":                                              seserrors.RecipientUnknown,
		"550 そのアドレスは存在しません":                                          seserrors.RecipientUnknown,
		"550 수신자를 찾을 수 없습니다":                                         seserrors.RecipientUnknown,
		"550 Das Konto wurde stillgelegt":                            seserrors.MailboxDisabled,
		"550 该邮箱已停用":                                                 seserrors.MailboxDisabled,
		"550 5.1.1 La boîte de votre contact est saturée":            seserrors.MailboxFull,
		"550 5.1.1 对方邮箱已满":                                           seserrors.MailboxFull,
		"550 5.1.1 Ваш IP-адрес в чёрном списке":                     seserrors.SendingIPBlocked,
		"554 Su servidor está en una lista negra":                    seserrors.SendingIPBlocked,
		"554 5.7.1 The reputation of 192.0.2.1 is poor":              seserrors.SendingIPBlocked,
		"554 5.7.1 Complaints made us bar your domain: reputation":   seserrors.SendingDomainBlocked,
		"550 Absender unbekannt":                                     seserrors.AuthenticationFailed,
		"554 L'allegato è sospetto":                                  seserrors.ContentRefused,
		"421 Trop de sessions":                                       seserrors.ReceiverBusy,
		"451 Por favor intente más tarde":                            seserrors.ReceiverUnavailable,
		"550 Por política interna":                                   seserrors.RecipientPolicy,
		"550 The mailer went away. A proxy is unknown":               undetermined,
		"550 The user " + strings.Repeat("y", 100) + " is not known": undetermined,
	} {
		if got := Diagnose(text).Reason; got != want {
			t.Errorf("%s, want %s: %s", got, want, text)
		}
	}
}

// Words that stand alone and pairs of words are whole words, but for scripts
// that put no spaces between them.
func TestEveryPairRuleIsReached(t *testing.T) {
	for i, p := range slices.Concat(pairRules, vagueRules) {
		if _, ok := meanings[p.reason]; !ok {
			t.Errorf("pair %d: reason %q has no meaning", i, p.reason)
		}
		for _, about := range p.about {
			says := ""
			if p.says != nil {
				says = " * " + p.says[i%len(p.says)]
			}
			r := (&diagnosticRule{text: about + says, code: p.code}).sample()
			if rule := []pairRule{p}; r.pair(rule) != p.reason && meanings[p.reason].do != Suppress {
				t.Errorf("pair %d does not fit its own words %q: %q", i, about+says, r.words)
			}
		}
		for _, phrase := range slices.Concat(p.about, p.says) {
			if strings.Contains(phrase, " * ") || strings.Contains(strings.TrimSuffix(phrase, "~"), "~") || phrase != strings.ToLower(phrase) {
				t.Errorf("pair %d: phrase %q can never fit", i, phrase)
			}
		}
	}
}

// What stands around a reply does not change its meaning.
func TestWrappingsKeepTheMeaning(t *testing.T) {
	for _, l := range corpus(t, "diagnostics.jsonl") {
		bare := Diagnose(l.Text)
		text := replyPrefix.ReplaceAllString(l.Text, "")
		for name, wrapped := range map[string]string{
			"smtp;": "smtp; " + text,
			"SMTP;": "SMTP;" + text,
			"lines": strings.ReplaceAll(text, " ", "\r\n\t"),
		} {
			if got := Diagnose(wrapped); got != bare {
				t.Errorf("%s: %+v, want %+v: %s", name, got, bare, l.Text)
			}
		}
		if bare.Code >= 400 && strings.HasPrefix(text, fmt.Sprint(bare.Code)) && !strings.ContainsAny(text, "<>") {
			if got := Diagnose("smtp; 554 4.4.7 Message expired: unable to deliver in 840 minutes.<" + text + ">"); got.Reason != bare.Reason && bare.Reason != undetermined {
				t.Errorf("expiry: %+v, want %+v: %s", got, bare, l.Text)
			}
		}
	}
}

// A phrase of another rule within an address of any reply changes nothing.
func TestAddressesAreNoWords(t *testing.T) {
	for _, l := range corpus(t, "diagnostics.jsonl") {
		if !strings.Contains(l.Text, "user@example.com") {
			continue
		}
		want := Diagnose(l.Text).Reason
		for i := 0; i < len(diagnosticRules); i += 41 {
			if diagnosticRules[i].text == "" {
				continue
			}
			phrase := strings.NewReplacer(" * ", ".", " ", ".", "~", "", "^", "", "@", "", ":", "", "(", "", ")", "", "[", "", "]", "", "'", "", ",", "").Replace(diagnosticRules[i].text)
			text := strings.ReplaceAll(l.Text, "user@example.com", phrase+"@"+"example.com")
			if got := Diagnose(text).Reason; got != want {
				t.Errorf("%s, want %s: %s", got, want, text)
			}
		}
	}
}

func BenchmarkDiagnose(b *testing.B) {
	list := corpus(b, "diagnostics.jsonl")
	for i := 0; b.Loop(); i++ {
		Diagnose(list[i%len(list)].Text)
	}
}

// Words that elsewhere mean a dead address, about something else: none of these
// costs a good address.
func TestNothingButTheRecipientSuppresses(t *testing.T) {
	for _, text := range []string{
		"550 5.7.1 The sending domain does not exist", "550 sender b@example.com does not exist", "553 sender's domain example.com not found",
		"550 5.7.1 Your IP does not have a PTR record", "550 Message does not have a valid From header", "550 5.7.1 DKIM record does not exist",
		"550 HELO name does not exist in DNS", "550 5.7.1 relay access denied, authentication is disabled", "554 delivery to this host is disabled",
		"550 Your account is suspended from sending", "554 5.7.1 your IP has been suspended due to abuse", "421 service has been discontinued",
		"550 Absender unbekannt", "550 5.7.1 reverse DNS not found", "554 Client host not found, [192.0.2.1]", "550 5.7.1 host 192.0.2.1 is disabled for spam",
		"550 5.7.1 Attachment type does not exist on the allow list", "550 5.1.1 sender rejected", "550 5.7.1 unknown sender, relay is disabled",
		"554 5.7.1 mail server closed the account of your network", "550 5.7.1 IP [192.0.2.1] is inactive in our reputation list",
		"550 5.7.1 No such user agent is welcome here: blocked using zen.spamhaus.org", "550 5.7.26 user unknown, DMARC", "521 5.1.1 no", "521 5.2.1 no",
		"554 certificate no longer valid", "554 5.7.1 DMARC record of example.com was not found", "550 5.7.1 SPF record does not exist",
		"550 Домен отправителя не существует", "550 Отправитель не найден", "550 发件人不存在", "550 5.7.1 Le domaine de l'expéditeur n'existe pas", "550 El dominio del remitente no existe", "550 Mittente sconosciuto",
		"550 Ваш IP-адрес заблокирован", "550 5.7.1 Your account at this host is closed", "550 5.7.1 The user's database could not be found", "450 пользователь не найден", "421 4.3.2 Service not active", "450 4.2.0 user unknown", "451 mailbox disabled", "550 5.1.1 Ihre IP-Adresse steht auf einer Sperrliste",
		"450 4.1.1 unverified address: user unknown so far", "550 mailbox or policy", "450 4.1.1 try later", "550 5.7.1 Kaboom",
		"550 Domain frequency limited", "550 5.1.1 too many recipients this hour", "454 4.7.0 mailbox is locked by another process",
	} {
		if d := Diagnose(text); meanings[d.Reason].do == Suppress {
			t.Errorf("%s: %s", d.Reason, text)
		}
	}
}

// What a log or a person makes of a reason comes from package errors.
func TestEveryReasonOfEventsIsKnownToPackageErrors(t *testing.T) {
	for reason := range meanings {
		if reason != undetermined && (reason.Class() == seserrors.Unknown || reason.Scope() == seserrors.ScopeUnknown || reason.Advice() == undetermined.Advice()) {
			t.Errorf("%s: class %v, scope %v, advice %q", reason, reason.Class(), reason.Scope(), reason.Advice())
		}
	}
}
