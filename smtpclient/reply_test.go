package smtpclient

import "testing"

func TestTheMessageIDIsTakenOutOfSESsWords(t *testing.T) {
	const id = "0107017033dbb64d-be13a01e-dbf1-44b7-b876-3622165dacc1-000000"
	for text, want := range map[string]string{
		"Ok " + id: id, "ok " + id: id, "Ok  " + id + " ": id, "Ok": "", "": "", "Ok ": "",
		"2.0.0 Ok: queued as 12345": "", "Ok two words": "", "Okay": "", "OK id=1sXyZ-00": "id=1sXyZ-00",
	} {
		if got := messageID(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
