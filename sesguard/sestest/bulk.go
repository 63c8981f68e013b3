package sestest

import "strings"

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

func (q *bulkRequest) send(c *apiCall, raw []byte) (any, *apiFailure) {
	if len(q.BulkEmailEntries) == 0 || q.DefaultContent.Template == nil {
		return nil, badRequest("The input you provided is invalid.")
	}
	results := make([]bulkResult, 0, len(q.BulkEmailEntries))
	for i := range q.BulkEmailEntries {
		results = append(results, q.sendEntry(c, i, raw))
	}
	return map[string]any{"BulkEmailEntryResults": results}, nil
}

// first is the message of the first entry.
func (q *bulkRequest) first(a *Account) *submission {
	var single sendRequest
	if len(q.BulkEmailEntries) > 0 && q.DefaultContent.Template != nil {
		single = q.single(0)
	}
	return single.first(a)
}

func (q *bulkRequest) sendEntry(c *apiCall, i int, raw []byte) bulkResult {
	if f := c.srv.take(entry, overAPI); f != nil {
		return bulkResult{Status: f.errCode, Error: f.text}
	}
	single := q.single(i)
	id, r := c.submit(&single, raw, "SendBulkTemplatedEmail")
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
