package sestest

import "testing"

func TestBulkDataIsMergedObjectByObject(t *testing.T) {
	tests := map[string]struct{ defaults, with, want string }{
		"nothing":           {`{"a":1}`, "", `{"a":1}`},
		"empty":             {`{"a":1}`, " {} ", `{"a":1}`},
		"no defaults":       {"", `{"a":1}`, `{"a":1}`},
		"values":            {`{"a":1,"b":2}`, `{"b":3,"c":4}`, `{"a":1,"b":3,"c":4}`},
		"objects":           {`{"a":{"x":1,"y":{"z":2}}}`, `{"a":{"y":{"w":3}}}`, `{"a":{"x":1,"y":{"w":3,"z":2}}}`},
		"lists":             {`{"a":[1,2]}`, `{"a":[3]}`, `{"a":[3]}`},
		"object over value": {`{"a":1}`, `{"a":{"x":2}}`, `{"a":{"x":2}}`},
		"value over object": {`{"a":{"x":2}}`, `{"a":null}`, `{"a":null}`},
		"no object":         {`{"a":1}`, `[1]`, `[1]`},
	}
	for name, tt := range tests {
		if got := mergeData(tt.defaults, tt.with); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
