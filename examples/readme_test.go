// Package examples_test checks that the Go code of the README compiles.
//
// A fenced block marked go is one of:
//
//   - a whole program, if it begins with a package clause. It must compile as it
//     stands.
//   - declarations, if it begins with import, type, func, var or const.
//   - statements, otherwise. They are taken as the body of a function.
//
// In declarations and statements the packages listed below need no import, the
// variables listed as given stand for those of the program around the block, and
// a variable may stay unused.
package examples_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// packages are those that a block may use without importing them, by the name
// that stands in the block.
var packages = map[string]string{
	"aws":        "github.com/aws/aws-sdk-go-v2/aws",
	"backoff":    "github.com/cenkalti/backoff/v4",
	"bytes":      "bytes",
	"config":     "github.com/aws/aws-sdk-go-v2/config",
	"awsconfig":  "github.com/aws/aws-sdk-go-v2/config",
	"context":    "context",
	"errors":     "errors",
	"event":      "github.com/sesguard/sesguard-go/sesguard/event",
	"fmt":        "fmt",
	"http":       "net/http",
	"io":         "io",
	"log":        "log",
	"mail":       "net/mail",
	"os":         "os",
	"outbox":     "github.com/sesguard/sesguard-go/sesguard/outbox",
	"retry":      "github.com/sesguard/sesguard-go/retry",
	"seserrors":  "github.com/sesguard/sesguard-go/errors",
	"sesguard":   "github.com/sesguard/sesguard-go/sesguard",
	"sesapi":     "github.com/sesguard/sesguard-go/sesguard/sesapi",
	"sestest":    "github.com/sesguard/sesguard-go/sesguard/sestest",
	"sesv2":      "github.com/aws/aws-sdk-go-v2/service/sesv2",
	"sql":        "database/sql",
	"slog":       "log/slog",
	"smtp":       "net/smtp",
	"smtpclient": "github.com/sesguard/sesguard-go/smtpclient",
	"strings":    "strings",
	"testing":    "testing",
	"time":       "time",
	"tls":        "crypto/tls",
	"types":      "github.com/aws/aws-sdk-go-v2/service/sesv2/types",
}

// given are the variables that a block may use without declaring them, with
// their types. A block may declare the same names for itself.
var given = map[string]string{
	"addr":      "string",
	"auth":      "smtp.Auth",
	"cfg":       "aws.Config",
	"client":    "*sesv2.Client",
	"ctx":       "context.Context",
	"db":        "*sql.DB",
	"doubts":    "*event.Doubts",
	"from":      "string",
	"guard":     "*sesguard.Guard",
	"m":         "*sesguard.Message",
	"msg":       "[]byte",
	"sender":    "sesguard.Sender",
	"to":        "[]string",
	"pool":      "*smtpclient.Client",
	"r":         "*http.Request",
	"server":    "*http.Server",
	"transport": "sesguard.Transport",
	"tx":        "*sql.Tx",
}

func TestREADMECompiles(t *testing.T) {
	data, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks(string(data)) {
		t.Run(fmt.Sprintf("line %d", b.line), func(t *testing.T) {
			if err := b.compile(); err != nil {
				t.Errorf("README.md:%d: %v", b.line, err)
			}
		})
	}
}

func TestTheCheckFindsWhatDoesNotCompile(t *testing.T) {
	tests := []struct {
		name, text string
		ok         bool
	}{
		{"program", "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println() }", true},
		{"program with an import that is not used", "package main\n\nimport \"fmt\"\n\nfunc main() {}", false},
		{"program without an import that it needs", "package main\n\nfunc main() { fmt.Println() }", false},
		{"statements", "wait, ok := retry.After(nil)\nif ok {\n\ttime.Sleep(wait)\n}", true},
		{"statements that leave a variable unused", "p := retry.Policy{MaxAttempts: 3}", true},
		{"statements with a field that does not exist", "p := retry.Policy{Tries: 3}", false},
		{"statements with a name that is not declared", "retry.After(err)", false},
		{"statements with a package that is not listed", "rand.Int()", false},
		{"statements that are cut", "if true {", false},
		{"statements with a variable that is given", "retry.Do(ctx, retry.Policy{}, nil)", true},
		{"statements with a variable that is given, used as another type", "retry.After(ctx)", false},
		{"statements that declare a variable that is given", "to := retry.Policy{}\n_, _ = to.Next(1, 0, nil)", true},
		{"declarations", "func send() error { return retry.Do(nil, retry.Policy{}, nil) }", true},
		{"declarations with an import", "import s \"strings\"\n\nvar upper = s.ToUpper(\"a\")", true},
		{"declarations of a wrong type", "var n int = \"a\"", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found := blocks("text\n\n```go\n" + tt.text + "\n```\n\n```sh\ngo test\n```\n")
			if len(found) != 1 {
				t.Fatalf("%d blocks, want 1", len(found))
			}
			if err := found[0].compile(); (err == nil) != tt.ok {
				t.Errorf("compile: %v, want success: %t", err, tt.ok)
			}
		})
	}
}

