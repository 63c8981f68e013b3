package smtpclient

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"testing"
)

// TestDocNamesTestsThatExist keeps the links from claims to their proofs from
// rotting: those in doc.go, and the list of puddle's mistakes.
func TestDocNamesTestsThatExist(t *testing.T) {
	exists := testNames(t)
	for _, file := range []string{"doc.go", "stress_test.go"} {
		names := regexp.MustCompile(`\b(Test|Fuzz)[A-Z]\w*`).FindAllString(comments(t, file), -1)
		if len(names) == 0 {
			t.Errorf("%s names no test", file)
		}
		for _, name := range names {
			if !exists[name] {
				t.Errorf("%s names %s, which does not exist", file, name)
			}
		}
	}
}

func comments(t *testing.T, file string) (text string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range f.Comments {
		text += c.Text()
	}
	return text
}

func testNames(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				names[fn.Name.Name] = true
			}
		}
	}
	return names
}
