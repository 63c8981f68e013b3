package template

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// The test against Handlebars needs Node.js: .ci/interop/templates/run gives it
// these.
var (
	judgeFile    = flag.String("handlebars.judge", "", "the program that asks Handlebars")
	judgeModules = flag.String("handlebars.modules", "", "the folder that holds npm's handlebars")
	judgeCases   = flag.Int("handlebars.n", 10_000, "random templates")
	judgeFolder  = flag.String("handlebars.folder", "", "a folder with further templates")
	judgeSeed    = flag.Uint64("handlebars.seed", 1, "of the random templates")
)

// A verdict is what Handlebars says of a template and data. See judge.js.
type verdict struct {
	Static, Missing, Failure string
	Line, Column             int
	Output                   *string
	Rules                    []string
}

// A judge is Handlebars in a process of its own.
type judge struct {
	t    *testing.T
	in   *json.Encoder
	out  *bufio.Scanner
	told map[string]int
}

func newJudge(t *testing.T) *judge {
	cmd := exec.CommandContext(t.Context(), "node", *judgeFile, *judgeModules)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	j := &judge{t: t, in: json.NewEncoder(in), out: bufio.NewScanner(out), told: map[string]int{}}
	j.out.Buffer(nil, 64<<20)
	return j
}

func (j *judge) ask(text string, data any) (v verdict) {
	if err := j.in.Encode(map[string]any{"text": text, "data": data}); err != nil {
		j.t.Fatal(err)
	}
	if !j.out.Scan() {
		j.t.Fatalf("handlebars has ended: %v", j.out.Err())
	}
	if err := json.Unmarshal(j.out.Bytes(), &v); err != nil {
		j.t.Fatal(err)
	}
	for _, rule := range v.Rules {
		j.told["rule "+rule]++
	}
	return v
}

// compare holds Parse, Check and Execute against Handlebars: they find the same
// text to be a template, and the same first value to be missing, at the same
// place. That value is given then, until none is missing; and then both render the
// same octets.
func (j *judge) compare(text string, data map[string]any) error {
	tmpl, err := Parse(text)
	v := j.ask(text, data)
	switch {
	case (err != nil) != (v.Static != ""):
		return fmt.Errorf("Parse: %v; handlebars: %q", err, v.Static)
	case err != nil:
		j.told["no template"]++
		return nil
	}
	for range 100 {
		problems := tmpl.Check(data)
		if len(problems) == 0 {
			got, err := tmpl.Execute(data)
			if err != nil || v.Output == nil || *v.Output != got {
				return fmt.Errorf("with %s\nrendered %q, %v\nhandlebars %s", show(data), got, err, show(v))
			}
			j.told["rendered"]++
			return nil
		}
		p := problems[0]
		switch {
		case p.Path == "" && v.Failure != "":
			j.told["no partial in reach"]++
			return nil
		case v.Line > 0 && p.Line == v.Line && p.Column == v.Column:
		case wholeContext.MatchString(string([]rune(strings.Split(text, "\n")[p.Line-1])[p.Column-1:])):
			j.told["rule this"]++
		default:
			return fmt.Errorf("with %s\nfound %v\nhandlebars %s", show(data), p, show(v))
		}
		j.told["missing"]++
		if !give(data, strings.Split(p.Path, ".")) {
			j.told["missing, whatever the data"]++
			return nil
		}
		v = j.ask(text, data)
	}
	j.told["missing beyond a hundred"]++
	return nil
}

// wholeContext is {{this}}, {{..}} or a name behind "as", from behind the braces.
// Strict mode does not look at it.
var wholeContext = regexp.MustCompile(`^((\.\./)*(this|\.\.?)|x|i)\s*~?}`)

func show(v any) string {
	s, _ := json.Marshal(v)
	return string(s)
}

// give gives the data a value at path, unless no data can have one there.
func give(data any, path []string) bool {
	key, more := path[0], path[1:]
	if strings.HasPrefix(key, "@") || strings.HasPrefix(key, "..") || key == "this" || key == "" {
		return false
	}
	var old any
	set := func(any) {}
	switch x := data.(type) {
	case map[string]any:
		old = x[key]
		set = func(v any) { x[key] = v }
	case []any:
		i, err := strconv.Atoi(key)
		if err != nil || i >= len(x) {
			return false
		}
		old = x[i]
		set = func(v any) { x[i] = v }
	}
	if len(more) == 0 {
		set("given")
		return true
	}
	_, isList := old.([]any)
	_, isObject := old.(map[string]any)
	if _, err := strconv.Atoi(more[0]); isList && err != nil || !isList && !isObject {
		old = map[string]any{}
		set(old)
	}
	return give(old, more)
}

