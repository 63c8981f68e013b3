package template

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func decode(t *testing.T, s string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func parse(t *testing.T, text string) *Template {
	t.Helper()
	tmpl, err := Parse(text)
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return tmpl
}

const person = `{
	"contact": {"firstName": "Mei", "city": "Graz"},
	"topics": [{"title": "Ships", "tags": ["sea", "steel"]}, {"title": "Trains"}],
	"colours": ["red", "blue"],
	"sizes": {"l": 3, "s": 1},
	"odd key": "odd", "0": "zero", "zero": 0, "no": false, "yes": true, "none": [], "empty": "", "void": null, "minus": [-0.0, -2, 1e-7, 1e21]
}`

// Each row is a feature that AWS documents, or that Handlebars documents beside it.
func TestATemplateIsRenderedAsSESRendersIt(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"nested path", "Dear {{contact.firstName}} of {{contact/city}}", "Dear Mei of Graz"},
		{"nothing is escaped", `{{#each colours}}<{{this}}>{{/each}}{{"odd key"}}`, "<red><blue>odd"},
		{"triple and ampersand are the same", "{{{contact.city}}} {{&contact.city}}", "Graz Graz"},
		{"odd key", "{{[odd key]}} {{this.[odd key]}} {{[0]}}", "odd odd zero"},
		{"each with fields", "{{#each topics}}{{title}};{{/each}}", "Ships;Trains;"},
		{"each with else", "{{#each none}}x{{else}}none{{/each}}", "none"},
		{"each over an absent list with else", "{{#each absent}}x{{else}}none{{/each}}", "none"},
		{"each over an object", "{{#each sizes}}{{@key}}={{this}} {{/each}}", "l=3 s=1 "},
		{"index, first, last", "{{#each colours}}{{@index}}{{#if @first}}F{{/if}}{{#if @last}}L{{/if}}{{/each}}", "0F1L"},
		{"key of a list", "{{#each colours}}{{@key}}{{/each}}", "01"},
		{"parent", "{{#each topics}}{{../contact.city}},{{/each}}", "Graz,Graz,"},
		{"if is no level of its own", "{{#each topics}}{{#if title}}{{../zero}}{{/if}}{{/each}}", "00"},
		{"parent's index", "{{#each topics}}{{#each ../colours}}{{@../index}}{{@index}} {{/each}}{{/each}}", "00 01 10 11 "},
		{"root", "{{#each colours}}{{@root.contact.city}}{{/each}}", "GrazGraz"},
		{"block parameters", "{{#each sizes as |n k|}}{{k}}{{n}}{{#with ../contact as |c|}}{{c.city}}{{k}}{{/with}}{{/each}}", "l3Grazls1Grazs"},
		{"if absent", "{{#if absent}}a{{else if absent.deeper}}b{{else if contact}}c{{else}}d{{/if}}", "c"},
		{"false values", "{{#if zero}}0{{/if}}{{#if no}}1{{/if}}{{#if none}}2{{/if}}{{#if empty}}3{{/if}}{{#if void}}4{{/if}}", ""},
		{"zero counted in", "{{#if zero includeZero=true}}0{{/if}}", "0"},
		{"unless", "{{#unless no}}a{{/unless}}{{#unless yes}}b{{else}}c{{/unless}}", "ac"},
		{"with", "{{#with contact}}{{city}}{{/with}}{{#with absent}}x{{else}}-{{/with}}", "Graz-"},
		{"section and its inverse", "{{#contact}}{{city}}{{/contact}}{{#colours}}{{.}}{{/colours}}{{^no}}n{{/no}}{{#yes}}{{zero}}{{/yes}}{{^absent}}a{{/absent}}", "Grazredbluen0a"},
		{"caret as else", "{{#if no}}a{{^}}b{{/if}}", "b"},
		{"the shortest comments", "{{!}}a{{!--}}b{{!---}}c", "abc"},
		{"a brace behind an else", "{{#if no}}a{{else}}}{{/if}}{{#if no}}a{{^}}}{{/if}}", "}}"},
		{"spaces of an editor", "{{\u00a0zero\u00a0}}{{#if\u00a0zero}}{{\u00a0else }}n{{/if}}", "0n"},
		{"brackets inside brackets", `{{lookup this "[x"}}{{#with (lookup . 'contact')}}{{city}}{{/with}}`, "Graz"},
		{"the same context again is no level", "{{#with contact}}{{#with this}}{{#with ../contact}}{{../zero}}{{/with}}{{/with}}{{/with}}", "0"},
		{"a list's length, a literal's fields", `{{#with 5}}{{.}}{{/with}}{{#each "x"}}{{else}}{{colours.length}}{{/each}}`, "52"},
		{"a lookup that finds null", `{{lookup this "void"}}`, ""},
		{"a number without a sign", "{{#each minus}}{{.}} {{/each}}", "0 -2 1e-7 1e+21 "},
		{"comments", "a{{! no }} }}{{!-- {{x}} --}}b{{!-- --~}} c", "a }}bc"},
		{"white space control", "a {{~#if yes~}} b {{~/if~}} c", "abc"},
		{"a line of a tag alone stays", "a\n{{#if yes}}\nb\n{{/if}}\nc", "a\n\nb\n\nc"},
		{"inline partial", `{{#* inline "full"}}{{firstName}}{{#if lastName}} {{lastName}}{{/if}}{{/inline}}Hi {{> full contact}}!`, "Hi Mei!"},
		{"partial defined behind its call", `{{> p}}{{#*inline "p"}}{{zero}}{{/inline}}`, "0"},
		{"partial that is defined where another is called", `{{#* inline "p"}}[{{> q}}]{{/inline}}{{#if yes}}{{#* inline "q"}}{{zero}}{{/inline}}{{> p}}{{/if}}`, "[0]"},
		{"a hash makes a context of its own", `{{#* inline "p"}}{{x}}{{../zero}}{{/inline}}{{> p x=1}}`, "10"},
		{"the context above the top", "[{{..}}]", "[]"},
		{"partial with a hash", `{{#* inline "p"}}{{x}}{{firstName}}{{/inline}}{{> p contact x=zero}}`, "0Mei"},
		{"partial inside each", `{{#* inline "row"}}{{title}}{{@index}}{{../zero}} {{/inline}}{{#each topics}}{{> row}}{{/each}}`, "Ships00 Trains10 "},
		{"lookup", `{{lookup contact "city"}}{{#each colours}}{{lookup ../colours @index}}{{/each}}{{lookup contact "x"}}{{#if (lookup contact "city")}}y{{/if}}`, "Grazredbluey"},
		{"quote inside a string", `{{lookup contact "ci\"ty"}}{{lookup this 'odd key'}}`, "odd"},
		{"log prints nothing", `{{log "x" contact}}`, ""},
		{"escaped braces", `\{{x}} \\{{zero}}`, `{{x}} \0`},
		{"SES's own words stay", "{{amazonSESUnsubscribeUrl}} {{ses:openTracker}}", "{{amazonSESUnsubscribeUrl}} {{ses:openTracker}}"},
		{"list index and length", "{{colours.[1]}} {{topics.0.title}} {{colours.length}}", "blue Ships 2"},
		{"list as a value", "{{colours}}", "red,blue"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tmpl := parse(t, tt.text)
			got, err := tmpl.Execute(decode(t, person))
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
			if problems := tmpl.Check(decode(t, person)); len(problems) != 0 {
				t.Errorf("Check: %v", problems)
			}
		})
	}
}

