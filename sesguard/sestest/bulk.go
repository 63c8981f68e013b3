package sestest

import (
	"encoding/json"
	"strings"
)

type bulkRequest struct {
	commonRequest
	BulkEmailEntries []bulkEntry
	DefaultContent   struct{ Template *templated }
	DefaultEmailTags []nameValue
}

type bulkEntry struct {
	Destination             destination
	ReplacementEmailContent struct {
		ReplacementTemplate struct{ ReplacementTemplateData string }
	}
	ReplacementHeaders []nameValue
	ReplacementTags    []nameValue
}

type bulkResult struct {
	Status    string
	Error     string `json:",omitempty"`
	MessageId string `json:",omitempty"`
}

func (c *apiCall) sendBulkEmail() (any, *apiFailure) {
	b, failure := c.readBody()
	if failure != nil {
		return nil, failure
	}
	var req bulkRequest
	problem := json.Unmarshal(b, &req)
	f := c.srv.take(EndOfData, overAPI)
	switch {
	case f.preventsAcceptance():
		return nil, c.prevent(f, req.first(c.srv.Account))
	case problem != nil:
		return nil, notJSON()
	case len(req.BulkEmailEntries) == 0 || req.DefaultContent.Template == nil:
		return nil, badRequest("The input you provided is invalid.")
	}
	results := make([]bulkResult, 0, len(req.BulkEmailEntries))
	for i := range req.BulkEmailEntries {
		results = append(results, c.sendEntry(&req, i, b))
	}
	return map[string]any{"BulkEmailEntryResults": results}, c.after(f)
}

// first is the message that a refusal of the whole request speaks of.
func (q *bulkRequest) first(a *Account) *submission {
	var single sendRequest
	if len(q.BulkEmailEntries) > 0 && q.DefaultContent.Template != nil {
		single = q.single(0)
	}
	m, _ := single.submission(a)
	return m
}

func (c *apiCall) sendEntry(req *bulkRequest, i int, b []byte) bulkResult {
	if f := c.srv.take(entry, overAPI); f != nil {
		return bulkResult{Status: f.errCode, Error: f.text}
	}
	single := req.single(i)
	m, r := single.submission(c.srv.Account)
	c.describe(m, b)
	m.mail.operation = "SendBulkTemplatedEmail"
	var id string
	if r == nil {
		id, r = c.srv.submit(m)
	}
	if r != nil {
		status, text := r.bulk()
		return bulkResult{Status: status, Error: text}
	}
	return bulkResult{Status: "SUCCESS", MessageId: id}
}

// single makes the SendEmail request that stands for an entry. The entry's
// tags come beside the defaults and replace those of the same name.
func (q *bulkRequest) single(i int) sendRequest {
	e := q.BulkEmailEntries[i]
	t := *q.DefaultContent.Template
	t.replacement = e.ReplacementEmailContent.ReplacementTemplate.ReplacementTemplateData
	t.Headers = replaceNamed(t.Headers, e.ReplacementHeaders)
	return sendRequest{
		commonRequest: q.commonRequest,
		Content:       content{Template: &t},
		Destination:   e.Destination,
		EmailTags:     replaceNamed(q.DefaultEmailTags, e.ReplacementTags),
	}
}

func replaceNamed(defaults, with []nameValue) (out []nameValue) {
	replaced := map[string]bool{}
	for _, nv := range with {
		replaced[strings.ToLower(nv.Name)] = true
	}
	for _, nv := range defaults {
		if !replaced[strings.ToLower(nv.Name)] {
			out = append(out, nv)
		}
	}
	return append(out, with...)
}
