package template

import "maps"

// Merge returns what SES renders an entry of SendBulkEmail with: the default data
// with the entry's own on top. Objects merge key by key, at every depth; anything
// else, lists too, is replaced whole. Both are decoded JSON and stay as they are.
// An entry of nil has no data of its own.
func Merge(defaults, entry any) any {
	if entry == nil {
		return defaults
	}
	return merge(defaults, entry)
}

func merge(under, over any) any {
	u, ok := under.(map[string]any)
	o, both := over.(map[string]any)
	if !ok || !both {
		return over
	}
	merged := maps.Clone(u)
	if merged == nil {
		merged = make(map[string]any, len(o))
	}
	for key, v := range o {
		if old, ok := merged[key]; ok {
			v = merge(old, v)
		}
		merged[key] = v
	}
	return merged
}