func TestHandlebarsAgrees(t *testing.T) {
	if *judgeFile == "" {
		t.Skip("run .ci/interop/templates/run")
	}
	j := newJudge(t)
	for _, tt := range written {
		if err := j.compare(tt.text, decode(t, tt.data).(map[string]any)); err != nil {
			t.Errorf("%s: %s\n%v", tt.name, tt.text, err)
		}
		if err := j.compare(tt.text, map[string]any{}); err != nil {
			t.Errorf("%s, without data: %s\n%v", tt.name, tt.text, err)
		}
	}
	if *judgeFolder != "" {
		j.folder(*judgeFolder)
	}
	faults := 0
	for i := range *judgeCases {
		g := &generator{Rand: rand.New(rand.NewPCG(*judgeSeed, uint64(i)))}
		text := g.template()
		if err := j.compare(text, decode(t, show(g.data())).(map[string]any)); err != nil {
			t.Errorf("case %d: %q\n%v", i, text, err)
			if faults++; faults == 10 {
				break
			}
		}
	}
	t.Logf("%d written and %d random templates: %s", len(written), *judgeCases, show(j.told))
}

// folder compares all files that hold a tag, without data.
func (j *judge) folder(dir string) {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || !utf8.Valid(text) || !strings.Contains(string(text), "{{") || len(text) > 1<<20 {
			return err
		}
		j.told["files"]++
		if err := j.compare(string(text), map[string]any{}); err != nil {
			j.t.Errorf("%s: %v", path, err)
		}
		return nil
	})
	if err != nil {
		j.t.Error(err)
	}
}

// A generator makes random templates and data with the same few names.
type generator struct {
	*rand.Rand
	depth    int
	partials []string
}

func (g *generator) of(list ...string) string { return list[g.IntN(len(list))] }

// template makes one that is sound, or was once.
func (g *generator) template() string {
	text := g.list()
	for range []int{0, 0, 0, 1, 2, 3}[g.IntN(6)] {
		at := g.IntN(len(text) + 1)
		switch g.IntN(3) {
		case 0:
			text = text[:at] + g.of("{", "}", "{{", "}}", "~", "#", "/", ".", "\"", "'", "[", "]", "(", ")", "|", "=", "!", "--", " ", "\\", "^", "&", "@", "else", "{{else}}", "{{/if}}", "{{#if a}}", ">", "as |x|", "true", "1", "..", "\u00a0") + text[at:]
		case 1:
			end := min(len(text), at+1+g.IntN(4))
			text = text[:at] + text[end:]
		case 2:
			end := min(len(text), at+1+g.IntN(12))
			text = text[:end] + text[at:]
		}
	}
	// An empty name is the context for handlebars.
	return strings.NewReplacer(`""`, `"a"`, "''", "'a'", "[]", "[a]", "@.", ".").Replace(strings.ToValidUTF8(text, ""))
}

func (g *generator) list() string {
	if g.depth++; g.depth > 4 {
		g.depth--
		return "x"
	}
	defer func() { g.depth-- }()
	var b strings.Builder
	for range g.IntN(5) + 1 {
		b.WriteString(g.node())
	}
	return b.String()
}