func TestCheckNamesWhatSESWouldMiss(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string // "path reason"
	}{
		{"absent", "{{name}} {{name}}", []string{"name absent"}},
		{"nested", "{{contact.lastName}}{{company.name}}", []string{"contact.lastName absent", "company.name absent"}},
		{"letter case", "{{Contact.FirstName}}", []string{"Contact.FirstName absent"}},
		{"null", "{{void}}", []string{"void null"}},
		{"in an item", "{{#each topics}}{{tags}}{{/each}}", []string{"topics.1.tags absent"}},
		{"no fall back to the parent", "{{#each topics}}{{contact}}{{/each}}", []string{"topics.0.contact absent", "topics.1.contact absent"}},
		{"in a branch that is taken", "{{#if yes}}{{a}}{{else}}{{b}}{{/if}}", []string{"a absent"}},
		{"a test alone is none", "{{#if a}}{{a}}{{/if}}{{#unless a.b}}{{/unless}}{{#with a}}{{x}}{{/with}}{{^a}}{{/a}}{{#a}}{{x}}{{else}}{{/a}}", nil},
		{"a section of an absent value", "{{#a}}{{x}}{{/a}}", nil},
		{"each over an absent list", "{{#each a}}{{x}}{{/each}}", nil},
		{"each over null", "{{#each void}}{{x}}{{/each}}", nil},
		{"each over a word", "{{#each contact.city}}{{x}}{{/each}}", nil},
		{"each over an empty list", "{{#each none}}{{x}}{{/each}}", nil},
		{"index outside of each", "{{@index}}", []string{"@index absent"}},
		{"above the top", "{{../a}}", []string{"../a absent"}},
		{"field of what has no name", "{{#with 5}}{{./a}}{{/with}}{{#each colours}}{{@index.b}}{{/each}}", []string{"./a absent", "@index.b absent"}},
		{"field of a text", "{{contact.city.length}}", []string{"contact.city.length absent"}},
		{"index outside of the list, or not as written", "{{colours.[2]}}{{colours.[01]}}", []string{"colours.2 absent", "colours.01 absent"}},
		{"by a name behind as", "{{#each topics as |t i|}}{{t.x}}{{i.x}}{{/each}}", []string{"topics.0.x absent", "i.x absent", "topics.1.x absent"}},
		{"a partial out of reach", `{{#if yes}}{{#* inline "p"}}{{/inline}}{{/if}}{{> p}}`, []string{` "p" is no partial here`}},
		{"in a partial, by its context", `{{#* inline "p"}}{{x}}{{/inline}}{{> p contact}}`, []string{"contact.x absent"}},
		{"a partial that is not called", `{{#* inline "p"}}{{x}}{{/inline}}`, nil},
		{"by a block parameter", "{{#each topics as |topic|}}{{topic.x}}{{/each}}", []string{"topics.0.x absent", "topics.1.x absent"}},
		{"SES's own words", "{{amazonSESUnsubscribeUrl}}{{#each colours}}{{ses:openTracker}}{{/each}}", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tmpl := parse(t, tt.text)
			var got []string
			hard := ""
			for _, p := range tmpl.Check(decode(t, person)) {
				if hard == "" {
					hard = p.Path
				}
				got = append(got, p.Path+" "+p.Reason)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			_, err := tmpl.Execute(decode(t, person))
			var missing *MissingError
			if hard == "" && len(tt.want) > 0 {
				return
			}
			if errors.As(err, &missing) != (hard != "") || hard != "" && err.Error() != "Attribute '"+hard+"' is not present in the rendering data." {
				t.Errorf("Execute: %v", err)
			}
		})
	}
}

