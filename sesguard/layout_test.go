package sesguard_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/sesguard/sesguard-go"
	root   = ".." // of the module, seen from this package
)

// arrows says what each package may depend on beside the standard library and
// itself, directly or through others, and what stands below it in its own
// internal folder. A path ends in a slash if all below it is meant too. So a
// user of errors, retry, smtpclient, or of sesguard over SMTP, never compiles
// the AWS SDK.
var arrows = map[string][]string{
	"errors":     nil,
	"retry":      {module + "/errors", "github.com/cenkalti/backoff/v4"},
	"smtpclient": {module + "/errors"},
	"sesguard":   sesguardArrows,

	"sesguard/sesapi": sesapiArrows,
	"sesguard/event":  {module + "/errors"},
	"sesguard/doctor": append([]string{
		module + "/sesguard/sesapi", "golang.org/x/net/publicsuffix",
	}, sesapiArrows...),
	"sesguard/outbox":  append([]string{module + "/sesguard", module + "/sesguard/internal/"}, sesguardArrows...),
	"sesguard/sestest": {module + "/errors", module + "/sesguard/internal/template"},
}

var (
	sesguardArrows = []string{
		module + "/errors",
		module + "/retry",
		module + "/smtpclient/",
		"github.com/cenkalti/backoff/v4",
		"golang.org/x/net/idna",
		"golang.org/x/text/", // idna's
	}
	sesapiArrows = append([]string{
		module + "/sesguard",
		module + "/sesguard/internal/",
		"github.com/aws/aws-sdk-go-v2/aws/",
		"github.com/aws/aws-sdk-go-v2/internal/",
		"github.com/aws/aws-sdk-go-v2/service/internal/",
		"github.com/aws/aws-sdk-go-v2/service/sesv2/",
		"github.com/aws/smithy-go/",
	}, sesguardArrows...)
)

func TestLayoutImportsPointDown(t *testing.T) {
	for name, allowed := range arrows {
		t.Run(name, func(t *testing.T) {
			if !exists(t, name) {
				t.Fatal("no such package")
			}
			self := module + "/" + name
			for _, dep := range goList(t, "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./"+name) {
				if dep != self && !strings.HasPrefix(dep, self+"/internal/") && !isAllowed(dep, allowed) {
					t.Errorf("%s depends on %s", name, dep)
				}
			}
		})
	}
}

// A program that sends over SMTP does not compile the AWS SDK.
func TestLayoutSESguardOverSMTPIsFewPackages(t *testing.T) {
	const most = 200 // the standard library's included
	deps := goList(t, "-deps", "./sesguard")
	if len(deps) > most {
		t.Errorf("%d packages, want %d at most", len(deps), most)
	}
	for _, dep := range deps {
		if strings.HasPrefix(dep, "github.com/aws/") {
			t.Errorf("depends on %s", dep)
		}
	}
}

func isAllowed(dep string, allowed []string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool {
		return dep == strings.TrimSuffix(a, "/") || strings.HasSuffix(a, "/") && strings.HasPrefix(dep, a)
	})
}

// Internal packages do pure work: they depend on the standard library and on
// each other.
func TestLayoutInternalPackagesDependOnNothing(t *testing.T) {
	for _, pkg := range goList(t, "-f", "{{if .GoFiles}}{{.ImportPath}}{{end}}", "./sesguard/internal/...", "./smtpclient/...") {
		folder, _, internal := strings.Cut(pkg, "/internal/")
		if !internal {
			continue
		}
		allowed := []string{folder + "/internal/"}
		if folder == module+"/smtpclient" {
			allowed = append(allowed, module+"/errors")
		}
		for _, dep := range goList(t, "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", pkg) {
			if !isAllowed(dep, allowed) {
				t.Errorf("%s depends on %s", pkg, dep)
			}
		}
	}
}

// A package that stands nowhere in arrows would be checked by no one.
func TestLayoutEveryPackageHasItsArrows(t *testing.T) {
	for _, pkg := range goList(t, "./...") {
		name := strings.TrimPrefix(pkg, module+"/")
		_, known := arrows[name]
		inside := func(s string) bool { return name == s || strings.HasPrefix(name, s+"/") }
		if !known && !inside("examples") && !slices.Contains(strings.Split(name, "/")[1:], "internal") {
			t.Errorf("%s is neither an example nor in the list of arrows", name)
		}
	}
}

