package errors

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

// The package exports the functions of its manual and repeats none of the
// standard package, whose place it must not take.
func TestExportedFunctions(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range tree.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.IsExported() {
				found = append(found, f.Name.Name)
			}
		}
	}
	slices.Sort(found)
	want := []string{"Classify", "FromAPI", "FromBulkStatus", "FromContext", "FromSMTP", "IsFatal", "IsRetryable", "MaybeAccepted"}
	if !slices.Equal(found, want) {
		t.Errorf("exported functions %v, want %v", found, want)
	}
}