func TestParseSaysWhereATemplateIsWrong(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"unclosed block", "ä\n{{#if a}}x", "line 2, column 1: {{#if}} has no end"},
		{"unclosed else", "{{#if a}}x{{else}}y", "{{#if}} has no end"},
		{"wrong end", "{{#if a}}{{/each}}", "column 10: {{/each}} stands where {{/if}} must"},
		{"end of nothing", "a{{/if}}", "{{/if}} ends nothing"},
		{"else of nothing", "{{else}}", "outside of a block"},
		{"two elses", "{{#if a}}{{else}}{{else}}{{/if}}", "has an else already"},
		{"unknown helper", "{{upper name}}", `the helper "upper" is unknown`},
		{"unknown block helper", "{{#ifEquals a b}}{{/ifEquals}}", `the block helper "ifEquals" is unknown`},
		{"unknown helper in parentheses", "{{#if (eq a b)}}{{/if}}", `the helper "eq" is unknown`},
		{"helper without an argument", "{{#if}}{{/if}}", "if takes one argument"},
		{"helper with two", "{{#each a b}}{{/each}}", "each takes one argument"},
		{"lookup in nothing", "{{lookup a}}", "lookup takes two arguments"},
		{"lookup in parentheses, of three", "{{#if (lookup a b c)}}{{/if}}", "lookup takes two arguments"},
		{"block helper as a value", "{{if a}}", "if is a block"},
		{"unclosed tag", "Dear {{name, {{x}}", "column 6: the tag has no end"},
		{"unclosed tag at the end", "{{name}", "the tag has no end"},
		{"two braces for three", "{{{name}}", "{{{ with }}}"},
		{"three braces for two", "{{name}}}", "{{ ends with }}"},
		{"unclosed comment", "{{!-- a }}", "the comment has no end"},
		{"unclosed string", `{{lookup a "b}}`, `" has no end`},
		{"unclosed bracket", "{{a.[b}}", "[ has no end"},
		{"four braces for three", "{{{name}}}}", "{{{ with }}}"},
		{"empty tag", "{{}}", "column 3: a name or a value is missing"},
		{"path that ends in a dot", "{{a/}}", "column 5: a name or a value is missing"},
		{"this inside a path", "{{a.this}}", "cannot stand inside a path"},
		{"strange character", "{{a*b}}", `"*b" is unexpected`},
		{"space in a name", "{{first name}}", `the helper "first" is unknown`},
		{"undefined partial", "{{> footer}}", `the partial "footer" is not defined`},
		{"brace behind a value", `{"a":{{a}}}`, "put a space before a further brace"},
		{"index without brackets", "{{a.0}}", `"0" is unexpected`},
		{"word that is a value in a path", "{{a.true}}", `"true" is unexpected`},
		{"NUL", "a\x00b", "column 2: NUL"},
		{"another encoding than UTF-8", "a\nb\xe9", "line 2, column 2: NUL, or what is not UTF-8"},
		{"partial with a body", "{{#> layout}}x{{/layout}}", "no partials with a body ({{#> layout}})"},
		{"partial whose name is computed", `{{> (lookup . "x")}}`, `"(lookup" is unexpected`},
		{"partial whose name is a value", "{{#*inline p}}x{{/inline}}", `no decorators but {{#* inline "name"}}`},
		{"else with a condition in an inverse section", "{{^a}}{{else if b}}{{/a}}", "takes no else with a condition"},
		{"value helper as a block", "{{#lookup}}{{/lookup}}", `the block helper "lookup" is unknown`},
		{"words behind an end", "{{#if a}}{{/if a}}", "{{/if}} must"},
		{"raw block", "{{{{raw}}}}{{{{/raw}}}}", "raw blocks"},
		{"decorator", "{{* x}}", "decorators"},
		{"partial without a name", "{{#* inline}}{{/inline}}", `no decorators but {{#* inline "name"}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(tt.text)
			var list ErrorList
			if !errors.As(err, &list) || len(list) != 1 || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestParseTellsAllErrors(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"in their order", "{{#if a}}{{b c}}{{/if}}\n{{a.}}{{name,}}{{> p}}", []string{"line 1, column 12", "line 2, column 3", "line 2, column 13", "line 2, column 16"}},
		{"an end that is missing inside", "{{#if a}}{{#each b}}{{c}}{{/if}}{{/x}}", []string{"{{#each}} has no end", "{{/x}} ends nothing"}},
		{"a tag that cannot be read is a block all the same", "{{#if a*b}}x{{else}}y{{/if}}{{}}", []string{`"*b" is unexpected`, "missing"}},
		{"a tag without an end", "{{a {{b}} {{c", []string{"column 1: the tag has no end", "column 11: the tag has no end"}},
		{"ten at most", strings.Repeat("{{}}", 30), slices.Repeat([]string{"missing"}, 10)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(tt.text)
			var list ErrorList
			if !errors.As(err, &list) || len(list) != len(tt.want) {
				t.Fatalf("got %d errors: %v", len(list), err)
			}
			for i, e := range list {
				if !strings.Contains(e.Error(), tt.want[i]) {
					t.Errorf("got %v, want %q", e, tt.want[i])
				}
			}
		})
	}
}

func TestVariablesAreThePathsThatAllBranchesAskFor(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"paths", "{{b.c}} {{a}} {{amazonSESUnsubscribeUrl}}", []string{"a", "b.c"}},
		{"both branches", "{{#if a}}{{b}}{{else if c}}{{d}}{{else}}{{e}}{{/if}}", []string{"a", "b", "c", "d", "e"}},
		{"context", "{{#with a}}{{b}}{{../c}}{{/with}}{{#each l}}{{x}}{{@index}}{{@root.r}}{{/each}}", []string{"a", "a.b", "c", "l", "l.x", "r"}},
		{"block parameters", "{{#each l as |i k|}}{{i.x}}{{k}}{{/each}}", []string{"l", "l.x"}},
		{"partial at its call", `{{#* inline "p"}}{{x}}{{h}}{{/inline}}{{> p a h=b}}`, []string{"a", "a.x", "b"}},
		{"partial that calls itself", `{{#* inline "p"}}{{t}}{{#each kids}}{{> p}}{{/each}}{{/inline}}{{> p}}`, []string{"kids", "t"}},
		{"lookup", `{{lookup a b}}`, []string{"a", "b"}},
		{"none", "text", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := parse(t, tt.text).Variables(); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestInlineContentCarriesPlainVariablesOnly(t *testing.T) {
	for _, tt := range []struct{ name, text, why string }{
		{"variables", "{{a}} {{{b.c}}} {{! note }}", ""},
		{"block", "a\n{{#if a}}{{/if}}", "line 2, column 1: a block needs a stored template"},
		{"partial", `{{#* inline "p"}}{{/inline}}`, "line 1, column 1: an inline partial"},
		{"helper", `{{lookup a "b"}}`, "line 1, column 1: the helper lookup"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ok, why := parse(t, tt.text).Simple()
			if ok != (tt.why == "") || !strings.HasPrefix(why, tt.why) {
				t.Errorf("got %v, %q", ok, why)
			}
		})
	}
}

func TestMergeReplacesPerKeyAndListsWhole(t *testing.T) {
	defaults := `{"a": {"b": 1, "c": [1, 2]}, "d": "x"}`
	for _, tt := range []struct{ name, entry, want string }{
		{"own key", `{"e": 1}`, `{"a": {"b": 1, "c": [1, 2]}, "d": "x", "e": 1}`},
		{"key of an object", `{"a": {"b": 2}}`, `{"a": {"b": 2, "c": [1, 2]}, "d": "x"}`},
		{"list", `{"a": {"c": [3]}}`, `{"a": {"b": 1, "c": [3]}, "d": "x"}`},
		{"value for an object", `{"a": 1}`, `{"a": 1, "d": "x"}`},
		{"null", `{"d": null}`, `{"a": {"b": 1, "c": [1, 2]}, "d": null}`},
		{"nothing", `null`, defaults},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base := decode(t, defaults)
			if got := Merge(base, decode(t, tt.entry)); !reflect.DeepEqual(got, decode(t, tt.want)) {
				t.Errorf("got %v", got)
			}
			if !reflect.DeepEqual(base, decode(t, defaults)) {
				t.Error("the defaults were changed")
			}
		})
	}
}

func TestAHostileTemplateIsBounded(t *testing.T) {
	list := `[1,2,3,4,5,6,7,8,9,10,1,2,3,4,5,6,7,8,9,10,1,2,3,4,5,6,7,8,9,10]`
	for _, tt := range []struct{ name, text, want string }{
		{"deep blocks", strings.Repeat("{{#if a}}", 1100) + strings.Repeat("{{/if}}", 1100), "nest deeper"},
		{"deep parentheses", "{{#if " + strings.Repeat("(lookup ", 1100) + "}}{{/if}}", "nest deeper"},
		{"a partial that calls itself", `{{#* inline "p"}}{{> p}}{{/inline}}{{> p}}`, "nest deeper"},
		{"loops in loops", strings.Repeat("{{#each @root}}", 6) + strings.Repeat("{{/each}}", 6), "repeats its parts"},
		{"large output", strings.Repeat("{{#each @root}}", 4) + strings.Repeat("x", 1000) + strings.Repeat("{{/each}}", 4), "larger than 40 MB"},
		{"two calls in each partial", doubling(24), "repeats its parts"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tmpl, err := Parse(tt.text)
			if err == nil {
				tmpl.Variables()
				_, err = tmpl.Execute(decode(t, list))
				if large := strings.Contains(tt.want, "MB"); !large && len(tmpl.Check(decode(t, list))) == 0 {
					t.Error("Check found nothing")
				}
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// doubling makes n partials that each call the next one twice.
func doubling(n int) string {
	var b strings.Builder
	for i := range n {
		next := string(rune('A' + i + 1))
		b.WriteString(`{{#* inline "` + string(rune('A'+i)) + `"}}{{> ` + next + `}}{{> ` + next + `}}{{/inline}}`)
	}
	b.WriteString(`{{#* inline "` + string(rune('A'+n)) + `"}}x{{/inline}}{{> A}}`)
	return b.String()
}

func TestACheckTellsAHundredProblemsAtMost(t *testing.T) {
	var rows []any
	for range 300 {
		rows = append(rows, map[string]any{})
	}
	if problems := parse(t, "{{#each rows}}{{x}}{{/each}}").Check(map[string]any{"rows": rows}); len(problems) != 100 {
		t.Errorf("%d problems", len(problems))
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{
		"{{a.b}}", `{{#* inline "p"}}{{x}}{{/inline}}{{> p a}}`, "{{#each l as |i k|}}{{i}}{{@index}}{{else}}{{../x}}{{/each}}",
		"{{#if a}}{{else if (lookup b 'c')}}{{/if}}", "{{~#with a~}} {{~/with}}", "{{!-- --}}\\{{", "{{#> p}}{{/p}}", "{{[a b].c}}{{{x}}}",
	} {
		f.Add(s, `{"a":{"b":1},"l":[1,{"x":2}]}`)
	}
	f.Fuzz(func(t *testing.T, text, data string) {
		tmpl, err := Parse(text)
		var list ErrorList
		if err != nil && (!errors.As(err, &list) || len(list) == 0) {
			t.Fatalf("error of type %T", err)
		}
		if err != nil || strings.Count(text, "each") > 3 {
			return
		}
		var v any
		if json.Unmarshal([]byte(data), &v) != nil {
			return
		}
		tmpl.Variables()
		tmpl.Simple()
		sound := len(tmpl.Check(v)) == 0
		_, err = tmpl.Execute(v)
		if sound != (err == nil) && !strings.Contains(err.Error(), "MB") {
			t.Errorf("Check says %v, Execute %v", sound, err)
		}
	})
}

func FuzzMerge(f *testing.F) {
	f.Add(`{"a":{"b":1}}`, `{"a":{"c":[2]}}`)
	f.Fuzz(func(t *testing.T, a, b string) {
		var under, over any
		if json.Unmarshal([]byte(a), &under) != nil || json.Unmarshal([]byte(b), &over) != nil {
			return
		}
		once := Merge(under, over)
		if twice := Merge(once, over); !reflect.DeepEqual(once, twice) {
			t.Errorf("merged twice: %v, once: %v", twice, once)
		}
	})
}