// A block is one fenced block of Go.
type block struct {
	line int // of the fence
	text string
}

// blocks returns the fenced blocks of a Markdown text that are marked go.
func blocks(markdown string) []block {
	var found []block
	fenced, open := false, false
	for i, line := range strings.Split(markdown, "\n") {
		switch trimmed := strings.TrimSpace(line); {
		case !fenced && strings.HasPrefix(trimmed, "```"):
			fenced, open = true, trimmed == "```go"
			if open {
				found = append(found, block{line: i + 1})
			}
		case trimmed == "```":
			fenced, open = false, false
		case open:
			found[len(found)-1].text += line + "\n"
		}
	}
	return found
}

var (
	isProgram     = regexp.MustCompile(`^(//.*\n|\s)*package `)
	isDeclaration = regexp.MustCompile(`^(//.*\n|\s)*(import|type|func|var|const)\b`)
)

// compile parses and type-checks the block against the compiled packages that it
// imports.
func (b block) compile() error {
	switch {
	case isProgram.MatchString(b.text):
		return check(b.text, true)
	case isDeclaration.MatchString(b.text):
		return checkPart(b.text)
	}
	return checkPart("func _() {" + b.text + "}")
}

// checkPart checks declarations, completed by the variables that are given and the
// imports that are missing. These stand on the first line, so that lines keep
// their numbers.
func checkPart(text string) error {
	const clause = "package p; "
	f, err := parser.ParseFile(token.NewFileSet(), "block", clause+text, 0)
	if err != nil {
		return err
	}
	vars := givenVars(f)
	// Imports come first in a file: those of the block cannot follow variables.
	if f, err = parser.ParseFile(token.NewFileSet(), "block", clause+text+"\n"+vars, 0); err != nil {
		return err
	}
	return check(clause+missingImports(f)+text+"\n"+vars, false)
}

// givenVars declares those of the given variables whose names f uses.
func givenVars(f *ast.File) string {
	return declare(f, func(name string) string {
		if typ, ok := given[name]; ok {
			return fmt.Sprintf("var %s %s; ", name, typ)
		}
		return ""
	})
}

// missingImports imports the listed packages whose names f uses, except those
// that f imports.
func missingImports(f *ast.File) string {
	imported := map[string]bool{}
	for _, spec := range f.Imports {
		imported[spec.Path.Value] = true
	}
	return declare(f, func(name string) string {
		if p, ok := packages[name]; ok && !imported[strconv.Quote(p)] {
			return fmt.Sprintf("import %s %q; ", name, p)
		}
		return ""
	})
}

// declare joins what declaration makes of each name in f.
func declare(f *ast.File, declaration func(name string) string) string {
	var names []string
	ast.Inspect(f, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			names = append(names, id.Name)
		}
		return true
	})
	slices.Sort(names)
	var text strings.Builder
	for _, name := range slices.Compact(names) {
		text.WriteString(declaration(name))
	}
	return text.String()
}

// check type-checks source. Strict: as the compiler does, else a variable or an
// import may stay unused.
func check(source string, strict bool) error {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "block", source, 0)
	if err != nil {
		return err
	}
	exports, err := compiled(f.Imports)
	if err != nil {
		return err
	}
	lookup := func(path string) (io.ReadCloser, error) {
		file, ok := exports[path]
		if !ok {
			return nil, fmt.Errorf("package %s is not in this module's dependencies", path)
		}
		return os.Open(file)
	}
	var problems []error
	conf := types.Config{
		Importer: importer.ForCompiler(fset, "gc", lookup),
		Error: func(err error) {
			if te, ok := errors.AsType[types.Error](err); strict || !ok || !te.Soft {
				problems = append(problems, err)
			}
		},
	}
	// The error is the first of those that Error was given.
	_, _ = conf.Check("block", fset, []*ast.File{f}, nil)
	return errors.Join(problems...)
}

// compiled returns the files with the export data of the imports and of all that
// they depend on. The go command compiles what is not in its cache.
func compiled(imports []*ast.ImportSpec) (map[string]string, error) {
	args := []string{"list", "-export", "-deps", "-f", "{{if .Export}}{{.ImportPath}} {{.Export}}{{end}}", "--"}
	for _, spec := range imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		args = append(args, p)
	}
	exports := map[string]string{}
	if len(imports) == 0 {
		return exports, nil
	}
	cmd := exec.Command("go", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, &stderr)
	}
	for line := range strings.Lines(string(out)) {
		if p, file, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			exports[p] = file
		}
	}
	return exports, nil
}