func TestLayoutFolders(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	folders := []string{"errors", "examples", "retry", "sesguard", "smtpclient"}
	for _, e := range entries {
		switch name := e.Name(); {
		case strings.HasPrefix(name, "."):
		case e.IsDir() && !slices.Contains(folders, name):
			t.Errorf("folder %s at the root, want only %v", name, folders)
		case strings.HasSuffix(name, ".go"):
			t.Errorf("%s: there is no root package", name)
		}
	}
	walk(t, func(file string) {
		for _, folder := range strings.Split(path.Dir(file), "/") {
			if slices.Contains([]string{"pkg", "util", "utils", "common", "helpers"}, folder) {
				t.Errorf("%s: a folder named %s says nothing of what is in it", file, folder)
			}
		}
	})
}

// Only programs, and tests, read the user's AWS configuration.
func TestLayoutOnlyProgramsLoadTheAWSConfiguration(t *testing.T) {
	const config = "github.com/aws/aws-sdk-go-v2/config"
	eachGoFile(t, func(file string, f *ast.File, _ *token.FileSet) {
		for _, spec := range f.Imports {
			if importPath(t, spec) == config && !strings.HasPrefix(file, "examples/") && !strings.HasPrefix(file, ".ci/") && !strings.HasSuffix(file, "_test.go") {
				t.Errorf("%s imports %s", file, config)
			}
		}
	})
}

func TestLayoutErrorsIsImportedAsSeserrors(t *testing.T) {
	seen := 0
	eachGoFile(t, func(file string, f *ast.File, _ *token.FileSet) {
		for _, spec := range f.Imports {
			if importPath(t, spec) != module+"/errors" {
				continue
			}
			seen++
			if spec.Name == nil || spec.Name.Name != "seserrors" {
				t.Errorf("%s imports %s/errors under another name than seserrors", file, module)
			}
		}
	})
	if seen == 0 {
		t.Error("no file imports the errors package: nothing was checked")
	}
}

// Beside the standard package a second errors.Is would be taken for it.
func TestLayoutErrorsRepeatsNothingOfTheStandardPackage(t *testing.T) {
	standard := []string{"As", "AsType", "Is", "Join", "New", "Unwrap"}
	eachGoFile(t, func(file string, f *ast.File, _ *token.FileSet) {
		if path.Dir(file) != "errors" {
			return
		}
		for _, decl := range f.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok && d.Recv == nil && slices.Contains(standard, d.Name.Name) {
				t.Errorf("%s declares %s", file, d.Name.Name)
			}
		}
	})
}

func TestLayoutEveryExportIsDocumented(t *testing.T) {
	documented := map[string]bool{} // by folder: has a package comment
	eachGoFile(t, func(file string, f *ast.File, fset *token.FileSet) {
		folder := path.Dir(file)
		if strings.HasSuffix(file, "_test.go") {
			return
		}
		documented[folder] = documented[folder] || f.Doc != nil
		if strings.HasPrefix(file, "examples/") {
			return // programs
		}
		for _, bare := range undocumented(f) {
			t.Errorf("%s:%d: %s has no comment", file, fset.Position(bare.Pos()).Line, bare.Name)
		}
	})
	for folder, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment", folder)
		}
	}
}

// undocumented returns the exported names that f declares without a comment. The
// comment of a group stands for all its constants and variables.
func undocumented(f *ast.File) []*ast.Ident {
	var bare []*ast.Ident
	check := func(ok bool, names ...*ast.Ident) {
		for _, name := range names {
			if !ok && name.IsExported() {
				bare = append(bare, name)
			}
		}
	}
	for _, decl := range f.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil || receiver(d).IsExported() {
				check(d.Doc != nil, d.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					check(d.Doc != nil && !d.Lparen.IsValid() || s.Doc != nil, s.Name)
				case *ast.ValueSpec:
					check(d.Doc != nil || s.Doc != nil || s.Comment != nil, s.Names...)
				}
			}
		}
	}
	return bare
}

// receiver returns the name of the type that d is a method of.
func receiver(d *ast.FuncDecl) *ast.Ident {
	expr := d.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.Ident:
			return e
		default:
			return ast.NewIdent("_")
		}
	}
}