func (g *generator) node() string {
	open, end := "{{"+g.of("", "", "", "~"), g.of("", "", "", "~")+"}}"
	switch g.IntN(16) {
	case 0, 1:
		return g.of("Hello ", "\n", " \n ", "<b>&\"'", "{x}", "  ", "\t", "é☃", "\\", "$", "}")
	case 2:
		return g.of("\\{{a}}", "\\\\{{a}}", "{{! c }}", "{{!-- {{a}} --}}", "{{!--}}", "{{~! c ~}}", "{{!-- a --~}}", "{{!}}")
	case 3, 4, 5, 6:
		return open + g.of("", " ") + g.path() + g.of("", " ") + end
	case 7:
		return g.of("{{{"+g.path()+"}}}", "{{~{"+g.path()+"}~}}", "{{&"+g.path()+"}}", "{{amazonSESUnsubscribeUrl}}", "{{ses:openTracker}}", "{{\"a\"}}", "{{12}}", "{{true}}", "{{log a}}")
	case 8:
		return open + "lookup " + g.argument() + " " + g.of(`"b"`, "'c'", "0", "@index", "c", "@key") + end
	case 9:
		p := g.path()
		if g.IntN(3) == 0 { // "~" in {{^a~}} is taken for the else's by handlebars
			return "{{^" + p + "}}" + g.list() + g.of("", "{{else}}n") + "{{/" + p + "}}"
		}
		return open + "#" + p + end + g.list() + g.of("", "{{else}}n", "{{^}}n", "{{~else~}} n") + "{{/" + p + "}}"
	case 10:
		return g.block("with", end)
	case 11:
		return g.block("each", end)
	case 12, 13:
		return g.block(g.of("if", "unless", "if", "each"), end)
	case 14:
		name := g.of("p", "q", "r s")
		g.partials = append(g.partials, name)
		body := "{{b}}{{@index}}{{c.a}}"
		if g.depth == 1 { // from others "../" leads somewhere else in handlebars
			body = g.list()
		}
		return "{{#*" + g.of("", " ") + "inline " + strconv.Quote(name) + "}}" + body + "{{/inline}}"
	default:
		if len(g.partials) == 0 {
			return g.block("if", end)
		}
		name := g.partials[g.IntN(len(g.partials))]
		if strings.Contains(name, " ") {
			name = g.of("["+name+"]", strconv.Quote(name))
		}
		return open + "> " + name + g.of("", "", " a", " a.b", " this", " b=a", " a c=\"v\" b=1") + end
	}
}

func (g *generator) block(helper, end string) string {
	head := helper + " " + g.argument()
	switch {
	case helper == "each" && g.IntN(4) == 0:
		head += g.of(" as |x|", " as |x i|", "  as | x  i | ")
	case helper == "with" && g.IntN(4) == 0:
		head += " as |x|"
	case helper == "if" && g.IntN(6) == 0:
		head += " includeZero=" + g.of("true", "false", "a")
	}
	open, closing := "{{"+g.of("", "", "~")+"#", g.of("{{/", "{{~/")
	otherwise := g.of("", "", "{{else}}", "{{^}}", "{{ else }}", "{{else if "+g.argument()+"}}", "{{else with "+g.argument()+" as |x|}}", "{{else a}}")
	if otherwise != "" {
		otherwise += g.list()
	}
	if strings.HasPrefix(otherwise, "{{else ") { // of its end handlebars applies "~" to the wrong branch
		closing = "{{/"
		otherwise += g.of("", "{{else}}", "{{else unless b}}") + "z"
	}
	return open + head + end + g.list() + otherwise + closing + helper + g.of("}}", "~}}", " }}")
}

func (g *generator) argument() string {
	switch g.IntN(12) {
	case 0:
		return g.of(`"text"`, "'t'", "1", "0", "-1.5", "true", "false", "null", "undefined", `""`)
	case 1:
		return "(lookup " + g.argument() + " " + g.of(`"b"`, "'c'", "0", "@index") + ")"
	}
	return g.path()
}

func (g *generator) path() string {
	p := g.of("a", "b", "c", "l", "a", "b", "x", "i", "this", ".", "@index", "@key", "@first", "@last", "@root", "../a", "../b", "../../c", "..", "./a", "this.b", "@../index", "[odd key]", "none", "zero", "é")
	for range []int{0, 0, 0, 1, 1, 2}[g.IntN(6)] {
		dot := "."
		if strings.HasSuffix(p, ".") || g.IntN(3) == 0 {
			dot = "/"
		}
		p += dot + g.of("a", "b", "c", "[0]", "[odd key]", "length", "1.a")
	}
	return p
}

func (g *generator) data() map[string]any {
	m := map[string]any{"zero": 0}
	for _, key := range []string{"a", "b", "c", "l", "odd key", "é"} {
		if g.IntN(4) > 0 {
			m[key] = g.value(0)
		}
	}
	return m
}

