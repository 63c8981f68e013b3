package doctor

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	seserrors "github.com/sesguard/sesguard-go/errors"
	"github.com/sesguard/sesguard-go/smtpclient"
)

// A form is what a password looks like.
type form uint8

const (
	otherForm  form = iota
	secretForm      // the secret of an IAM key: 40 characters
	oldForm         // an SMTP password of signature version 2, made before January 10, 2019
	smtpForm        // an SMTP password of signature version 4
)

// formOf tells by its look what a password is. An SMTP password is the base64 of
// a version octet and 32 octets ("Obtaining Amazon SES SMTP credentials").
func formOf(password string) form {
	raw, err := base64.StdEncoding.DecodeString(password)
	switch {
	case err == nil && len(raw) == 33 && raw[0] == 4:
		return smtpForm
	case err == nil && len(raw) == 33 && raw[0] == 2:
		return oldForm
	case len(password) == 40 && err == nil:
		return secretForm
	}
	return otherForm
}

// credentials returns what the settings sign in with.
func (r *run) credentials(ctx context.Context) (user, password string, err error) {
	if r.SMTP.Credentials == nil {
		return r.SMTP.Username, r.SMTP.Password, nil
	}
	pair, err := within(ctx, func() (pair [2]string, err error) {
		pair[0], pair[1], err = r.SMTP.Credentials(ctx)
		return pair, err
	})
	return pair[0], pair[1], err
}

func (r *run) oldKey() {
	f := Finding{Check: checkOldKey, Subject: key(r.SMTP.Username), Status: OK, Detail: "made after January 10, 2019, by its form"}
	switch form := formOf(r.SMTP.Password); {
	case r.SMTP.Password == "":
		f.Status, f.Detail = Skipped, "the settings hold no SMTP password to look at"
	case form == oldForm:
		f.warn("made before January 10, 2019: SES throttles such credentials", "Make new SMTP credentials in this region and delete the old ones.")
		f.Reason = seserrors.SigV2RateExceeded
	case form != smtpForm:
		f.Status, f.Detail = Skipped, "the password does not have the form that SES gives"
	}
	r.found(time.Now(), f)
}

// key names a key id by its last four characters.
func key(id string) string {
	if len(id) < 12 {
		return ""
	}
	return "key …" + id[len(id)-4:]
}

// signIn signs in once, and once more where that tells what is wrong.
func (r *run) signIn(ctx context.Context) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	f := Finding{Check: checkSignIn, Subject: r.host}
	user, password, err := r.credentials(ctx)
	switch {
	case err != nil:
		f.fail(seserrors.CredentialsUnavailable, "Credentials failed", "Look at the error that your own function returns.")
	case user == "" && password == "":
		f.Detail = "the settings hold no SMTP credentials"
	default:
		r.ping(ctx, &f, user, password)
	}
	r.found(start, f)
}

// signedIn returns the settings with these credentials, for a port that works.
func (r *run) signedIn(user, password string) smtpclient.Config {
	cfg := r.where(r.tls)
	cfg.TLSConfig, cfg.Username, cfg.Password = r.SMTP.TLSConfig, user, password
	if !slices.Contains(r.usable, r.port) {
		cfg.Addr, cfg.TLS = net.JoinHostPort(r.host, strconv.Itoa(r.usable[0])), smtpclient.TLSAuto
	}
	return cfg
}

func (r *run) pingWith(ctx context.Context, user, password string) error {
	c, err := smtpclient.New(r.signedIn(user, password))
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Ping(ctx)
}

func (r *run) ping(ctx context.Context, f *Finding, user, password string) {
	err := r.pingWith(ctx, user, password)
	if err == nil {
		f.Status, f.Detail = OK, "signed in"
		return
	}
	e := seserrors.Classify(err)
	switch f.fail(e.Reason, words(err), e.Reason.Advice()); {
	case e.Class == seserrors.Invalid:
		f.setting(e)
	case e.Reason == seserrors.Network:
		f.Advice = "The port took TLS a moment ago: run this again. If it stays, a proxy or firewall ends the connection at AUTH."
	case e.Reason == seserrors.CredentialsInvalid:
		f.Detail, f.Advice = "SES does not take these credentials", r.why(ctx, user, password)
	case e.Class == seserrors.Throttled || e.Class == seserrors.Canceled:
		f.Status = Warn
	}
}

// why tells the likely cause of a refused sign-in. A password that looks like an
// IAM secret is derived for this region and tried: that settles it.
func (r *run) why(ctx context.Context, user, password string) string {
	region := cmp.Or(r.sends, r.Region)
	switch form := formOf(password); {
	case form == secretForm && region != "" && r.pingWith(ctx, user, smtpclient.DerivePassword(password, region)) == nil:
		return "The password is the secret of the IAM key itself. Use smtpclient.DerivePassword(secret, " + strconv.Quote(region) + "): with what that returns SES signs in."
	case form == secretForm:
		return "The password looks like the secret of an IAM key. Derive the SMTP password with smtpclient.DerivePassword for this region; derived here it is not taken either, so check the key id and that the key is active."
	case !strings.HasPrefix(user, "AKIA"):
		return "The user name is no key id of an IAM user, which begins with AKIA: neither the IAM user's own name nor an address is one. See the SMTP credentials that were made for this region."
	case form == smtpForm:
		return fmt.Sprintf("The password has the right form. It is of another region than %s, or of another key, or the key was deleted or switched off or is younger than two minutes: SMTP passwords belong to one region.", region)
	case form == oldForm:
		return "The password is of the form used before January 10, 2019. Make new SMTP credentials in this region."
	}
	return "The password is no SMTP password of SES. It is neither the one of the AWS console nor the secret of an access key: make SMTP credentials in this region, or derive them with smtpclient.DerivePassword."
}