func TestLayoutUndocumentedExportsAreFound(t *testing.T) {
	const source = `package p
type Bare struct{}
func (Bare) Method() {}
func (*hidden) Method() {}
func Func() {}
// Documented is.
func Documented() {}
// The group's comment.
const ( A = 1; B = 2 )
var ( C = 1 // trailing
 D = 2 )
type hidden struct{}
`
	f, err := parser.ParseFile(token.NewFileSet(), "p.go", source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, name := range undocumented(f) {
		got = append(got, name.Name)
	}
	if want := []string{"Bare", "Method", "Func", "D"}; !slices.Equal(got, want) {
		t.Errorf("undocumented: %v, want %v", got, want)
	}
}

// What a reader cannot follow, or should not find in a release.
var unwanted = []struct {
	name    string
	pattern *regexp.Regexp
}{
	{"mark of unfinished work", regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X:)`)},
	{"path of one machine", regexp.MustCompile("(?:^|[\\s\"'`(])/(?:home|root|Users|work)/\\w")},
	{"number of an issue", regexp.MustCompile(`(?i)\bissues? #?\d`)},
}

var document = regexp.MustCompile(`[\w./-]*\w\.md\b`)

func TestLayoutTextsNameOnlyWhatAReaderCanSee(t *testing.T) {
	texts := []string{".go", ".md", ".mod", ".yml", ".sh", ""}
	known := map[string]bool{}
	walk(t, func(file string) { known[path.Base(file)] = true })
	walk(t, func(file string) {
		if strings.Contains(file, "testdata/") || !slices.Contains(texts, path.Ext(file)) {
			return
		}
		data := read(t, file)
		if bytes.IndexByte(data, 0) >= 0 {
			return // a program that go build left here
		}
		for i, line := range strings.Split(string(data), "\n") {
			for _, u := range unwanted {
				if m := u.pattern.FindString(line); m != "" {
					t.Errorf("%s:%d: %s: %q", file, i+1, u.name, strings.TrimSpace(m))
				}
			}
			for _, name := range document.FindAllString(line, -1) {
				if !strings.Contains(line, "://") && !known[path.Base(name)] {
					t.Errorf("%s:%d: %s is not in this repository", file, i+1, name)
				}
			}
		}
	})
}

// walk calls visit for every file of the repository, with slashes and relative to
// its root.
func walk(t *testing.T, visit func(file string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case d.Type().IsRegular():
			rel, err := filepath.Rel(root, file)
			if err != nil {
				return err
			}
			visit(filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// eachGoFile calls visit for every Go file outside of testdata, tests and nested
// modules included.
func eachGoFile(t *testing.T, visit func(file string, f *ast.File, fset *token.FileSet)) {
	t.Helper()
	fset := token.NewFileSet()
	walk(t, func(file string) {
		if path.Ext(file) != ".go" || strings.Contains(file, "testdata/") {
			return
		}
		f, err := parser.ParseFile(fset, filepath.Join(root, file), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		visit(file, f, fset)
	})
}

func importPath(t *testing.T, spec *ast.ImportSpec) string {
	t.Helper()
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// exists says whether the package is there: a folder with Go files.
func exists(t *testing.T, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, name, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files) > 0
}

// goList returns what go list prints at the root, by line.
func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	return strings.Fields(string(out))
}

// README names the tests that prove its claims.
func TestLayoutTestsThatREADMENamesExist(t *testing.T) {
	declared := map[string]bool{}
	declaration := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	walk(t, func(file string) {
		if strings.HasSuffix(file, "_test.go") {
			for _, m := range declaration.FindAllSubmatch(read(t, file), -1) {
				declared[string(m[1])] = true
			}
		}
	})
	names := regexp.MustCompile(`\bTest[A-Z][A-Za-z0-9]+\b`).FindAllString(string(read(t, "README.md")), -1)
	for _, name := range names {
		if !declared[name] {
			t.Errorf("README names %s, which does not exist", name)
		}
	}
	if len(names) < 10 {
		t.Errorf("README names only %d tests", len(names))
	}
}

// A reader of README learns of each package and what it is for.
func TestLayoutREADMEListsEveryPackage(t *testing.T) {
	for name := range arrows {
		if exists(t, name) && !strings.Contains(string(read(t, "README.md")), "\n| `"+name+"` | ") {
			t.Errorf("no row says what %s is for", name)
		}
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