// value makes values that are false only at the top: what is "==" in JavaScript,
// as [] and "" or ["x"] and "x", is one context for handlebars.
func (g *generator) value(depth int) any {
	switch n := g.IntN(14); {
	case n == 0 && depth == 0:
		return []any{"", 0, false}[g.IntN(3)]
	case n < 3 || depth > 3:
		return g.of("text", "<b>", "é", "5")
	case n == 3:
		return []any{1, -2.5, 1e21, 1e-7, 123456789}[g.IntN(5)]
	case n == 4 && depth == 0:
		return true
	case n == 5 && depth < 3:
		return nil
	case n < 9:
		list := []any{}
		for range []int{0, 2, 3, 4}[g.IntN(4)] {
			if v := g.value(depth + 1); v != nil {
				list = append(list, v)
			}
		}
		return list
	default:
		m := map[string]any{}
		for _, key := range []string{"a", "b", "c", "odd key", "0"} {
			if g.IntN(3) == 0 {
				m[key] = g.value(depth + 1)
			}
		}
		return m
	}
}

// written are templates as people write them.
var written = []struct{ name, text, data string }{
	{"one variable", "Greetings, {{name}}!", `{"name":"Alejandro"}`},
	{"two variables with HTML", "<h1>Hello {{name}},</h1><p>Your favourite animal is {{favoriteanimal}}.</p>", `{"name":"Ana","favoriteanimal":"yak"}`},
	{"nested", "Hello {{contact.firstName}} {{contact.lastName}} from {{contact.city}}", `{"meta":{"userId":"1"},"contact":{"firstName":"Anaya","lastName":"Iyengar","city":"Bengaluru"}}`},
	{"a list", "Your interests:\n{{#each subscription}}\n- {{interest}}\n{{/each}}\n", `{"subscription":[{"interest":"Sports"},{"interest":"Travel"}]}`},
	{"a list with an else", "<ul>{{#each subscription}}<li>{{interest}}</li>{{else}}<li>You have none.</li>{{/each}}</ul>", `{"subscription":[]}`},
	{"if with an else", "{{#if subscription}}{{#each subscription}}{{interest}} {{/each}}{{else}}Subscribe <a href=\"{{link}}\">here</a>{{/if}}", `{"link":"https://example.com/?a=1&b=2"}`},
	{"inline partial", "{{#* inline \"fullName\"}}{{firstName}}{{#if lastName}} {{lastName}}{{/if}}{{/inline}}\nHello {{> fullName}}!", `{"firstName":"Ana"}`},
	{"partial in a list", "{{#* inline \"row\"}}<tr><td>{{sku}}</td><td>{{../currency}}{{price}}</td></tr>{{/inline}}<table>{{#each items}}{{> row}}{{/each}}</table>", `{"currency":"€","items":[{"sku":"A1","price":9.5},{"sku":"B2","price":12}]}`},
	{"password reset", "Hi {{user.name}},\n\n{{#if link}}Reset: {{link}}{{else if code}}Your code is {{code}}{{/if}}\n\nIt ends in {{expiry.hours}} hour{{#unless expiry.one}}s{{/unless}}.", `{"user":{"name":"Bo"},"code":"123456","expiry":{"hours":2}}`},
	{"receipt", "{{#with order}}Order {{id}}\n{{#each lines}}{{@index}}. {{qty}} × {{title}}{{#if note}} ({{note}}){{/if}}: {{../../currency}} {{price}}\n{{/each}}Total {{total}}{{/with}}", `{"currency":"EUR","order":{"id":7,"total":20.5,"lines":[{"qty":1,"title":"Mug","price":8},{"qty":2,"title":"Pen","price":6.25,"note":"blue"}]}}`},
	{"commas between", "{{#each names}}{{#unless @first}}, {{/unless}}{{this}}{{/each}}", `{"names":["a","b","c"]}`},
	{"last in a list", "{{#each names}}{{this}}{{#if @last}}.{{else}}; {{/if}}{{/each}}", `{"names":["a","b","c"]}`},
	{"table of an object", "{{#each address}}{{@key}}: {{this}}\n{{/each}}", `{"address":{"city":"Graz","street":"Ring 1","zip":8010}}`},
	{"names for items", "{{#each users as |user n|}}{{n}} {{user.name}}{{#each user.roles as |role|}} {{role}} of {{user.name}}{{/each}}\n{{/each}}", `{"users":[{"name":"A","roles":["x","y"]},{"name":"B","roles":[]}]}`},
	{"keys with blanks", "{{[First Name]}} {{contact.[Last Name]}} {{this.[First Name]}}", `{"First Name":"A","contact":{"Last Name":"B"}}`},
	{"white space control", "<ul>\n{{~#each l~}}\n  <li>{{this}}</li>\n{{~/each~}}\n</ul>", `{"l":[1,2]}`},
	{"mustache sections", "{{#person}}{{name}}{{/person}}{{^person}}nobody{{/person}}{{#tags}}[{{.}}]{{/tags}}", `{"person":{"name":"A"},"tags":["x","y"]}`},
	{"style sheet", "<style>a{color:{{colour}};} @media (max-width:600px){.x{width:{{width}}px}}</style>", `{"colour":"#fff","width":600}`},
	{"JSON-LD", `<script type="application/ld+json">{"@type":"Order","n":"{{n}}","seller":{"name":"{{seller.name}}" } }</script>`, `{"n":1,"seller":{"name":"x"}}`},
	{"braces that meet", `{"a":{{b}}}`, `{"b":1}`},
	{"unsubscribe", "{{text}}<a href=\"{{amazonSESUnsubscribeUrl}}\">leave</a>{{ses:openTracker}}", `{"text":"x"}`},
	{"shown as an example", `Write \{{name}} for the name, and {{! a note }}{{!-- {{name}} --}}nothing else`, `{}`},
	{"switch", "{{#if a}}A{{else if b}}B{{else if c}}C{{else unless d}}D{{else}}E{{/if}}", `{"d":1}`},
	{"zero is false", "{{#if count}}{{count}} new{{else}}none{{/if}} {{#if count includeZero=true}}{{count}}{{/if}}", `{"count":0}`},
	{"lookup", "{{#each ids}}{{lookup ../names this}} {{lookup @root.names @index}} {{/each}}", `{"ids":["a","b"],"names":{"a":"A","b":"B","0":"zero","1":"one"}}`},
	{"parents of parents", "{{#each a}}{{#each b}}{{../../top}}{{../x}}{{this}}{{/each}}{{/each}}", `{"top":"T","a":[{"x":1,"b":[1,2]},{"x":2,"b":[3]}]}`},
	{"if changes no context", "{{#each a}}{{#if b}}{{b}}{{../top}}{{/if}}{{/each}}", `{"top":"T","a":[{"b":1},{}]}`},
	{"layout of partials", "{{#*inline \"head\"}}<h1>{{title}}</h1>{{/inline}}{{#*inline \"foot\"}}{{company.name}} {{year}}{{/inline}}{{> head title=subject}}{{> foot}}", `{"subject":"S","company":{"name":"C"},"year":2026}`},
	{"tree", "{{#*inline \"tree\"}}{{name}}{{#each kids}}({{> tree}}){{/each}}{{/inline}}{{> tree root}}", `{"root":{"name":"a","kids":[{"name":"b","kids":[]},{"name":"c","kids":[{"name":"d"}]}]}}`},
	{"helper of another engine", "{{#ifEquals a b}}x{{/ifEquals}}", `{"a":1,"b":1}`},
	{"formatted by a helper", "{{formatDate date \"DD.MM.\"}}", `{"date":"x"}`},
	{"Mustache's set delimiter", "{{=<% %>=}}<% a %>", `{"a":1}`},
	{"a partial of a file", "{{> footer}}", `{}`},
	{"Jinja", "{% if a %}{{ a | upper }}{% endif %}", `{"a":"x"}`},
	{"AngularJS", "{{ a ? b : c }}", `{"a":"x"}`},
	{"letters of the world", "{{näme}} {{имя}} {{user.größe}}", `{"näme":"x","имя":"y","user":{"größe":1}}`},
	{"hyphens and digits", "{{first-name}} {{address1}} {{2fa}} {{user_id}} {{$x}} {{a:b}}", `{"first-name":1,"address1":2,"2fa":3,"user_id":4,"$x":5,"a:b":6}`},
	{"a non-breaking space of an editor", "Hello {{ name\u00a0}}", `{"name":"x"}`},
	{"lines of Windows", "Hello {{name}}\\r\\n{{#if a}}\\r\\nx{{/if}}\\r\\n{{b}}", `{"name":"x","a":1,"b":2}`},
	{"spaces everywhere", "{{ a }}{{  #if a }}{{/if}}", `{"a":1}`},
	{"spaces in blocks", "{{# if a }}x{{/ if }}{{#if\n  a\n}}y{{/if}}", `{"a":1}`},
	{"values that are no text", "{{n}} {{f}} {{t}} {{e}} {{o}} {{l}}", `{"n":1,"f":false,"t":true,"e":"","o":{"a":1},"l":[1,[2,null],{"a":1}]}`},
}
